"""What we could not see: runs that were not believed, and days on which nobody looked."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median_low
from typing import TYPE_CHECKING

from etl.model import Snapshot, Status
from etl.reports.periods import DAY, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date

GAP = "gap"
"""The kind of what is missing from the schedule; the other kinds are the statuses of runs."""

_TROUBLES = (Status.PARTIAL, Status.HELD, Status.FAILED, Status.UNDONE)

_TOO_LONG = 1.5
"""A gap is longer than so many times the usual interval: one missed day of a daily schedule, not a
late run."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """One stretch: runs in a row that ended alike, or days without a run.

    `last` is None for a gap that is not over; `reason` is the word that a program can read
    (`snapshots.reason`); `held_back` is how many the last held run of the stretch would have marked
    as unfollowed.
    """

    kind: str
    first: date
    last: date | None
    runs: int = 0
    reason: str | None = None
    held_back: int | None = None


def usual_interval(days: Iterable[date]) -> int:
    """The median of the days from one day with a run to the next; 1 if there is only one."""
    return median_low(
        [(after - before).days for before, after in pairwise(sorted(set(days)))] or [1]
    )


def missing(days: Iterable[date], usual: int) -> list[Span]:
    """The stretches between two of these days that are too long for the schedule.

    The days themselves are no part of them.
    """
    return [
        Span(before + DAY, after - DAY)
        for before, after in pairwise(sorted(set(days)))
        if (after - before).days > _TOO_LONG * usual
    ]


def unseen(runs: Sequence[Snapshot], span: Span, *, today: date) -> tuple[Unseen, ...]:
    """All of it in a span, oldest first.

    Args:
        runs: every run of the OA, by id.
        span: what the report is about.
        today: where no run has been for too long, the gap lasts.
    """
    days = [run.taken_on for run in runs if run.status != Status.RUNNING]
    usual = usual_interval(days)
    gaps = [
        Unseen(GAP, gap.first, gap.last)
        for gap in missing(days, usual)
        if gap.first <= span.last and gap.last >= span.first
    ]
    newest = max(days)
    if span.last >= newest and (today - newest).days > _TOO_LONG * usual:
        gaps.append(Unseen(GAP, newest + DAY, None))
    return tuple(sorted([*_troubles(runs, span), *gaps], key=lambda each: each.first))


def _troubles(runs: Sequence[Snapshot], span: Span) -> Iterator[Unseen]:
    inside = (run for run in runs if run.taken_on in span and run.status != Status.RUNNING)
    for (status, reason), alike in groupby(inside, key=lambda run: (run.status, run.reason_word)):
        if status in _TROUBLES:
            stretch = list(alike)
            last = stretch[-1].counts
            held_back = last.unfollowed if last and status == Status.HELD else None
            yield Unseen(
                str(status),
                stretch[0].taken_on,
                stretch[-1].taken_on,
                len(stretch),
                reason,
                held_back,
            )
