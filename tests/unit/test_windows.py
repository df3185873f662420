"""Beyond the ceiling: no night marks anybody who followed throughout, whatever the server means by
a day."""

from __future__ import annotations

import random
from datetime import date
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from windowworld import DAY, Nights, WindowWorld

from etl.errors import EsmsUnavailableError
from etl.model import Gaps, Page, Reason, Source, Window
from etl.sync import window_reader, windowed
from etl.sync.look import Budget
from etl.sync.windows import (
    Pair,
    Settling,
    WindowsReading,
    days_fall_between,
    doubt,
    halve,
    last_days,
    old_part,
    pairs,
    settled,
    widened,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.sync.spool import Spool

TODAY = date(2026, 11, 20)


# -- the pure part ----------------------------------------------------------------------------


@given(first=st.dates(date(2012, 1, 1), date(2030, 1, 1)), days=st.integers(2, 9_000))
def test_halves_share_no_day_and_leave_none_out(first: date, days: int) -> None:
    window = Window(first, date.fromordinal(first.toordinal() + days - 1))
    left, right = halve(window)
    assert (left.first, right.last) == (window.first, window.last)
    assert right.first.toordinal() - left.last.toordinal() == 1
    assert abs(left.days - right.days) <= 1


def test_the_old_part_ends_the_day_before_yesterday_and_the_last_day_is_after_tomorrow() -> None:
    assert old_part(TODAY) == Window(date(2012, 1, 1), date(2026, 11, 18))
    assert [day.day for day in last_days(TODAY)] == [22, 21, 20, 19]
    recent = Window(date(2026, 11, 19), date(2026, 11, 22))
    assert widened(recent) == Window(date(2026, 11, 18), date(2026, 11, 23))
    assert list(pairs(Window(date(2026, 1, 1), date(2026, 1, 3)))) == [
        (date(2026, 1, 1), date(2026, 1, 2)),
        (date(2026, 1, 2), date(2026, 1, 3)),
    ]


@pytest.mark.parametrize(
    ("totals", "proves"),
    [
        ((20, 30, 50, 20, 30), True),
        ((20, 30, 45, 20, 30), True),
        ((20, 30, 30, 20, 30), False),
        ((20, 30, 51, 20, 30), False),
        ((19, 30, 49, 19, 30), False),
        ((20, 30, 50, 21, 30), False),
        ((20, 30, 50, 20, 31), False),
        ((0, 0, 0, 0, 0), False),
    ],
    ids=[
        "adds up",
        "ANY",
        "a bound left out",
        "more than both",
        "thin",
        "moved",
        "moved too",
        "nobody",
    ],
)
def test_bounds_are_proven_by_two_full_days_whose_totals_stand_still(
    totals: tuple[int, int, int, int, int], *, proves: bool
) -> None:
    assert Pair(*totals).proves_bounds is proves


@pytest.mark.parametrize(
    ("left", "right", "parent", "fall"),
    [
        (50, 50, 100, False),
        (48, 47, 100, False),
        (47, 47, 100, True),
        (80, 80, 100, False),
        (0, 0, 0, False),
    ],
)
def test_days_fall_between_halves_that_hold_less_than_their_parent(
    left: int, right: int, parent: int, *, fall: bool
) -> None:
    assert days_fall_between(parent - left - right, parent) is fall


def saw(
    users: str,
    *,
    total: int | None = None,
    largest: int | None = None,
    closed: bool = True,
    steady: bool = True,
) -> Settling:
    count = len(users) if total is None else total
    return Settling(closed, steady, count if largest is None else largest, count, frozenset(users))


@pytest.mark.parametrize(
    ("looks", "is_settled"),
    [
        ([saw("abc")], True),
        ([saw("")], True),
        ([saw("abc", total=4)], False),
        ([saw("abc", closed=False)], False),
        ([saw("abc", steady=False)], False),
        ([saw("abc", closed=False), saw("abc", closed=False)], True),
        ([saw("abc", steady=False), saw("abc", steady=False)], True),
        ([saw("abc", steady=False), saw("abd", steady=False)], False),
        ([saw("abc", total=4), saw("abc", total=4)], False),
        ([saw("abc", closed=False, steady=False), saw("abc", steady=False)], False),
        ([saw("abc", total=2, largest=3, steady=False), saw("ab", total=2)], True),
        # One is counted and not shown; another one was shown, and left between the two looks.
        ([saw("abc", total=4), saw("ab", total=3)], False),
        ([saw("abc", total=3, largest=4, steady=False), saw("ab", total=3)], False),
    ],
)
def test_a_window_is_settled_by_a_look_that_counts_up_by_twins_or_by_two_that_agree(
    looks: list[Settling], *, is_settled: bool
) -> None:
    assert settled(looks) is is_settled


def read(*, totals: tuple[int, ...] = (997, 997, 997), **changed: int | bool) -> WindowsReading:
    """The first Total is of the beginning, the second of before the recent part."""
    values = {
        "offset_ignored": False, "crowded": False, "days_lost": False, "between": 0, "torn": False, "dated": True,
        "before": totals[:1], "since": totals[1:], "clamped": False, "distinct": 997, "missing": 0,
    } | changed  # fmt: skip
    return WindowsReading(**values)  # type: ignore[arg-type]  # a table of its fields


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (read(), None),
        (read(missing=3), None),
        (read(offset_ignored=True, crowded=True), Reason.OFFSET_IGNORED),
        (read(crowded=True, days_lost=True, torn=True), Reason.CROWDED_DAY),
        (read(days_lost=True, torn=True, dated=False), Reason.WINDOW_GAP),
        (read(between=1), None),
        (read(between=1, missing=1), Reason.WINDOW_GAP),
        (read(torn=True, dated=False, missing=1), Reason.TORN),
        (read(dated=False, missing=1, distinct=1), Reason.UNDATED),
        (read(dated=False), None),
        (read(clamped=True), Reason.UNDATED),
        (read(distinct=992), None),
        (read(distinct=991), Reason.TOTAL_GAP),
        (read(distinct=996, missing=1), Reason.TOTAL_GAP),
        (read(distinct=1_002), None),
        (read(distinct=1_003), Reason.TOTAL_GAP),
        # Nobody left meanwhile, as far as the Totals say: whom the windows showed must be counted.
        (read(distinct=998, missing=1), Reason.TOTAL_GAP),
        (read(totals=(999, 997, 997), distinct=999, missing=1), None),
        (read(totals=(999, 997, 997), distinct=1_000, missing=1), Reason.TOTAL_GAP),
        (read(totals=(998, 999, 998, 999, 997), distinct=1_001, missing=1), Reason.TOTAL_GAP),
        (read(totals=(999, 998, 997, 999, 998), distinct=1_000, missing=1), None),
        # The last Total may be told too low: the one before the recent part speaks, too.
        (read(totals=(999, 999, 997), distinct=997, missing=1), Reason.TOTAL_GAP),
        (read(totals=(999, 997, 997), distinct=997, missing=1), None),
    ],
)
def test_each_case_has_its_reason_and_the_gravest_speaks(
    reading: WindowsReading, reason: Reason | None
) -> None:
    assert doubt(reading, tolerance=0.005, gaps=Gaps()) is reason


