"""Everybody seen, beside the truth: a temporary table that lives as long as the one transaction. Differs per database."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sqlalchemy import Column, MetaData, Table, Text, select, text

from etl.db.tables import Opaque, followers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from psycopg import Connection as PsycopgConnection
    from sqlalchemy import Connection

_temporary = MetaData()

staged = Table("etl_staged", _temporary, Column("user_id", Opaque, nullable=False), prefixes=["TEMPORARY"])
"""Who was seen, each once."""

planned = Table(
    "etl_planned",
    _temporary,
    Column("user_id", Opaque, nullable=False),
    Column("change", Text, nullable=False),
    prefixes=["TEMPORARY"],
)
"""The diff, before it is believed."""

CHUNK = 10_000
"""Users read from the database at once."""


def prepare(connection: Connection) -> None:
    """Create the two tables for the present transaction, and give its few statements room.

    On PostgreSQL `SET LOCAL` and `ON COMMIT DROP`: nothing outlives the transaction, so a pooler may sit between.
    """
    if connection.dialect.name == "postgresql":
        # Hashing a million identifiers wants memory; jit compiles for longer than these statements run.
        connection.execute(text("SET LOCAL work_mem = '256MB'"))
        connection.execute(text("SET LOCAL jit = off"))
        for table, columns in (
            (staged, 'user_id text COLLATE "C" NOT NULL'),
            (planned, 'user_id text COLLATE "C" NOT NULL, change text NOT NULL'),
        ):
            connection.execute(text(f"CREATE TEMPORARY TABLE {table.name} ({columns}) ON COMMIT DROP"))
    else:
        # A connection is ours alone here: what an earlier try left behind goes first.
        for table in (staged, planned):
            connection.execute(text(f"DROP TABLE IF EXISTS temp.{table.name}"))
        connection.execute(text(f"CREATE TEMPORARY TABLE {staged.name} (user_id TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID"))
        connection.execute(text(f"CREATE TEMPORARY TABLE {planned.name} (user_id TEXT NOT NULL, change TEXT NOT NULL)"))


def load(connection: Connection, users: Iterable[list[str]]) -> None:
    """Bulk-load everybody seen: COPY on PostgreSQL, whose planner then wants to know how many; one statement on SQLite."""
    if connection.dialect.name == "postgresql":
        driver = cast("PsycopgConnection", connection.connection.driver_connection)
        with driver.cursor() as cursor, cursor.copy(f"COPY {staged.name} (user_id) FROM STDIN") as copy:
            for chunk in users:
                copy.write(("\n".join(chunk).replace("\\", "\\\\") + "\n").encode())
        connection.execute(text(f"ANALYZE {staged.name}"))
    else:
        cursor = connection.connection.cursor()
        for chunk in users:
            cursor.executemany(f"INSERT INTO {staged.name} VALUES (?)", zip(chunk, strict=True))


def known(connection: Connection, oaid: str, *, following: bool = True) -> Iterator[list[str]]:
    """Who follows now by our tables (or followed once and left), streamed in chunks."""
    left = followers.c.unfollowed_at
    statement = select(followers.c.user_id).where(followers.c.oaid == oaid, left.is_(None) if following else left.is_not(None))
    rows = connection.execution_options(yield_per=CHUNK).execute(statement)
    for chunk in rows.partitions():
        yield [row[0] for row in chunk]
