"""Reading the list of one OA by GetFollowers and, beyond a ceiling, by windows of days."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from etl.model import VIETNAM, Reason, Source, Sweep
from etl.sync.sweep import sweep
from etl.sync.windowed import ceiling_stands, needs_windows, sweep_by_windows
from etl.sync.windows import REACH

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from etl.model import Gaps, Page
    from etl.sync.spool import Spool
    from etl.sync.sweep import SweepLimits
    from etl.sync.window_reader import UsersBetween

WINDOW_ZONE = ZoneInfo(VIETNAM)
"""Whose days the windows are of."""


def read_list(
    page: Callable[[int], Page],
    users_between: UsersBetween | None,
    spool: Spool,
    *,
    add_known: Callable[[], None],
    limits: SweepLimits,
    gaps: Callable[[Source], Gaps],
    last_source: Source | None,
    renew: Callable[[], None],
    today: Callable[[], date],
    on_page: Callable[[int, int, int], None],
) -> Sweep:
    """Read everybody who follows one OA into the spool, and judge the reading.

    Args:
        page: gives the page of GetFollowers at an offset.
        users_between: gives the page of a window; None where windows are switched off.
        spool: takes every user seen.
        add_known: adds to the spool who is known to follow; called after the first look.
        limits: the settings.
        gaps: what is known of the gaps of a source.
        last_source: of the OA's last applied snapshot. One that was read by windows begins there,
            as long as the ceiling stands.
        renew: lets the next look be read over new connections.
        today: the date in WINDOW_ZONE, now.
        on_page: given (look from 1, end of the page, Total) after every page.

    Raises:
        EtlError: whatever the calls raise, and SpoolError.
    """

    def by_followers() -> Sweep:
        return sweep(
            page,
            spool,
            add_known=add_known,
            limits=limits,
            gaps=gaps(Source.FOLLOWERS),
            renew=renew,
            on_page=on_page,
        )

    shortcut = None
    if users_between is not None and last_source is Source.WINDOWS:
        shortcut = _at_ceiling_still(page, spool, add_known)
    followers = shortcut or by_followers()
    if users_between is None or not needs_windows(followers):
        return followers
    ended_early = followers.reached and followers.reached < followers.total
    swept = sweep_by_windows(
        page,
        users_between,
        spool,
        followers=followers,
        limits=limits,
        gaps=gaps(Source.WINDOWS),
        today=today,
        reach=min(REACH, followers.reached) if ended_early else REACH,
        on_page=on_page,
    )
    # Not served any more: then at least those in reach are kept up to date.
    return by_followers() if shortcut and swept.source is Source.FOLLOWERS else swept


def _at_ceiling_still(
    page: Callable[[int], Page], spool: Spool, add_known: Callable[[], None]
) -> Sweep | None:
    """What two requests show of an OA that was read by windows before; None: it needs none now."""
    head = ceiling_stands(page, spool.add)
    if head is None:
        return None
    spool.end_look()
    add_known()
    return Sweep(
        total=head.total,
        seen=spool.seen(),
        missing=spool.missing(),
        looks=1,
        closed_looks=0,
        gap=None,
        reason=Reason.CEILING,
    )
