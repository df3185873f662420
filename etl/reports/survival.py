"""How long new followers stay: the Kaplan-Meier estimator, for stays counted in days.

    S(t) = Π over days d ≤ t of (1 - left on day d / still there just before day d)

Kaplan, E. L.; Meier, P. (1958): Nonparametric Estimation from Incomplete Observations. JASA 53,
457-481. Its variance is Greenwood's; the band is taken on the log(-log S) scale, so that it stays
between 0 and 1 (Kalbfleisch & Prentice, 1980).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Z_95 = 1.959963984540054
"""The normal quantile of a two-sided 95 % band."""

HALF_OF_5_PERCENT = 0.025
"""What a two-sided 95 % band leaves out at one side."""


@dataclass(frozen=True, slots=True)
class SurvivalPoint:
    """A day on which somebody left.

    `at_risk` were there just before; `low` and `high` are None where nobody is left.
    """

    day: int
    at_risk: int
    left: int
    survival: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Survival:
    """The curve: 1 until the first point, then a step at each.

    It is known up to `last`, the longest stay seen, in days.
    """

    users: int
    left: int
    last: int
    points: tuple[SurvivalPoint, ...]
    lengths: tuple[tuple[int, int], ...] = ()
    """(days, how many stays were that long when they ended or were last seen), what the curve was
    made of."""

    def at(self, day: int) -> SurvivalPoint | None:
        """The curve on a day, as the last step before it left it; None past the longest stay."""
        if not self.users or day > self.last:
            return None
        before = bisect_right(self.points, day, key=lambda point: point.day)
        if before:
            return self.points[before - 1]
        # Of n of whom nobody left: the exact binomial bound, since Greenwood's band has no width.
        low = HALF_OF_5_PERCENT ** (1 / max(self.seen(day), 1))
        return SurvivalPoint(0, self.users, 0, 1.0, low, 1.0)

    def seen(self, day: int) -> int:
        """How many were seen to follow for that many days, or longer."""
        return sum(count for length, count in self.lengths if length >= day)

    @property
    def median(self) -> int | None:
        """The first day on which at most half are left; None where more than half still follow."""
        return next((point.day for point in self.points if point.survival <= 0.5), None)  # noqa: PLR2004 - half


def kaplan_meier(stays: Iterable[tuple[int, bool, int]]) -> Survival:
    """Estimate it from (length in days, whether it ended, how many such stays).

    Whoever still follows is censored at the length seen so far, after those who left at that
    length.
    """
    left: dict[int, int] = defaultdict(int)
    gone: dict[int, int] = defaultdict(int)
    for day, ended, count in stays:
        gone[day] += count
        left[day] += count if ended else 0
    users = at_risk = sum(gone.values())
    points, survival, variance = [], 1.0, 0.0
    for day in sorted(gone):
        if left[day]:
            survival *= (at_risk - left[day]) / at_risk
            if at_risk > left[day]:
                variance += left[day] / (at_risk * (at_risk - left[day]))
            points.append(
                SurvivalPoint(day, at_risk, left[day], survival, *_band(survival, variance))
            )
        at_risk -= gone[day]
    return Survival(
        users, sum(left.values()), max(gone, default=0), tuple(points), tuple(sorted(gone.items()))
    )


def _band(survival: float, variance: float) -> tuple[float | None, float | None]:
    """The 95 % band of log(-log S), brought back to S."""
    if survival == 0:
        return None, None
    half = Z_95 * sqrt(variance) / -log(survival)
    return survival ** exp(half), survival ** exp(-half)
