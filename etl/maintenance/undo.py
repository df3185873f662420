"""Taking the newest applied snapshot of an OA back out of `followers` and `follower_changes`.

The change log says what the snapshot did; each kind of change has one statement that takes it back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from etl.db import snapshots as records
from etl.db.engine import reading
from etl.db.lease import acquire
from etl.db.tables import follower_changes, followers, snapshots
from etl.errors import UsageError
from etl.model import APPLIED, Change, Status

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Engine, ScalarSelect, Select

    from etl.model import Snapshot


def undoable(engine: Engine, snapshot_id: int) -> Snapshot:
    """The snapshot, if it may be undone now.

    Raises:
        UsageError: there is none of this id, nothing of it stands in `followers`, or a newer one
            must go first.
    """
    with reading(engine) as connection:
        return _checked(connection, snapshot_id)


def undo(engine: Engine, snapshot_id: int, *, now: datetime) -> Snapshot:
    """Take a snapshot back out, in one transaction under the OA's lease.

    It stays on record as `undone`, its counts as they were.

    Raises:
        UsageError: as `undoable` does.
        BusyError: another run holds the OA.
        LeaseLostError: ours ran out while we were away.
    """
    oaid = undoable(engine, snapshot_id).oaid
    with acquire(engine, oaid, now=now) as lease, lease.transaction() as connection:
        snapshot = _checked(connection, snapshot_id)
        _take_back_arrivals(connection, snapshot)
        _take_back_returns(connection, snapshot)
        _take_back_leaves(connection, snapshot)
        ours = (follower_changes.c.oaid == oaid) & (follower_changes.c.snapshot_id == snapshot_id)
        connection.execute(delete(follower_changes).where(ours))
        connection.execute(
            update(snapshots).where(snapshots.c.id == snapshot_id).values(status=Status.UNDONE)
        )
        lease.release(connection)
    return replace(snapshot, status=Status.UNDONE)


def _checked(connection: Connection, snapshot_id: int) -> Snapshot:
    snapshot = records.get(connection, snapshot_id)
    if snapshot is None:
        raise UsageError(f"there is no snapshot {snapshot_id}: see `etl history`")
    if snapshot.status not in APPLIED:
        raise UsageError(
            f"snapshot {snapshot_id} is {snapshot.status}: nothing of it stands in the tables"
        )
    newest = records.applied(connection, snapshot.oaid)[0]
    if newest.id != snapshot_id:
        raise UsageError(
            f"snapshot {newest.id} of OA {snapshot.oaid} is newer and must go first: etl undo {newest.id}"
        )
    return snapshot


def _users(snapshot: Snapshot, *changes: Change) -> Select[tuple[str]]:
    """Whose change in the snapshot was one of these."""
    return select(follower_changes.c.user_id).where(
        follower_changes.c.oaid == snapshot.oaid,
        follower_changes.c.snapshot_id == snapshot.id,
        follower_changes.c.change.in_(changes),
    )


def _take_back_arrivals(connection: Connection, snapshot: Snapshot) -> None:
    """Who was never known before is unknown again."""
    arrived = _users(snapshot, Change.BASELINE, Change.FOLLOWED)
    connection.execute(
        delete(followers).where(followers.c.oaid == snapshot.oaid, followers.c.user_id.in_(arrived))
    )


def _take_back_returns(connection: Connection, snapshot: Snapshot) -> None:
    """Who came back is gone again: since the last leave, after the stay before it."""
    connection.execute(
        update(followers)
        .where(
            followers.c.oaid == snapshot.oaid,
            followers.c.user_id.in_(_users(snapshot, Change.REFOLLOWED)),
        )
        .values(
            followed_at=_last_before(snapshot, Change.BASELINE, Change.FOLLOWED, Change.REFOLLOWED),
            unfollowed_at=_last_before(snapshot, Change.UNFOLLOWED),
        )
    )


def _take_back_leaves(connection: Connection, snapshot: Snapshot) -> None:
    """Who left follows still."""
    connection.execute(
        update(followers)
        .where(
            followers.c.oaid == snapshot.oaid,
            followers.c.user_id.in_(_users(snapshot, Change.UNFOLLOWED)),
        )
        .values(unfollowed_at=None)
    )


def _last_before(snapshot: Snapshot, *changes: Change) -> ScalarSelect[datetime]:
    """When a follower's last such change before the snapshot was."""
    return (
        select(follower_changes.c.changed_at)
        .where(
            follower_changes.c.oaid == followers.c.oaid,
            follower_changes.c.user_id == followers.c.user_id,
            follower_changes.c.snapshot_id < snapshot.id,
            follower_changes.c.change.in_(changes),
        )
        .order_by(follower_changes.c.snapshot_id.desc())
        .limit(1)
        .correlate(followers)
        .scalar_subquery()
    )
