"""The record of each sync: one row of `snapshots`, from its beginning to what became of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, or_, select, text, update

from etl.db.encoding import storable
from etl.db.forgotten import stand_ins
from etl.db.tables import official_accounts, snapshots
from etl.model import APPLIED, SNAPSHOT_COLUMNS, Gaps, Reason, Snapshot, Source, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from etl.db.forgotten import StandIn

_COLUMNS = [snapshots.c[name] for name in SNAPSHOT_COLUMNS]

_FIXED = {"id", "oaid", "taken_at", "taken_on"}
"""What a snapshot is from its beginning on."""

WITH_GAP = (Status.COMPLETE, Status.PARTIAL, Status.HELD)
"""The statuses whose gaps a takeover counts."""

GAPS = 6
"""How many gaps before are read, of complete snapshots and of all: with the present one they are as
many as make a standing gap."""


@dataclass(frozen=True, slots=True)
class Before:
    """What the database knew of an OA when a run began. Whoever writes holds the lease.

    Attributes:
        following: how many followed.
        settled: the sources by which a whole reading was there before; whoever is new by a source
            that is not among them followed before we looked.
        held: how many the last held snapshot would have marked; None where nothing was held since
            the last complete one.
        last_source: of the last applied snapshot; None before the first.
        gaps: by source.
        stand_ins: the forgotten, whom the sweep may have to recognise.
    """

    following: int = 0
    settled: frozenset[Source] = frozenset()
    held: int | None = None
    last_source: Source | None = None
    gaps: tuple[tuple[Source, Gaps], ...] = ()
    stand_ins: tuple[StandIn, ...] = ()

    def gaps_of(self, source: Source) -> Gaps:
        """What is known of the gaps of a source."""
        return dict(self.gaps).get(source, Gaps())


def begin(connection: Connection, snapshot: Snapshot) -> Snapshot:
    """Put a run on record as `running`; gives it its id, larger than every one that is there.

    Not by the sequence alone: one that lags behind (rows brought by replication, or copied without
    it) would give an id that is taken, or that makes the newest snapshot the oldest.
    """
    values = snapshot.columns() | {"id": _next_id(connection)}
    if values["id"] is None:
        del values["id"]
    new = connection.execute(insert(snapshots).values(values).returning(snapshots.c.id))
    return replace(snapshot, id=new.scalar_one())


def before(connection: Connection, oaid: str) -> Before:
    """What is known of an OA before it is read."""
    applied_ones = applied(connection, oaid)
    last = latest(connection, oaid, (Status.COMPLETE, Status.HELD))
    return Before(
        following=_following(applied_ones),
        settled=_settled(connection, oaid),
        held=_unfollowed(last[0]) if last and last[0].status is Status.HELD else None,
        last_source=applied_ones[0].source if applied_ones else None,
        gaps=tuple((source, _gaps(connection, oaid, source)) for source in Source),
        stand_ins=tuple(stand_ins(connection, oaid)),
    )


def finish(connection: Connection, snapshot: Snapshot) -> bool:
    """Say what became of a running one; False where it is not running any more."""
    storable_one = _storable(connection, snapshot)
    values = {name: value for name, value in storable_one.columns().items() if name not in _FIXED}
    ours = (snapshots.c.id == snapshot.id) & (snapshots.c.oaid == snapshot.oaid)
    done = connection.execute(
        update(snapshots).where(ours, snapshots.c.status == Status.RUNNING).values(values)
    )
    return done.rowcount == 1


def get(connection: Connection, snapshot_id: int) -> Snapshot | None:
    """One snapshot by its id."""
    row = connection.execute(select(*_COLUMNS).where(snapshots.c.id == snapshot_id)).mappings()
    found = row.first()
    return Snapshot.from_columns({**found}) if found else None


def recorded(connection: Connection, snapshot: Snapshot) -> bool:
    """Whether exactly this snapshot is on record, by everything that it is, not by its id alone.

    A database that was restored amid a run may give the id to another one.
    """
    return snapshot.id is not None and get(connection, snapshot.id) == _storable(
        connection, snapshot
    )


def _storable(connection: Connection, snapshot: Snapshot) -> Snapshot:
    """The same, its reason as the database can hold it: it may quote eSMS."""
    if snapshot.reason is None:
        return snapshot
    return replace(snapshot, reason=storable(connection, snapshot.reason))


def withdraw(connection: Connection, oaid: str) -> bool:
    """Take an OA and its failed runs off record, unless any other run of it is there.

    An OAID that eSMS does not know and that was never read leaves no row. False if the OA stays.
    """
    theirs = snapshots.c.oaid == oaid
    read = theirs & (snapshots.c.status != Status.FAILED)
    if connection.execute(select(snapshots.c.id).where(read).limit(1)).first() is not None:
        return False
    connection.execute(delete(snapshots).where(theirs))
    connection.execute(delete(official_accounts).where(official_accounts.c.oaid == oaid))
    return True


def latest(
    connection: Connection, oaid: str, statuses: Sequence[Status] | None = None, *, limit: int = 1
) -> list[Snapshot]:
    """The newest snapshots of an OA, newest first, of some statuses or of any."""
    statement = select(*_COLUMNS).where(snapshots.c.oaid == oaid)
    if statuses is not None:
        statement = statement.where(snapshots.c.status.in_(statuses))
    statement = statement.order_by(snapshots.c.id.desc()).limit(limit)
    return [Snapshot.from_columns({**row}) for row in connection.execute(statement).mappings()]


def applied(connection: Connection, oaid: str, *, limit: int = 1) -> list[Snapshot]:
    """The newest snapshots whose changes stand in `followers`."""
    return latest(connection, oaid, APPLIED, limit=limit)


def _next_id(connection: Connection) -> int | None:
    """PostgreSQL's next id; None on SQLite, whose own numbers never fall behind its rows."""
    if connection.dialect.name == "sqlite":
        return None
    newest = select(func.coalesce(func.max(snapshots.c.id), 0))
    sequence = func.pg_get_serial_sequence(snapshots.name, "id")
    following, highest = connection.execute(
        select(func.nextval(sequence), newest.scalar_subquery())
    ).one()
    if following is not None and following > highest:
        return int(following)
    # Nobody else may begin a snapshot until this one is there.
    connection.execute(text(f"LOCK TABLE {snapshots.name} IN SHARE ROW EXCLUSIVE MODE"))
    return int(connection.execute(newest).scalar_one()) + 1


