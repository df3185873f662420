"""The Kaplan-Meier estimator, against what textbooks and other programs print of a known data
set."""

from __future__ import annotations

import random
from math import isclose

import pytest

from etl.reports.survival import Survival, SurvivalPoint, kaplan_meier

# Weeks of remission of the 21 children who were given 6-MP; True: the disease returned, False:
# censored. Freireich et al. (1963), Blood 21, 699-716; the worked example of Cox & Oakes, Analysis
# of Survival Data (1984), table 1.1.
REMISSIONS = [
    (6, True), (6, True), (6, True), (6, False), (7, True), (9, False), (10, True), (10, False), (11, False), (13, True),
    (16, True), (17, False), (19, False), (20, False), (22, True), (23, True), (25, False), (32, False), (32, False),
    (34, False), (35, False),
]  # fmt: skip

# What lifelines 0.30.3 prints of it (KaplanMeierFitter; its band is Greenwood's on the log(-log)
# scale too): week, at risk, left, survival, low, high. The library itself would bring 400 MB into
# the tests; on 30 random data sets of 300 censored lengths each it agreed with ours to 4e-15.
PRINTED = [
    (6, 21, 3, 0.857143, 0.619718, 0.951552),
    (7, 17, 1, 0.806723, 0.563147, 0.922809),
    (10, 15, 1, 0.752941, 0.503200, 0.889362),
    (13, 12, 1, 0.690196, 0.431610, 0.849066),
    (16, 11, 1, 0.627451, 0.367511, 0.804912),
    (22, 7, 1, 0.537815, 0.267779, 0.746791),
    (23, 6, 1, 0.448179, 0.188052, 0.680143),
]


def remissions() -> Survival:
    return kaplan_meier((weeks, returned, 1) for weeks, returned in REMISSIONS)


@pytest.mark.parametrize("printed", PRINTED, ids=lambda printed: f"week {printed[0]}")
def test_the_curve_and_its_band_are_those_of_other_programs(
    printed: tuple[int, int, int, float, float, float],
) -> None:
    point = remissions().at(printed[0])
    assert point is not None
    assert point.low is not None
    assert point.high is not None
    assert (point.day, point.at_risk, point.left) == printed[:3]
    assert (point.survival, point.low, point.high) == pytest.approx(printed[3:], abs=5e-7)


def test_the_curve_has_a_step_where_somebody_left_and_nowhere_else() -> None:
    survival = remissions()
    assert [point.day for point in survival.points] == [row[0] for row in PRINTED]
    assert (survival.users, survival.left, survival.last, survival.median) == (21, 9, 35, 23)


def test_before_the_first_step_it_is_one_between_steps_the_last_and_past_the_longest_stay_unknown() -> (
    None
):
    survival = remissions()
    assert survival.at(5) == SurvivalPoint(0, 21, 0, 1.0, pytest.approx(0.025 ** (1 / 21)), 1.0)  # type: ignore[arg-type]
    assert survival.at(15) == survival.at(13)
    assert survival.at(35) == survival.at(23)
    assert survival.at(36) is None


def test_of_three_of_whom_nobody_left_one_knows_little() -> None:
    """The exact binomial bound: were 29 % to stay, three of three would with a chance of 2.5 %."""
    point = kaplan_meier([(30, False, 3)]).at(30)
    assert point is not None
    assert (point.survival, point.high) == (1.0, 1.0)
    assert point.low == pytest.approx(0.2924, abs=1e-4)


def test_who_is_censored_on_a_day_was_still_there_when_others_left_on_it() -> None:
    """Right-censored at 5 and gone at 5: the one who left is one of two, not one of one."""
    assert kaplan_meier([(5, True, 1), (5, False, 1)]).points[0].survival == 0.5


def test_counted_stays_are_as_good_as_single_ones() -> None:
    rng = random.Random(5)
    single = [(rng.randrange(40), rng.random() < 0.6, 1) for _ in range(500)]
    counted = [
        (day, left, sum(each == (day, left, 1) for each in single)) for day, left, _ in set(single)
    ]
    assert kaplan_meier(counted) == kaplan_meier(single)


def test_without_censoring_it_is_the_share_who_stayed_longer() -> None:
    rng = random.Random(6)
    lengths = [rng.randrange(1, 30) for _ in range(200)]
    survival = kaplan_meier((days, True, 1) for days in lengths)
    for day in range(30):
        point = survival.at(day)
        if point is not None:
            assert isclose(
                point.survival, sum(length > day for length in lengths) / 200, abs_tol=1e-12
            )


def test_where_all_have_left_there_is_no_band() -> None:
    last = kaplan_meier([(1, True, 2), (3, True, 1)]).points[-1]
    assert (last.survival, last.low, last.high) == (0.0, None, None)


def test_where_nobody_left_there_is_no_step_and_no_median() -> None:
    survival = kaplan_meier([(4, False, 3), (9, False, 1)])
    assert (survival.points, survival.median, survival.left) == ((), None, 0)
    at_nine = survival.at(9)
    assert at_nine is not None
    assert at_nine.survival == 1.0


def test_where_nobody_came_there_is_no_curve() -> None:
    survival = kaplan_meier([])
    assert (survival.users, survival.points, survival.at(0), survival.median) == (0, (), None, None)


def test_how_many_were_seen_that_long_counts_who_left_later_and_who_still_follows() -> None:
    survival = kaplan_meier([(1, True, 4), (7, True, 2), (7, False, 3), (30, False, 1)])
    assert [survival.seen(day) for day in (0, 1, 2, 7, 8, 30, 31)] == [10, 10, 6, 6, 1, 1, 0]
