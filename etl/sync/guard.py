"""Pure checks: is a sweep whole, and is a diff believable? Values in, verdicts out; nothing here reads or writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.model import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.model import Diff

TOLERATED_USERS = 5
"""ETL_TOTAL_TOLERANCE is a share; of a small list it would be nobody."""


@dataclass(frozen=True, slots=True)
class Look:
    """One reading of the list, judged.

    `closed`: a chain of whole seams runs from the head to the tail. `ceiling`: the server let us no
    further; such a look may have closed at the largest documented offset, but `Total` itself may be
    clamped, so it may mark nobody. `total` is its last Total, `steady` whether every page said the
    same one. `distinct`, `new` and `same_as` as in LookTally.
    """

    total_first: int
    total: int
    steady: bool
    closed: bool
    ceiling: bool = False
    offset_ignored: bool = False
    distinct: int = 0
    new: int = 0
    same_as: tuple[int, ...] = ()

    @property
    def counts_up(self) -> bool:
        """Whether it saw exactly as many distinct users as an unchanging Total says there are."""
        return self.steady and self.distinct == self.total


def tolerated_gap(total: int, share: float) -> int:
    """How many users of `total` may stay unseen in a whole reading."""
    return max(TOLERATED_USERS, int(total * share))


def twins(looks: Sequence[Look]) -> bool:
    """Whether two looks saw the identical set, of the size of a Total that changed in neither: whole, seams or not."""
    last = looks[-1]
    return last.counts_up and any(
        looks[i].counts_up and looks[i].total == last.total for i in last.same_as
    )


def enough(looks: Sequence[Look], *, missing_from_last: int) -> bool:
    """Whether to stop looking: the last look was enough by itself, found nobody new, or looking again cures nothing."""
    last = looks[-1]
    if last.ceiling or last.offset_ignored or twins(looks):
        return True
    if last.closed and last.counts_up and not missing_from_last:
        return True
    return len(looks) > 1 and last.closed and not last.new


def doubt(
    looks: Sequence[Look], *, missing: int, seen: int, tolerance: float, previous_gap: int | None
) -> Reason | None:
    """Why the sweep cannot be believed whole; None where it can (DESIGN §3).

    Args:
        looks: all of them, in order.
        missing: users known to follow whom no look saw.
        seen: distinct users of all looks.
        tolerance: ETL_TOTAL_TOLERANCE, a share.
        previous_gap: `total - seen` of the OA's snapshot before, None where there is none.
    """
    if any(look.offset_ignored for look in looks):
        return Reason.OFFSET_IGNORED
    closed = sum(look.closed for look in looks)
    witnesses = sum(look.closed and not look.ceiling for look in looks)
    proven = closed if not missing else witnesses > 1
    if not proven and not any(twins(looks[: i + 1]) for i in range(len(looks))):
        return Reason.CEILING if any(look.ceiling for look in looks) else Reason.TORN
    gap = looks[-1].total - seen
    allowed = tolerated_gap(looks[-1].total, tolerance)
    if previous_gap is not None:
        growth = max(0, looks[-1].total - looks[0].total_first)
        allowed = min(allowed, max(0, previous_gap) + growth)
    return Reason.TOTAL_GAP if gap > allowed else None


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """ETL_MAX_UNFOLLOW_SHARE, ETL_UNFOLLOW_FLOOR, and what an operator lets through (users; None where nothing was asked)."""

    max_share: float
    floor: int
    allowed: int | None = None


MASS_UNFOLLOW = "mass_unfollow"
NOBODY_SEEN = "nobody_seen"


def hold(diff: Diff, *, seen: int, limits: GuardLimits) -> str | None:
    """Why a complete sweep must not be applied unasked; None where it may: an outage upstream is likelier than an exodus."""
    if limits.allowed is not None and diff.unfollowed <= limits.allowed:
        return None
    if not seen and diff.following:
        return NOBODY_SEEN
    if diff.unfollowed > limits.floor and diff.unfollowed > limits.max_share * diff.following:
        return MASS_UNFOLLOW
    return None


def let_through(held_unfollowed: int) -> int:
    """How many --allow-mass-unfollow lets through: at most a tenth more than the last held snapshot would have marked."""
    return held_unfollowed + held_unfollowed // 10
