"""Rows -> ChurnReport: the figures, computed once, before anybody renders them.

Pure; docs/reports.md defines each.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.model import APPLIED, Account, Change, Snapshot, Status
from etl.reports.counting import SHARE_OF_SLACK, WINDOW, Applied
from etl.reports.gaps import Unseen, missing, unseen, usual_interval
from etl.reports.periods import DAY, By, Span, month_number, month_of, split, whole
from etl.reports.survival import Survival, kaplan_meier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date, datetime

    from etl.reports.counting import Period
    from etl.reports.queries import LostUser, StayCount

BUCKETS = (0, 7, 30, 90, 180, 365)
"""Where the classes of "time as a follower" begin, in days."""

MOST_BARS = 100
"""More periods than that cannot be told apart in a chart."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How many followed at the end of a day.

    Where no snapshot of it was complete, who had left was not known.
    """

    day: date
    following: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Cohort:
    """Who first followed in a month, and how many of them followed at each month's end since.

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
    """Stays of `first` to `last` days (None: no bound).

    `left` counts those that ended in the span, `follow` those that last at its end.
    """

    first: int
    last: int | None
    left: int
    follow: int


@dataclass(frozen=True, slots=True)
class Stays:
    """Time as a follower.

    The baseline's is not known (it began before we looked), so it is counted by itself.
    """

    lengths: tuple[StayLength, ...]
    median_left: int | None
    median_follow: int | None
    baseline_left: int
    baseline_follow: int


@dataclass(frozen=True, slots=True)
class Unfollow:
    """One of the most recent unfollows.

    `days` is the length of the stay that ended; None if it began before we looked.
    """

    user_id: str
    unfollowed_at: datetime
    followed_at: datetime | None
    days: int | None


