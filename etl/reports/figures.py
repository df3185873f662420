"""Rows -> ChurnReport: the figures, computed once, before anybody renders them. Pure; docs/reports.md defines each."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from etl.model import APPLIED, NOTHING, Account, Change, Snapshot, Status
from etl.reports.gaps import Unseen, missing, unseen, usual_interval
from etl.reports.periods import By, Span, month_number, month_of, split, whole
from etl.reports.survival import Survival, kaplan_meier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date, datetime

    from etl.reports.queries import LostUser, StayCount

BUCKETS = (0, 7, 30, 90, 180, 365)
"""Where the classes of "time as a follower" begin, in days."""

MOST_BARS = 100
"""More periods than that cannot be told apart in a chart."""


@dataclass(frozen=True, slots=True)
class Period:
    """What happened from one day to another, both included.

    following_end - following_start = baseline + followed + refollowed - unfollowed. None where it
    could not be seen: without a complete snapshot in the period nobody knows who left, without any
    applied one nobody knows anything. The rates are shares of those who followed at the start,
    among whom the baseline counts. `observed_since` is when the list had last been read whole
    before: the changes happened since then.
    """

    first: date
    last: date
    whole: bool
    following_start: int
    baseline: int
    followed: int | None
    refollowed: int | None
    unfollowed: int | None
    net: int | None
    following_end: int | None
    churn_rate: float | None
    growth_rate: float | None
    complete: int
    partial: int
    observed_since: datetime | None


@dataclass(frozen=True, slots=True)
class Reading:
    """How many followed at the end of a day; where no snapshot of it was complete, who had left was not known."""

    day: date
    following: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Cohort:
    """Who first followed in a month, and how many of them followed at the end of that month and of each one after it.

    None where no snapshot of the month was complete.
    """

    month: date
    users: int
    following: tuple[int | None, ...]

    @property
    def retention(self) -> tuple[float | None, ...]:
        """The shares of them."""
        return tuple(
            count / self.users if count is not None and self.users else None
            for count in self.following
        )


@dataclass(frozen=True, slots=True)
class StayLength:
    """Stays of `first` to `last` days (None: no bound): those that ended in the span, and those that last at its end."""

    first: int
    last: int | None
    left: int
    follow: int


@dataclass(frozen=True, slots=True)
class Stays:
    """Time as a follower. The baseline's is not known (it began before we looked), so it is counted by itself."""

    lengths: tuple[StayLength, ...]
    median_left: int | None
    median_follow: int | None
    baseline_left: int
    baseline_follow: int


@dataclass(frozen=True, slots=True)
class Unfollow:
    """One of the most recent. `days` is the length of the stay that ended; None where it began before we looked."""

    user_id: str
    unfollowed_at: datetime
    followed_at: datetime | None
    days: int | None


@dataclass(frozen=True, slots=True)
class AccountReport:
    """One OA. Days are dates in ETL_TIMEZONE.

    `bars` are the periods, or longer ones where those are too many to be drawn; `curve_gaps` are
    the stretches of the curve without a complete snapshot.
    """

    oaid: str
    name: str
    span: Span
    observed_since: date
    last_complete_at: datetime | None
    days_seen: int
    total: Period
    periods: tuple[Period, ...]
    bars: tuple[Period, ...]
    bars_by: By
    curve: tuple[Reading, ...]
    curve_gaps: tuple[Span, ...]
    cohorts: tuple[Cohort, ...]
    last_month_open: bool
    survival: Survival
    stays: Stays
    recent: tuple[Unfollow, ...]
    unseen: tuple[Unseen, ...]


@dataclass(frozen=True, slots=True)
class ChurnReport:
    """Several OAs, one way of cutting time. `left_out` tells of OAs that had nothing to report, and why."""

    by: By
    made_at: datetime
    timezone: str
    accounts: tuple[AccountReport, ...]
    left_out: tuple[str, ...] = ()


def account_report(
    account: Account,
    span: Span,
    by: By,
    *,
    runs: Sequence[Snapshot],
    stays: Sequence[StayCount],
    lost: Sequence[LostUser],
    today: date,
) -> AccountReport:
    """Everything about one OA."""
    applied = _Applied(run for run in runs if run.status in APPLIED and run.taken_on <= span.last)
    complete = applied.complete
    days_complete = {run.taken_on for run in complete if run.taken_on in span}
    bars_by = _drawable(span, by)
    by_id = {run.id: run for run in applied.runs}
    usual = usual_interval(run.taken_on for run in runs if run.status != Status.RUNNING)
    return AccountReport(
        oaid=account.oaid,
        name=account.name,
        span=span,
        observed_since=applied.runs[0].taken_on,
        last_complete_at=complete[-1].taken_at if complete else None,
        days_seen=len(days_complete),
        total=_period(span, applied, by),
        periods=tuple(_period(each, applied, by) for each in split(span, by)),
        bars=tuple(_period(each, applied, bars_by) for each in split(span, bars_by)),
        bars_by=bars_by,
        curve=tuple(_curve(applied.within(span))),
        curve_gaps=tuple(missing(days_complete, usual)),
        cohorts=tuple(
            _cohorts(
                stays, {month_number(run.taken_on) for run in complete}, month_number(span.last)
            )
        ),
        last_month_open=not whole(Span(span.last.replace(day=1), span.last), By.MONTH),
        survival=kaplan_meier(
            (stay.days, stay.ended is not None, stay.users) for stay in stays if _new(stay)
        ),
        stays=_lengths(stays),
        recent=tuple(_unfollow(user, by_id) for user in lost),
        unseen=unseen(runs, span, today=today),
    )