@pytest.mark.parametrize(
    ("distinct", "believed"), [(993, False), (994, True), (1_000, True), (1_001, False)]
)
def test_a_standing_gap_of_the_windows_is_granted_on_both_sides(
    distinct: int, *, believed: bool
) -> None:
    reading = read(distinct=distinct, between=3, missing=1)
    assert (doubt(reading, tolerance=0.005, gaps=Gaps(kept=3)) is None) is believed


# -- nobody who followed is marked -----------------------------------------------------------


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    semantics=st.sampled_from(["last", "any"]),
    bounds=st.sampled_from(["inclusive", "from_excluded", "to_excluded", "both_excluded"]),
    single=st.booleans(),
    future=st.booleans(),
    undated=st.sampled_from([0, 0, 0.1]),
    ahead=st.sampled_from([0, 0, -1, 1]),
    rates=st.fixed_dictionaries(
        {
            "interact": st.sampled_from([0, 0.02, 0.3, 2]),
            "leave": st.sampled_from([0, 0.02, 0.2]),
            "arrive": st.sampled_from([0, 0.02, 0.2]),
            "come_back": st.sampled_from([0, 0.02]),
            "midnight": st.sampled_from([0, 0.01]),
        }
    ),
)
def test_nobody_who_followed_throughout_is_marked_whatever_the_server_means_by_a_day(
    *, seed: int, semantics: str, bounds: str, single: bool, future: bool, undated: float,
    ahead: int, rates: dict[str, float],
) -> None:  # fmt: skip
    world = WindowWorld(
        300, seed, semantics=semantics, bounds=bounds, single_days_whole=single, future=future,
        undated=undated, ahead=ahead, rates=rates, spread=25,
    )  # fmt: skip
    nights = Nights(world)
    for _ in range(3):
        _, false = nights.night()
        assert not false


