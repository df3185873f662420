"""Beyond the ceiling: followers read by windows of their day of last interaction.

The order is the proof (docs/design.md#beyond-the-ceiling): old windows first, oldest first, one
after the other; then the test that everybody has a day; then the recent part; then the Totals.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Protocol

from etl.errors import (
    BadRequestError,
    EsmsUnavailableError,
    EtlError,
    FaultError,
    ImpossibleAnswerError,
    OffsetRefusedError,
    UndocumentedCodeError,
    UnknownAccountError,
)
from etl.model import Page, Reason, Source, Sweep, Window
from etl.sync.look import Budget, LookReader, Workers
from etl.sync.windows import (
    FULL,
    OLDEST,
    REACH,
    Pair,
    Reading,
    Settling,
    days_fall_between,
    doubt,
    halve,
    old_part,
    pairs,
    recent_part,
    settled,
    widened,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date

    from etl.model import Gaps
    from etl.sync.spool import Spool
    from etl.sync.sweep import SweepLimits

NOT_SERVED = (
    UnknownAccountError,
    ImpossibleAnswerError,
    EsmsUnavailableError,
    FaultError,
    OffsetRefusedError,
)
"""What says that this call is not to be had: the listing stays as it was, cut at its ceiling."""

DAYS_TESTS = 5
PROOFS = 3
RECENT_READINGS = 4


class UsersBetween(Protocol):
    """QueryListUID of one OA, of those who follow."""

    def __call__(self, window: Window, offset: int, *, count: int = 50) -> Page:
        """The page of a window at an offset."""


@dataclass
class WindowReader:
    """Reads the windows of one OA into the spool; notes what stands against believing them.

    Attributes:
        page: gives the page of GetFollowers at an offset.
        users_between: gives the page of a window at an offset.
        keep: takes every page.
        limits: the settings.
        today: the date in the zone of windows, now.
        reach: how many users one listing reaches, as far as is known.
    """

    page: Callable[[int], Page]
    users_between: UsersBetween
    keep: Callable[[Page], None]
    limits: SweepLimits
    today: Callable[[], date]
    reach: int = REACH
    oldest: date = OLDEST
    future: bool = True
    bounds_proven: bool = False
    crowded: bool = False
    days_lost: bool = False
    torn: bool = False
    looks: int = 0
    _totals: dict[Window, int] = field(default_factory=dict)

    def everything(self) -> Window:
        """All days there are, up to the day after tomorrow, or to now where the future is refused."""
        last = recent_part(old_part(self.today()), self.today(), future=self.future).last
        return self._asked(Window(self.oldest, last))

    def find_horizon(self) -> None:
        """Learn whether the future is served, and from which year on.

        Raises:
            FaultError: no range of days is taken at all.
        """
        refusal: EtlError | None = None
        years = range(OLDEST.year, self.today().year + 1, 2)
        for year, future in product(years, (True, False)):
            self.oldest, self.future = OLDEST.replace(year=year), future
            try:
                total = self._total(self.everything())
            except FaultError as error:
                refusal = error
                continue
            # Some answer a day to come with nobody: then they are asked up to today.
            self.future = future and total >= self._total_up_to_today()
            return
        assert refusal is not None  # noqa: S101 - the loops ran
        raise refusal

    def _total_up_to_today(self) -> int:
        # As it is: a day more on either side would be the future again.
        return self._total(Window(self.oldest, self.today()))

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
        for part in self._plan(window):
            self._settle(part)

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
        """The windows that one listing reaches, oldest first; asks for Totals as it goes.

        The halves of a window are asked when its turn comes, after those before it were read.
        """
        total = self._known_total(self._asked(window))
        if total <= FULL * self.reach or window.days == 1:
            # Of a single day nothing can be cut any more.
            self.crowded |= window.days == 1 and total >= self.reach
            yield window
            return
        left, right = halve(window)
        totals = self._known_total(self._asked(left)), self._known_total(self._asked(right))
        if days_fall_between(*totals, total):
            self.days_lost = True
        yield from self._plan(left)
        yield from self._plan(right)

    def _settle(self, window: Window) -> None:
        """Read one window until it can be believed; one that meets the ceiling is cut in place."""
        looks: list[Settling] = []
        while len(looks) < self.limits.max_looks:
            look, ceiling, reached = self._look(window)
            if ceiling:
                self.reach = min(self.reach, max(reached, 1))
                if window.days == 1:
                    self.crowded = True
                    return
                for half in halve(window):
                    self._settle(half)
                return
            looks.append(look)
            if settled(looks):
                return
        self.torn = True

    def _look(self, window: Window) -> tuple[Settling, bool, int]:
        """One look at a window: what it saw, whether it met the ceiling, how many users it reached."""
        users: set[str] = set()
        totals: list[int] = []
        reached = 0

        def keep(page: Page) -> None:
            nonlocal reached
            users.update(page.users)
            totals.append(page.total)
            reached = max(reached, page.end if page.users else 0)
            self.keep(page)

        fetch = partial(self.users_between, self._asked(window))
        with Workers(fetch, self.limits.concurrency) as workers:
            budget = Budget()
            verdict = LookReader(
                workers, keep, budget=budget, tolerance=self.limits.tolerance
            ).read()
        self.looks += 1
        seen = Settling(verdict.closed, verdict.steady, totals[0], verdict.total, frozenset(users))
        return seen, verdict.ceiling or verdict.offset_ignored, reached

    def _asked(self, window: Window) -> Window:
        """What is asked for a window: where its bounds are not proven, a day more on either side."""
        if self.bounds_proven:
            return window
        wide = widened(window)
        return wide if self.future else Window(wide.first, min(wide.last, self.today()))

    def _known_total(self, window: Window) -> int:
        if window not in self._totals:
            self._totals[window] = self._total(window)
        return self._totals[window]

    def _total(self, window: Window) -> int:
        return self.users_between(window, 0, count=1).total

    def total_of_all_days(self) -> int:
        """The Total of everybody with a day, asked now."""
        return self._total(self.everything())

    def everybody_has_a_day(self) -> bool:
        """Whether the Total of all followers is that of all days, at one moment."""
        for _ in range(DAYS_TESTS):
            before = self.page(0).total
            all_days = self.total_of_all_days()
            if before == all_days == self.page(0).total:
                return True
        return False


def ceiling_stands(page: Callable[[int], Page], keep: Callable[[Page], None]) -> Page | None:
    """The head of the listing, where it ends at its ceiling still; None where it reaches further.

    Two requests of GetFollowers: its Total, and whether anybody is served beyond the ceiling.
    """
    head = page(0)
    keep(head)
    try:
        beyond = page(REACH)
    except (OffsetRefusedError, UndocumentedCodeError, BadRequestError):
        return head
    keep(beyond)
    return None if beyond.users else head


def needs_windows(followers: Sweep) -> bool:
    """Whether the listing was cut, or ends at the very number at which it would be."""
    return followers.reason is Reason.CEILING or REACH in {followers.total, followers.reached}


def sweep_by_windows(
    page: Callable[[int], Page],
    users_between: UsersBetween,
    spool: Spool,
    *,
    followers: Sweep,
    limits: SweepLimits,
    gaps: Gaps,
    today: Callable[[], date],
    reach: int = REACH,
    on_page: Callable[[int, int, int], None] = lambda look, end, total: None,  # noqa: ARG005 - a callback that ignores all
) -> Sweep:
    """Go on beyond the ceiling, in the run that met it.

    Args:
        page: gives the page of GetFollowers at an offset.
        users_between: gives the page of a window.
        spool: knows who follows, and whom GetFollowers' own pages showed in this run.
        followers: what GetFollowers came to: its Total, looks and missing.
        limits: the settings.
        gaps: of the source windows.
        today: the date in the zone of windows, now.
        reach: how many users one listing showed before it ended.
        on_page: given (look from 1, users read so far, Total) after every page.

    Returns:
        The sweep by windows; `followers`, with reason `ceiling`, where the call is not served.

    Raises:
        EtlError: refusals, what ended the run, and SpoolError.
    """
    read = 0

    def keep(each: Page) -> None:
        nonlocal read
        read += len(each.users)
        spool.add(each)
        on_page(followers.looks + 1, read, followers.total)

    reader = WindowReader(page, users_between, keep, limits, today, reach=reach)
    first_look = spool.looks
    try:
        dated = _read_windows(reader, spool)
        total = reader.total_of_all_days()
    except NOT_SERVED:
        spool.end_look()
        return replace(followers, seen=spool.seen(), missing=spool.missing(), reason=Reason.CEILING)
    missing = spool.missing()
    reading = Reading(
        crowded=reader.crowded,
        days_lost=reader.days_lost or not (reader.bounds_proven or reader.future),
        torn=reader.torn,
        dated=dated,
        total=total,
        clamped=total in {reader.reach, REACH},
        distinct=spool.union_from(first_look),
        missing=missing,
    )
    return Sweep(
        total=followers.total,
        seen=spool.seen(),
        missing=missing,
        looks=followers.looks + reader.looks,
        closed_looks=followers.closed_looks,
        gap=max(0, reading.gap),
        reason=doubt(reading, tolerance=limits.tolerance, gaps=gaps),
        source=Source.WINDOWS,
    )


def _read_windows(reader: WindowReader, spool: Spool) -> bool:
    """Read everything in the order that proves; whether everybody had a day before the last part."""
    reader.find_horizon()
    old = old_part(reader.today(), reader.oldest)
    reader.prove_bounds(old)
    reader.read(old)
    spool.end_look()
    dated = reader.everybody_has_a_day()
    for _ in range(RECENT_READINGS):
        missing = spool.missing()
        reader.read(recent_part(old, reader.today(), future=reader.future))
        spool.end_look()
        # Read again while it still finds somebody of those who were missing.
        if not spool.missing() or spool.missing() == missing:
            break
    return dated
