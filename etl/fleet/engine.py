"""How procrastinate connects to our database, and whether its tables are of its version.

Its tables (procrastinate_…) stand beside ours. It keeps no word of the version they are of; we keep
the name of the newest of its migrations as the comment of its table of jobs.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from enum import StrEnum
from importlib import resources
from typing import TYPE_CHECKING, Any

import psycopg
from procrastinate import PsycopgConnector
from procrastinate.exceptions import ConnectorException

from etl.db.address import is_sqlite, server
from etl.db.engine import POSTGRESQL_CONNECT_SECONDS
from etl.db.words import driver_words
from etl.errors import DatabaseUnreachableError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import SecretStr

ADVICE = "Set DATABASE_URL to a PostgreSQL database (`etl db copy` brings the data there)"

_COMMENT = "etl fleet: "


class Tables(StrEnum):
    """What procrastinate's tables are."""

    MISSING = "missing"
    CURRENT = "current"
    OLDER = "older"
    NEWER = "newer"
    FOREIGN = "foreign"
    """Not made by us, and not those of the procrastinate that is installed."""


def arguments(url: SecretStr) -> dict[str, Any]:
    """What psycopg connects with: nothing that a transaction-pooling pgbouncer could not keep.

    Raises:
        SettingsError: DATABASE_URL is no PostgreSQL database.
    """
    if is_sqlite(url.get_secret_value()):
        raise SettingsError([f"a fleet needs PostgreSQL, and DATABASE_URL is SQLite. {ADVICE}"])
    return (
        {"connect_timeout": POSTGRESQL_CONNECT_SECONDS}
        | server(url.get_secret_value())
        | {
            "prepare_threshold": None,
            "client_encoding": "utf8",
        }
    )


def connector(url: SecretStr, *, connections: int, patience: float) -> PsycopgConnector:
    """Procrastinate's connections.

    Args:
        url: DATABASE_URL.
        connections: how many at most.
        patience: seconds to wait for one before the database is called unreachable.
    """
    return PsycopgConnector(
        conninfo="",
        kwargs=arguments(url),
        min_size=1,
        max_size=connections,
        timeout=patience,
        reconnect_timeout=patience,
    )


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the driver and of procrastinate become ours.

    Raises:
        DatabaseUnreachableError: for whatever either raised.
    """
    try:
        yield
    except (psycopg.Error, ConnectorException) as error:
        cause = error if isinstance(error, psycopg.Error) else error.__cause__ or error
        raise DatabaseUnreachableError(f"the database failed: {driver_words(cause)}") from error


def tables(url: SecretStr) -> Tables:
    """What procrastinate's tables are.

    Raises:
        SettingsError: DATABASE_URL is no PostgreSQL database.
        DatabaseUnreachableError: the database cannot be read.
    """
    with translated(), psycopg.connect(**arguments(url)) as connection:
        return _tables(connection)


def require_tables(url: SecretStr) -> None:
    """Refuse a database without procrastinate's tables of the version that is installed.

    Raises:
        SettingsError: it is no PostgreSQL, or they are missing or of another version.
        DatabaseUnreachableError: the database cannot be read.
    """
    found = tables(url)
    if found is not Tables.CURRENT:
        raise SettingsError([_WRONG[found]])


def make_tables(url: SecretStr) -> bool:
    """Make procrastinate's tables, or bring them up to its version; False if they are.

    Raises:
        SettingsError: it is no PostgreSQL, or the tables are newer, or somebody else's.
        DatabaseUnreachableError: the database cannot be read or written.
    """
    with translated(), psycopg.connect(**arguments(url)) as connection:
        # Two at once: the second waits, and finds them made.
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('etl fleet init'))")
        found = _tables(connection)
        if found is Tables.CURRENT:
            return False
        if found in {Tables.NEWER, Tables.FOREIGN}:
            raise SettingsError([_WRONG[found]])
        for statements in _statements(None if found is Tables.MISSING else _recorded(connection)):
            connection.execute(statements.encode())
        words = psycopg.sql.Literal(_COMMENT + _newest())
        connection.execute(
            psycopg.sql.SQL("COMMENT ON TABLE procrastinate_jobs IS {}").format(words)
        )
        return True


_INIT = "run: etl fleet init"

_WRONG = {
    Tables.MISSING: f"the tables of the fleet's jobs are missing: {_INIT}",
    Tables.OLDER: f"the tables of the fleet's jobs are of an older procrastinate: stop all workers, then {_INIT}",
    Tables.NEWER: "the tables of the fleet's jobs are of a newer procrastinate: upgrade this host's",
    Tables.FOREIGN: "the tables of procrastinate are there, of another version, and not made by `etl fleet init`: "
    "bring them up to date with procrastinate's own command, or use another database or schema",
}


def _tables(connection: psycopg.Connection[Any]) -> Tables:
    there = connection.execute("SELECT to_regclass('procrastinate_jobs')").fetchone()
    if there is None or there[0] is None:
        return Tables.MISSING
    recorded = _recorded(connection)
    if recorded is None:
        rows = connection.execute("SELECT proname FROM pg_proc WHERE pg_function_is_visible(oid)")
        complete = _functions() <= {row[0] for row in rows}
        return Tables.CURRENT if complete else Tables.FOREIGN
    if recorded == _newest():
        return Tables.CURRENT
    return Tables.OLDER if recorded < _newest() else Tables.NEWER


def _recorded(connection: psycopg.Connection[Any]) -> str | None:
    row = connection.execute(
        "SELECT obj_description(to_regclass('procrastinate_jobs'), 'pg_class')"
    ).fetchone()
    words = str(row[0]) if row and row[0] else ""
    return words.removeprefix(_COMMENT) if words.startswith(_COMMENT) else None


def _migrations() -> dict[str, str]:
    """Procrastinate's migrations in their order, by the number at the head of their names."""
    directory = resources.files("procrastinate.sql") / "migrations"
    files = sorted(each.name for each in directory.iterdir() if each.name.endswith(".sql"))
    return {file[:11]: (directory / file).read_text(encoding="utf-8") for file in files}


def _newest() -> str:
    return max(_migrations())


def _statements(since: str | None) -> list[str]:
    if since is None:
        schema = resources.files("procrastinate.sql") / "schema.sql"
        return [schema.read_text(encoding="utf-8")]
    return [text for number, text in _migrations().items() if number > since]


def _functions() -> set[str]:
    """The functions that the installed procrastinate calls."""
    queries = resources.files("procrastinate.sql") / "queries.sql"
    return set(re.findall(r"\bprocrastinate_\w+_v\d+(?=\()", queries.read_text(encoding="utf-8")))