def test_a_quiet_oa_beyond_the_ceiling_is_read_whole_and_who_left_is_found() -> None:
    world = WindowWorld(603, 1, spread=25)
    nights = Nights(world)
    swept, _ = nights.night()
    assert (swept.source, swept.reason, swept.seen) == (Source.WINDOWS, None, 603)
    for _ in range(5):
        world.leave()
    swept, false = nights.night()
    assert (swept.reason, swept.missing, false) == (None, 5, set())
    assert nights.known == set(world.here)


@pytest.mark.parametrize("seed", range(3))
def test_a_busy_oa_loses_no_day_though_its_halves_are_counted_while_users_act(seed: int) -> None:
    """Totals of different moments say nothing about days that fall between windows."""
    world = WindowWorld(2_003, seed, reach=200, spread=60, rates={"interact": 0.1, "leave": 0.02})
    nights = Nights(world)
    for _ in range(3):
        assert nights.night()[0].reason is not Reason.WINDOW_GAP
        world.midnight()


def test_days_that_do_fall_between_windows_are_found_however_often_they_are_counted() -> None:
    world = WindowWorld(603, 1, spread=25)
    honest = world.users_between

    def without_the_tenth(window: Window, offset: int, *, count: int = 50) -> Page:
        """A day that is counted in ten days and more, and in no shorter window."""
        lost = [user for user, days in world.days.items() if days[-1] == date(2026, 11, 10)]
        here = world.here
        world.here = here if window.days >= 10 else [user for user in here if user not in lost]
        try:
            return honest(window, offset, count=count)
        finally:
            world.here = here

    world.users_between = without_the_tenth  # type: ignore[method-assign]
    swept, _ = Nights(world).night()
    assert swept.reason is Reason.WINDOW_GAP


def test_a_failure_of_getfollowers_in_the_days_test_fails_the_run() -> None:
    """It says nothing about QueryListUID."""
    world = WindowWorld(603, 1, spread=25)
    honest, asked_by_days = world.page, []

    def page(offset: int) -> Page:
        if world.asked_by_days:
            asked_by_days.append(offset)
            raise EsmsUnavailableError("timed out")
        return honest(offset)

    world.page = page  # type: ignore[method-assign]
    with pytest.raises(EsmsUnavailableError):
        Nights(world).night()
    assert asked_by_days == [0]


def test_a_window_whose_offset_is_ignored_is_no_crowded_day() -> None:
    world = WindowWorld(603, 1, spread=25, ignores_offset=True)
    nights = Nights(world)
    swept, _ = nights.night()
    assert (swept.source, swept.reason) == (Source.WINDOWS, Reason.OFFSET_IGNORED)
    assert nights.known <= set(world.here)


def test_a_list_that_cannot_be_read_costs_little_more_than_one_that_can() -> None:
    """Another order in every answer: extra requests are bounded once for all windows, and once a
    window is torn no other one is read again and again."""
    calm = WindowWorld(603, 1, spread=120)
    Nights(calm).night()
    world = WindowWorld(603, 1, spread=120, shuffled=True)
    swept, _ = Nights(world).night()
    assert swept.reason is Reason.TORN
    assert world.asked < 4 * calm.asked


def test_no_window_has_extra_requests_of_its_own() -> None:
    budget = Budget()
    for _ in range(2):
        budget.next_list()
        budget.pages = 10
    granted = 0
    while budget.take():
        granted += 1
    assert granted == 64 + 3 * (10 + 10 + 2)


