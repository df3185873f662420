"""The tables, declared once; `migrations/` builds exactly these (a test compares the two).

No foreign keys from the two big tables: half a million rows took 0.8 s without and 3.6 s with them.
`etl verify` checks it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
)

from etl.model import Change, Source, Status

if TYPE_CHECKING:
    from collections.abc import Iterable
    from enum import StrEnum

    from sqlalchemy import Dialect
    from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Utc(TypeDecorator[datetime]):
    """A moment in UTC: `timestamptz` on PostgreSQL; SQLite: `2026-11-23 02:00:00.000000+00:00`.

    The text has a fixed width, so that it sorts as time does, and SQLite's date functions read it.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """SQLite has no type for it: text."""
        return dialect.type_descriptor(
            Text() if dialect.name == "sqlite" else DateTime(timezone=True)
        )

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | str | None:
        """Store UTC; refuse a naive time rather than guess its zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone: {value!r}")
        value = value.astimezone(UTC)
        return (
            value.isoformat(sep=" ", timespec="microseconds") if dialect.name == "sqlite" else value
        )

    def process_result_value(
        self,
        value: datetime | str | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy gives it
    ) -> datetime | None:
        """Give UTC back, whatever zone the session speaks."""
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        return value.astimezone(UTC) if value is not None else None


Opaque = Text().with_variant(Text(collation="C"), "postgresql")
"""Identifiers are opaque bytes to us: compared and sorted as such on both databases, never by a
locale."""

RowId = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite gives numbers by itself only to a column of type INTEGER."""

LARGEST_NUMBER = 2**63 - 1
"""That either database can hold."""


def _one_of(column: str, values: Iterable[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"


official_accounts = Table(
    "official_accounts",
    metadata,
    Column("oaid", Opaque, nullable=False),
    Column("name", Text, comment="as GetListZOA names it; NULL until `etl accounts` has asked"),
    Column("created_at", Utc, nullable=False),
    Column(
        "lease_token",
        Text,
        comment="random, of the run that holds this OA now; NULL when nobody does",
    ),
    Column(
        "lease_expires_at",
        Utc,
        comment="by the database's clock; past it, anybody may take the lease over",
    ),
    Column(
        "retired_at",
        Utc,
        comment="since when nobody waits for it any more; NULL while it is synced",
    ),
    PrimaryKeyConstraint("oaid"),
)

NUMBERS = (
    "total", "seen", "baseline", "followed", "refollowed", "unfollowed", "following",
    "looks", "requests", "retries",
)  # fmt: skip

STORED = tuple(status for status in Status if status is not Status.BUSY)

snapshots = Table(
    "snapshots",
    metadata,
    Column("id", RowId, nullable=False),
    Column("oaid", Opaque, nullable=False),
    Column("status", Text, nullable=False),
    Column("taken_at", Utc, nullable=False, comment="when the run began"),
    Column(
        "taken_on",
        Date,
        nullable=False,
        comment="the day that it closes: the date in ETL_TIMEZONE of taken_at less ETL_DAY_BEGINS",
    ),
    Column("finished_at", Utc),
    Column("total", BigInteger, comment="the API's last Total"),
    Column("seen", BigInteger, comment="distinct users of all looks"),
    Column(
        "baseline",
        BigInteger,
        comment="found before the first whole reading: they followed before we looked",
    ),
    Column("followed", BigInteger),
    Column("refollowed", BigInteger),
    Column("unfollowed", BigInteger, comment="of a held snapshot: how many it would have marked"),
    Column("following", BigInteger, comment="active after it"),
    Column("looks", BigInteger),
    Column("requests", BigInteger),
    Column("retries", BigInteger),
    Column(
        "reason", Text, comment="why it is not complete: a word that a program can read, then prose"
    ),
    Column(
        "source",
        Text,
        nullable=False,
        server_default=Source.FOLLOWERS,
        comment="the call it was read by: followers (GetFollowers) or windows (QueryListUID)",
    ),
    Column(
        "gap",
        BigInteger,
        comment="the smallest own gap of its closed looks: their Total less the users they saw",
    ),
    PrimaryKeyConstraint("id"),
    CheckConstraint(_one_of("status", STORED), name="status"),
    CheckConstraint(_one_of("source", Source), name="source"),
    CheckConstraint("gap >= 0", name="gap"),
    *(CheckConstraint(f"{number} >= 0", name=number) for number in NUMBERS),
    # Serves: the last snapshots of an OA (status, history, the gap and the held one before).
    Index(None, "oaid", "id"),
    sqlite_autoincrement=True,
)

followers = Table(
    "followers",
    metadata,
    Column("oaid", Opaque, nullable=False),
    Column("user_id", Opaque, nullable=False),
    Column("first_seen_at", Utc, nullable=False),
    Column("followed_at", Utc, nullable=False, comment="start of the present or last stay"),
    Column("unfollowed_at", Utc, comment="NULL = follows now"),
    # Serves: the diff of a sweep, and every look-up of a user.
    PrimaryKeyConstraint("oaid", "user_id"),
    sqlite_with_rowid=False,
)

follower_changes = Table(
    "follower_changes",
    metadata,
    Column("oaid", Opaque, nullable=False),
    Column("user_id", Opaque, nullable=False),
    Column("snapshot_id", RowId, nullable=False),
    Column("change", Text, nullable=False),
    Column(
        "changed_at",
        Utc,
        nullable=False,
        comment="the snapshot's taken_at; order is by snapshot_id",
    ),
    # Serves: a user's changes in order (follow_periods, undo), and applying the changes of one
    # snapshot once.
    PrimaryKeyConstraint("oaid", "user_id", "snapshot_id"),
    CheckConstraint(_one_of("change", Change), name="change"),
    sqlite_with_rowid=False,
)

forgotten = Table(
    "forgotten",
    metadata,
    Column("oaid", Opaque, nullable=False),
    Column(
        "pseudonym",
        Opaque,
        nullable=False,
        comment="stands in followers and follower_changes for a User_Id",
    ),
    Column("salt", Text, nullable=False, comment="hex; random, one for all of an OA"),
    Column("digest", Text, nullable=False, comment="hex; scrypt of the User_Id with the salt"),
    Column(
        "snapshot_id",
        RowId,
        nullable=False,
        comment="the OA's newest when they were forgotten; 0 where none was",
    ),
    # Serves: the one query of every sync that asks whom to recognise.
    PrimaryKeyConstraint("oaid", "pseudonym"),
    sqlite_with_rowid=False,
)
"""People who asked to be forgotten and still follow, so that a sync recognises them
(docs/decisions/0004-forget.md)."""
