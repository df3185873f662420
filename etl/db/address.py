"""What DATABASE_URL says: of a server as psql understands it, of a file as SQLite does.

Whatever is wrong with it is named without a word of the URL itself: a part of a password may stand
anywhere in a URL that was written wrongly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from etl.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_URL = (
    "is no database URL such as sqlite:///followers.db or postgresql://user:password@host/name"
)

_INSTEAD = {
    "pgbouncer": "leave it out: etl works through pgbouncer as it is",
    "schema": "write options=-csearch_path%3DNAME, or ALTER ROLE … SET search_path",
    "currentSchema": "write options=-csearch_path%3DNAME, or ALTER ROLE … SET search_path",
    "ssl": "write sslmode=require, or better sslmode=verify-full",
    "sslca": "write sslrootcert=FILE",
    "timeout": "write connect_timeout=SECONDS",
    "pool_timeout": "leave it out: etl keeps no pool",
    "connection_limit": "leave it out: etl keeps no pool",
}
"""Parameters of other tools' URLs, and what to write."""

_HIGHEST_PORT = 65_535

_OF_SQLITE = {"cache", "immutable", "mode", "nolock", "psow", "uri", "vfs"}


def problem(words: str) -> SettingsError:
    """DATABASE_URL is wrong."""
    return SettingsError([f"DATABASE_URL {words}"])


def is_sqlite(url: str) -> bool:
    """Whether it names a file rather than a server."""
    return url.lstrip().partition(":")[0].partition("+")[0].lower() == "sqlite"


# -- a file ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class File:
    """A SQLite file: its path, and what the URL says besides (https://sqlite.org/uri.html)."""

    path: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    def url(self, *, mode: str, **more: str) -> URL:
        """What SQLAlchemy opens it by. A mode in DATABASE_URL wins."""
        name = f"file:{quote(str(Path(self.path).absolute()))}"
        query = {"mode": mode, **self.parameters, **more, "uri": "true"}
        return URL.create("sqlite+pysqlite", database=name, query=query)


def sqlite_file(url: str) -> File:
    """Read `sqlite:///path` or `sqlite:///file:path?…&uri=true`: both mean the same file.

    Raises:
        SettingsError: it names none.
    """
    try:
        parsed = make_url(url.strip())
    except (ArgumentError, ValueError):
        raise problem(_NO_URL) from None
    if parsed.host or parsed.username:
        raise problem(_NO_URL)
    path = parsed.database or ""
    if path.startswith("file:"):
        path = re.sub(r"^//[^/]*", "", path.removeprefix("file:"))
    parameters = {name: str(value) for name, value in parsed.query.items()}
    for name in {*parameters, *_parameters(url.strip())} - _OF_SQLITE:
        raise problem(f"has a parameter that SQLite does not know{_named(name)}")
    if path in {"", ":memory:"} or parameters.get("mode") == "memory":
        raise problem("must name a file, such as sqlite:///followers.db")
    return File(path, {name: each for name, each in parameters.items() if name != "uri"})


# -- a server --------------------------------------------------------------------------------------


def server(url: str) -> dict[str, Any]:
    """What libpq makes of a PostgreSQL URL (or of `host=… dbname=…`), as psql would understand it.

    Raises:
        SettingsError: it cannot be understood, or has a parameter that libpq does not know.
    """
    import psycopg.conninfo  # noqa: PLC0415 - nobody who uses SQLite needs it

    written = _written_for_libpq(url.strip())
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    given = _parameters(written)
    for name in given:
        if name not in known:
            # After a password that holds a & stands a part of it.
            called = "" if "password" in given and name not in _INSTEAD else _named(name)
            raise problem(f"has a parameter that libpq does not know{called}")
    try:
        arguments = dict(psycopg.conninfo.conninfo_to_dict(written))
    except psycopg.Error:
        # Without its words: they quote the URL.
        raise problem(_NO_URL) from None
    for port in filter(None, str(arguments.get("port", "")).split(",")):
        if not (port.isascii() and port.isdigit() and 0 < int(port) <= _HIGHEST_PORT):
            raise problem(f"names a port that is no number between 1 and {_HIGHEST_PORT}")
    if any("@" in str(arguments.get(each, "")) for each in ("host", "dbname")):
        raise problem("holds an @ too many: write one in a password as %40")
    return arguments


def as_sqlalchemy(arguments: Mapping[str, Any]) -> URL:
    """The arguments as SQLAlchemy shows them; it connects by the arguments themselves."""
    place = {"dbname", "user", "password"}
    one = "," not in f"{arguments.get('host', '')}{arguments.get('port', '')}"
    if one and not str(arguments.get("host", "/")).startswith("/"):
        place |= {"host", "port"}
    port = arguments.get("port") if "port" in place else None
    return URL.create(
        "postgresql+psycopg",
        username=arguments.get("user"),
        password=arguments.get("password"),
        host=arguments.get("host") if "host" in place else None,
        port=int(port) if port else None,
        database=arguments.get("dbname"),
        query={name: str(value) for name, value in arguments.items() if name not in place},
    )


def shown(url: str) -> str:
    """Describe the database for a person: no password, and nothing where one may stand."""
    if is_sqlite(url):
        return f"sqlite:///{sqlite_file(url).path}"
    arguments = server(url)
    hosts = str(arguments.get("host") or arguments.get("hostaddr") or "").split(",")
    ports = str(arguments.get("port") or "").split(",")
    if len(ports) < len(hosts):
        ports = ports[:1] * len(hosts)
    places = [f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False)]
    user = f"{arguments['user']}@" if arguments.get("user") else ""
    return f"postgresql://{user}{','.join(places)}/{arguments.get('dbname', '')}"


def _written_for_libpq(url: str) -> str:
    """The URL as libpq wants it: without a driver's name, special signs in the password quoted."""
    _, mark, rest = url.partition("://")
    if not mark:
        return url
    user, at, place = rest.partition("@")
    if not at or _before_parameters(user):
        return f"postgresql://{rest}"
    if "@" in place.partition("?")[0]:
        raise problem("holds an @ too many: write one in a password as %40")
    plain = re.sub(r"%(?![0-9A-Fa-f]{2})|[/\s\[\]?#]", lambda each: quote(each[0], safe=""), user)
    return f"postgresql://{plain}@{place}"


def _before_parameters(text: str) -> bool:
    """Whether the text before the first @ is a place and the beginning of the parameters.

    Otherwise it is user and password.
    """
    place, mark, _ = text.partition("?")
    return bool(mark) and re.fullmatch(r"[^:/]*(:\d*)?/[^:]*|[^:]*", place) is not None


def _parameters(url: str) -> list[str]:
    if "://" not in url:
        return []
    return [each.partition("=")[0] for each in url.partition("?")[2].split("&") if each]


def _named(name: str) -> str:
    """Name it where it is a name: what is not may be half a password."""
    if name in _INSTEAD:
        return f", {name}: {_INSTEAD[name]}"
    return f": {name}" if re.fullmatch(r"[A-Za-z_]{2,32}", name) else ""