def test_blank_answers_are_no_ceiling_where_another_window_was_read_further() -> None:
    """Then days would be cut that need not be, and called crowded."""
    world = WindowWorld(603, 1, spread=25)
    honest, served, blanks = world.users_between, [0], [2]

    def users_between(window: Window, offset: int, *, count: int = 50) -> Page:
        page = honest(window, offset, count=count)
        if count == 1 or not offset:
            return page
        if blanks[0] and max(served) > 45 and page.total > 40 and offset < 20:
            blanks[0] -= 1
            return Page(offset, (), page.total)
        served.append(page.end)
        return page

    world.users_between = users_between  # type: ignore[method-assign]
    swept, _ = Nights(world).night()
    assert (swept.reason, swept.seen, blanks) == (None, 603, [0])


@pytest.mark.parametrize("ahead", [-1, 0, 1], ids=["behind", "alike", "ahead"])
@pytest.mark.parametrize("future", [True, False], ids=["served", "refused"])
def test_a_server_whose_date_is_not_ours_is_read_whole(*, ahead: int, future: bool) -> None:
    world = WindowWorld(603, 1, spread=10, reach=300, size=20, ahead=ahead, future=future)
    nights = Nights(world)
    for _ in range(40):
        world.interact()
    assert (nights.night()[0].reason, nights.known) == (None, set(world.here))
    world.leave()
    swept, _ = nights.night()
    assert (swept.reason, swept.missing) == (None, 1)


@pytest.mark.parametrize("before_the_end", [4, 12, 30, 60])
def test_a_day_that_begins_during_the_reading_is_read_where_the_future_is_refused(
    before_the_end: int,
) -> None:
    """Everybody who acts after midnight moves into a day that was the future when it began."""
    world = WindowWorld(603, 1, spread=10, reach=300, size=20, future=False)
    nights = Nights(world)
    nights.night()
    world.leave()
    asked = world.asked
    calm = WindowWorld(603, 1, spread=10, reach=300, size=20, future=False)
    Nights(calm).night()

    def midnight() -> None:
        world.midnight()
        for user in world.here[:100]:
            world.days[user].append(world.today)

    world.before[asked + calm.asked - before_the_end] = midnight
    swept, false = nights.night()
    assert (swept.reason, swept.missing, false) == (None, 1, set())


def large(count: int) -> WindowWorld:
    """An OA near the documented ceiling."""
    return WindowWorld(count, 1, reach=10_000, size=50, spread=400)


def test_an_oa_that_shrinks_below_the_ceiling_is_read_by_getfollowers_again() -> None:
    world = large(10_003)
    nights = Nights(world)
    assert nights.night()[0].source is Source.WINDOWS
    for _ in range(100):
        world.leave()
    world.asked_by_days = 0
    swept, false = nights.night()
    assert (swept.source, swept.reason, swept.missing, false) == (
        Source.FOLLOWERS, None, 100, set()
    )  # fmt: skip
    assert not world.asked_by_days


def test_an_oa_that_grows_past_the_ceiling_is_read_by_windows_from_that_night_on() -> None:
    world = large(9_960)
    nights = Nights(world)
    assert nights.night()[0].source is Source.FOLLOWERS
    for _ in range(100):
        world.arrive()
    for _ in range(10):
        world.leave()
    swept, false = nights.night()
    assert (swept.source, swept.reason, swept.missing, false) == (
        Source.WINDOWS, None, 10, set()
    )  # fmt: skip
    assert nights.known == set(world.here)


@pytest.mark.parametrize("rate", ["arrive", "leave"])
def test_an_oa_that_crosses_the_ceiling_within_a_run_marks_nobody_who_stayed(rate: str) -> None:
    world = large(10_001 if rate == "leave" else 9_999)
    nights = Nights(world)
    nights.night()
    for _ in range(3):
        world.leave()
    world.rates = {rate: 0.2}
    _, false = nights.night()
    assert not false
    world.rates = {}
    swept, false = nights.night()
    assert (swept.reason, false, nights.known) == (None, set(), set(world.here))


def test_a_server_that_answers_the_future_with_nobody_is_asked_up_to_today() -> None:
    world = WindowWorld(603, 1, spread=4, reach=400, size=20, future_is_empty=True)
    nights = Nights(world)
    assert (nights.night()[0].reason, nights.known) == (None, set(world.here))
    for _ in range(5):
        world.leave()
    swept, false = nights.night()
    assert (swept.reason, swept.missing, false) == (None, 5, set())


