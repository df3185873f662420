"""Windows of days: how a listing that is too long is cut, and what its Totals prove. Values only.

Why a reading by windows misses nobody: docs/design.md#beyond-the-ceiling.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from etl.model import Reason, Window
from etl.sync.guard import standing_gap, tolerated_gap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.model import Gaps

DAY = timedelta(days=1)

OLDEST = date(2012, 1, 1)
"""Zalo itself is not older."""

REACH = 10_000
"""Users that one listing is documented to reach: Offset at most 9,950, 50 a page."""

FULL = 0.95
"""Share of the reach up to which a window is read in one piece: it may grow until it is read."""

LEAST_PROVING = 20
"""Users that a day must hold for its Totals to prove that both bounds of a window are included. Of
fewer, a server whose last day ends before its night could pass."""


def halve(window: Window) -> tuple[Window, Window]:
    """The earlier and the later half of at least two days."""
    middle = window.first + (window.days // 2 - 1) * DAY
    return Window(window.first, middle), Window(middle + DAY, window.last)


def widened(window: Window) -> Window:
    """The window with a day more on either side."""
    return Window(window.first - DAY, window.last + DAY)


def old_part(today: date, oldest: date = OLDEST) -> Window:
    """Everything up to the day before yesterday: hardly anybody's day moves into it any more."""
    return Window(oldest, today - 2 * DAY)


def last_days(today: date) -> tuple[date, ...]:
    """The days up to which windows are asked; the first that is served counts.

    It is the day after tomorrow, or an earlier one if the future is refused; yesterday if even
    today is the future to a server whose clock is behind.
    """
    return tuple(today + ahead * DAY for ahead in (2, 1, 0, -1))


def days_fall_between(between: int, parent: int) -> bool:
    """Whether a window counts so many users more than its halves that days must be lost."""
    return between > tolerated_gap(parent, 0.005)


@dataclass(frozen=True, slots=True)
class Pair:
    """Totals of two neighbouring days: of each, of both together, and of each asked again."""

    first: int
    second: int
    both: int
    first_again: int
    second_again: int

    @property
    def proves_bounds(self) -> bool:
        """Whether a window includes both of its bounds.

        Both together hold more than either day alone, or a server that serves windows of one day
        whole and leaves a bound of longer ones out would pass.
        """
        return (
            min(self.first, self.second) >= LEAST_PROVING
            and max(self.first, self.second) < self.both <= self.first + self.second
            and (self.first, self.second) == (self.first_again, self.second_again)
        )


def pairs(window: Window) -> Iterator[tuple[date, date]]:
    """The neighbouring days of a window."""
    for day in range(window.days - 1):
        yield window.first + day * DAY, window.first + (day + 1) * DAY


@dataclass(frozen=True, slots=True)
class Settling:
    """One look at a window: what decides whether the window is settled."""

    closed: bool
    steady: bool
    largest: int
    total: int
    users: frozenset[str]

    @property
    def counts_up(self) -> bool:
        """Whether it saw exactly as many users as an unchanging Total says there are."""
        return self.steady and len(self.users) == self.total

    @property
    def witness(self) -> bool:
        """Whether it closed, and showed as many users as it was ever told that there are."""
        return self.closed and len(self.users) >= self.largest


def settled(looks: Sequence[Settling]) -> bool:
    """Whether a window was read so that it can be believed.

    One closed look that counts up; or twins; or two witnesses of which the second found nobody new.
    Each look is held against its own Totals: in the union of both, somebody who left between them
    would make up for another who is counted and not shown.
    """
    last = looks[-1]
    if last.closed and last.counts_up:
        return True
    if last.counts_up and any(each.counts_up and each.users == last.users for each in looks[:-1]):
        return True
    earlier: frozenset[str] = frozenset().union(*(look.users for look in looks[:-1]))
    return last.witness and any(look.witness for look in looks[:-1]) and last.users <= earlier


@dataclass(frozen=True, slots=True)
class WindowsReading:
    """What the reading of all windows came to.

    Attributes:
        offset_ignored: a window answered its head whatever the offset.
        crowded: a single day holds more users than one listing reaches.
        days_lost: halves did not add up, or the bounds are not proven and the future is refused.
        between: users whom windows counted, and their halves did not.
        torn: a window could not be settled.
        dated: everybody who follows has a day (the days test; where somebody is missing, after the
            last day was read as well).
        before: the Totals of all days while the old part was read, in order.
        since: those from just before the recent part was read on.
        clamped: the last of them may be a limit of the server.
        distinct: users whom the windows showed.
        missing: users known to follow whom this run did not see.
    """

    offset_ignored: bool
    crowded: bool
    days_lost: bool
    between: int
    torn: bool
    dated: bool
    before: tuple[int, ...]
    since: tuple[int, ...]
    clamped: bool
    distinct: int
    missing: int

    @property
    def total(self) -> int:
        """The last Total of all days."""
        return self.since[-1]

    @property
    def gap(self) -> int:
        """Users whom the Total of all days counts, and the windows did not show.

        The largest of the Totals since the recent part began: one that is told too low at the end
        must not hide somebody.
        """
        return max(self.since) - self.distinct

    @property
    def surplus(self) -> int:
        """Users whom the windows showed, and the last Total does not count."""
        return self.distinct - self.total

    @property
    def left_meanwhile(self) -> int:
        """How many left while it was read, at least: by how many the Totals fell, each time."""
        return sum(max(0, one - next_one) for one, next_one in pairwise(self.before + self.since))


def doubt(reading: WindowsReading, *, tolerance: float, gaps: Gaps) -> Reason | None:
    """Why a reading by windows cannot be believed whole; None where it can."""
    if reading.offset_ignored:
        return Reason.OFFSET_IGNORED
    if reading.crowded:
        return Reason.CROWDED_DAY
    standing = standing_gap(gaps, max(0, reading.gap))
    if reading.days_lost or (reading.missing and reading.between > standing):
        return Reason.WINDOW_GAP
    if reading.torn:
        return Reason.TORN
    if reading.clamped or (reading.missing and not reading.dated):
        return Reason.UNDATED
    most_gap = most_surplus = tolerated_gap(reading.total, tolerance)
    if reading.missing:
        most_gap = min(most_gap, standing)
        # Who left while the windows were read was shown, and is not counted any more. More than the
        # Totals fell by is not granted: it would hide as many who are counted and not shown.
        most_surplus = min(most_surplus, standing + reading.left_meanwhile)
    agrees = reading.gap <= most_gap and reading.surplus <= most_surplus
    return None if agrees else Reason.TOTAL_GAP
