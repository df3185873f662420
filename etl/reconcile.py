"""The diff between what was seen and what is known, as SQL for sets; and applying it. The change log is the plan.

Unchanged users are not touched: what is written grows with what changed, not with how many follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, case, exists, func, insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from etl.db.snapshots import following
from etl.db.stage import planned, staged
from etl.db.tables import follower_changes, followers
from etl.model import Change, Diff

if TYPE_CHECKING:
    from sqlalchemy import Connection, Insert, Select

    from etl.model import Snapshot


def arrived(oaid: str, *, first: Change) -> Select[tuple[str, str]]:
    """Seen, but not known to follow: never known before (`first`: baseline or followed), or back again."""
    ours = (followers.c.oaid == oaid) & (followers.c.user_id == staged.c.user_id)
    change = case((followers.c.user_id.is_(None), literal(str(first))), else_=literal(str(Change.REFOLLOWED)))
    return (
        select(staged.c.user_id, change.label("change"))
        .select_from(staged.outerjoin(followers, ours))
        .where(followers.c.user_id.is_(None) | followers.c.unfollowed_at.is_not(None))
    )


def gone(oaid: str) -> Select[tuple[str, str]]:
    """Known to follow, absent from the sweep: active minus staged."""
    swept = exists().where(staged.c.user_id == followers.c.user_id)
    return select(followers.c.user_id, literal(str(Change.UNFOLLOWED)).label("change")).where(
        followers.c.oaid == oaid, followers.c.unfollowed_at.is_(None), ~swept
    )


def compare(connection: Connection, oaid: str, *, baseline: bool, mark_gone: bool) -> Diff:
    """Plan what applying the staged users would change, and count it. Writes only the temporary plan.

    Args:
        connection: in the one transaction, with everybody seen staged.
        oaid: whose followers.
        baseline: whether whoever is new followed before we looked.
        mark_gone: whether the sweep was complete; from a partial one nobody is marked as unfollowed.
    """
    first = Change.BASELINE if baseline else Change.FOLLOWED
    before = following(connection, oaid)
    connection.execute(insert(planned).from_select(["user_id", "change"], arrived(oaid, first=first)))
    if mark_gone:
        connection.execute(insert(planned).from_select(["user_id", "change"], gone(oaid)))
    counts = {
        str(change): int(count)
        for change, count in connection.execute(select(planned.c.change, func.count()).group_by(planned.c.change))
    }
    return Diff(following=before, **{change.value: counts.get(change, 0) for change in Change})


def log_changes(snapshot: Snapshot) -> Insert:
    """The plan becomes the record: one row of the change log for each user who came or went."""
    rows = select(
        literal(snapshot.oaid), planned.c.user_id, literal(snapshot.id), planned.c.change,
        bindparam("changed_at", snapshot.taken_at, type_=follower_changes.c.changed_at.type),
    ).order_by(planned.c.user_id)  # fmt: skip
    return insert(follower_changes).from_select(["oaid", "user_id", "snapshot_id", "change", "changed_at"], rows)


def apply(connection: Connection, snapshot: Snapshot) -> None:
    """Write the planned diff into `follower_changes`, and project it onto `followers`."""
    connection.execute(log_changes(snapshot))
    at = bindparam("at", snapshot.taken_at, type_=followers.c.followed_at.type)
    insert_ = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[connection.dialect.name]
    came = (
        select(literal(snapshot.oaid), planned.c.user_id, at, at)
        .where(planned.c.change != Change.UNFOLLOWED)
        .order_by(planned.c.user_id)
    )
    upsert = insert_(followers).from_select(["oaid", "user_id", "first_seen_at", "followed_at"], came)
    connection.execute(
        upsert.on_conflict_do_update(
            index_elements=[followers.c.oaid, followers.c.user_id],
            set_={"followed_at": upsert.excluded.followed_at, "unfollowed_at": None},
        )
    )
    went = select(planned.c.user_id).where(planned.c.change == Change.UNFOLLOWED)
    connection.execute(
        update(followers).where(followers.c.oaid == snapshot.oaid, followers.c.user_id.in_(went)).values(unfollowed_at=at)
    )