# -- some who follow are hidden, while as many or more leave -----------------------------------


def hidden_and_marked(seed: int, counted: str) -> int:
    """Nights in which two are hidden, and as many or more leave: how many are marked falsely."""
    false = 0
    world = WindowWorld(
        300, seed, reach=100, size=20, spread=25, rates={"leave": 0.03, "arrive": 0.01},
        hidden_counted=counted,
    )  # fmt: skip
    nights = Nights(world)
    world.quiet = True
    nights.night()
    world.quiet = False
    for night in range(3):
        world.leave()
        world.hidden = set(random.Random(f"{seed}/{night}").sample(world.here, 2))
        false += len(nights.night()[1])
        world.midnight()
    return false


@pytest.mark.parametrize("counted", ["everywhere", "in_all_days", "by_followers"])
def test_whoever_is_hidden_is_not_made_up_for_by_others_who_were_shown_and_left(
    counted: str,
) -> None:
    assert sum(hidden_and_marked(seed, counted) for seed in range(12)) == 0


@pytest.mark.parametrize("leavers", [0, 1, 3])
def test_whoever_falls_out_of_all_days_after_the_days_test_is_not_gone(leavers: int) -> None:
    """One acted today. They are in no window any more just as the recent days are read; before, as
    many or more were shown in the old ones, and left.
    """
    world = WindowWorld(300, 1, reach=100, size=20, spread=25, hidden_counted="by_followers")
    nights = Nights(world)
    nights.night()
    world.leave()
    world.midnight()
    acts = world.here[-1]
    world.days[acts] = [world.today]
    old = [user for user in world.here[150:] if world.days[user][-1] < world.today - 3 * DAY]
    page, users_between = world.page, world.users_between
    asked_by_days = world.asked_by_days

    def then_some_leave(offset: int) -> Page:
        if world.asked_by_days > asked_by_days:  # the days test
            for user in old[:leavers]:
                world.here.remove(user)
                world.throughout.discard(user)
            del old[:]
        return page(offset)

    def then_one_is_hidden(window: Window, offset: int, *, count: int = 50) -> Page:
        if window.last > world.today and window.days < 10:
            world.hidden = {acts}
        return users_between(window, offset, count=count)

    world.page = then_some_leave  # type: ignore[method-assign]
    world.users_between = then_one_is_hidden  # type: ignore[method-assign]
    swept, false = nights.night()
    assert (swept.source, swept.complete, false) == (Source.WINDOWS, False, set())


def marked_falsely() -> int:
    """In some nights of some worlds in which one acts whenever another one leaves."""
    found = 0
    for seed in range(6):
        rates = {"act_and_leave": 0.02, "arrive": 0.02}
        world = WindowWorld(300, seed, reach=100, size=20, spread=25, rates=rates)
        nights = Nights(world)
        for _ in range(4):
            found += len(nights.night()[1])
            world.midnight()
    return found


def newest_first(
    reader: window_reader.WindowReader, page: Callable[[int], Page], spool: Spool
) -> tuple[bool, int]:
    """The same reading in the wrong order: the recent part, then the old one."""
    reader.find_days()
    reader.count_all_days()
    old = old_part(reader.today(), reader.oldest)
    reader.prove_bounds(old)
    dated = windowed._days_test(reader, page)
    windowed._read_recent(reader, old, spool)
    reader.read(old)
    spool.end_look()
    return dated, len(reader.totals) - 1


def test_the_order_is_the_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever acts moves up, into what was read already if the newest were read first.

    The Totals need not show it: for each who is not seen another one was seen, and left.
    """
    assert marked_falsely() == 0
    monkeypatch.setattr(windowed, "_read_windows", newest_first)
    assert marked_falsely() > 0


def test_an_oa_below_the_ceiling_never_asks_for_windows() -> None:
    world = WindowWorld(40, 1)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("asked")

    world.users_between = refuse  # type: ignore[method-assign,assignment]
    nights = Nights(world)
    assert nights.night()[0].source is Source.FOLLOWERS
    world.leave()
    assert nights.night()[0].complete
