"""Connections to SQLite and PostgreSQL, set up alike: no pool, nothing kept in a session.

What differs between the two stays in `etl/db/`; elsewhere nobody asks which database it is.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from etl.db import address, serves
from etl.db.driver import psycopg_connection
from etl.db.limits import CANCEL_SECONDS, LOCK_SECONDS, TimeLimit, begin_on_postgresql
from etl.db.opening import opening
from etl.db.words import ours, sqlite_code
from etl.errors import (
    DatabaseUnreachableError,
    EtlError,
    InterruptedRunError,
)
from etl.threads import begin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import SecretStr
    from sqlalchemy import Table
    from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

SQLITE_BUSY_SECONDS = 2
"""How long SQLite itself waits for another program. In there no signal is heard: BEGIN is tried
again and again instead."""

SQLITE_PAUSE_SECONDS = 0.02
"""Between two tries of BEGIN."""

POSTGRESQL_CONNECT_SECONDS = 10

_KEPT_ALIVE = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
"""A server that has gone without a word is noticed within half a minute
(https://www.postgresql.org/docs/current/libpq-connect.html).

Milliseconds for the last, seconds for the others."""

_IMMEDIATE = "etl_begin_immediate"
_LIMIT = "etl_limit"
_NO_LIMIT = TimeLimit()

_writer = threading.RLock()
"""Threads of one process that write to SQLite do so in turn: a lock is fair, and trying again is
not."""


def connect_engine(url: SecretStr | str, *, create: bool = True) -> Engine:
    """An engine for DATABASE_URL; connects only when used, and never pools.

    Args:
        url: `sqlite:///file` or `postgresql://…` (psycopg 3 is meant, whatever driver is named).
        create: whether a missing SQLite file may come into being. False for commands that only
            read.

    Raises:
        SettingsError: the URL cannot be understood.
        UnfitDatabaseError: this Python's SQLite is too old; connecting raises it of a server.
        NoDatabaseError: `create` is False and the SQLite file is missing.
        DatabaseUnreachableError: this user may not reach that file.
    """
    given = url if isinstance(url, str) else url.get_secret_value()
    if address.is_sqlite(given):
        return _sqlite(address.sqlite_file(given), create=create)
    return _postgresql(address.server(given))


def _postgresql(arguments: dict[str, Any]) -> Engine:
    # prepare_threshold: server-side prepared statements do not survive a transaction-pooling
    # pgbouncer. What the URL says of the others wins.
    engine = create_engine(
        address.as_sqlalchemy(arguments),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={
            "prepare_threshold": None,
            "connect_timeout": POSTGRESQL_CONNECT_SECONDS,
            **_KEPT_ALIVE,
        },
        # Whatever the role or the database has as default.
        isolation_level="READ COMMITTED",
    )
    fit = partial(serves.connect_postgresql, arguments, serves.Once())
    event.listen(engine, "do_connect", fit)

    @event.listens_for(engine, "begin")
    def say_what_we_need(connection: Connection) -> None:
        begin_on_postgresql(connection, _time_limit_of(connection.get_execution_options()))

    return engine


def _sqlite(file: address.File, *, create: bool) -> Engine:
    serves.require_sqlite(sqlite3.sqlite_version_info)
    opened = opening(file, create=create)
    engine = create_engine(
        opened.url,
        poolclass=NullPool,
        hide_parameters=True,
        # isolation_level None: we begin transactions ourselves, below; the driver's guesses begin
        # them too late.
        connect_args={
            "timeout": SQLITE_BUSY_SECONDS,
            "isolation_level": None,
            "check_same_thread": False,
        },
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _: Any) -> None:  # noqa: ANN401 - sqlalchemy's pool record
        # WAL: readers (analysts, backups) and the sync do not wait for each other. It stays with
        # the file, and whoever only reads it (a backup, say) leaves it as it is.
        if create and connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode=WAL")

    if opened.at_rest is not None:
        event.listen(engine, "commit", opened.at_rest.require_unchanged)

    @event.listens_for(engine, "begin")
    def begin_sqlite(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get(_IMMEDIATE):
            _begin_immediate(connection, _time_limit_of(options))
        else:
            connection.exec_driver_sql("BEGIN")

    return engine


def _begin_immediate(connection: Connection, limit: TimeLimit) -> None:
    """Take the write lock of a SQLite file, or wait for it where a signal is heard."""
    ends = time.monotonic() + min(LOCK_SECONDS, limit.left)
    while True:
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except DBAPIError as error:
            if time.monotonic() >= ends or not _is_busy(error.orig):
                raise
            time.sleep(SQLITE_PAUSE_SECONDS)
        else:
            return


def limited(engine: Engine, limit: TimeLimit) -> Engine:
    """The same database, whose transactions end at the limit."""
    return engine.execution_options(**{_LIMIT: limit})


def time_limit_of(engine: Engine) -> TimeLimit:
    """The limit of an engine's transactions: none, where none was given."""
    return _time_limit_of(engine.get_execution_options())


def _time_limit_of(options: Mapping[str, Any]) -> TimeLimit:
    limit: TimeLimit = options.get(_LIMIT, _NO_LIMIT)
    return limit


def upserting(connection: Connection, table: Table) -> PostgresqlInsert | SqliteInsert:
    """An INSERT that knows ON CONFLICT, of the connection's database.

    Imported here, because either dialect costs a start-up 50 ms.
    """
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert  # noqa: PLC0415 - 50 ms of a start-up

        return insert(table)
    from sqlalchemy.dialects.sqlite import insert as sqlite_insert  # noqa: PLC0415 - as above

    return sqlite_insert(table)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that writes.

    On SQLite it takes the write lock at once, so it cannot fail half-way for want of it.

    Raises:
        DatabaseUnreachableError: the database is gone, full, read-only, locked or refuses us.
        OutOfTimeError, InterruptedRunError: the engine's limit is over.
    """
    with (
        _in_turn(engine),
        _transaction(engine.execution_options(**{_IMMEDIATE: True})) as connection,
    ):
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One transaction that only reads: all its statements see the same moment.

    Raises as `writing` does.
    """
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
    with _transaction(engine) as connection:
        yield connection


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    limit = time_limit_of(engine)
    limit.check()
    try:
        with (
            translated(),
            _connect(engine, limit) as connection,
            limit.switch.watching(connection, limit.ends),
            connection.begin(),
            _stoppable(connection),
        ):
            yield connection
    except DatabaseUnreachableError as error:
        limit.check(error)
        raise


def _connect(engine: Engine, limit: TimeLimit) -> Connection:
    """Connect, in another thread where a signal or the end of the time must not wait for it."""
    if limit is _NO_LIMIT or engine.dialect.name != "postgresql":
        return engine.connect()
    signum = limit.switch.signum
    connecting = begin(engine.connect, "etl-connect")
    while not connecting.done():
        wait([connecting], timeout=0.1)
        if limit.left <= 0 or limit.switch.signum != signum:
            connecting.add_done_callback(_close)
            raise DatabaseUnreachableError("the database failed: it did not answer in time")
    return connecting.result()


def _close(connecting: Future[Connection]) -> None:
    with suppress(Exception):  # nobody waits for it any more
        connecting.result().close()


@contextmanager
def _in_turn(engine: Engine) -> Iterator[None]:
    if engine.dialect.name == "postgresql":  # where writers do not wait for each other
        yield
        return
    limit = time_limit_of(engine)
    limit.check()
    if not _writer.acquire(timeout=max(0.0, min(LOCK_SECONDS, limit.left))):
        limit.check()
        raise DatabaseUnreachableError("the database failed: another thread of this run writes")
    try:
        yield
    finally:
        _writer.release()


@contextmanager
def _stoppable(connection: Connection) -> Iterator[None]:
    """If a signal comes amid a statement, tell the server to stop it.

    Otherwise the server would keep its locks until the statement is done.
    """
    try:
        yield
    except InterruptedRunError:
        if connection.dialect.name == "postgresql":
            with suppress(*_driver_errors()):
                psycopg_connection(connection).cancel_safe(timeout=CANCEL_SECONDS)
            # Rolling back would fail, amid a statement, and hide the signal; the server does it
            # when the connection goes.
            connection.invalidate()
        raise


@contextmanager
def translated() -> Iterator[None]:
    """Foreign errors become ours, here and nowhere else.

    Raises:
        DatabaseUnreachableError: for whatever SQLAlchemy or a driver raised.
    """
    try:
        yield
    except DBAPIError as error:
        raise ours(error.orig or error) from error
    except SQLAlchemyError as error:
        raise DatabaseUnreachableError(f"the database failed: {type(error).__name__}") from error
    except _driver_errors() as error:
        # From where a driver is asked without SQLAlchemy in between: bulk loads and long lists.
        raise ours(error) from error


_PASSING_STATES = ("40001", "40P01", "08", "57P")
"""SQLSTATEs (and classes) of PostgreSQL that say nothing against our statement: serialization
failure, deadlock, connection lost, server going down
(https://www.postgresql.org/docs/current/errcodes-appendix.html)."""


def worth_another_try(error: EtlError) -> bool:
    """Whether another try may succeed: after a deadlock, a lost connection, or a lock."""
    cause = error.__cause__
    if isinstance(cause, DBAPIError):
        if cause.connection_invalidated:
            return True
        cause = cause.orig
    if isinstance(cause, sqlite3.Error):
        return _is_busy(cause)
    state = getattr(cause, "sqlstate", "")
    # A psycopg.OperationalError that the server gave no state is a connection that broke.
    return (
        type(cause).__name__ == "OperationalError"
        if state is None
        else state.startswith(_PASSING_STATES)
    )


def _is_busy(error: BaseException | None) -> bool:
    return sqlite_code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _driver_errors() -> tuple[type[Exception], ...]:
    psycopg = sys.modules.get("psycopg")  # nobody who uses SQLite imports it
    return (sqlite3.Error, psycopg.Error) if psycopg else (sqlite3.Error,)