@dataclass(frozen=True, slots=True)
class AccountReport:
    """One OA. Days are dates in ETL_TIMEZONE.

    `bars` are the periods, or longer ones where those are too many to be drawn; `curve_gaps` are
    the stretches of the curve without a complete snapshot. `last_30_days` ends with the last day
    of the whole report, the same for all its OAs; it and `before_30_days` (None where nothing had
    been read before) look beyond `span`. `there_at_start` are those who followed at the start of
    the span, the baseline among them; `left_share` is how many of them did not follow any more
    when the list was last read whole. `last_seen` of `last_total` users were found by the last
    applied snapshot.
    """

    oaid: str
    name: str
    span: Span
    observed_since: date
    last_complete_at: datetime | None
    days_seen: int
    last_seen: int | None
    last_total: int | None
    last_30_days: Period
    before_30_days: Period | None
    total: Period
    left_share: float | None
    there_at_start: Cohort | None
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

    @property
    def label(self) -> str:
        """What people call it."""
        return self.name or self.oaid

    @property
    def following(self) -> int | None:
        """How many followed after the last reading of the last 30 days, or else of the span."""
        now = self.last_30_days.following_end
        return self.total.following_end if now is None else now

    @property
    def first_night(self) -> bool:
        """Whether there is only one reading, so that nothing can have changed."""
        return len(self.curve) == 1 and self.span.first == self.observed_since


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An OA that had nothing to report, and why."""

    label: str
    why: str


@dataclass(frozen=True, slots=True)
class ChurnReport:
    """Several OAs, one way of cutting time. `users`: whether it names those who left last."""

    by: By
    made_at: datetime
    timezone: str
    accounts: tuple[AccountReport, ...]
    left_out: tuple[LeftOut, ...] = ()
    users: bool = True


def account_report(
    account: Account,
    span: Span,
    by: By,
    *,
    runs: Sequence[Snapshot],
    stays: Sequence[StayCount],
    lost: Sequence[LostUser],
    today: date,
    until: date | None = None,
) -> AccountReport:
    """Everything about one OA.

    Args:
        account: which one.
        span: what is asked for.
        by: how long its periods are.
        runs: every run of it, by id.
        stays: its stays of the span, counted.
        lost: who left last.
        today: tells which gaps last.
        until: the last of the 30 days that are compared; the span's last day by default.
    """
    usual = usual_interval(run.taken_on for run in runs if run.status != Status.RUNNING)
    applied = Applied(
        (run for run in runs if run.status in APPLIED and run.taken_on <= span.last), usual
    )
    days_whole = applied.days_whole(span)
    months_whole = _months_whole(applied, span.last, usual)
    total = applied.period(span, by)
    bars_by = _drawable(span, by)
    by_id = {run.id: run for run in applied.runs}
    newest = max(applied.runs, key=lambda run: run.id or 0)
    if not applied.complete:  # nobody knows who left: how long they stay cannot be known either
        stays = ()
    at_start = [stay for stay in stays if stay.at_start]
    last, before = _windows(applied, until or span.last)
    return AccountReport(
        oaid=account.oaid,
        name=account.name,
        span=span,
        observed_since=applied.runs[0].taken_on,
        last_complete_at=applied.complete[-1].taken_at if applied.complete else None,
        days_seen=len(days_whole),
        last_seen=newest.seen,
        last_total=newest.total,
        last_30_days=last,
        before_30_days=before,
        total=total,
        left_share=_left_share(at_start, total),
        there_at_start=_there_at_start(at_start, total, months_whole),
        periods=tuple(applied.period(each, by) for each in split(span, by)),
        bars=tuple(applied.period(each, bars_by) for each in split(span, bars_by)),
        bars_by=bars_by,
        curve=tuple(_curve(applied.within(span))),
        curve_gaps=tuple(missing(days_whole, usual)),
        cohorts=tuple(_cohorts(stays, months_whole, month_number(span.last))),
        last_month_open=not whole(Span(span.last.replace(day=1), span.last), By.MONTH),
        survival=kaplan_meier(
            (stay.days, stay.ended is not None, stay.users) for stay in stays if _new(stay)
        ),
        stays=_lengths(stays),
        recent=tuple(_unfollow(user, by_id) for user in lost),
        unseen=unseen(runs, span, today=today),
    )


def _months_whole(applied: Applied, last: date, usual: int) -> set[int]:
    """The months read whole near their end, or near the last day where that is earlier.

    Who left after a whole reading early in a month is not known: of its end nothing can be said.
    """
    reach = max(WINDOW // SHARE_OF_SLACK, usual - 1)
    newest = {month_number(run.taken_on): run.taken_on for run in applied.runs if _whole(run)}
    ends = {month: min(month_of(month + 1) - DAY, last) for month in newest}
    return {month for month, day in newest.items() if (ends[month] - day).days <= reach}


def _whole(run: Snapshot) -> bool:
    return run.status == Status.COMPLETE


def _windows(applied: Applied, until: date) -> tuple[Period, Period | None]:
    """The last 30 days, and the 30 before them; both begin no earlier than the first reading."""
    began = applied.runs[0].taken_on
    first = until - (WINDOW - 1) * DAY
    last = applied.period(Span(max(first, began), until), By.MONTH)
    if began >= first:
        return last, None
    before = Span(max(first - WINDOW * DAY, began), first - DAY)
    return last, applied.period(before, By.MONTH)


def _left_share(at_start: Iterable[StayCount], total: Period) -> float | None:
    users = total.following_start + total.baseline
    if total.unfollowed is None or not users:
        return None
    return 1 - sum(stay.users for stay in at_start if stay.ended is None) / users


def _there_at_start(
    at_start: Sequence[StayCount], total: Period, months_whole: set[int]
) -> Cohort | None:
    """How many of those there at the start followed at the end of each month since."""
    if not at_start:
        return None
    following = []
    for month in range(month_number(total.first), month_number(total.last) + 1):
        now = sum(
            stay.users
            for stay in at_start
            if stay.began <= month and (stay.ended is None or stay.ended > month)
        )
        following.append(now if month in months_whole else None)
    users = total.following_start + total.baseline
    return Cohort(total.first.replace(day=1), users, tuple(following))


def _drawable(span: Span, by: By) -> By:
    """The shortest periods, no shorter than asked for, of which a chart can show all."""
    longer = list(By)[list(By).index(by) :]
    return next(
        (each for each in longer if sum(1 for _ in split(span, each)) <= MOST_BARS), By.MONTH
    )


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
    """A first stay that began in the span.

    Returns are no second experiment; when the baseline began, nobody knows.
    """
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
