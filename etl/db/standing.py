"""Where each OA stands: its last runs, and the whole readings that bound its trends.

As many statements for a thousand OAs as for one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from etl.db.tables import official_accounts, snapshots
from etl.model import APPLIED, Status

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import CTE, Connection, ScalarSelect
    from sqlalchemy.sql.elements import ColumnElement


@dataclass(frozen=True, slots=True)
class Trend:
    """Arrivals less leaves from one whole reading (`began_at`, UTC) to the last one.

    The baseline does not count as arrivals.
    """

    began_at: datetime
    net: int


@dataclass(slots=True)
class Standing:
    """One OA. Times are UTC; None where nothing is known.

    Attributes:
        complete_id: of the last whole reading.
        complete_taken_at: when it began.
        complete_at: when it ended.
        last_status: of the newest run.
        last_reason: its reason.
        following: after the last applied snapshot.
        seen, total: of that snapshot: users it found, and the Total of eSMS.
        partial_because: its reason; None where it was complete.
        since: the runs after the last whole reading, by status.
        trends: one for each moment that was asked for: since the last whole reading until then.
    """

    complete_id: int | None = None
    complete_taken_at: datetime | None = None
    complete_at: datetime | None = None
    last_status: str | None = None
    last_reason: str | None = None
    following: int | None = None
    seen: int | None = None
    total: int | None = None
    partial_because: str | None = None
    since: dict[str, int] = field(default_factory=dict)
    trends: list[Trend | None] = field(default_factory=list)


def standings(
    connection: Connection, oaids: Sequence[str], *, trends_since: Sequence[datetime]
) -> dict[str, Standing]:
    """Each of these OAs that is in the database, with its trends since some moments (UTC)."""
    points = _points(oaids, trends_since)
    found = _last_runs(connection, points)
    _count_since(connection, points, found)
    for number in range(len(trends_since)):
        trends = _trend(connection, points, f"start_{number}")
        for oaid, standing in found.items():
            standing.trends.append(trends.get(oaid))
    return found


def _points(oaids: Sequence[str], trends_since: Sequence[datetime]) -> CTE:
    """The numbers of the snapshots that matter, by OA: each is found from the end of an index."""
    complete = snapshots.c.status == Status.COMPLETE
    starts = (
        _last(complete, snapshots.c.taken_at <= moment).label(f"start_{number}")
        for number, moment in enumerate(trends_since)
    )
    return (
        select(
            official_accounts.c.oaid,
            _last().label("newest"),
            _last(complete).label("complete"),
            _last(snapshots.c.status.in_(APPLIED)).label("applied"),
            *starts,
        )
        .where(official_accounts.c.oaid.in_(oaids))
        .cte("points")
        # Or PostgreSQL finds the numbers again for every snapshot that it compares with them.
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )


def _last(*conditions: ColumnElement[bool]) -> ScalarSelect[Any]:
    """The number of the OA's newest snapshot of some kind."""
    return (
        select(snapshots.c.id)
        .where(snapshots.c.oaid == official_accounts.c.oaid, *conditions)
        .order_by(snapshots.c.id.desc())
        .limit(1)
        .correlate(official_accounts)
        .scalar_subquery()
    )


def _last_runs(connection: Connection, points: CTE) -> dict[str, Standing]:
    newest, complete, applied = (
        snapshots.alias(name) for name in ("newest", "complete", "applied")
    )
    statement = (
        select(
            points.c.oaid,
            complete.c.id,
            complete.c.taken_at,
            func.coalesce(
                complete.c.finished_at, complete.c.taken_at, type_=complete.c.taken_at.type
            ),
            newest.c.status,
            newest.c.reason,
            applied.c.following,
            applied.c.seen,
            applied.c.total,
            applied.c.reason,
        )
        .select_from(points)
        .outerjoin(newest, newest.c.id == points.c.newest)
        .outerjoin(complete, complete.c.id == points.c.complete)
        .outerjoin(applied, applied.c.id == points.c.applied)
    )
    return {oaid: Standing(*values) for oaid, *values in connection.execute(statement)}


def _count_since(connection: Connection, points: CTE, found: dict[str, Standing]) -> None:
    later = snapshots.c.id > func.coalesce(points.c.complete, 0)
    statement = (
        select(points.c.oaid, snapshots.c.status, func.count())
        .join(snapshots, (snapshots.c.oaid == points.c.oaid) & later)
        .group_by(points.c.oaid, snapshots.c.status)
        .order_by(points.c.oaid, snapshots.c.status)
    )
    for oaid, status, count in connection.execute(statement):
        found[oaid].since[status] = count


def _trend(connection: Connection, points: CTE, start: str) -> dict[str, Trend]:
    began = snapshots.alias("began")
    between = (snapshots.c.id > began.c.id) & (snapshots.c.id <= points.c.complete)
    net = func.sum(snapshots.c.followed + snapshots.c.refollowed - snapshots.c.unfollowed)
    statement = (
        select(points.c.oaid, began.c.taken_at, func.coalesce(net, 0))
        .select_from(points)
        .join(began, began.c.id == points.c[start])
        .outerjoin(
            snapshots,
            (snapshots.c.oaid == points.c.oaid) & between & snapshots.c.status.in_(APPLIED),
        )
        .group_by(points.c.oaid, began.c.taken_at)
    )
    return {oaid: Trend(at, int(net)) for oaid, at, net in connection.execute(statement)}
