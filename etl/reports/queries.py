"""The statements of the report: each reads for many OAs, and counts in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Integer, and_, case, cast, column, extract, func, or_, select, values

from etl.db.tables import follower_changes, snapshots
from etl.model import SNAPSHOT_COLUMNS, Change, Snapshot, Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from sqlalchemy import CTE, ColumnElement, Connection, FromClause, Select

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


class Asked(NamedTuple):
    """The part of an OA's change log that a report is about.

    `first_id` and `last_id` are the first and the last snapshot of the span, which begins on the
    day `first`; what came later is not known yet. On the day `seen_until` the list was last read
    whole: a stay without an end lasted until then.
    """

    oaid: str
    first: date
    seen_until: date
    first_id: int
    last_id: int


def runs(connection: Connection, oaids: Sequence[str]) -> dict[str, list[Snapshot]]:
    """Every run of some OAs, oldest first: one row a run, a few thousand an OA in years."""
    statement = (
        select(*_SNAPSHOT)
        .where(snapshots.c.oaid.in_(oaids))
        .order_by(snapshots.c.oaid, snapshots.c.id)
    )
    found: dict[str, list[Snapshot]] = {oaid: [] for oaid in oaids}
    for row in connection.execute(statement).mappings():
        found[row["oaid"]].append(Snapshot.from_columns({**row}))
    return found


def newest_day(connection: Connection, oaids: Sequence[str]) -> date | None:
    """The day of the last run of any of these OAs; None where none ever ran."""
    statement = select(func.max(snapshots.c.taken_on)).where(
        snapshots.c.oaid.in_(oaids), snapshots.c.status != Status.RUNNING
    )
    newest: date | None = connection.scalar(statement)
    return newest


def stay_counts(connection: Connection, asked: Sequence[Asked]) -> dict[str, list[StayCount]]:
    """The stays that lasted into a span or began in it, counted, by OA.

    One reading of the change logs, whatever is asked of them.
    """
    found: dict[str, list[StayCount]] = {each.oaid: [] for each in asked}
    if not asked:
        return found
    stays = _stays(_table_of(asked)).subquery("stays")
    keys = (
        stays.c.oaid,
        stays.c.kind,
        case((stays.c.cohort_day >= stays.c.since, stays.c.cohort_month)).label("cohort"),
        stays.c.began_month,
        stays.c.ended_month,
        (func.coalesce(stays.c.ended_day, stays.c.seen_until) - stays.c.began_day).label("days"),
        stays.c.at_start,
    )
    statement = (
        select(*keys, func.count().label("users"))
        .where(or_(stays.c.ended_day.is_(None), stays.c.ended_day >= stays.c.since))
        .group_by(*keys)
    )
    for oaid, kind, cohort, began, ended, days, at_start, users in connection.execute(statement):
        found[oaid].append(
            StayCount(_ARRIVALS[kind], cohort, began, ended, max(days, 0), users, bool(at_start))
        )
    return found


def _table_of(asked: Sequence[Asked]) -> CTE:
    """What is asked of each OA, to be joined; days are numbers."""
    named = [column("oaid", snapshots.c.oaid.type)]
    named += [column(name, Integer) for name in ("since", "seen_until", "first_id", "last_id")]
    rows = [
        (each.oaid, _number(each.first), _number(each.seen_until), each.first_id, each.last_id)
        for each in asked
    ]
    return values(*named).data(rows).cte("asked")


def _stays(asked: CTE) -> Select[Any]:
    """One row a stay: after an arrival comes its end, for a user's changes alternate.

    One window over the log in the order of its primary key serves all; the days come from the
    snapshots, found by their primary key (of a common table SQLite would not know how large it is,
    and read it once a row). The cohort is the first follow's; who was there before we looked
    (baseline) has none.
    """
    log = follower_changes.c
    of_user: dict[str, Any] = {
        "partition_by": (log.oaid, log.user_id),
        "order_by": log.snapshot_id,
    }
    everything: dict[str, Any] = {**of_user, "rows": (None, None)}
    # The newest change before the span is the greatest number; its last bit tells what it was.
    before = case(
        (
            log.snapshot_id < asked.c.first_id,
            2 * log.snapshot_id + case((log.change == Change.UNFOLLOWED, 0), else_=1),
        )
    )
    is_baseline = case((log.change == Change.BASELINE, 1), else_=0)
    told = (
        select(
            log.oaid,
            asked.c.since,
            asked.c.seen_until,
            log.change,
            (
                func.coalesce(
                    func.max(before).over(**everything), func.max(is_baseline).over(**everything)
                )
                % 2
            ).label("at_start"),
            log.snapshot_id.label("began_id"),
            func.lead(log.snapshot_id).over(**of_user).label("ended_id"),
            func.first_value(case((log.change != Change.BASELINE, log.snapshot_id)))
            .over(**of_user)
            .label("cohort_id"),
        )
        .select_from(asked)
        .join(
            follower_changes,
            and_(log.oaid == asked.c.oaid, log.snapshot_id <= asked.c.last_id),
        )
        .subquery("told")
    )
    began, ended, cohort = (snapshots.alias(name) for name in ("began", "ended", "cohort"))
    return (
        select(
            told.c.oaid,
            told.c.since,
            told.c.seen_until,
            # A number: grouping millions by it is twice as fast as by text.
            case(
                {kind: number for number, kind in enumerate(_ARRIVALS)}, value=told.c.change
            ).label("kind"),
            _day_of(began).label("began_day"),
            _month_of(began).label("began_month"),
            _day_of(ended).label("ended_day"),
            _month_of(ended).label("ended_month"),
            _day_of(cohort).label("cohort_day"),
            _month_of(cohort).label("cohort_month"),
            told.c.at_start,
        )
        .select_from(told)
        .join(began, began.c.id == told.c.began_id)
        .outerjoin(ended, ended.c.id == told.c.ended_id)
        .outerjoin(cohort, cohort.c.id == told.c.cohort_id)
        .where(told.c.change != Change.UNFOLLOWED)
    )


def last_unfollows(
    connection: Connection, losses: Mapping[str, Sequence[Snapshot]], *, limit: int
) -> dict[str, list[LostUser]]:
    """The most recent unfollows of some OAs, newest first.

    Args:
        connection: of a reading transaction.
        losses: by OA the snapshots to look at, newest first, each with its count of unfollowed; no
            more are asked than needed.
        limit: how many users of an OA.
    """
    found: dict[str, list[LostUser]] = {oaid: [] for oaid in losses}
    needed = [each for snapshots in losses.values() for each in _needed(snapshots, limit)]
    if not needed:
        return found
    log = follower_changes.c
    unfollowed = (
        select(
            log.oaid,
            log.user_id,
            log.snapshot_id,
            func.row_number()
            .over(partition_by=log.oaid, order_by=(log.snapshot_id.desc(), log.user_id))
            .label("nth"),
        )
        .where(log.change == Change.UNFOLLOWED, log.snapshot_id.in_(needed))
        .subquery("unfollowed")
    )
    lost = select(unfollowed).where(unfollowed.c.nth <= limit).cte("lost")
    arrival = follower_changes.alias("arrival")
    before = (
        select(func.max(arrival.c.snapshot_id))
        .where(
            arrival.c.oaid == lost.c.oaid,
            arrival.c.user_id == lost.c.user_id,
            arrival.c.snapshot_id < lost.c.snapshot_id,
        )
        .scalar_subquery()
    )
    began = follower_changes.alias("began")
    statement = (
        select(lost.c.oaid, lost.c.user_id, lost.c.snapshot_id, began.c.snapshot_id, began.c.change)
        .select_from(lost)
        .join(
            began,
            and_(
                began.c.oaid == lost.c.oaid,
                began.c.user_id == lost.c.user_id,
                began.c.snapshot_id == before,
            ),
        )
        .order_by(lost.c.oaid, lost.c.nth)
    )
    for oaid, *row in connection.execute(statement):
        found[oaid].append(LostUser(*row))
    return found


def _needed(losses: Sequence[Snapshot], limit: int) -> list[int | None]:
    """The ids of the first ones, as many as hold so many unfollows."""
    needed, users = [], 0
    for snapshot in losses:
        if users >= limit:
            break
        if snapshot.counts and snapshot.counts.unfollowed:
            needed.append(snapshot.id)
            users += snapshot.counts.unfollowed
    return needed


def _day_of(snapshot: FromClause) -> ColumnElement[int]:
    """The day of a snapshot, as a number from 1970-01-01."""
    return cast(extract("epoch", snapshot.c.taken_on) / 86_400, Integer)


def _month_of(snapshot: FromClause) -> ColumnElement[int]:
    """The month of a snapshot, as `periods.month_number` counts."""
    taken_on = snapshot.c.taken_on
    return cast(extract("year", taken_on) * 12 + extract("month", taken_on) - 1, Integer)


def _number(day: date) -> int:
    """A day as `_day_of` counts it."""
    return day.toordinal() - EPOCH_DAY
