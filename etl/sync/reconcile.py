"""What a sweep changes, as SQL for sets: counted, logged, and projected onto `followers`.

Users whose state stays as it is are not touched: what is written grows with what changed, not with
how many follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, case, func, insert, literal, select, update

from etl.db.engine import upserting
from etl.db.stage import staged
from etl.db.tables import follower_changes, followers
from etl.errors import LeaseLostError
from etl.model import Change

if TYPE_CHECKING:
    from sqlalchemy import BindParameter, ColumnElement, Connection, Insert, Select, Update

    from etl.model import Counts, Snapshot


def count_returned(connection: Connection, oaid: str) -> int:
    """How many of the staged arrivals followed once, and left."""
    return int(connection.execute(returned(oaid)).scalar_one())


def apply(connection: Connection, snapshot: Snapshot, counts: Counts) -> None:
    """Write the staged difference into `follower_changes`, and project it onto `followers`.

    Raises:
        LeaseLostError: `followers` is not what the difference was made from: somebody writes who
            does not hold the lease.
    """
    came = counts.baseline + counts.followed + counts.refollowed
    first = Change.BASELINE if counts.baseline else Change.FOLLOWED
    written: list[tuple[Insert | Update, int]] = [
        (_log_changes(snapshot, first=first), came + counts.unfollowed),
        (_project_arrivals(connection, snapshot), came),
        (_project_leaves(snapshot), counts.unfollowed),
    ]
    exact = {"preserve_rowcount": True}
    for statement, rows in written:
        if rows and connection.execute(statement, execution_options=exact).rowcount != rows:
            raise LeaseLostError(
                f"the followers of OA {snapshot.oaid} were changed while they were read"
            )


def returned(oaid: str) -> Select[int]:
    """Arrivals whom the table knows: they followed once, and left."""
    return (
        select(func.count())
        .select_from(staged.join(followers, _same_user(oaid)))
        .where(staged.c.seen)
    )


def _log_changes(snapshot: Snapshot, *, first: Change) -> Insert:
    """One row of the change log for each user who came or went.

    `first`: what it is to be seen for the first time.
    """
    change = case(
        (~staged.c.seen, literal(str(Change.UNFOLLOWED))),
        (followers.c.user_id.is_(None), literal(str(first))),
        else_=literal(str(Change.REFOLLOWED)),
    )
    rows = (
        select(
            literal(snapshot.oaid), staged.c.user_id, literal(snapshot.id), change, _at(snapshot)
        )
        .select_from(staged.outerjoin(followers, _same_user(snapshot.oaid)))
        .order_by(
            staged.c.user_id
        )  # a primary key that is filled in its order is filled twice as fast
    )
    return insert(follower_changes).from_select(
        ["oaid", "user_id", "snapshot_id", "change", "changed_at"], rows
    )


def _project_arrivals(connection: Connection, snapshot: Snapshot) -> Insert:
    """Who came follows now: a new row, or one whose stay had ended."""
    came = select(literal(snapshot.oaid), staged.c.user_id, _at(snapshot), _at(snapshot)).where(
        staged.c.seen
    )
    upsert = upserting(connection, followers).from_select(
        ["oaid", "user_id", "first_seen_at", "followed_at"], came.order_by(staged.c.user_id)
    )
    return upsert.on_conflict_do_update(
        index_elements=[followers.c.oaid, followers.c.user_id],
        set_={"followed_at": upsert.excluded.followed_at, "unfollowed_at": None},
        where=followers.c.unfollowed_at.is_not(None),
    )


def _project_leaves(snapshot: Snapshot) -> Update:
    """Whose stay has ended."""
    went = select(staged.c.user_id).where(~staged.c.seen)
    return (
        update(followers)
        .where(
            followers.c.oaid == snapshot.oaid,
            followers.c.unfollowed_at.is_(None),
            followers.c.user_id.in_(went),
        )
        .values(unfollowed_at=snapshot.taken_at)
    )


def _same_user(oaid: str) -> ColumnElement[bool]:
    return (followers.c.oaid == oaid) & (followers.c.user_id == staged.c.user_id)


def _at(snapshot: Snapshot) -> BindParameter[object]:
    return bindparam("at", snapshot.taken_at, type_=followers.c.followed_at.type)
