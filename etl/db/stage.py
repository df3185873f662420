"""What a sweep would change, in a temporary table that lives as long as the one transaction.

Only the difference is staged, not everybody seen: the spool has both sets and knows it already
(docs/decisions/0003).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Boolean, Column, MetaData, Table, text

from etl.db.analysis import give_room
from etl.db.driver import copying_into
from etl.db.tables import Opaque, followers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from psycopg import Connection as PsycopgConnection
    from psycopg import ServerCursor
    from sqlalchemy import Connection

staged = Table(
    "etl_staged",
    MetaData(),
    Column("user_id", Opaque, nullable=False),
    Column("seen", Boolean, nullable=False),
    prefixes=["TEMPORARY"],
)
"""`seen`: seen, and not known to follow; otherwise known to follow, and not seen."""

CHUNK = 10_000
"""Users read from the database at once."""


def load(
    connection: Connection, *, arrived: Iterable[list[str]], gone: Iterable[list[str]]
) -> None:
    """Create the table for this transaction, bulk-load it, and give the next statements room.

    On PostgreSQL by COPY, with `SET LOCAL` and `ON COMMIT DROP`: nothing outlives the transaction,
    so a pooler may sit between.
    """
    chunks = [(True, arrived), (False, gone)]
    if connection.dialect.name == "postgresql":
        give_room(connection)
        connection.execute(
            text(
                f'CREATE TEMPORARY TABLE {staged.name} (user_id text COLLATE "C" NOT NULL, seen boolean NOT NULL) ON COMMIT DROP'
            )
        )
        with copying_into(connection, staged) as copy:
            for seen, users in chunks:
                end = f"\t{'t' if seen else 'f'}\n"
                for chunk in users:
                    copy.write((end.join(chunk).replace("\\", "\\\\") + end).encode())
        connection.execute(text(f"ANALYZE {staged.name}"))
    else:
        # A connection is ours alone here: what an earlier try left behind goes first.
        connection.execute(text(f"DROP TABLE IF EXISTS temp.{staged.name}"))
        connection.execute(
            text(
                f"CREATE TEMPORARY TABLE {staged.name} (user_id TEXT NOT NULL, seen BOOLEAN NOT NULL)"
            )
        )
        lite = cast("sqlite3.Connection", connection.connection.driver_connection)
        for seen, users in chunks:
            for chunk in users:
                lite.executemany(
                    f"INSERT INTO {staged.name} VALUES (?, {int(seen)})", zip(chunk, strict=True)
                )


def known(connection: Connection, oaid: str, *, following: bool = True) -> Iterator[list[str]]:
    """Who follows now by our tables (or followed once and left), streamed in chunks.

    Asks the driver itself: a million rows take five times the processor where SQLAlchemy makes
    objects of them.
    """
    left = "NULL" if following else "NOT NULL"
    statement = (
        f"SELECT user_id FROM {followers.name} WHERE oaid = {{}} AND unfollowed_at IS {left}"
    )
    driver: Any = connection.connection.driver_connection
    with closing(_cursor(driver, statement, oaid)) as cursor:
        while rows := cursor.fetchmany(CHUNK):
            yield [user for (user,) in rows]


def _cursor(
    driver: sqlite3.Connection | PsycopgConnection, statement: str, oaid: str
) -> sqlite3.Cursor | ServerCursor[Any]:
    """A cursor that fetches as it goes: SQLite's do, PostgreSQL's with a name."""
    if isinstance(driver, sqlite3.Connection):
        return driver.execute(statement.format("?"), (oaid,))
    cursor = driver.cursor("etl_known")
    cursor.execute(statement.format("%s").encode(), (oaid,))
    return cursor
