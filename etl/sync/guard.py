"""Pure checks: is a sweep whole, and is a loss believable? Values in, verdicts out.

Nothing here reads or writes. Why each rule is there: docs/design.md#how-a-sweep-is-judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from etl.model import Gaps, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

TOLERATED_USERS = 5
"""ETL_TOTAL_TOLERANCE is a share; of a small list it would be nobody."""

ROUND = 1_000
"""A Total, a number of users seen, or an end of the list that is a multiple of this may be a limit
of the server: search indexes stop at such numbers (10,000 is the usual one)."""

TAKEOVER = 7
"""So many snapshots in a row with the very same gap make it the standing gap."""


@dataclass(frozen=True, slots=True)
class Look:
    """One reading of the list, judged.

    Attributes:
        total: the last Total told.
        largest: the largest Total told.
        replaced: how many came in the place of others who left, by its Totals.
        steady: whether every page said the same Total.
        closed: a chain of whole seams runs from the head to the tail.
        ceiling: the server let us no further. Such a look may have closed at the largest
            documented offset: whole then, if its Total is no limit, too; but it marks nobody.
        offset_ignored: the server answers the head whatever the offset.
        distinct: the users it saw, each once.
        new: how many of them no look before had seen.
        same_as: the earlier looks (by index) that saw exactly the same users.
        reached: the end of the farthest page with users.
    """

    total: int
    largest: int
    steady: bool
    closed: bool
    ceiling: bool = False
    offset_ignored: bool = False
    distinct: int = 0
    new: int = 0
    same_as: tuple[int, ...] = ()
    reached: int = 0
    replaced: int = 0

    @property
    def may_be_twin(self) -> bool:
        """Whether it saw exactly as many distinct users as an unchanging Total says there are.

        Not at a ceiling: there Total may count no more than is served.
        """
        return self.steady and self.distinct == self.total and not self.ceiling

    @property
    def gap(self) -> int:
        """Its own gap: the largest Total told during it less the users that it saw itself."""
        return self.largest - self.distinct

    @property
    def whole_at_ceiling(self) -> bool:
        """Whether it reached the end of the list just within what the server serves."""
        return self.closed and self.ceiling and not self.may_be_clamped

    @property
    def may_be_clamped(self) -> bool:
        """Whether its Total, the users it saw, or where it ended may be a limit of the server."""
        numbers = (self.total, self.largest, self.distinct, self.reached)
        return any(number and number % ROUND == 0 for number in numbers)


def tolerated_gap(total: int, share: float) -> int:
    """How many users of `total` may stay unseen in a whole reading."""
    return max(TOLERATED_USERS, int(total * share))


def replaced(totals: Sequence[int]) -> int:
    """How many came in the place of others who left, by what was told as Total, in order.

    All its rises, less those that made it the largest.
    """
    came = sum(max(0, after - before) for before, after in pairwise(totals))
    return totals[0] + came - max(totals)


def gap_of(looks: Sequence[Look]) -> int | None:
    """The gap to keep with the snapshot: the smallest own gap of the closed looks, never below 0.

    A larger one may count somebody who arrived unseen while that look was read; kept, it would let
    as many who are only not shown be taken for gone the next night. Where nothing moved, whoever
    any look showed is no part of it either: two looks that each miss somebody else have no gap.
    """
    own = min((look.gap for look in looks if look.closed), default=None)
    if own is None:
        return None
    if one_total(looks):
        own = min(own, looks[0].total - sum(look.new for look in looks))
    return max(0, own)


def one_total(looks: Sequence[Look]) -> bool:
    """Whether every page of every look told the same Total."""
    return len({look.total for look in looks}) == 1 and all(look.steady for look in looks)


def standing_gap(gaps: Gaps, gap: int | None) -> int:
    """How many users Total counts and the list never shows.

    The smallest of the complete snapshots since the last one that marked somebody, of six at most:
    one that marked nobody may have hidden somebody who had only just arrived, so that nobody known
    was missing. Or the very same one that this sweep and the six snapshots before it have. Never
    below 0.
    """
    recent = gaps.before[: TAKEOVER - 1]
    if gap is not None and len(recent) == TAKEOVER - 1 and all(each == gap for each in recent):
        return gap
    return max(0, gaps.kept or 0)


@dataclass(frozen=True, slots=True)
class Judge:
    """Decides by the looks of one sweep whether its union is the whole list.

    Attributes:
        tolerance: ETL_TOTAL_TOLERANCE, a share.
        gaps: what is known of the gaps of the same source.
    """

    tolerance: float
    gaps: Gaps

    def tolerated(self, looks: Sequence[Look]) -> int:
        """How many users of the largest Total told in the sweep may stay unseen."""
        return tolerated_gap(_largest(looks), self.tolerance)

    def credible(self, looks: Sequence[Look]) -> list[Look]:
        """The looks that may prove something.

        A look that was told of far fewer users than another one proves nothing, however well it
        closed; neither does one that showed nobody, where another one showed somebody.
        """
        least = _largest(looks) - self.tolerated(looks)
        somebody = any(look.distinct for look in looks)
        return [look for look in looks if look.largest >= least and (look.distinct or not somebody)]

    def witnesses(self, looks: Sequence[Look]) -> list[Look]:
        """The credible looks that closed, and met no ceiling."""
        return [look for look in self.credible(looks) if look.closed and not look.ceiling]

    def twins(self, looks: Sequence[Look]) -> bool:
        """Whether two looks saw the identical set, of the size of a Total that changed in neither.

        Such a set is whole, seams or not, unless another look was told of more users.
        """
        return any(
            look.may_be_twin
            and any(looks[i].may_be_twin and looks[i].total == look.total for i in look.same_as)
            for look in self.credible(looks)
        )

    def whole(self, looks: Sequence[Look], *, missing: int) -> bool:
        """Whether the union of the looks is the whole list.

        Where nobody is missing, one witness whose own gap is tolerated is enough. Where somebody
        is, two witnesses are needed, and the own gap of each may not be larger than the standing
        one: if those missing have left, the gap is what it was; if not, it has grown by as many.
        Who came in the place of others counts, too: somebody hidden, somebody read who then left,
        and somebody who came, have no gap together.
        """
        if self.twins(looks):
            return True
        allowed, witnesses = self.tolerated(looks), self.witnesses(looks)
        if missing:
            allowed = min(allowed, standing_gap(self.gaps, gap_of(looks)))
            speaking = sum(look.gap + look.replaced <= allowed for look in witnesses)
        else:
            at_ceiling = [look for look in self.credible(looks) if look.whole_at_ceiling]
            speaking = sum(look.gap <= allowed for look in [*witnesses, *at_ceiling])
        return speaking >= _needed(missing)

    def enough(self, looks: Sequence[Look], *, missing: int) -> bool:
        """Whether to stop looking: the sweep is whole, or looking again cures nothing."""
        last = looks[-1]
        if last.ceiling or last.offset_ignored:
            return True
        if self.whole(looks, missing=missing):
            return not self._has_unproven_gap(looks)
        # A look that closed and is one too few may yet get its second witness.
        one_too_few = last.closed and sum(look.closed for look in looks) < _needed(missing)
        return len(looks) > 1 and one_total(looks) and not last.new and not one_too_few

    def _has_unproven_gap(self, looks: Sequence[Look]) -> bool:
        """Whether one look alone says that the gap has grown.

        It would be the standing gap from here on, and perhaps somebody only arrived unseen: a
        second look tells.
        """
        return len(looks) == 1 and looks[0].gap > max(0, self.gaps.kept or 0)

    def doubt(self, looks: Sequence[Look], *, missing: int) -> Reason | None:
        """Why the sweep cannot be believed whole; None where it can.

        Args:
            looks: all of them, in order.
            missing: users known to follow whom no look saw.
        """
        if any(look.offset_ignored for look in looks):
            return Reason.OFFSET_IGNORED
        if missing and any(look.may_be_clamped for look in looks):
            return Reason.CEILING
        if self.whole(looks, missing=missing):
            return None
        if sum(look.closed and not look.ceiling for look in looks) < _needed(missing):
            return Reason.CEILING if any(look.ceiling for look in looks) else Reason.TORN
        return Reason.TOTAL_GAP


def _largest(looks: Sequence[Look]) -> int:
    return max(look.largest for look in looks)


def _needed(missing: int) -> int:
    """How many witnesses it takes."""
    return 2 if missing else 1


def hold(
    unfollowed: int,
    *,
    following: int,
    seen: int,
    max_share: float,
    floor: int,
    allowed: int | None = None,
) -> Reason | None:
    """Why a complete sweep must not be applied unasked; None where it may.

    An outage upstream is likelier than an exodus.

    Args:
        unfollowed: users who would be marked.
        following: users who followed before.
        seen: users whom the sweep saw.
        max_share: ETL_MAX_UNFOLLOW_SHARE, of those who followed.
        floor: ETL_UNFOLLOW_FLOOR, users.
        allowed: users whom an operator lets through; None where nobody was asked.
    """
    if allowed is not None and unfollowed <= allowed:
        return None
    if not seen and following:
        return Reason.NOBODY_SEEN
    if unfollowed > floor and unfollowed > max_share * following:
        return Reason.MASS_UNFOLLOW
    return None


def let_through(held_unfollowed: int) -> int:
    """How many unfollows an operator accepts: a tenth more than the last held snapshot had."""
    return held_unfollowed + held_unfollowed // 10
