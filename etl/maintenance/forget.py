"""Forgetting a person: their User_Id becomes a random pseudonym (docs/decisions/0004).

So counts and history stay true.

Who does not follow leaves nothing else behind. Who follows still will be listed by eSMS again: a
salted digest of their User_Id, in `forgotten`, lets a sync recognise them and count them under
their pseudonym, until they leave.
"""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, literal, select, text, update

from etl.db.engine import reading, translated
from etl.db.forgotten import digest_of
from etl.db.lease import acquire
from etl.db.tables import follower_changes, followers, forgotten, snapshots
from etl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Engine

PREFIX = "forgotten-"
"""What a pseudonym begins with, so that whoever reads the tables understands it."""

CHECKPOINT_MILLISECONDS = 2_000
"""How long readers may keep SQLite's write-ahead log from being emptied after a forgetting."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What an OA's tables hold of a person.

    `following` is whether they follow now, `changes` how many rows of the change log name them.
    """

    oaid: str
    following: bool
    changes: int


def traces(engine: Engine, user_id: str, oaids: Sequence[str]) -> list[Trace]:
    """What each of these OAs holds of a person; OAs that never knew them are left out.

    Raises:
        UsageError: this can be no User_Id, or is a pseudonym already.
    """
    _require_user_id(user_id)
    with reading(engine) as connection:
        return [trace for oaid in oaids if (trace := _trace(connection, oaid, user_id)) is not None]


def forget(engine: Engine, oaid: str, user_id: str, *, now: datetime) -> Trace:
    """Replace a person's User_Id in one OA, in one transaction under its lease.

    Gives what was found there.

    Raises:
        UsageError: the OA holds nothing of them (any more), or this is no User_Id.
        BusyError: another run holds the OA.
        LeaseLostError: ours ran out while we were away.
    """
    _require_user_id(user_id)
    with acquire(engine, oaid, now=now) as lease:
        with lease.transaction() as connection:
            _overwrite_deleted(connection)
            trace = _trace(connection, oaid, user_id)
            if trace is None:
                raise UsageError(f"OA {oaid} holds nothing of this User_Id")
            pseudonym = PREFIX + secrets.token_hex(12)
            for table in (followers, follower_changes):
                theirs = (table.c.oaid == oaid) & (table.c.user_id == user_id)
                connection.execute(update(table).where(theirs).values(user_id=pseudonym))
            if trace.following:
                _remember_digest(connection, oaid, pseudonym, user_id)
        _empty_journal(engine)
    return trace


def _require_user_id(user_id: str) -> None:
    if not user_id or not user_id.isprintable():
        raise UsageError("USER_ID is empty or holds characters that no User_Id has")
    if user_id.startswith(PREFIX):
        # Its digest would be of the pseudonym, and the person behind it would not be recognised any
        # more.
        raise UsageError(f"USER_ID begins with {PREFIX}: this person is forgotten already")


def _trace(connection: Connection, oaid: str, user_id: str) -> Trace | None:
    of_them = (followers.c.oaid == oaid) & (followers.c.user_id == user_id)
    row = connection.execute(select(followers.c.unfollowed_at).where(of_them)).first()
    logged = (follower_changes.c.oaid == oaid) & (follower_changes.c.user_id == user_id)
    changes = int(
        connection.execute(
            select(func.count()).select_from(follower_changes).where(logged)
        ).scalar_one()
    )
    if row is None and not changes:
        return None
    return Trace(oaid, following=row is not None and row.unfollowed_at is None, changes=changes)


def _remember_digest(connection: Connection, oaid: str, pseudonym: str, user_id: str) -> None:
    salt = connection.execute(
        select(forgotten.c.salt).where(forgotten.c.oaid == oaid).limit(1)
    ).scalar_one_or_none()
    # One salt for all of an OA: a sync computes one digest for each user it does not know, however
    # many were forgotten.
    salt = salt or secrets.token_hex(16)
    newest = select(func.coalesce(func.max(snapshots.c.id), 0)).where(snapshots.c.oaid == oaid)
    columns = ["oaid", "pseudonym", "salt", "digest", "snapshot_id"]
    values = [literal(value) for value in (oaid, pseudonym, salt, digest_of(user_id, salt))]
    connection.execute(
        insert(forgotten).from_select(columns, select(*values, newest.scalar_subquery()))
    )


def _overwrite_deleted(connection: Connection) -> None:
    """SQLite leaves deleted rows in the file's free space unless told to overwrite them."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("PRAGMA secure_delete = ON"))


def _empty_journal(engine: Engine) -> None:
    """Empty SQLite's write-ahead log, which still holds the pages as they were.

    If a reader keeps it busy, it is emptied later.
    """
    if engine.dialect.name != "sqlite":
        return
    # Forgotten is forgotten: a checkpoint that fails does not undo it. Beside any transaction,
    # hence on the raw connection.
    with translated(), closing(engine.raw_connection()) as connection, suppress(sqlite3.Error):
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {CHECKPOINT_MILLISECONDS}")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
