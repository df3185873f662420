"""The statements of the report.

They only read, and what they read many rows of, they count in the database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Integer, and_, case, cast, extract, func, literal, or_, select

from etl.db.tables import follower_changes, snapshots
from etl.model import APPLIED, SNAPSHOT_COLUMNS, Change, Snapshot, Status

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from sqlalchemy import Connection, Select
    from sqlalchemy.sql.elements import ColumnElement

EPOCH_DAY = 719_163
"""date.toordinal() of 1970-01-01."""

_ARRIVALS = (Change.BASELINE, Change.FOLLOWED, Change.REFOLLOWED)

_SNAPSHOT = [snapshots.c[name] for name in SNAPSHOT_COLUMNS]


class StayCount(NamedTuple):
    """How many stays are alike. Months are numbers (`periods.month_number`).

    `cohort` is the month in which the user first followed: None for the baseline, and for whoever
    did so before the span. `days` is the length of the stay, or how long it had lasted when the
    list was last read whole; `ended` is None while it lasts. `at_start`: the user followed when the
    span began, or is of its baseline (which says nothing of this stay: it may be a later one).
    """

    kind: Change
    cohort: int | None
    began: int
    ended: int | None
    days: int
    users: int
    at_start: bool = False


class LostUser(NamedTuple):
    """One unfollow and the arrival before it, by the snapshots that found them."""

    user_id: str
    unfollowed_id: int
    began_id: int
    began_as: str


def runs(connection: Connection, oaid: str) -> list[Snapshot]:
    """Every run of an OA, oldest first: one row a run, a few thousand in years."""
    statement = select(*_SNAPSHOT).where(snapshots.c.oaid == oaid).order_by(snapshots.c.id)
    return [Snapshot.from_columns({**row}) for row in connection.execute(statement).mappings()]


def newest_day(connection: Connection, oaids: Sequence[str]) -> date | None:
    """The day of the last run of any of these OAs; None where none ever ran."""
    statement = select(func.max(snapshots.c.taken_on)).where(
        snapshots.c.oaid.in_(oaids), snapshots.c.status != Status.RUNNING
    )
    newest: date | None = connection.scalar(statement)
    return newest


def stay_counts(
    connection: Connection,
    oaid: str,
    *,
    first: date,
    seen_until: date,
    first_id: int,
    last_id: int,
) -> list[StayCount]:
    """The stays that lasted into a span or began in it, counted.

    One reading of the change log, whatever is asked of it.

    Args:
        connection: of a reading transaction.
        oaid: the OA.
        first: the first day of the span.
        seen_until: the day on which the list was last read whole: a stay without an end lasted
            until then.
        first_id: the first snapshot of the span.
        last_id: the last snapshot of the span; what came later is not known yet.
    """
    stays = _stays(oaid, first_id, last_id).subquery("stays")
    since = _number(first)
    keys = (
        stays.c.kind,
        case((stays.c.cohort_day >= since, stays.c.cohort_month)).label("cohort"),
        stays.c.began_month,
        stays.c.ended_month,
        (func.coalesce(stays.c.ended_day, _number(seen_until)) - stays.c.began_day).label("days"),
        stays.c.at_start,
    )
    statement = (
        select(*keys, func.count().label("users"))
        .where(or_(stays.c.ended_day.is_(None), stays.c.ended_day >= since))
        .group_by(*keys)
    )
    return [
        StayCount(_ARRIVALS[kind], cohort, began, ended, max(days, 0), users, bool(at_start))
        for kind, cohort, began, ended, days, at_start, users in connection.execute(statement)
    ]


def _stays(oaid: str, first_id: int, last_id: int) -> Select[Any]:
    """One row a stay: after an arrival comes its end, for a user's changes alternate.

    One window over the log in the order of its primary key serves all; numbers of days and months
    come from the snapshots, which are few. The cohort is the first follow's; who was there before
    we looked (baseline) has none.
    """
    log = follower_changes.c
    days = (
        select(
            snapshots.c.id,
            cast(extract("epoch", snapshots.c.taken_on) / 86_400, Integer).label("day"),
            cast(
                extract("year", snapshots.c.taken_on) * 12
                + extract("month", snapshots.c.taken_on)
                - 1,
                Integer,
            ).label("month"),
        )
        .where(snapshots.c.oaid == oaid, snapshots.c.status.in_(APPLIED))
        .cte("days")
    )
    story: dict[str, Any] = {"partition_by": log.user_id, "order_by": log.snapshot_id}
    everything: dict[str, Any] = {**story, "rows": (None, None)}
    # The newest change before the span is the greatest number; its last bit tells what it was.
    before = case(
        (
            log.snapshot_id < first_id,
            2 * log.snapshot_id + case((log.change == Change.UNFOLLOWED, 0), else_=1),
        )
    )
    is_baseline = case((log.change == Change.BASELINE, 1), else_=0)
    told = (
        select(
            log.change,
            (
                func.coalesce(
                    func.max(before).over(**everything), func.max(is_baseline).over(**everything)
                )
                % 2
            ).label("at_start"),
            log.snapshot_id.label("began_id"),
            func.lead(log.snapshot_id).over(**story).label("ended_id"),
            func.first_value(case((log.change != Change.BASELINE, log.snapshot_id)))
            .over(**story)
            .label("cohort_id"),
        )
        .where(log.oaid == oaid, log.snapshot_id <= last_id)
        .subquery("told")
    )
    began, ended, cohort = days.alias("began"), days.alias("ended"), days.alias("cohort")
    return (
        select(
            # A number: grouping millions by it is twice as fast as by text.
            case(
                {kind: number for number, kind in enumerate(_ARRIVALS)}, value=told.c.change
            ).label("kind"),
            began.c.day.label("began_day"),
            began.c.month.label("began_month"),
            ended.c.day.label("ended_day"),
            ended.c.month.label("ended_month"),
            cohort.c.day.label("cohort_day"),
            cohort.c.month.label("cohort_month"),
            told.c.at_start,
        )
        .select_from(told)
        .join(began, began.c.id == told.c.began_id)
        .outerjoin(ended, ended.c.id == told.c.ended_id)
        .outerjoin(cohort, cohort.c.id == told.c.cohort_id)
        .where(told.c.change != Change.UNFOLLOWED)
    )


def last_unfollows(
    connection: Connection, oaid: str, losses: Sequence[Snapshot], *, limit: int
) -> list[LostUser]:
    """The most recent unfollows, newest first.

    Args:
        connection: of a reading transaction.
        oaid: the OA.
        losses: the snapshots to look at, newest first, each with its count of unfollowed; no more
            are asked than needed.
        limit: how many users.
    """
    needed, users = [], 0
    for snapshot in losses:
        if users >= limit:
            break
        if snapshot.counts and snapshot.counts.unfollowed:
            needed.append(snapshot.id)
            users += snapshot.counts.unfollowed
    log = follower_changes.c
    lost = (
        select(log.user_id, log.snapshot_id)
        .where(log.oaid == oaid, log.change == Change.UNFOLLOWED, log.snapshot_id.in_(needed))
        .order_by(log.snapshot_id.desc(), log.user_id)
        .limit(limit)
        .cte("lost")
    )
    arrival = follower_changes.alias("arrival")
    before = (
        select(func.max(arrival.c.snapshot_id))
        .where(
            arrival.c.oaid == oaid,
            arrival.c.user_id == lost.c.user_id,
            arrival.c.snapshot_id < lost.c.snapshot_id,
        )
        .scalar_subquery()
    )
    began = follower_changes.alias("began")
    statement = (
        select(lost.c.user_id, lost.c.snapshot_id, began.c.snapshot_id, began.c.change)
        .select_from(lost)
        .join(
            began,
            and_(
                began.c.oaid == oaid,
                began.c.user_id == lost.c.user_id,
                began.c.snapshot_id == before,
            ),
        )
        .order_by(lost.c.snapshot_id.desc(), lost.c.user_id)
    )
    return [LostUser(*row) for row in connection.execute(statement)]


def _number(day: date) -> ColumnElement[int]:
    """A day as `days.day` counts it: from 1970-01-01."""
    return literal(day.toordinal() - EPOCH_DAY, Integer)
