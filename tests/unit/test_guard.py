"""The guard at its thresholds: met is believed, exceeded by one is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.model import Diff, Reason
from etl.sync.guard import (
    MASS_UNFOLLOW,
    NOBODY_SEEN,
    TOLERATED_USERS,
    GuardLimits,
    Look,
    doubt,
    enough,
    hold,
    let_through,
    tolerated_gap,
    twins,
)


def look(
    *,
    total: int = 1_000,
    total_first: int | None = None,
    steady: bool = True,
    closed: bool = True,
    ceiling: bool = False,
    offset_ignored: bool = False,
    distinct: int | None = None,
    new: int = 0,
    same_as: tuple[int, ...] = (),
) -> Look:
    """A look that closed on an unchanging Total and counts up to it, unless told otherwise."""
    first = total if total_first is None else total_first
    return Look(
        first,
        total,
        steady,
        closed,
        ceiling,
        offset_ignored,
        total if distinct is None else distinct,
        new,
        same_as,
    )


def doubted(
    *looks: Look,
    missing: int = 0,
    seen: int = 1_000,
    tolerance: float = 0.005,
    gap: int | None = None,
) -> Reason | None:
    return doubt(looks, missing=missing, seen=seen, tolerance=tolerance, previous_gap=gap)


# -- how often to look ----------------------------------------------------------------------------------------------------


def test_one_look_is_enough_where_it_closed_counts_up_and_misses_nobody_known() -> None:
    assert enough([look(new=1_000)], missing_from_last=0)


@pytest.mark.parametrize(
    ("first", "missing"),
    [
        (look(closed=False, new=1_000), 0),
        (look(distinct=999, new=999), 0),
        (look(distinct=1_001, new=1_001), 0),
        (look(steady=False, new=1_000), 0),
        (look(new=1_000), 1),
    ],
    ids=[
        "torn",
        "one fewer than Total",
        "one more than Total",
        "a moving Total",
        "somebody known is missing",
    ],
)
def test_one_look_is_not_enough_where_any_of_it_fails(first: Look, missing: int) -> None:
    assert not enough([first], missing_from_last=missing)


def test_looking_ends_with_a_closed_look_that_found_nobody_new() -> None:
    first = look(new=1_000, distinct=1_000, total=1_010)
    assert enough([first, look(total=1_010, distinct=1_000)], missing_from_last=3)
    assert not enough([first, look(total=1_010, distinct=1_000, new=1)], missing_from_last=3)
    assert not enough([first, look(total=1_010, distinct=1_000, closed=False)], missing_from_last=3)


def test_a_first_look_that_found_nobody_at_all_is_not_yet_enough_where_somebody_is_known() -> None:
    nobody = look(total=0, distinct=0)
    assert not enough([nobody], missing_from_last=5)
    assert enough([nobody], missing_from_last=0)
    assert enough([nobody, look(total=0, distinct=0, same_as=(0,))], missing_from_last=5)


@pytest.mark.parametrize(
    "hopeless", [look(closed=False, ceiling=True), look(closed=False, offset_ignored=True)]
)
def test_looking_again_cures_no_ceiling_and_no_ignored_offset(hopeless: Look) -> None:
    assert enough([hopeless], missing_from_last=7)


@pytest.mark.parametrize(
    ("looks", "they_are"),
    [
        ([look(closed=False), look(closed=False, same_as=(0,))], True),
        ([look(closed=False), look(closed=False), look(closed=False, same_as=(1,))], True),
        ([look(closed=False)], False),
        ([look(closed=False), look(closed=False)], False),
        ([look(closed=False, steady=False), look(closed=False, same_as=(0,))], False),
        ([look(closed=False), look(closed=False, steady=False, same_as=(0,))], False),
        ([look(closed=False, distinct=999), look(closed=False, distinct=999, same_as=(0,))], False),
        (
            [look(total=1_001, distinct=1_000, closed=False), look(closed=False, same_as=(0,))],
            False,
        ),
        (
            [look(closed=False), look(total=1_001, distinct=1_000, closed=False, same_as=(0,))],
            False,
        ),
    ],
)
def test_twins_saw_the_identical_set_of_the_size_of_one_unchanging_total(
    looks: list[Look], *, they_are: bool
) -> None:
    assert twins(looks) is they_are
    assert enough(looks, missing_from_last=7) is they_are


# -- whether it is whole --------------------------------------------------------------------------------------------------


def test_one_closed_look_is_believed_where_nobody_would_be_marked() -> None:
    assert doubted(look()) is None
    assert doubted(look(closed=False), look()) is None


def test_two_closed_looks_are_needed_to_mark_anybody() -> None:
    assert doubted(look(), missing=1) == Reason.TORN
    assert (
        doubted(look(), look(closed=False), look(closed=False), look(closed=False), missing=1)
        == Reason.TORN
    )
    assert doubted(look(), look(), missing=1) is None


def test_no_closed_look_at_all_is_torn() -> None:
    assert doubted(look(closed=False)) == Reason.TORN
    assert doubted(look(closed=False), look(closed=False)) == Reason.TORN


def test_twins_are_whole_seams_or_not_even_where_somebody_is_missing() -> None:
    assert doubted(look(closed=False), look(closed=False, same_as=(0,)), missing=5) is None
    assert (
        doubted(look(closed=False), look(closed=False), look(closed=False, same_as=(1,)), missing=5)
        is None
    )
    assert (
        doubted(
            look(closed=False, distinct=999),
            look(closed=False, distinct=999, same_as=(0,)),
            missing=5,
        )
        == Reason.TORN
    )


def test_a_look_that_closed_at_the_ceiling_marks_nobody() -> None:
    at_ceiling = look(ceiling=True)
    assert doubted(at_ceiling) is None
    assert doubted(at_ceiling, missing=1) == Reason.CEILING
    assert doubted(look(), at_ceiling, missing=1) == Reason.CEILING
    assert doubted(look(closed=False, ceiling=True)) == Reason.CEILING


def test_an_ignored_offset_outranks_every_other_doubt() -> None:
    assert (
        doubted(
            look(), look(), look(closed=False, ceiling=True, offset_ignored=True), missing=1, seen=1
        )
        == Reason.OFFSET_IGNORED
    )


# -- the gap --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "share", "users"),
    [(0, 0.005, 5), (10, 0.5, 5), (12, 0.5, 6), (1_000, 0.005, 5), (1_199, 0.005, 5), (1_200, 0.005, 6), (100_000, 0.005, 500),
     (10**9, 0, 5)],
)  # fmt: skip
def test_the_tolerated_gap_is_a_share_but_at_least_five_users(
    total: int, share: float, users: int
) -> None:
    assert tolerated_gap(total, share) == users


@pytest.mark.parametrize(("total", "allowed"), [(3, 5), (1_000, 5), (10_000, 50)])
def test_a_gap_at_the_tolerance_is_believed_and_one_user_more_is_not(
    total: int, allowed: int
) -> None:
    assert doubted(look(total=total), seen=total - allowed) is None
    assert doubted(look(total=total), seen=total - allowed - 1) == Reason.TOTAL_GAP


def test_more_users_than_total_are_no_gap() -> None:
    assert doubted(look(total=1_000), seen=1_500) is None


@pytest.mark.parametrize("before", [0, 1, 4, 5])
def test_the_gap_may_not_be_larger_than_that_of_the_snapshot_before(before: int) -> None:
    assert doubted(look(), seen=1_000 - before, gap=before) is None
    assert doubted(look(), seen=1_000 - before - 1, gap=before) == Reason.TOTAL_GAP


def test_what_total_grew_while_it_was_read_is_granted_on_top_of_the_gap_before() -> None:
    grown = look(total_first=997, total=1_000, steady=False)
    assert doubted(grown, seen=996, gap=1) is None
    assert doubted(grown, seen=995, gap=1) == Reason.TOTAL_GAP
    shrunk = look(total_first=1_003, total=1_000, steady=False)
    assert doubted(shrunk, seen=999, gap=1) is None
    assert doubted(shrunk, seen=998, gap=1) == Reason.TOTAL_GAP


def test_growth_counts_from_the_first_look_to_the_last() -> None:
    looks = (
        look(total_first=997, total=998, steady=False),
        look(total_first=998, total=1_000, steady=False),
    )
    assert doubted(*looks, seen=997, gap=0) is None
    assert doubted(*looks, seen=996, gap=0) == Reason.TOTAL_GAP


def test_a_large_gap_before_widens_no_tolerance() -> None:
    assert doubted(look(), seen=995, gap=400) is None
    assert doubted(look(), seen=994, gap=400) == Reason.TOTAL_GAP


def test_a_snapshot_before_that_saw_more_than_its_total_counts_as_without_a_gap() -> None:
    assert doubted(look(), seen=1_000, gap=-3) is None
    assert doubted(look(), seen=999, gap=-3) == Reason.TOTAL_GAP


@given(
    total=st.integers(0, 10**6),
    seen=st.integers(0, 10**6),
    gap=st.none() | st.integers(-100, 10**6),
    share=st.floats(0, 0.99),
)
def test_whatever_is_believed_lies_within_the_tolerance(
    total: int, seen: int, gap: int | None, share: float
) -> None:
    verdict = doubt(
        [look(total=total, distinct=seen)], missing=0, seen=seen, tolerance=share, previous_gap=gap
    )
    within = total - seen <= max(TOLERATED_USERS, int(total * share)) and (
        gap is None or total - seen <= max(gap, 0)
    )
    assert (verdict is None) is within


# -- mass unfollows -------------------------------------------------------------------------------------------------------

LIMITS = GuardLimits(max_share=0.2, floor=20)


def held(
    following: int, unfollowed: int, *, seen: int | None = None, limits: GuardLimits = LIMITS
) -> str | None:
    seen = following - unfollowed if seen is None else seen
    return hold(Diff(following, unfollowed=unfollowed), seen=seen, limits=limits)


@pytest.mark.parametrize(
    ("following", "most"),
    [(100, 20), (101, 20), (105, 21), (1_000, 200), (1_004, 200), (1_005, 201)],
)
def test_a_share_exactly_met_is_applied_and_one_user_more_is_held(
    following: int, most: int
) -> None:
    assert held(following, most) is None
    assert held(following, most + 1) == MASS_UNFOLLOW


def test_a_small_oa_may_lose_as_many_as_the_floor_whatever_their_share() -> None:
    assert held(22, 20) is None
    assert held(22, 21) == MASS_UNFOLLOW
    assert held(21, 20) is None


@pytest.mark.parametrize("following", [1, 5, 20, 21, 1_000])
def test_nobody_seen_while_somebody_followed_is_held_however_few_they_were(following: int) -> None:
    assert held(following, following) == NOBODY_SEEN


def test_nobody_seen_where_nobody_followed_is_no_news() -> None:
    assert held(0, 0) is None


def test_the_limits_at_their_own_ends() -> None:
    assert held(1_000, 999, limits=GuardLimits(max_share=1, floor=0)) is None
    assert held(1_000, 1, limits=GuardLimits(max_share=0, floor=0)) == MASS_UNFOLLOW
    assert held(1_000, 0, limits=GuardLimits(max_share=0, floor=0)) is None
    assert held(1_000, 1_000, seen=5, limits=GuardLimits(max_share=0, floor=1_000)) is None


def test_what_the_operator_lets_through_is_bounded() -> None:
    allowing = GuardLimits(max_share=0.2, floor=20, allowed=330)
    assert held(1_000, 330, limits=allowing) is None
    assert held(1_000, 331, limits=allowing) == MASS_UNFOLLOW
    assert held(300, 300, limits=allowing) is None
    assert held(331, 331, limits=allowing) == NOBODY_SEEN


@pytest.mark.parametrize(
    ("held_before", "lets"), [(0, 0), (9, 9), (10, 11), (21, 23), (300, 330), (309, 339)]
)
def test_a_tenth_more_than_was_held_is_let_through(held_before: int, lets: int) -> None:
    assert let_through(held_before) == lets