def _settled(connection: Connection, oaid: str) -> frozenset[Source]:
    """The sources whose listing was read as far as it goes: who is new there has arrived."""
    as_far_as_it_goes = or_(
        snapshots.c.status == Status.COMPLETE,
        (snapshots.c.status == Status.PARTIAL)
        & (snapshots.c.source == Source.WINDOWS)
        & snapshots.c.reason.in_((Reason.CROWDED_DAY, Reason.UNDATED)),
    )
    statement = (
        select(snapshots.c.source, func.count())
        .where(snapshots.c.oaid == oaid, as_far_as_it_goes)
        .group_by(snapshots.c.source)
    )
    return frozenset(Source(source) for source, _ in connection.execute(statement))


def _gaps(connection: Connection, oaid: str, source: Source) -> Gaps:
    of_source = (snapshots.c.oaid == oaid) & (snapshots.c.source == source)
    newest = (
        select(snapshots.c.gap, snapshots.c.unfollowed)
        .where(of_source)
        .order_by(snapshots.c.id.desc())
        .limit(GAPS)
    )
    complete = connection.execute(newest.where(snapshots.c.status == Status.COMPLETE)).all()
    recent = connection.execute(newest.where(snapshots.c.status.in_(WITH_GAP)))
    return Gaps(kept_gap([(gap, gone) for gap, gone in complete]), tuple(recent.scalars()))


def kept_gap(complete: Sequence[tuple[int | None, int]]) -> int | None:
    """The gap to keep: the smallest since a snapshot that marked somebody, of six at most.

    The gap of a night that marked somebody was proven. That of a night that marked nobody was not:
    it may have hidden somebody who had only just arrived.

    Args:
        complete: (gap, unfollowed) of each, newest first.
    """
    since: list[int] = []
    for gap, unfollowed in complete[:GAPS]:
        since += [] if gap is None else [gap]
        if unfollowed:
            break
    return min(since, default=None)


def _following(newest: Sequence[Snapshot]) -> int:
    return newest[0].counts.following if newest and newest[0].counts else 0


def _unfollowed(snapshot: Snapshot) -> int | None:
    return snapshot.counts.unfollowed if snapshot.counts else None
