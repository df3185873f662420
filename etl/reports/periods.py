"""Days, weeks and months, and which of them a report is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from etl.errors import UsageError
from etl.model import APPLIED, Snapshot, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DAY = timedelta(days=1)


class By(StrEnum):
    """How long a period is."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Span:
    """From one day to another, both included (dates in ETL_TIMEZONE)."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """How many they are."""
        return (self.last - self.first).days + 1

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last


def split(span: Span, by: By) -> Iterator[Span]:
    """The calendar's days, weeks (from Monday) or months of a span.

    The first and the last may be cut by its ends.
    """
    first = span.first
    while first <= span.last:
        last = min(_last_day(first, by), span.last)
        yield Span(first, last)
        first = last + DAY


def whole(span: Span, by: By) -> bool:
    """Whether it is a whole day, week or month of the calendar."""
    return _first_day(span.first, by) == span.first and _last_day(span.first, by) == span.last


def month_number(day: date) -> int:
    """Months since the year 0: neighbours differ by one."""
    return day.year * 12 + day.month - 1


def month_of(number: int) -> date:
    """The first day of a month by its number."""
    return date(number // 12, number % 12 + 1, 1)


def never_read(oaid: str) -> UsageError:
    """Nothing is known of an OA."""
    return UsageError(
        f"OA {oaid} has no complete or partial snapshot yet: see `etl history`, run `etl sync`"
    )


def chosen_span(
    runs: Sequence[Snapshot], oaid: str, *, since: date | None, until: date | None, today: date
) -> Span:
    """The days to report of one OA: from the first applied snapshot to the last run, as asked.

    Raises:
        UsageError: nothing was ever read, or not in the time that was asked for.
    """
    applied = [run.taken_on for run in runs if run.status in APPLIED]
    if not applied:
        raise never_read(oaid)
    first = min(applied)
    newest = max(run.taken_on for run in runs if run.status != Status.RUNNING)
    if until is not None and until < first:
        raise UsageError(
            f"the last day {until} lies before the first snapshot of OA {oaid}, taken on {first}"
        )
    last = newest if until is None else min(until, max(newest, today))
    if since is not None and since > last:
        raise UsageError(
            f"the first day {since} lies after the last snapshot of OA {oaid}, taken on {newest}"
        )
    return Span(max(since or first, first), last)


def _first_day(day: date, by: By) -> date:
    if by is By.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if by is By.MONTH else day


def _last_day(day: date, by: By) -> date:
    if by is By.WEEK:
        return day + timedelta(days=6 - day.weekday())
    return month_of(month_number(day) + 1) - DAY if by is By.MONTH else day
