"""PostgreSQL's driver itself, for what SQLAlchemy has no words for."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection as PsycopgConnection
    from psycopg import Copy
    from sqlalchemy import Connection, Table


def psycopg_connection(connection: Connection) -> PsycopgConnection:
    """The driver's own connection, of a connection to PostgreSQL."""
    return cast("PsycopgConnection", connection.connection.driver_connection)


@contextmanager
def copying_into(connection: Connection, table: Table) -> Iterator[Copy]:
    """COPY into all columns of a table, in their order."""
    names = ", ".join(table.columns.keys())
    with (
        psycopg_connection(connection).cursor() as cursor,
        cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy,
    ):
        yield copy
