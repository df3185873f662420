"""What `etl doctor` asks of the database. Nothing of it stays."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import cast, delete, false, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import REGCLASS

from etl.db.catalogue import read_catalogue, require_all_seen
from etl.db.encoding import encoding
from etl.db.engine import reading, writing
from etl.db.lease import database_clock
from etl.db.schema import upgrade_on
from etl.db.tables import metadata, official_accounts, snapshots

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from sqlalchemy import Connection, Engine


_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)
"""Of a row that is rolled back."""


NEWEST = 7
"""Snapshots whose days are looked at: those of a week."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Where the sequence of snapshots is, and the newest snapshot; 0 for none.

    `usable`: the role may draw from it.
    """

    drawn: int
    newest: int
    usable: bool


class _EnoughError(Exception):
    """Ends the transaction, and takes back what was written."""


def try_writing(engine: Engine) -> None:
    """Do whatever a sync does, in one transaction, and roll it back.

    Raises:
        DatabaseUnreachableError: something of it is not allowed, or there is no room.
    """
    with suppress(_EnoughError), writing(engine) as connection:
        _write_all(connection)
        raise _EnoughError


def try_creating(engine: Engine) -> None:
    """Create our tables in a database that has none, do whatever a sync does, and roll it all back.

    Raises:
        UnfitDatabaseError, DatabaseUnreachableError: something of it is not allowed, or there is no
            room.
    """
    with suppress(_EnoughError), writing(engine) as connection:
        require_all_seen(read_catalogue(connection))
        upgrade_on(connection)
        _write_all(connection)
        raise _EnoughError


def _write_all(connection: Connection) -> None:
    # No number is drawn from the snapshots' sequence: a sequence does not roll back.
    row = {"oaid": f"etl-doctor-{secrets.token_hex(8)}", "created_at": _ANY_TIME}
    connection.execute(insert(official_accounts).values(row))
    for table in metadata.sorted_tables:
        names = [column.name for column in table.columns]
        connection.execute(insert(table).from_select(names, select(table).where(false())))
        connection.execute(update(table).where(false()).values(oaid=table.c.oaid))
        connection.execute(delete(table).where(false()))
    connection.execute(text("CREATE TEMPORARY TABLE etl_doctor (user_id TEXT)"))


def clock_ahead(engine: Engine, clock: Callable[[], datetime]) -> float:
    """By how many seconds the database's clock is ahead of ours, at least."""
    with reading(engine) as connection:
        asked = select(database_clock(connection.dialect.name))
        before = clock()
        theirs = datetime.fromisoformat(str(connection.execute(asked).scalar_one()))
        after = clock()
    if before <= theirs <= after:
        return 0.0
    return (theirs - (after if theirs > after else before)).total_seconds()


def text_encoding(engine: Engine) -> str:
    """The encoding that the database keeps text in."""
    with reading(engine) as connection:
        return encoding(connection)


def snapshot_numbers(engine: Engine) -> Numbers:
    """Where PostgreSQL's sequence of snapshots is. No number is drawn."""
    sequence = func.pg_get_serial_sequence(snapshots.name, snapshots.c.id.name)
    with reading(engine) as connection:
        newest = connection.execute(select(func.coalesce(func.max(snapshots.c.id), 0))).scalar_one()
        usable = connection.execute(
            select(func.has_sequence_privilege(sequence, "USAGE"))
        ).scalar_one()
        if not usable:
            # None where there is no sequence: a sync does without.
            return Numbers(newest, newest, usable is None)
        drawn = connection.execute(
            select(func.pg_sequence_last_value(cast(sequence, REGCLASS)))
        ).scalar_one()
        return Numbers(drawn or 0, newest, usable=True)


def newest_days(engine: Engine) -> list[tuple[datetime, date]]:
    """When the newest snapshots began, and the day that each is of."""
    statement = select(snapshots.c.taken_at, snapshots.c.taken_on)
    with reading(engine) as connection:
        rows = connection.execute(statement.order_by(snapshots.c.id.desc()).limit(NEWEST))
        return [(row.taken_at, row.taken_on) for row in rows]
