"""Reads windows of days into the spool, and notes what stands against believing them.

In which order, and why it matters: `windowed.py`.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

from etl.errors import (
    EsmsUnavailableError,
    FaultError,
    ImpossibleAnswerError,
    OffsetRefusedError,
    UnknownAccountError,
)
from etl.model import Page, Window
from etl.sync.look import Budget, LookReader, Workers
from etl.sync.windows import (
    DAY,
    FULL,
    OLDEST,
    REACH,
    Pair,
    Settling,
    days_fall_between,
    halve,
    last_days,
    pairs,
    settled,
    widened,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date

    from etl.sync.guard import Look
    from etl.sync.sweep import SweepLimits

PROOFS = 3
"""How often each pair of neighbouring days is counted until one proves the bounds."""

COMPARISONS = 3
"""How often a window is compared with its halves before days count as lost between them."""


class NotServedError(Exception):
    """QueryListUID is not served for this OA: the listing stays cut at its ceiling."""


NOT_SERVED = (
    UnknownAccountError,
    ImpossibleAnswerError,
    EsmsUnavailableError,
    FaultError,
    OffsetRefusedError,
)
"""What QueryListUID fails with after all tries where it is not served."""


@contextmanager
def _served() -> Iterator[None]:
    """Say of every error by which QueryListUID is not served that it is not.

    Raises:
        NotServedError: instead of them. A refusal of the keys or of the IP address stays what it
            is.
    """
    try:
        yield
    except NOT_SERVED as error:
        raise NotServedError from error


class UsersBetween(Protocol):
    """QueryListUID of one OA, of those who follow."""

    def __call__(self, window: Window, offset: int, *, count: int = 50) -> Page:
        """The page of a window at an offset."""


@dataclass
class WindowReader:
    """Reads the windows of one OA.

    Attributes:
        users_between: gives the page of a window at an offset.
        keep: takes every page.
        limits: the settings.
        today: the date in the zone of windows, now.
        reach: how many users one listing reaches, as far as is known.
        oldest, horizon: the first and the last day that are asked for.
        future: whether days to come are served.
        bounds_proven: whether a window is known to include its first and its last day.
        between: users whom wholes counted and their halves did not, of all windows that were cut.
        offset_ignored, crowded, days_lost, torn: what stands against believing it all.
        looks: how many there were, of all windows.
        totals: the Totals of all days, counted again after every window.
    """

    users_between: UsersBetween
    keep: Callable[[Page], None]
    limits: SweepLimits
    today: Callable[[], date]
    reach: int = REACH
    oldest: date = OLDEST
    horizon: date = OLDEST
    future: bool = True
    bounds_proven: bool = False
    offset_ignored: bool = False
    crowded: bool = False
    between: int = 0
    days_lost: bool = False
    torn: bool = False
    looks: int = 0
    totals: list[int] = field(default_factory=list)
    _served_to: int = 0
    _totals: dict[Window, int] = field(default_factory=dict)
    _budget: Budget = field(default_factory=Budget)

    def find_days(self) -> None:
        """Learn from which year on, and up to which day windows are served.

        Raises:
            NotServedError: no range of days is taken at all.
        """
        for year in range(OLDEST.year, self.today().year + 1, 2):
            self.oldest = OLDEST.replace(year=year)
            today = self.today()
            if (last := self._last_day_served(today)) is not None:
                self.horizon, self.future = last, last == last_days(today)[0]
                return
        raise NotServedError

    def look_ahead(self) -> bool:
        """Whether a later day is served than when the reading began; it is the last one then.

        Where the future is refused, a new day may have begun, by the server's clock or by ours.
        """
        if self.future:
            return False
        last = self._last_day_served(self.today())
        if last is None or last <= self.horizon:
            return False
        self.horizon = last
        return True

    def prove_bounds(self, old: Window) -> None:
        """Ask once for Totals that show that a window includes its first and its last day."""
        days = self._fullest_days(old)
        if days is None:
            return
        for _ in range(PROOFS):
            for first, second in pairs(days):
                one, other = Window(first, first), Window(second, second)
                asked = (one, other, Window(first, second), one, other)
                if Pair(*(self._total(window) for window in asked)).proves_bounds:
                    self.bounds_proven = True
                    return

    def read(self, window: Window) -> None:
        """Read a range of days, cut into windows that one listing reaches, oldest first."""
        # Planned before it is read, so that the Totals that are compared are of one moment, nearly.
        for part in list(self._plan(window)):
            self._settle(part)
            self.count_all_days()

    def read_again(self, window: Window) -> None:
        """Read a range of days of which an earlier Total says nothing any more."""
        self._totals.clear()
        self.read(window)

    def count_all_days(self) -> int:
        """The Total of everybody with a day, asked now."""
        self.totals.append(self._total(self._everything(self.horizon)))
        return self.totals[-1]

    def _last_day_served(self, today: date) -> date | None:
        """The latest of the last days that is taken; some answer a day to come with nobody."""
        served = None
        for last in last_days(today):
            try:
                total = self._total(self._everything(last))
            except NotServedError as error:
                if isinstance(error.__cause__, FaultError):  # the dates are refused
                    continue
                raise
            if total:
                return last
            served = served or last
        return served

    def _fullest_days(self, window: Window) -> Window | None:
        """Two or three neighbouring days with users, by halves, always into the fuller one."""
        while window.days > 3:  # noqa: PLR2004 - two or three days are two or three pairs at most
            left, right = halve(window)
            totals = self._known_total(left), self._known_total(right)
            if not any(totals):
                return None
            window = left if totals[0] > totals[1] else right
        return window if window.days > 1 else None

    def _plan(self, window: Window) -> Iterator[Window]:
        """The windows that one listing reaches, oldest first."""
        total = self._known_total(self._asked(window))
        if total <= FULL * self.reach or window.days == 1:
            # Of a single day nothing can be cut any more.
            self.crowded |= window.days == 1 and total >= self.reach
            yield window
            return
        for half in self._cut(window):
            yield from self._plan(half)

    def _cut(self, window: Window) -> tuple[Window, Window]:
        """Halve a window; both halves must hold as many users as the whole."""
        left, right = halve(window)
        whole = self._known_total(self._asked(window))
        halves = sum(self._known_total(self._asked(half)) for half in (left, right))
        between = max(0, whole - halves)
        for _ in range(COMPARISONS):
            if not between:
                break
            # Perhaps those Totals are of different moments, and somebody moved in between.
            between = min(between, self._between(window))
        self.between += between
        self.days_lost |= days_fall_between(between, whole)
        return left, right

    def _between(self, window: Window) -> int:
        """How many users the whole had just before, and has just after, whom no half counts."""
        left, right = (self._asked(half) for half in halve(window))
        before = self._total(self._asked(window))
        self._totals[left], self._totals[right] = self._total(left), self._total(right)
        after = self._total(self._asked(window))
        return max(0, min(before, after) - self._totals[left] - self._totals[right])

    def _settle(self, window: Window) -> None:
        """Read one window until it can be believed; one that meets the ceiling is cut in place.

        Once the night cannot be believed any more, each window is read once, for the union.
        """
        self._budget.next_list()
        looks: list[Settling] = []
        while len(looks) < (1 if self._in_doubt else self.limits.max_looks):
            look, settling = self._look(window)
            if look.offset_ignored:
                self.offset_ignored = True
                return
            # An offset that was served for another window is no ceiling: then only this look
            # failed.
            if look.ceiling and look.reached >= self._served_to:
                self._at_ceiling(window, look.reached)
                return
            self._served_to = max(self._served_to, look.reached)
            looks.append(settling)
            if settled(looks):
                return
        self.torn = True

    @property
    def _in_doubt(self) -> bool:
        return self.offset_ignored or self.crowded or self.days_lost or self.torn

    def _at_ceiling(self, window: Window, reached: int) -> None:
        self.reach = min(self.reach, max(reached, 1))
        if window.days == 1:
            self.crowded = True
            return
        self._totals.clear()
        for half in self._cut(window):
            self.read(half)

    def _look(self, window: Window) -> tuple[Look, Settling]:
        """One look at a window, and what decides whether it is settled."""
        users: set[str] = set()

        def keep(page: Page) -> None:
            users.update(page.users)
            self.keep(page)

        fetch = partial(self.users_between, self._asked(window))
        with _served(), Workers(fetch, self.limits.concurrency) as workers:
            look = LookReader(
                workers, keep, budget=self._budget, tolerance=self.limits.tolerance
            ).read()
        self.looks += 1
        return look, Settling(look.closed, look.steady, look.largest, look.total, frozenset(users))

    def _everything(self, last: date) -> Window:
        """All days up to the last one; if bounds are not proven, a day more at the beginning."""
        return Window(self.oldest if self.bounds_proven else self.oldest - DAY, last)

    def _asked(self, window: Window) -> Window:
        """What is asked for a window; if its bounds are not proven, a day more on either side."""
        if self.bounds_proven:
            return window
        wide = widened(window)
        return Window(wide.first, min(wide.last, self.horizon))

    def _known_total(self, window: Window) -> int:
        if window not in self._totals:
            self._totals[window] = self._total(window)
        return self._totals[window]

    def _total(self, window: Window) -> int:
        with _served():
            return self.users_between(window, 0, count=1).total
