"""The guard at its thresholds: met is believed, exceeded by one is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.model import Gaps, Reason
from etl.sync.guard import (
    TOLERATED_USERS,
    Judge,
    Look,
    gap_of,
    hold,
    let_through,
    standing_gap,
    tolerated_gap,
)


def look(
    *,
    total: int = 997,
    largest: int | None = None,
    steady: bool = True,
    closed: bool = True,
    ceiling: bool = False,
    offset_ignored: bool = False,
    distinct: int | None = None,
    new: int = 0,
    same_as: tuple[int, ...] = (),
) -> Look:
    """A look that closed on an unchanging Total and counts up to it, unless told otherwise."""
    return Look(
        total,
        total if largest is None else largest,
        steady,
        closed,
        ceiling,
        offset_ignored,
        total if distinct is None else distinct,
        new,
        same_as,
    )


def judge(gaps: Gaps | None = None, *, tolerance: float = 0.005) -> Judge:
    return Judge(tolerance, gaps or Gaps())


def doubted(
    *looks: Look, missing: int = 0, gaps: Gaps | None = None, tolerance: float = 0.005
) -> Reason | None:
    return judge(gaps, tolerance=tolerance).doubt(looks, missing=missing)


def enough(*looks: Look, missing: int = 0, gaps: Gaps | None = None) -> bool:
    return judge(gaps).enough(looks, missing=missing)


# -- how often to look ------------------------------------------------------------------------


def test_one_look_is_enough_where_it_closed_and_misses_nobody_known() -> None:
    assert enough(look(new=997))
    assert enough(look(distinct=992, new=992), gaps=Gaps(5))
    assert enough(look(steady=False, new=997))


@pytest.mark.parametrize(
    ("first", "missing"),
    [
        (look(closed=False, new=997), 0),
        (look(distinct=991, new=991), 0),
        (look(new=997), 1),
    ],
    ids=["torn", "fewer than is tolerated", "somebody known is missing"],
)
def test_one_look_is_not_enough_where_any_of_it_fails(first: Look, missing: int) -> None:
    assert not enough(first, missing=missing)


def test_looking_ends_where_total_stood_still_and_the_last_look_found_nobody_new() -> None:
    first = look(new=997, distinct=997, total=1_009)
    assert enough(first, look(total=1_009, distinct=997), missing=3)
    assert not enough(first, look(total=1_009, distinct=997, new=1), missing=3)
    assert not enough(first, look(total=1_009, distinct=997, steady=False), missing=3)
    assert not enough(first, look(total=1_010, distinct=997), missing=3)


def test_a_look_that_closed_after_a_torn_one_gets_its_second_witness() -> None:
    torn, whole = look(closed=False, distinct=900), look()
    assert not enough(torn, whole, missing=3)
    assert enough(torn, whole, look(), missing=3)


def test_a_first_look_that_found_nobody_at_all_is_not_yet_enough_where_somebody_is_known() -> None:
    nobody = look(total=0, distinct=0)
    assert not enough(nobody, missing=5)
    assert enough(nobody)
    assert enough(nobody, look(total=0, distinct=0, same_as=(0,)), missing=5)


def test_one_look_with_a_larger_gap_than_the_standing_one_is_not_yet_enough() -> None:
    """Perhaps somebody arrived unseen; kept, it would hide as many who are not shown tomorrow."""
    two_unseen = look(distinct=995)
    assert not enough(two_unseen)
    assert not enough(two_unseen, gaps=Gaps(1))
    assert enough(two_unseen, gaps=Gaps(2))
    assert enough(two_unseen, look(distinct=995, same_as=(0,)))
    assert doubted(two_unseen) is None


@pytest.mark.parametrize(
    "hopeless", [look(closed=False, ceiling=True), look(closed=False, offset_ignored=True)]
)
def test_looking_again_cures_no_ceiling_and_no_ignored_offset(hopeless: Look) -> None:
    assert enough(hopeless, missing=7)


@pytest.mark.parametrize(
    ("looks", "they_are"),
    [
        ([look(closed=False), look(closed=False, same_as=(0,))], True),
        ([look(closed=False), look(closed=False), look(closed=False, same_as=(1,))], True),
        ([look(closed=False)], False),
        ([look(closed=False), look(closed=False)], False),
        ([look(closed=False, steady=False), look(closed=False, same_as=(0,))], False),
        ([look(closed=False), look(closed=False, steady=False, same_as=(0,))], False),
        ([look(closed=False, distinct=9), look(closed=False, distinct=9, same_as=(0,))], False),
        ([look(total=998, distinct=997), look(same_as=(0,))], False),
        ([look(), look(total=998, distinct=997, same_as=(0,))], False),
        ([look(largest=1_003), look(closed=False), look(closed=False, same_as=(1,))], False),
        ([look(), look(closed=False, ceiling=True, same_as=(0,))], False),
        ([look(ceiling=True), look(same_as=(0,))], False),
    ],
)
def test_twins_saw_the_identical_set_of_the_size_of_one_total_that_no_other_look_exceeds(
    looks: list[Look], *, they_are: bool
) -> None:
    assert judge().twins(looks) is they_are


# -- whether it is whole ----------------------------------------------------------------------


def test_one_closed_look_is_believed_where_nobody_would_be_marked() -> None:
    assert doubted(look()) is None
    assert doubted(look(closed=False), look()) is None


def test_two_closed_looks_are_needed_to_mark_anybody() -> None:
    assert doubted(look(), missing=1) == Reason.TORN
    torn = look(closed=False)
    assert doubted(look(), torn, torn, torn, missing=1) == Reason.TORN
    assert doubted(look(), look(), missing=1) is None


def test_no_closed_look_at_all_is_torn() -> None:
    assert doubted(look(closed=False)) == Reason.TORN
    assert doubted(look(closed=False), look(closed=False)) == Reason.TORN


def test_twins_are_whole_seams_or_not_even_where_somebody_is_missing() -> None:
    torn = look(closed=False)
    assert doubted(torn, look(closed=False, same_as=(0,)), missing=5) is None
    assert doubted(torn, torn, look(closed=False, same_as=(1,)), missing=5) is None
    short = look(closed=False, distinct=996)
    assert doubted(short, replace(short, same_as=(0,)), missing=5) == Reason.TORN


def test_a_look_that_met_the_ceiling_marks_nobody() -> None:
    at_ceiling = look(ceiling=True)
    assert doubted(at_ceiling) is None
    assert doubted(look(total=10_000, ceiling=True)) == Reason.CEILING
    assert doubted(at_ceiling, missing=1) == Reason.CEILING
    assert doubted(look(), at_ceiling, missing=1) == Reason.CEILING
    assert doubted(look(closed=False, ceiling=True)) == Reason.CEILING
    twin = look(closed=False, ceiling=True, same_as=(0,))
    assert doubted(look(), twin, missing=3) == Reason.CEILING


def test_a_look_that_reached_its_end_at_the_ceiling_is_whole_only_if_told_of_as_many() -> None:
    """Nobody known is missing, so one look is enough; but one that was told of nearly nobody."""
    torn, end = look(closed=False), look(ceiling=True)
    assert doubted(torn, end) is None
    assert doubted(torn, look(total=99, ceiling=True)) == Reason.CEILING
    assert doubted(torn, look(distinct=991, ceiling=True)) == Reason.CEILING


def test_an_ignored_offset_outranks_every_other_doubt() -> None:
    ignored = look(closed=False, ceiling=True, offset_ignored=True)
    assert doubted(look(), look(), ignored, missing=1) == Reason.OFFSET_IGNORED


@pytest.mark.parametrize("limit", [1_000, 2_000, 10_000])
@pytest.mark.parametrize("of", ["total", "largest", "distinct", "reached"])
def test_under_a_number_that_may_be_a_limit_of_the_server_nobody_is_marked(
    limit: int, of: str
) -> None:
    seen = replace(look(total=limit + 1, distinct=limit + 1), **{of: limit})  # type: ignore[arg-type]  # all three count users
    assert doubted(seen, seen, missing=1) == Reason.CEILING
    assert doubted(seen, seen) is None
    beside = look(total=limit + 1)
    assert doubted(beside, beside, missing=1) is None


def test_a_look_that_was_told_of_nobody_proves_nothing_however_well_it_closed() -> None:
    """One of two backends answers nobody: empty, torn, empty."""
    nobody = look(total=0, distinct=0)
    torn = look(total=60, distinct=50, closed=False)
    assert doubted(nobody, torn, replace(nobody, same_as=(0,)), missing=10) == Reason.TOTAL_GAP
    assert doubted(nobody, torn) == Reason.TOTAL_GAP


def test_a_look_that_showed_nobody_proves_nothing_where_another_one_showed_somebody() -> None:
    """Total is always 0, so that no gap speaks; two looks of nobody are no twins either."""
    nobody = look(total=0, distinct=0)
    seen, torn = look(total=0, distinct=193), look(total=0, distinct=193, closed=False)
    assert doubted(nobody, seen, missing=7) == Reason.TOTAL_GAP
    assert doubted(nobody, torn, replace(nobody, same_as=(0,)), missing=7) == Reason.TOTAL_GAP
    assert doubted(nobody, seen, replace(seen, same_as=(1,)), missing=7) is None


def test_a_look_is_judged_by_the_largest_total_told_during_it() -> None:
    told_less_in_the_end = look(total=980, largest=997, distinct=980, steady=False)
    assert doubted(told_less_in_the_end, told_less_in_the_end, missing=17) == Reason.TOTAL_GAP


# -- the gap ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "share", "users"),
    [(0, 0.005, 5), (10, 0.5, 5), (12, 0.5, 6), (1_000, 0.005, 5), (1_199, 0.005, 5), (1_200, 0.005, 6), (100_000, 0.005, 500),
     (10**9, 0, 5)],
)  # fmt: skip
def test_the_tolerated_gap_is_a_share_but_at_least_five_users(
    total: int, share: float, users: int
) -> None:
    assert tolerated_gap(total, share) == users


@pytest.mark.parametrize(("total", "allowed"), [(6, 5), (997, 5), (10_003, 50)])
def test_a_gap_at_the_tolerance_is_believed_and_one_user_more_is_not(
    total: int, allowed: int
) -> None:
    assert doubted(look(total=total, distinct=total - allowed)) is None
    assert doubted(look(total=total, distinct=total - allowed - 1)) == Reason.TOTAL_GAP


def test_more_users_than_total_are_no_gap() -> None:
    more = look(total=997, distinct=1_501)
    assert doubted(more) is None
    assert doubted(more, more, missing=1) is None


@pytest.mark.parametrize("kept", [0, 1, 4, 5])
def test_who_is_missing_is_marked_only_where_the_gap_has_not_grown(kept: int) -> None:
    at_most, more = look(distinct=997 - kept), look(distinct=997 - kept - 1)
    gaps = Gaps(kept)
    assert doubted(at_most, at_most, missing=1, gaps=gaps) is None
    assert doubted(more, more, missing=1, gaps=gaps) == Reason.TOTAL_GAP
    assert doubted(at_most, more, missing=1, gaps=gaps) == Reason.TOTAL_GAP
    assert doubted(more, at_most, at_most, missing=1, gaps=gaps) is None


def test_each_look_speaks_with_its_own_gap_and_not_with_that_of_the_union() -> None:
    """Others are hidden in each look: together they saw everybody, and neither saw the list."""
    first, second = look(distinct=995, new=995), look(distinct=995, new=2)
    assert doubted(first, second, missing=1) == Reason.TOTAL_GAP


@pytest.mark.parametrize(
    ("one", "other", "doubt"),
    [(0, 0, None), (1, 0, Reason.TOTAL_GAP), (0, 1, Reason.TOTAL_GAP), (1, 1, Reason.TOTAL_GAP)],
)
def test_those_who_replaced_others_count_in_the_gap_where_somebody_is_missing(
    one: int, other: int, doubt: Reason | None
) -> None:
    """Somebody hidden, somebody read who then left, and somebody who came: together no gap."""
    looks = [replace(look(), replaced=replaced) for replaced in (one, other)]
    assert doubted(*looks, missing=1) is doubt
    assert doubted(*looks) is None


def test_a_large_gap_before_widens_no_tolerance() -> None:
    cut = look(distinct=991)
    assert doubted(cut, cut, missing=1, gaps=Gaps(400)) == Reason.TOTAL_GAP


def test_a_gap_is_never_below_nothing() -> None:
    assert gap_of([look(distinct=1_003)]) == 0
    assert standing_gap(Gaps(None), 0) == 0


def test_the_gap_that_is_kept_is_the_smallest_of_the_closed_looks() -> None:
    looks = [look(distinct=995), look(distinct=993), look(distinct=997, closed=False)]
    assert gap_of(looks) == 2
    assert gap_of(looks[2:]) is None


@pytest.mark.parametrize(
    ("second", "kept"),
    [
        (look(distinct=995, new=0, same_as=(0,)), 2),
        (look(distinct=995, new=1), 1),
        (look(distinct=995, new=2), 0),
        # Who left and who arrived may be as many as the gap: the union tells nothing then.
        (look(distinct=995, new=2, steady=False), 2),
        (look(total=998, distinct=996, new=2), 2),
    ],
)
def test_whoever_any_look_showed_is_no_part_of_the_gap_where_nothing_moved(
    second: Look, kept: int
) -> None:
    """Two looks that each miss somebody else hide nobody for ever: the next night may not mark
    one."""
    assert gap_of([look(distinct=995, new=995), second]) == kept


@pytest.mark.parametrize(
    ("before", "standing"),
    [
        ((3,) * 6, 3),
        ((3,) * 5, 0),
        ((3, 3, 3, 3, 3, 2), 0),
        ((3, 3, None, 3, 3, 3), 0),
        ((3,) * 9, 3),
        ((3, 3, 3, 3, 3, 3, 9), 3),
    ],
)
def test_the_very_same_gap_seven_times_in_a_row_is_the_standing_one(
    before: tuple[int | None, ...], standing: int
) -> None:
    assert standing_gap(Gaps(0, before), 3) == standing
    over = look(distinct=994)
    expected = None if standing else Reason.TOTAL_GAP
    assert doubted(over, over, missing=1, gaps=Gaps(0, before)) == expected


@given(
    total=st.integers(0, 10**6),
    seen=st.integers(0, 10**6),
    kept=st.none() | st.integers(0, 10**6),
    missing=st.integers(0, 3),
    share=st.floats(0, 0.99),
)
def test_whatever_is_believed_lies_within_the_tolerance_and_marks_within_the_standing_gap(
    total: int, seen: int, kept: int | None, missing: int, share: float
) -> None:
    both = look(total=total, distinct=seen)
    verdict = doubted(both, both, missing=missing, gaps=Gaps(kept), tolerance=share)
    within = total - seen <= max(TOLERATED_USERS, int(total * share))
    if missing:
        within = within and total - seen <= (kept or 0) and not both.may_be_clamped
    assert (verdict is None) is within


# -- mass unfollows --------------------------------------------------------------------------------


def held(
    following: int,
    unfollowed: int,
    *,
    seen: int | None = None,
    max_share: float = 0.2,
    floor: int = 20,
    allowed: int | None = None,
) -> Reason | None:
    seen = following - unfollowed if seen is None else seen
    return hold(
        unfollowed,
        following=following,
        seen=seen,
        max_share=max_share,
        floor=floor,
        allowed=allowed,
    )


@pytest.mark.parametrize(
    ("following", "most"),
    [(100, 20), (101, 20), (105, 21), (1_000, 200), (1_004, 200), (1_005, 201)],
)
def test_a_share_exactly_met_is_applied_and_one_user_more_is_held(
    following: int, most: int
) -> None:
    assert held(following, most) is None
    assert held(following, most + 1) == Reason.MASS_UNFOLLOW


def test_a_small_oa_may_lose_as_many_as_the_floor_whatever_their_share() -> None:
    assert held(22, 20) is None
    assert held(22, 21) == Reason.MASS_UNFOLLOW
    assert held(21, 20) is None


@pytest.mark.parametrize("following", [1, 5, 20, 21, 1_000])
def test_nobody_seen_while_somebody_followed_is_held_however_few_they_were(following: int) -> None:
    assert held(following, following) == Reason.NOBODY_SEEN


def test_nobody_seen_where_nobody_followed_is_no_news() -> None:
    assert held(0, 0) is None


def test_the_limits_at_their_own_ends() -> None:
    assert held(1_000, 999, max_share=1, floor=0) is None
    assert held(1_000, 1, max_share=0, floor=0) == Reason.MASS_UNFOLLOW
    assert held(1_000, 0, max_share=0, floor=0) is None
    assert held(1_000, 1_000, seen=5, max_share=0, floor=1_000) is None


def test_what_the_operator_lets_through_is_bounded() -> None:
    assert held(1_000, 330, allowed=330) is None
    assert held(1_000, 331, allowed=330) == Reason.MASS_UNFOLLOW
    assert held(300, 300, allowed=330) is None
    assert held(331, 331, allowed=330) == Reason.NOBODY_SEEN


@pytest.mark.parametrize(
    ("held_before", "lets"), [(0, 0), (9, 9), (10, 11), (21, 23), (300, 330), (309, 339)]
)
def test_a_tenth_more_than_was_held_is_let_through(held_before: int, lets: int) -> None:
    assert let_through(held_before) == lets
