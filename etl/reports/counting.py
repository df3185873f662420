"""Applied snapshots -> what happened in a stretch of days: counts, rates, and what they cover.

Pure; docs/reports.md defines each.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from etl.model import NO_COUNTS, Snapshot, Status
from etl.reports.periods import DAY, By, Span, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, datetime

WINDOW = 30
"""The days of the windows that are compared, and of a rate by follower-days."""

SHARE_OF_SLACK = 7
"""A period of n days may be covered by n // 7 days more or fewer and still have a rate."""


@dataclass(frozen=True, slots=True)
class Period:
    """What happened from one day to another, both included.

    following_end - following_start = baseline + followed + refollowed - unfollowed. None where it
    could not be seen: without a complete snapshot in the period nobody knows who left, without any
    applied one nobody knows anything. The rates are shares of those who followed at the start,
    among whom the baseline counts; they stand only where whole readings lie near both ends
    (`bounded`). `observed_since` is when the list had last been read whole before: the changes
    happened since then.

    `days_whole` of `days` were read whole; who left, left from `covers_first` to `covers_last`.
    `follower_days` is how many followed at the start of each of those days, added up, and
    `churn_per_30_days` the unfollowed of those days, divided by follower_days, times 30.
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
    days: int
    days_whole: int
    bounded: bool
    covers_first: date | None
    covers_last: date | None
    follower_days: int | None
    churn_per_30_days: float | None

    @property
    def span(self) -> Span:
        """Its days."""
        return Span(self.first, self.last)

    def known(self, count: str) -> int | None:
        """One of the counts, as people are shown it.

        Before the first whole reading everybody counts as already there: who is new or has
        returned is not known, which 0 would not say.
        """
        never_whole = not self.complete and self.observed_since is None
        if never_whole and count in {"followed", "refollowed"}:
            return None
        found: int | None = getattr(self, count)
        return found

    @property
    def covers(self) -> Span | None:
        """The days in which who left, left."""
        if self.covers_first is None or self.covers_last is None:
            return None
        return Span(self.covers_first, self.covers_last)


class Applied:
    """The applied runs of one OA by day, so that each period finds its own without looking at all.

    Args:
        runs: the complete and partial ones.
        usual: the days from one run to the next, as a rule.
    """

    def __init__(self, runs: Iterable[Snapshot], usual: int) -> None:
        self.runs = sorted(runs, key=lambda run: run.taken_on)
        self.complete = sorted((run for run in self.runs if run.status == Status.COMPLETE), key=_id)
        self._usual = usual
        self._days = [run.taken_on for run in self.runs]
        self._whole_days = sorted({run.taken_on for run in self.complete})
        self._following = list(accumulate(map(_change, self.runs), initial=0))

    def within(self, span: Span) -> Sequence[Snapshot]:
        """The runs of a span."""
        return self.runs[bisect_left(self._days, span.first) : bisect_right(self._days, span.last)]

    def days_whole(self, span: Span) -> Sequence[date]:
        """The days of a span on which the list was read whole."""
        return self._whole_days[
            bisect_left(self._whole_days, span.first) : bisect_right(self._whole_days, span.last)
        ]

    def period(self, span: Span, by: By) -> Period:
        """What happened in a span; `by` is what it is or would be a whole one of."""
        inside = self.within(span)
        complete = sum(run.status == Status.COMPLETE for run in inside)
        start = self._following_before(span.first)
        counts = [run.counts or NO_COUNTS for run in inside]
        baseline = sum(each.baseline for each in counts)
        unfollowed = sum(each.unfollowed for each in counts) if complete else None
        changes = sum(map(_change, inside))
        net = changes - baseline if complete else None
        covers = self._covers(span)
        bounded = covers is not None and self._bounds(covers, span)
        follower_days = None if covers is None else self._follower_days(covers)
        base = start + baseline if bounded else 0
        return Period(
            first=span.first,
            last=span.last,
            whole=whole(span, by),
            following_start=start,
            baseline=baseline,
            followed=sum(each.followed for each in counts) if inside else None,
            refollowed=sum(each.refollowed for each in counts) if inside else None,
            unfollowed=unfollowed,
            net=net,
            following_end=start + changes if inside else None,
            churn_rate=unfollowed / base if unfollowed is not None and base else None,
            growth_rate=net / base if net is not None and base else None,
            complete=complete,
            partial=len(inside) - complete,
            observed_since=self._read_whole_before(inside),
            days=span.days,
            days_whole=len(self.days_whole(span)),
            bounded=bounded,
            covers_first=covers.first if covers else None,
            covers_last=covers.last if covers else None,
            follower_days=follower_days,
            churn_per_30_days=(
                self._left(covers) / follower_days * WINDOW if covers and follower_days else None
            ),
        )

    def _covers(self, span: Span) -> Span | None:
        """From the last whole reading before it, or the first one ever, to the last one in it."""
        inside = self.days_whole(span)
        if not inside:
            return None
        earlier = bisect_left(self._whole_days, span.first)
        since = self._whole_days[earlier - 1] if earlier else inside[0]
        return Span(since + DAY, inside[-1]) if since < inside[-1] else None

    def _bounds(self, covers: Span, span: Span) -> bool:
        """Whether what is covered is the span, but for a few days at its ends.

        Of the day of the very first reading nobody can know who left: it is not asked for. Where
        the list is read less than once a day, a reading may lie as far from an end as is usual.
        """
        first = span.first + DAY if self._whole_days[0] >= span.first else span.first
        slack = span.days // SHARE_OF_SLACK
        reach = max(slack, self._usual - 1)
        asked = (span.last - first).days + 1
        return (
            abs((covers.first - first).days) <= reach
            and (span.last - covers.last).days <= reach
            and abs(covers.days - asked) <= slack
        )

    def _follower_days(self, span: Span) -> int:
        return sum(self._following_before(span.first + number * DAY) for number in range(span.days))

    def _left(self, span: Span) -> int:
        return sum((run.counts or NO_COUNTS).unfollowed for run in self.within(span))

    def _following_before(self, day: date) -> int:
        return self._following[bisect_left(self._days, day)]

    def _read_whole_before(self, runs: Sequence[Snapshot]) -> datetime | None:
        """When the list had last been read whole before the first of these runs."""
        earlier = bisect_left(self.complete, min(map(_id, runs), default=0), key=_id)
        return self.complete[earlier - 1].taken_at if earlier else None


def _id(run: Snapshot) -> int:
    return run.id or 0


def _change(run: Snapshot) -> int:
    return (run.counts or NO_COUNTS).change
