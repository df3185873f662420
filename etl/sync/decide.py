"""What a run makes of its sweep: a function of values, used by the run and by the dry run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from etl.model import Counts, Reason, Source, Status
from etl.settings import MAX_UNFOLLOW_SHARE, UNFOLLOW_FLOOR
from etl.sync.guard import hold, let_through

if TYPE_CHECKING:
    from etl.db.snapshots import Before
    from etl.model import Sweep
    from etl.sync.sweep import SweepLimits


@dataclass(frozen=True, slots=True)
class Difference:
    """Users, counted: by how many the sweep and those known to follow differ.

    Attributes:
        arrived: seen, and not known to follow.
        returned: how many of them followed once, and left.
        gone: known to follow, and not seen.
    """

    arrived: int
    returned: int
    gone: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a snapshot: its status, why, and what it changes (would change, if held).

    A held snapshot leaves as many following as there were.
    """

    status: Status
    reason: Reason | None
    counts: Counts


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings that a sync decides by.

    Attributes:
        sweep: how the list is read.
        max_unfollow_share: ETL_MAX_UNFOLLOW_SHARE, of those who follow.
        unfollow_floor: ETL_UNFOLLOW_FLOOR, users.
        allow_mass_unfollow: whether a loss like the one that was held last is believed.
    """

    sweep: SweepLimits
    max_unfollow_share: float = MAX_UNFOLLOW_SHARE
    unfollow_floor: int = UNFOLLOW_FLOOR
    allow_mass_unfollow: bool = False


def decide(before: Before, swept: Sweep, difference: Difference, limits: Limits) -> Decision:
    """Complete, partial or held, and what that changes.

    Args:
        before: what was known when the run began.
        swept: what was read.
        difference: between the two.
        limits: the settings.
    """
    new = difference.arrived - difference.returned
    baseline = _found_not_arrived(before, swept)
    counts = Counts(
        baseline=new if baseline else 0,
        followed=0 if baseline else new,
        refollowed=difference.returned,
        unfollowed=difference.gone if swept.complete else 0,
        following=before.following,
    )
    applied = replace(counts, following=before.following + counts.change)
    if not swept.complete:
        return Decision(Status.PARTIAL, swept.reason, applied)
    allowed = None
    if limits.allow_mass_unfollow and before.held is not None:
        allowed = let_through(before.held)
    held = hold(
        counts.unfollowed,
        following=before.following,
        seen=swept.seen,
        max_share=limits.max_unfollow_share,
        floor=limits.unfollow_floor,
        allowed=allowed,
    )
    if held:
        return Decision(Status.HELD, held, counts)
    return Decision(Status.COMPLETE, None, applied)


def _found_not_arrived(before: Before, swept: Sweep) -> bool:
    """Whether whoever is new goes on record as baseline, and not as having followed that day.

    So it is until there was a whole reading; of windows, one of windows. And at any time where the
    listing ended at its ceiling: whoever is new there may have slid into view as others left.
    """
    if swept.reason is Reason.CEILING:
        return True
    if swept.source is Source.WINDOWS:
        return Source.WINDOWS not in before.settled
    return not before.settled
