"""One look at a list that lies in memory: whole where it closed, bounded whatever the server
answers."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from etl.errors import EsmsUnavailableError, EtlError, OffsetRefusedError
from etl.model import Page, Reason, Sweep
from etl.sync.chain import LARGEST_DOCUMENTED_OFFSET, leads_on, seam_holds
from etl.sync.look import Budget, LookReader, Workers
from etl.sync.spool import Spool
from etl.sync.sweep import SweepLimits, sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.sync.guard import Look


def pages_of(text: str, offset: int = 0) -> Page:
    return Page(offset, tuple(text), 100)


# -- seams -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right", "holds"),
    [
        ("abcd", "defg", True),
        ("abcd", "cdef", True),
        ("abcd", "abcd", True),
        ("abcd", "d", True),
        ("abcd", "efgh", False),
        ("abcd", "cdx", True),
        ("abcd", "cxd", False),
        ("abcd", "bc", False),
        ("abcd", "ab", False),
        ("abcd", "dcba", True),
        ("d", "d", True),
        ("", "abc", False),
        ("abc", "", False),
        ("", "", False),
    ],
)
def test_a_seam_holds_where_a_suffix_of_the_left_page_is_a_prefix_of_the_right(
    left: str, right: str, *, holds: bool
) -> None:
    assert seam_holds(pages_of(left), pages_of(right)) is holds


def hang_together(left: str, right: str) -> bool:
    return any(
        left[-shared:] == right[:shared] for shared in range(1, min(len(left), len(right)) + 1)
    )


@given(
    left=st.permutations("abcde"),
    right=st.permutations("abcdefg"),
    cut=st.integers(0, 5),
    length=st.integers(0, 7),
)
def test_seams_of_pages_that_name_everybody_once_are_what_brute_force_finds(
    left: list[str], right: list[str], cut: int, length: int
) -> None:
    one, other = "".join(left[cut:]), "".join(right[:length])
    assert seam_holds(pages_of(one), pages_of(other)) is hang_together(one, other)


@given(left=st.text("abc", max_size=6), right=st.text("abc", max_size=6))
def test_where_a_page_names_somebody_twice_no_seam_is_believed_that_is_none(
    left: str, right: str
) -> None:
    assert not seam_holds(pages_of(left), pages_of(right)) or hang_together(left, right)


def test_a_page_leads_on_by_its_place_or_by_its_last_user() -> None:
    link = pages_of("abcd", 10)
    assert leads_on(link, pages_of("d", 13))
    assert leads_on(link, pages_of("cdef", 10))
    assert leads_on(link, pages_of("cdef", 7))
    assert not leads_on(link, pages_of("abcd", 10))
    assert not leads_on(link, pages_of("cd", 9))


# -- a list in memory ------------------------------------------------------------------------------


@dataclass
class InMemory:
    """A server's list: a function of the offset. `happen` is called before each page, with its
    number from 1."""

    users: list[str]
    size: int = 50
    total: Callable[[InMemory], int] = lambda world: len(world.users)
    refuse_from: int | None = None
    empty_from: int | None = None
    happen: Callable[[InMemory, int], None] = lambda world, number: None  # noqa: ARG005 - a quiet list
    asked: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fetch(self, offset: int) -> Page:
        with self.lock:
            self.asked.append(offset)
            self.happen(self, len(self.asked))
            if self.refuse_from is not None and offset >= self.refuse_from:
                raise OffsetRefusedError(offset)
            served = (
                []
                if self.empty_from is not None and offset >= self.empty_from
                else self.users[offset : offset + self.size]
            )
            return Page(offset, tuple(served), self.total(self))


def numbered(count: int) -> list[str]:
    return [f"u{number}" for number in range(count)]


@dataclass
class Seen:
    """What came of one look."""

    verdict: Look
    users: set[str]


def look_at(world: InMemory, *, concurrency: int = 1) -> Seen:
    users: set[str] = set()
    with Workers(world.fetch, concurrency) as workers:
        reader = LookReader(
            workers, lambda page: users.update(page.users), budget=Budget(), tolerance=0.005
        )
        return Seen(reader.read(), users)


def sweep_of(
    world: InMemory, *, known: list[str] | None = None, concurrency: int = 1
) -> tuple[Sweep, set[str]]:
    with Spool() as spool:
        swept = sweep(
            world.fetch,
            spool,
            add_known=lambda: spool.add_known([known] if known else []),
            limits=SweepLimits(concurrency=concurrency),
        )
        return swept, {user for chunk in spool.users() for user in chunk}


SIZES = [0, 1, 2, 3, 49, 50, 51, 98, 99, 100, 101, 148, 149, 1_000]


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("count", SIZES)
def test_a_quiet_list_of_any_size_closes_and_costs_one_page_more_in_fifty(
    count: int, concurrency: int
) -> None:
    world = InMemory(numbered(count))
    seen = look_at(world, concurrency=concurrency)
    assert seen.users == set(world.users)
    assert (seen.verdict.closed, seen.verdict.steady, seen.verdict.total) == (True, True, count)
    assert not seen.verdict.ceiling
    assert len(set(world.asked)) == len(world.asked) - (count == 0), "nobody is asked for twice"
    assert len(world.asked) <= count // 49 + 2


def test_ten_thousand_followers_cost_209_requests() -> None:
    world = InMemory(numbered(10_003))
    swept, users = sweep_of(world, known=world.users, concurrency=4)
    assert swept.complete
    assert (len(users), swept.looks, swept.missing) == (10_003, 1, 0)
    assert len(world.asked) == 209


def test_somebody_missing_costs_a_second_look_and_no_more() -> None:
    world = InMemory(numbered(10_003))
    swept, _ = sweep_of(world, known=[*world.users, "gone"], concurrency=4)
    assert swept.complete
    assert (swept.looks, swept.closed_looks, swept.missing) == (2, 2, 1)
    assert len(world.asked) == 419


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("size", [2, 3, 20])
def test_the_stride_follows_a_server_that_gives_fewer_than_were_asked_for(
    count: int, size: int
) -> None:
    world = InMemory(numbered(count), size=size)
    seen = look_at(world, concurrency=2)
    assert seen.verdict.closed
    assert seen.users == set(world.users)


@pytest.mark.parametrize("count", [2, 3, 40])
def test_pages_of_one_user_share_nobody_so_only_two_identical_looks_are_believed(
    count: int,
) -> None:
    world = InMemory(numbered(count), size=1)
    seen = look_at(world)
    assert not seen.verdict.closed
    assert seen.users == set(world.users)
    swept, users = sweep_of(InMemory(numbered(count), size=1), known=["gone"])
    assert swept.complete
    assert (swept.looks, swept.closed_looks, users) == (2, 0, set(world.users))


def test_one_page_that_is_strangely_short_tears_nothing() -> None:
    def shortly(world: InMemory, number: int) -> None:
        world.size = 7 if number == 3 else 50

    world = InMemory(numbered(400), happen=shortly)
    seen = look_at(world)
    assert seen.verdict.closed
    assert seen.users == set(world.users)
    assert len(world.asked) < 15


# -- where it ends ---------------------------------------------------------------------------------


@pytest.mark.parametrize("over", [1, 3, 5])
@pytest.mark.parametrize("count", [2, 3, 49, 50, 51, 99, 400])
def test_a_total_that_counts_a_few_too_many_keeps_no_look_from_closing(
    count: int, over: int
) -> None:
    world = InMemory(numbered(count), total=lambda world: len(world.users) + over)
    seen = look_at(world)
    assert seen.verdict.closed
    assert seen.users == set(world.users)


@pytest.mark.parametrize("told", [0, 1, 49, 50, 51, 98, 99, 200, 398, 399])
def test_a_total_that_is_too_small_hides_nobody(told: int) -> None:
    world = InMemory(numbered(400), total=lambda _: told)
    seen = look_at(world)
    assert seen.users == set(world.users)
    assert seen.verdict.closed


def test_a_list_cut_short_well_before_its_total_is_not_believed() -> None:
    world = InMemory(numbered(100), total=lambda _: 1_000)
    seen = look_at(world)
    assert (seen.verdict.closed, seen.verdict.ceiling) == (False, True)
    swept, _ = sweep_of(InMemory(numbered(100), total=lambda _: 1_000), known=numbered(1_000))
    assert swept.reason == Reason.CEILING


def test_an_empty_first_page_under_a_total_is_a_list_cut_short_before_its_first_follower() -> None:
    seen = look_at(InMemory([], total=lambda _: 500))
    assert (seen.verdict.closed, seen.verdict.ceiling) == (False, True)


@pytest.mark.parametrize("number", [2, 3, 8])
def test_one_empty_page_in_the_middle_is_asked_again_and_loses_nobody(number: int) -> None:
    def blink(world: InMemory, page: int) -> None:
        world.empty_from = 0 if page == number else None

    world = InMemory(numbered(400), happen=blink)
    seen = look_at(world)
    assert seen.verdict.closed
    assert seen.users == set(world.users)


# -- the ceiling -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["refuse_from", "empty_from"])
@pytest.mark.parametrize("ceiling", [1, 30, 50, 500])
def test_where_the_server_lets_us_no_further_the_look_says_so_and_plans_nothing_beyond(
    how: str, ceiling: int
) -> None:
    world = InMemory(numbered(5_000), **{how: ceiling})  # type: ignore[arg-type]
    seen = look_at(world)
    assert (seen.verdict.closed, seen.verdict.ceiling) == (False, True)
    assert len([offset for offset in world.asked if offset >= ceiling]) <= 3
    swept, _ = sweep_of(InMemory(numbered(5_000), **{how: ceiling}), known=["gone"])  # type: ignore[arg-type]
    assert (swept.reason, swept.looks) == (Reason.CEILING, 1)


def test_a_refused_first_page_is_our_own_count() -> None:
    with pytest.raises(OffsetRefusedError) as caught:
        look_at(InMemory(numbered(10), refuse_from=0))
    assert caught.value.offset == 0


def test_the_largest_documented_offset_is_no_ceiling_by_itself() -> None:
    world = InMemory(numbered(12_345))
    seen = look_at(world, concurrency=4)
    assert seen.verdict.closed
    assert not seen.verdict.ceiling
    assert len(seen.users) == 12_345


@pytest.mark.parametrize("how", ["refuse_from", "empty_from"])
@pytest.mark.parametrize(
    ("count", "closed"), [(9_990, True), (10_000, True), (10_001, False), (12_000, False)]
)
def test_the_last_page_that_the_ceiling_allows_closes_a_list_that_ends_on_it(
    how: str, count: int, *, closed: bool
) -> None:
    world = InMemory(numbered(count), **{how: LARGEST_DOCUMENTED_OFFSET + 1})  # type: ignore[arg-type]
    seen = look_at(world, concurrency=4)
    assert seen.verdict.closed is closed
    assert len(seen.users) >= min(count, 10_000) - (how == "empty_from") * 50
    assert len([offset for offset in world.asked if offset > LARGEST_DOCUMENTED_OFFSET]) <= 6


def test_a_clamped_total_closes_at_the_ceiling_and_marks_nobody() -> None:
    def clamped() -> InMemory:
        return InMemory(numbered(12_000), total=lambda _: 10_000, refuse_from=9_951)

    seen = look_at(clamped(), concurrency=4)
    assert (seen.verdict.closed, seen.verdict.ceiling, len(seen.users)) == (True, True, 10_000)
    assert sweep_of(clamped(), known=numbered(10_000))[0].reason == Reason.CEILING
    swept, _ = sweep_of(clamped(), known=numbered(10_050))
    assert (swept.reason, swept.missing) == (Reason.CEILING, 50)


def test_a_torn_look_plans_nothing_beyond_a_refused_offset_either() -> None:
    for how in ("refuse_from", "empty_from"):
        world = InMemory(numbered(5_000), happen=shuffled, **{how: 500})  # type: ignore[arg-type]
        seen = look_at(world)
        assert (seen.verdict.closed, seen.verdict.ceiling) == (False, True)
        assert len([offset for offset in world.asked if offset >= 500]) <= 3


def test_a_server_that_ignores_the_offset_is_found_out() -> None:
    def ignore(world: InMemory) -> Callable[[int], Page]:
        return lambda offset: Page(offset, world.fetch(0).users, len(world.users))

    with Spool() as spool:
        swept = sweep(
            ignore(InMemory(numbered(5_000))),
            spool,
            add_known=lambda: spool.add_known([["gone"]]),
            limits=SweepLimits(concurrency=1),
        )
    assert (swept.reason, swept.looks, swept.seen) == (Reason.OFFSET_IGNORED, 1, 50)


# -- a list that moves -----------------------------------------------------------------------------


def one_leaves_ahead(world: InMemory, number: int) -> None:
    """Everybody behind moves up by one before every page."""
    if number > 1:
        world.users.pop(0)


def one_arrives_at_the_head(world: InMemory, number: int) -> None:
    world.users.insert(0, f"new{number}")


def one_arrives_at_the_tail(world: InMemory, number: int) -> None:
    world.users.append(f"new{number}")


def twenty_leave_at_once(world: InMemory, number: int) -> None:
    if number == 4:
        del world.users[:20]


def the_head_leaves_and_returns_at_the_tail(world: InMemory, _: int) -> None:
    world.users.append(world.users.pop(0))


def shuffled(world: InMemory, number: int) -> None:
    random.Random(number).shuffle(world.users)


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize(
    "happen",
    [one_leaves_ahead, one_arrives_at_the_head, one_arrives_at_the_tail, twenty_leave_at_once,
     the_head_leaves_and_returns_at_the_tail],
)  # fmt: skip
def test_a_torn_seam_is_mended_and_nobody_who_stayed_is_missed(
    happen: Callable[[InMemory, int], None], concurrency: int
) -> None:
    world = InMemory(numbered(600), happen=happen)
    before = set(world.users)
    seen = look_at(world, concurrency=concurrency)
    assert seen.verdict.closed
    if happen is not the_head_leaves_and_returns_at_the_tail:
        assert before & set(world.users) <= seen.users
    assert len(world.asked) < 64 + 3 * 12


def test_a_look_that_cannot_be_mended_is_torn_and_reads_all_of_its_plan_for_the_union() -> None:
    world = InMemory(numbered(600), happen=shuffled)
    seen = look_at(world)
    assert not seen.verdict.closed
    assert not seen.verdict.ceiling
    assert max(world.asked) >= 11 * 49
    assert len(seen.users) > 300
    assert len(world.asked) < 64 + 4 * 13


@hypothesis_settings(max_examples=150)
@given(
    count=st.integers(0, 160),
    size=st.integers(2, 12),
    seed=st.integers(0, 2**32),
    moves=st.floats(0, 3),
    concurrency=st.sampled_from([1, 1, 3]),
)
def test_no_closed_look_misses_anybody_who_stayed_while_the_others_came_and_went(
    count: int, size: int, seed: int, moves: float, concurrency: int
) -> None:
    """The order of those who stay is kept; who leaves never returns in the same look."""
    rng = random.Random(seed)

    def churn(world: InMemory, number: int) -> None:
        for _ in range(int(moves) + (rng.random() < moves % 1)):
            if world.users and rng.random() < 0.5:
                world.users.pop(rng.randrange(len(world.users)))
            else:
                world.users.insert(
                    rng.randrange(len(world.users) + 1), f"new{number}-{rng.random()}"
                )

    world = InMemory(numbered(count), size=size, happen=churn)
    before = set(world.users)
    seen = look_at(world, concurrency=concurrency)
    assert not seen.verdict.closed or before & set(world.users) <= seen.users


# -- a server that lies ----------------------------------------------------------------------------


@hypothesis_settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    population=st.integers(1, 60),
    largest_total=st.integers(0, 120),
    longest_page=st.integers(0, 12),
    honesty=st.sampled_from([0, 0.5, 0.9, 0.99]),
    refusals=st.sampled_from([0, 0.02, 0.3]),
    failures=st.sampled_from([0, 0, 0.01]),
    max_looks=st.integers(1, 4),
    concurrency=st.sampled_from([1, 3]),
)
def test_whatever_a_server_answers_a_sweep_ends_within_a_bound_of_requests(
    *, seed: int, population: int, largest_total: int, longest_page: int, honesty: float, refusals: float, failures: float,
    max_looks: int, concurrency: int,
) -> None:  # fmt: skip
    rng = random.Random(seed)
    users = numbered(population)
    lock = threading.Lock()
    asked = 0

    def fetch(offset: int) -> Page:
        nonlocal asked
        with lock:
            asked += 1
            if rng.random() < failures:
                raise EsmsUnavailableError("down")
            if rng.random() < refusals:
                raise OffsetRefusedError(offset)
            if rng.random() < honesty:
                return Page(offset, tuple(users[offset : offset + longest_page]), len(users))
            start = rng.randrange(population)
            served = users[start : start + rng.randint(0, longest_page)]
            if rng.random() < 0.3:
                rng.shuffle(served)
            if rng.random() < 0.2:
                served += served[:1]
            return Page(offset, tuple(served), rng.randint(0, largest_total))

    most = max(largest_total, population)
    with Spool() as spool:
        try:
            swept = sweep(
                fetch,
                spool,
                add_known=lambda: spool.add_known([users[::2]]),
                limits=SweepLimits(concurrency=concurrency, max_looks=max_looks),
            )
        except EtlError:
            assert refusals or failures
        else:
            assert swept.looks <= max_looks
            assert (
                swept.seen == len({user for chunk in spool.users() for user in chunk}) <= population
            )
    # A look: its head, what was planned from the head's Total, and what mends or goes on.
    assert asked <= max_looks * (1 + most + 64 + 3 * most)
