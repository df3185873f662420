"""The room that PostgreSQL needs for statements that go through millions of rows."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import text

from etl.db.engine import reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

_ROOM = ("SET LOCAL work_mem = '256MB'", "SET LOCAL jit = off")


def give_room(connection: Connection) -> None:
    """Let the statements of this transaction sort and hash millions of rows in memory.

    PostgreSQL's default are 4 MB, and it would sort three million changes on disk; compiling such a
    statement (jit) costs more than it gains. LOCAL ends with the transaction, so that it works
    behind a transaction-pooling pgbouncer.
    """
    if connection.dialect.name == "postgresql":
        for statement in _ROOM:
            connection.execute(text(statement))


@contextmanager
def analysing(engine: Engine) -> Iterator[Connection]:
    """One transaction that only reads, for statements that read everything.

    Raises:
        DatabaseUnreachableError: the database is gone or refuses us.
    """
    with reading(engine) as connection:
        give_room(connection)
        yield connection
