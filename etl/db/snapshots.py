"""The record of each sync: one row of `snapshots`, from its beginning to what became of it."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, exists, insert, or_, select, update

from etl.db.tables import snapshots
from etl.model import APPLIED, Reason, Snapshot, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, RowMapping

_COLUMNS = [snapshots.c[field.name] for field in fields(Snapshot)]


def begin(connection: Connection, snapshot: Snapshot) -> Snapshot:
    """Put a run on record as `running`; gives it its id."""
    values = {name: value for name, value in asdict(snapshot).items() if name != "id"}
    result = connection.execute(insert(snapshots).values(values))
    assert result.inserted_primary_key  # noqa: S101 - one row was inserted
    return replace(snapshot, id=result.inserted_primary_key[0])


def finish(connection: Connection, snapshot: Snapshot) -> bool:
    """Say what became of a running one; False where it is not running any more."""
    values = {
        name: value
        for name, value in asdict(snapshot).items()
        if name not in {"id", "oaid", "taken_at", "taken_on"}
    }
    done = connection.execute(
        update(snapshots)
        .where(snapshots.c.id == snapshot.id, snapshots.c.status == Status.RUNNING)
        .values(values)
    )
    return done.rowcount == 1


def get(connection: Connection, snapshot_id: int) -> Snapshot | None:
    """One snapshot by its id."""
    row = (
        connection.execute(select(*_COLUMNS).where(snapshots.c.id == snapshot_id))
        .mappings()
        .first()
    )
    return _snapshot(row) if row else None


def latest(
    connection: Connection, oaid: str, statuses: Sequence[Status] | None = None, *, limit: int = 1
) -> list[Snapshot]:
    """The newest snapshots of an OA, newest first, of some statuses or of any."""
    statement = (
        select(*_COLUMNS)
        .where(snapshots.c.oaid == oaid)
        .order_by(snapshots.c.id.desc())
        .limit(limit)
    )
    if statuses is not None:
        statement = statement.where(snapshots.c.status.in_(statuses))
    return [_snapshot(row) for row in connection.execute(statement).mappings()]


def previous_gap(connection: Connection, oaid: str) -> int | None:
    """`total - seen` of the OA's snapshot before, whatever could be believed of it; None where none was read to its end."""
    statuses = (Status.COMPLETE, Status.PARTIAL, Status.HELD)
    before = latest(connection, oaid, statuses)
    if not before or before[0].total is None or before[0].seen is None:
        return None
    return before[0].total - before[0].seen


def baseline_open(connection: Connection, oaid: str) -> bool:
    """Whether whoever is found now followed before we looked: no complete snapshot yet, and none partial by the ceiling."""
    settled = or_(
        snapshots.c.status == Status.COMPLETE,
        # Whoever is found after a list that was cut off before its first follower was there before,
        # too.
        and_(
            snapshots.c.status == Status.PARTIAL,
            snapshots.c.reason == Reason.CEILING,
            snapshots.c.seen > 0,
        ),
    )
    return not connection.execute(
        select(exists().where(snapshots.c.oaid == oaid, settled))
    ).scalar_one()


def held_unfollowed(connection: Connection, oaid: str) -> int | None:
    """How many the last held snapshot would have marked; None where nothing was held since the last complete one."""
    last = latest(connection, oaid, (Status.COMPLETE, Status.HELD))
    return last[0].unfollowed if last and last[0].status == Status.HELD else None


def last_following(connection: Connection, oaid: str) -> int:
    """How many followed after the last applied snapshot; 0 before the first."""
    last = latest(connection, oaid, APPLIED)
    return (last[0].following or 0) if last else 0


def applied(connection: Connection, oaid: str, *, limit: int = 1) -> list[Snapshot]:
    """The newest snapshots whose changes stand in `followers`."""
    return latest(connection, oaid, APPLIED, limit=limit)


def _snapshot(row: RowMapping) -> Snapshot:
    values: dict[str, Any] = dict(row)
    return Snapshot(**values)
