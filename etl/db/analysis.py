"""Reading a whole change log at once, with the room that PostgreSQL needs for it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import text

from etl.db.engine import reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

# LOCAL: it ends with the transaction, so that it works behind a transaction-pooling pgbouncer.
# Without it PostgreSQL sorts three million changes on disk (4 MB are its default); compiling such a
# statement (jit) costs more than it gains.
_POSTGRESQL = ("SET LOCAL work_mem = '192MB'", "SET LOCAL jit = off")


@contextmanager
def analysing(engine: Engine) -> Iterator[Connection]:
    """One transaction that only reads, for statements that read everything.

    Raises:
        DatabaseUnreachableError: the database is gone or refuses us.
    """
    with reading(engine) as connection:
        if connection.dialect.name == "postgresql":
            for statement in _POSTGRESQL:
                connection.execute(text(statement))
        yield connection
