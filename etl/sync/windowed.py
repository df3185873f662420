"""Beyond the ceiling: followers read by windows of their day of last interaction.

The order is the proof (docs/design.md#beyond-the-ceiling): old windows first, oldest first, one
after the other; then the test that everybody has a day; then the recent part; then the Totals.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from etl.errors import BadRequestError, OffsetRefusedError, UndocumentedCodeError
from etl.model import Page, Reason, Source, Sweep, Window, ignore
from etl.sync.window_reader import NotServedError, WindowReader
from etl.sync.windows import DAY, REACH, WindowsReading, doubt, old_part

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from etl.model import Gaps
    from etl.sync.spool import Spool
    from etl.sync.sweep import SweepLimits
    from etl.sync.window_reader import UsersBetween

DAYS_TESTS = 5
"""How often the two Totals of the days test are asked until they agree."""

RECENT_READINGS = 4
"""How often the recent part is read at most, while it still finds somebody who was missing."""


def ceiling_stands(page: Callable[[int], Page], keep: Callable[[Page], None]) -> Page | None:
    """The head of the listing, where it ends at its ceiling still; None where it may reach all.

    At most two requests of GetFollowers: its Total, and whether anybody is served beyond the
        ceiling.
    An OA that has fewer followers by now than one listing shows is read by GetFollowers again.
    """
    head = page(0)
    keep(head)
    if head.total < REACH:
        return None
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
    on_page: Callable[[int, int, int], None] = ignore,
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
        on_page: given (look from 1, end of the page, Total) after every page.

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

    reader = WindowReader(users_between, keep, limits, today, reach=reach)
    first_look = spool.looks
    try:
        dated, old_totals = _read_windows(reader, page, spool)
    except NotServedError:
        spool.end_look()
        return replace(followers, seen=spool.seen(), missing=spool.missing(), reason=Reason.CEILING)
    missing = spool.missing()
    reading = WindowsReading(
        offset_ignored=reader.offset_ignored,
        crowded=reader.crowded,
        between=reader.between,
        days_lost=reader.days_lost or not (reader.bounds_proven or reader.future),
        torn=reader.torn,
        dated=dated,
        before=tuple(reader.totals[:old_totals]),
        since=tuple(reader.totals[old_totals:]),
        clamped=reader.totals[-1] in {reader.reach, REACH},
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


def _read_windows(
    reader: WindowReader, page: Callable[[int], Page], spool: Spool
) -> tuple[bool, int]:
    """Read everything in the order that proves.

    Returns:
        Whether everybody had a day before the last part was read; and how many Totals of all days
        were asked before it.
    """
    reader.find_days()
    reader.count_all_days()
    old = old_part(reader.today(), reader.oldest)
    reader.prove_bounds(old)
    reader.read(old)
    spool.end_look()
    dated = _days_test(reader, page)
    old_totals = len(reader.totals) - 1
    for _ in range(RECENT_READINGS):
        missing = spool.missing()
        _read_recent(reader, old, spool)
        # Read again while it still finds somebody of those who were missing.
        if not spool.missing() or spool.missing() == missing:
            break
    if reader.look_ahead():
        _read_recent(reader, old, spool)
    if spool.missing():
        # Who fell out of all days since the first test is not gone: GetFollowers counts them.
        dated = dated and _days_test(reader, page)
    return dated, old_totals


def _read_recent(reader: WindowReader, old: Window, spool: Spool) -> None:
    reader.read_again(Window(old.last + DAY, reader.horizon))
    spool.end_look()


def _days_test(reader: WindowReader, page: Callable[[int], Page]) -> bool:
    """Whether the Total of all followers is that of all days, at one moment."""
    for _ in range(DAYS_TESTS):
        reader.look_ahead()
        before = page(0).total
        if before == reader.count_all_days() == page(0).total:
            return True
    return False