class _Applied:
    """The applied runs by day, so that each period finds its own without looking at all."""

    def __init__(self, runs: Iterable[Snapshot]) -> None:
        self.runs = sorted(runs, key=lambda run: run.taken_on)
        self.complete = sorted((run for run in self.runs if run.status == Status.COMPLETE), key=_id)
        self._days = [run.taken_on for run in self.runs]
        self._following = list(accumulate(map(_change, self.runs), initial=0))

    def within(self, span: Span) -> Sequence[Snapshot]:
        return self.runs[bisect_left(self._days, span.first) : bisect_right(self._days, span.last)]

    def following_before(self, day: date) -> int:
        return self._following[bisect_left(self._days, day)]

    def read_whole_before(self, runs: Sequence[Snapshot]) -> datetime | None:
        """When the list had last been read whole before the first of these runs."""
        earlier = bisect_left(self.complete, min(map(_id, runs), default=0), key=_id)
        return self.complete[earlier - 1].taken_at if earlier else None


def _period(span: Span, applied: _Applied, by: By) -> Period:
    inside = applied.within(span)
    complete = sum(run.status == Status.COMPLETE for run in inside)
    start = applied.following_before(span.first)
    counts = [run.counts or NOTHING for run in inside]
    baseline = sum(each.baseline for each in counts)
    followed = sum(each.followed for each in counts) if inside else None
    refollowed = sum(each.refollowed for each in counts) if inside else None
    unfollowed = sum(each.unfollowed for each in counts) if complete else None
    changes = sum(map(_change, inside))
    net = changes - baseline if complete else None
    since = applied.read_whole_before(inside)
    # A loss shows between two whole readings: the very first one has nothing to compare with.
    base = start + baseline if since is not None or complete > 1 else 0
    return Period(
        first=span.first,
        last=span.last,
        whole=whole(span, by),
        following_start=start,
        baseline=baseline,
        followed=followed,
        refollowed=refollowed,
        unfollowed=unfollowed,
        net=net,
        following_end=start + changes if inside else None,
        churn_rate=unfollowed / base if unfollowed is not None and base else None,
        growth_rate=net / base if net is not None and base else None,
        complete=complete,
        partial=len(inside) - complete,
        observed_since=since,
    )


def _drawable(span: Span, by: By) -> By:
    """The shortest periods, no shorter than asked for, of which a chart can show all."""
    longer = list(By)[list(By).index(by) :]
    return next(
        (each for each in longer if sum(1 for _ in split(span, each)) <= MOST_BARS), By.MONTH
    )


def _id(run: Snapshot) -> int:
    return run.id or 0


def _change(run: Snapshot) -> int:
    return (run.counts or NOTHING).change


def _curve(runs: Iterable[Snapshot]) -> Iterator[Reading]:
    following: dict[date, int] = {}
    complete: dict[date, bool] = defaultdict(bool)
    for run in runs:
        if run.counts is not None:
            following[run.taken_on] = run.counts.following
            complete[run.taken_on] |= run.status == Status.COMPLETE
    return (Reading(day, count, complete[day]) for day, count in following.items())


def _cohorts(
    stays: Iterable[StayCount], seen_months: set[int], last_month: int
) -> Iterator[Cohort]:
    users: Counter[int] = Counter()
    changes: dict[int, Counter[int]] = defaultdict(Counter)
    for stay in stays:
        if stay.cohort is None:
            continue
        users[stay.cohort] += stay.users if _new(stay) else 0
        changes[stay.cohort][stay.began] += stay.users
        if stay.ended is not None:
            changes[stay.cohort][stay.ended] -= stay.users
    for cohort in sorted(users):
        following, now = [], 0
        for month in range(cohort, last_month + 1):
            now += changes[cohort][month]
            following.append(now if month in seen_months else None)
        yield Cohort(month_of(cohort), users[cohort], tuple(following))


def _new(stay: StayCount) -> bool:
    """A first stay that began in the span. Returns are no second experiment; when the baseline began, nobody knows."""
    return stay.kind is Change.FOLLOWED and stay.cohort is not None


def _lengths(stays: Iterable[StayCount]) -> Stays:
    left: Counter[int] = Counter()
    follow: Counter[int] = Counter()
    baseline_left = baseline_follow = 0
    for stay in stays:
        ended = stay.ended is not None
        if stay.kind is not Change.BASELINE:
            (left if ended else follow)[stay.days] += stay.users
        elif ended:
            baseline_left += stay.users
        else:
            baseline_follow += stay.users
    bounds = zip(BUCKETS, (*(first - 1 for first in BUCKETS[1:]), None), strict=True)
    lengths = tuple(
        StayLength(first, last, _within(left, first, last), _within(follow, first, last))
        for first, last in bounds
    )
    return Stays(lengths, _median(left), _median(follow), baseline_left, baseline_follow)


def _within(days: Counter[int], first: int, last: int | None) -> int:
    return sum(
        count for day, count in days.items() if first <= day and (last is None or day <= last)
    )


def _median(days: Counter[int]) -> int | None:
    """The lower median."""
    seen, half = 0, (days.total() + 1) // 2
    for day in sorted(days):
        seen += days[day]
        if seen >= half:
            return day
    return None


def _unfollow(user: LostUser, by_id: Mapping[int | None, Snapshot]) -> Unfollow:
    left, began = by_id[user.unfollowed_id], by_id[user.began_id]
    if user.began_as == Change.BASELINE:
        return Unfollow(user.user_id, left.taken_at, None, None)
    return Unfollow(
        user.user_id, left.taken_at, began.taken_at, (left.taken_on - began.taken_on).days
    )
