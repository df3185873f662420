"""DATABASE_URL is understood as psql and SQLite understand it; what is wrong is named, and no part
of a password."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from commandline import etl

from etl.db.address import File, server, shown, sqlite_file
from etl.db.engine import connect_engine, reading
from etl.db.schema import current_revision, upgrade
from etl.db.serves import require_postgresql, require_sqlite
from etl.errors import SettingsError, UnfitDatabaseError
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

# -- a server --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://etl:pw@h:5433/f", {"user": "etl", "password": "pw", "host": "h", "port": "5433", "dbname": "f"}),
        ("postgresql+psycopg://etl@h/f", {"user": "etl", "host": "h", "dbname": "f"}),
        ("postgres://h1:5432,h2:5433/f?target_session_attrs=read-write",
         {"host": "h1,h2", "port": "5432,5433", "dbname": "f", "target_session_attrs": "read-write"}),
        ("postgresql:///f?host=/run/pg&user=a%40b", {"host": "/run/pg", "user": "a@b", "dbname": "f"}),
        ("postgresql:///f?user=a@b", {"user": "a@b", "dbname": "f"}),
        ("postgresql://[::1]:5432/f", {"host": "::1", "port": "5432", "dbname": "f"}),
        ("host=db.example dbname=f password='a b'", {"host": "db.example", "dbname": "f", "password": "a b"}),
        (" postgresql://h/f ", {"host": "h", "dbname": "f"}),
        # Signs that stand for themselves, where only one thing can be meant.
        ("postgresql://etl:a/b?c#d%e[f@h/f", {"user": "etl", "password": "a/b?c#d%e[f", "host": "h", "dbname": "f"}),
        ("postgresql://etl:12?x=1@h/f", {"user": "etl", "password": "12?x=1", "host": "h", "dbname": "f"}),
        ("postgresql://etl:a%40b%2F@h/f", {"user": "etl", "password": "a@b/", "host": "h", "dbname": "f"}),
    ],
)  # fmt: skip
def test_what_psql_understands_is_understood(url: str, expected: dict[str, str]) -> None:
    assert server(url) == expected


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://h/f?pgbouncer=true", "pgbouncer: leave it out"),
        ("postgresql://h/f?schema=public", "schema: write options=-csearch_path"),
        ("postgresql://h/f?ssl=require", "ssl: write sslmode=require"),
        ("postgresql://h/f?sslmod=require", "does not know: sslmod"),
        ("postgresql://h:99999/f", "names a port"),
        ("postgresql://h:0/f", "names a port"),
        ("postgresql://h1:5432,h2:x/f", "names a port"),
        ("host=h port=99999", "names a port"),
        ("postgresql://127.0.0.1/f?sslmode=foo", 'invalid sslmode value: "foo"'),
        ("postgresql://127.0.0.1/f?target_session_attrs=writer", "invalid target_session_attrs"),
        ("postgresql://h/f?connect_timeout=soon", "bad value for connect_timeout"),
        ("postgresql:///f?service=gone", 'definition of service "gone" not found'),
        ("sqlite:///f.db?journal=wal", "SQLite does not know: journal"),
        ("sqlite:///file::memory:?cache=shared&uri=true", "must name a file"),
    ],
)
def test_what_only_a_person_can_cure_is_named_at_once(url: str, words: str) -> None:
    with Simulator(3) as sim:
        for command in (["sync"], ["status"], ["db", "check"], ["doctor"]):
            refused = etl(*command, **sim.environment, DATABASE_URL=url)
            assert refused.returncode == 78, (command, refused)
            assert sim.requests == [] or command == ["doctor"]
            assert words in (refused.stderr + refused.stdout).replace('\\"', '"')


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://etl:hunter2@hunter3/db@127.0.0.1/f",
        "postgresql://etl:hunter2@hunter3@127.0.0.1:1/f",
        "postgresql://etl:hunter2/hunter3@127.0.0.1:1/f",
        "postgresql://etl:hunter2?hunter3@127.0.0.1:1/f",
        "postgresql://etl:hunter2#hunter3@127.0.0.1:1/f",
        "postgresql://etl:hunter2%hunter3@127.0.0.1:1/f",
        "postgresql://etl:hunter2 hunter3@127.0.0.1:1/f",
        "postgresql://etl:hunter2?user=hunter3@127.0.0.1:1/f",
        "postgresql://etl:a@hunter2?hunter3@127.0.0.1:1/f",
        "postgresql://etl@127.0.0.1:1/f?password=hunter2&hunter=3",
        "postgresql://etl@127.0.0.1:1/f?password=hunter2@hunter3",
        "postgresql://etl:hunter2",
        "host=127.0.0.1 port=1 password=hunter2 hunter3",
        "host=127.0.0.1 port=1 password='hunter2",
    ],
)
def test_no_part_of_a_password_is_told_however_it_is_written(url: str) -> None:
    for arguments in (["status"], ["db", "check"], ["doctor"], ["db", "copy", "--to", url]):
        done = etl(*arguments, DATABASE_URL=url)
        assert done.returncode != 0
        assert "hunter" not in done.stdout + done.stderr, arguments


def test_a_url_that_lists_hosts_reaches_the_one_that_answers(postgresql_url: str) -> None:
    upgrade(connect_engine(postgresql_url))
    given = server(postgresql_url)
    url = (
        f"postgresql://postgres@127.0.0.1:1,{quote(given['host'], safe='')}:5432/{given['dbname']}"
    )
    assert etl("db", "check", DATABASE_URL=f"{url}?target_session_attrs=read-write").returncode == 0
    assert etl("db", "check", DATABASE_URL=f"{url}?target_session_attrs=standby").returncode == 69
    conninfo = f"host={given['host']} dbname={given['dbname']} user=postgres"
    assert etl("db", "check", DATABASE_URL=conninfo).returncode == 0


def test_a_time_for_connecting_in_the_url_or_from_libpq_is_kept(
    monkeypatch: pytest.MonkeyPatch, postgresql_url: str
) -> None:
    def timeout(url: str) -> str:
        with reading(connect_engine(url)) as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            return str(driver.info.get_parameters().get("connect_timeout"))

    assert timeout(postgresql_url) == "10"
    assert timeout(f"{postgresql_url}&connect_timeout=3") == "3"
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "4")
    assert timeout(postgresql_url) in {"4", "None"}


def test_the_url_is_shown_without_what_lets_one_in() -> None:
    assert shown("postgresql://etl:pw@h1:1,h2:2/f?sslpassword=pw") == "postgresql://etl@h1:1,h2:2/f"
    assert shown("postgresql://h1,h2:5433/f") == "postgresql://h1,h2:5433/f"
    assert shown("sqlite:///a.db?mode=ro") == "sqlite:///a.db"


# -- what answers ----------------------------------------------------------------------------------


@contextmanager
def speaking_postgresql(version: str, number: str) -> Iterator[tuple[str, list[int]]]:
    """A server that speaks the protocol and says what it is; gives its URL, and how often it was
    met."""
    met: list[int] = []

    def message(kind: bytes, body: bytes) -> bytes:
        return kind + struct.pack("!I", len(body) + 4) + body

    ready = message(b"Z", b"I")
    told = version.encode()
    answer = (
        message(b"T", struct.pack("!H", 1) + b"version\0" + struct.pack("!IHIhIH", 0, 0, 25, -1, 0, 0))
        + message(b"D", struct.pack("!HI", 1, len(told)) + told)
        + message(b"C", b"SELECT 1\0")
        + ready
    )  # fmt: skip

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError, struct.error):
            while True:
                (length,) = struct.unpack("!I", connection.recv(4))
                (code,) = struct.unpack("!I", connection.recv(length - 4)[:4])
                if code == 196_608:  # the protocol's version; others ask for encryption
                    break
                connection.sendall(b"N")
            met.append(1)
            parameters = b"".join(
                message(b"S", b"%s\0%s\0" % pair)
                for pair in [(b"server_version", number.encode()), (b"client_encoding", b"UTF8")]
            )
            connection.sendall(message(b"R", struct.pack("!I", 0)) + parameters + ready)
            while kind := connection.recv(1):
                (length,) = struct.unpack("!I", connection.recv(4))
                connection.recv(length - 4)
                if kind == b"Q":
                    connection.sendall(answer)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"postgresql://root@127.0.0.1:{listener.getsockname()[1]}/f", met
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("version", "number", "words"),
    [
        ("CockroachDB CCL v23.1.11 (x86_64-pc-linux-gnu)", "13.0.0", "no PostgreSQL (it says: CockroachDB"),
        ("CrateDB 5.9.3 (built 4aa1)", "14.0", "no PostgreSQL (it says: CrateDB"),
        ("PostgreSQL 13.16 on x86_64-pc-linux-gnu", "13.16", "too old (PostgreSQL 13.16)"),
        ("PostgreSQL 8.0.2 on i686-pc-linux-gnu, Redshift 1.0.1", "8.0.2", "too old (PostgreSQL 8.0.2)"),
    ],
)  # fmt: skip
def test_a_server_that_cannot_serve_is_named_once(version: str, number: str, words: str) -> None:
    with speaking_postgresql(version, number) as (url, met), Simulator(3) as sim:
        for command in (["sync"], ["status"], ["db", "check"], ["db", "upgrade"], ["doctor"]):
            met.clear()
            refused = etl(*command, **sim.environment, DATABASE_URL=url)
            assert refused.returncode == 78, (command, refused)
            assert words in refused.stderr + refused.stdout
            # The doctor connects anew in each of its steps: what it finds does not end it.
            assert len(met) == (3 if command == ["doctor"] else 1), command


def test_servers_and_libraries_that_are_new_enough_are_let_through() -> None:
    require_postgresql("PostgreSQL 14.0 on x86_64", 140_000)
    require_postgresql("EnterpriseDB 16.4.1 on x86_64", 160_004)
    require_sqlite((3, 35, 0))
    with pytest.raises(UnfitDatabaseError, match="too old"):
        require_sqlite((3, 26, 0))


# -- a file ----------------------------------------------------------------------------------------


def test_however_the_same_file_is_named_it_is_the_same(tmp_path: Path) -> None:
    ways = ("sqlite:///q.db", "sqlite:///q.db ", "sqlite:///file:q.db?mode=rwc&uri=true", "sqlite:///./q.db",
            f"sqlite:///{tmp_path}/q.db", f"sqlite:///file:{tmp_path}/q.db?uri=true", "sqlite+pysqlite:///file:q.db")  # fmt: skip
    with Simulator(3) as sim:
        for count, url in enumerate(ways, 1):
            done = etl("sync", **sim.environment, DATABASE_URL=url)
            assert done.returncode == 0, (url, done.stderr)
            told = etl("history", "--json", DATABASE_URL=url)
            assert (told.returncode, len(told.stdout.splitlines())) == (0, count), url
    assert {each.name for each in tmp_path.iterdir() if "q" in each.name} == {"q.db"}


def test_a_file_that_is_asked_for_read_only_is_never_written(tmp_path: Path) -> None:
    with Simulator(3) as sim:
        assert etl("sync", **sim.environment, DATABASE_URL="sqlite:///q.db").returncode == 0
        before = (tmp_path / "q.db").read_bytes()
        url = "sqlite:///q.db?mode=ro"
        assert etl("status", DATABASE_URL=url).returncode == 0
        assert etl("sync", **sim.environment, DATABASE_URL=url).returncode == 69
    assert (tmp_path / "q.db").read_bytes() == before


def test_names_with_signs_that_mean_something_in_a_url_are_names(tmp_path: Path) -> None:
    assert sqlite_file("sqlite:///file:///a/b%20c.db?uri=true&cache=shared") == File("/a/b c.db", {"cache": "shared"})  # fmt: skip
    engine: Engine = connect_engine(f"sqlite:///{tmp_path}/a#b %25.db")
    upgrade(engine)
    assert {each.name for each in tmp_path.iterdir()} >= {"a#b %.db"}
    assert current_revision(connect_engine(f"sqlite:///{tmp_path}/a#b %25.db", create=False))
    assert sqlite_file("sqlite:///which%3F.db").path == "which?.db"
    for url in (
        "sqlite://",
        "sqlite:///which?.db",
        "sqlite:///a?b&mode=ro",
    ):  # not the file `which`
        with pytest.raises(SettingsError):
            sqlite_file(url)
