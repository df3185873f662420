"""Beyond the ceiling: no night marks anybody who followed throughout, whatever the server means by a day."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from windowworld import Nights, WindowWorld

from etl.model import Gaps, Reason, Source, Window
from etl.sync import windowed
from etl.sync.windows import (
    Pair,
    Reading,
    Settling,
    days_fall_between,
    doubt,
    halve,
    old_part,
    pairs,
    recent_part,
    settled,
    widened,
)

TODAY = date(2026, 11, 20)


# -- the pure part ----------------------------------------------------------------------------


@given(first=st.dates(date(2012, 1, 1), date(2030, 1, 1)), days=st.integers(2, 9_000))
def test_halves_share_no_day_and_leave_none_out(first: date, days: int) -> None:
    window = Window(first, date.fromordinal(first.toordinal() + days - 1))
    left, right = halve(window)
    assert (left.first, right.last) == (window.first, window.last)
    assert right.first.toordinal() - left.last.toordinal() == 1
    assert abs(left.days - right.days) <= 1


def test_the_old_and_the_recent_part_share_no_day_and_leave_none_out() -> None:
    old = old_part(TODAY)
    recent = recent_part(old, TODAY, future=True)
    assert (old.last, recent.first, recent.last) == (
        date(2026, 11, 18),
        date(2026, 11, 19),
        date(2026, 11, 22),
    )
    assert recent_part(old, TODAY, future=False).last == TODAY
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
    assert days_fall_between(left, right, parent) is fall


def saw(
    users: str, *, total: int | None = None, closed: bool = True, steady: bool = True
) -> Settling:
    count = len(users) if total is None else total
    return Settling(closed, steady, count, count, frozenset(users))


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
    ],
)
def test_a_window_is_settled_by_a_look_that_counts_up_by_twins_or_by_two_that_agree(
    looks: list[Settling], *, is_settled: bool
) -> None:
    assert settled(looks) is is_settled


def read(**changed: int | bool) -> Reading:
    values = {
        "crowded": False, "days_lost": False, "torn": False, "dated": True, "total": 997, "clamped": False, "distinct": 997,
        "missing": 0,
    } | changed  # fmt: skip
    return Reading(**values)  # type: ignore[arg-type]  # a table of its fields


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (read(), None),
        (read(missing=3), None),
        (read(crowded=True, days_lost=True, torn=True), Reason.CROWDED_DAY),
        (read(days_lost=True, torn=True, dated=False), Reason.WINDOW_GAP),
        (read(torn=True, dated=False, missing=1), Reason.TORN),
        (read(dated=False, missing=1, distinct=1), Reason.UNDATED),
        (read(dated=False), None),
        (read(clamped=True), Reason.UNDATED),
        (read(distinct=992), None),
        (read(distinct=991), Reason.TOTAL_GAP),
        (read(distinct=996, missing=1), Reason.TOTAL_GAP),
        (read(distinct=1_003), Reason.TOTAL_GAP),
    ],
)
def test_each_case_has_its_reason_and_the_gravest_speaks(
    reading: Reading, reason: Reason | None
) -> None:
    assert doubt(reading, tolerance=0.005, gaps=Gaps()) is reason


# -- nobody who followed is marked -----------------------------------------------------------


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    semantics=st.sampled_from(["last", "any"]),
    bounds=st.sampled_from(["inclusive", "from_excluded", "to_excluded", "both_excluded"]),
    single=st.booleans(),
    future=st.booleans(),
    undated=st.sampled_from([0, 0, 0.1]),
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
    *, seed: int, semantics: str, bounds: str, single: bool, future: bool, undated: float, rates: dict[str, float]
) -> None:  # fmt: skip
    world = WindowWorld(
        300, seed, semantics=semantics, bounds=bounds, single_days_whole=single, future=future,
        undated=undated, rates=rates, spread=25,
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


def test_a_server_that_answers_the_future_with_nobody_is_asked_up_to_today() -> None:
    world = WindowWorld(603, 1, spread=4, reach=400, size=20, future_is_empty=True)
    nights = Nights(world)
    assert (nights.night()[0].reason, nights.known) == (None, set(world.here))
    for _ in range(5):
        world.leave()
    swept, false = nights.night()
    assert (swept.reason, swept.missing, false) == (None, 5, set())


def test_reading_the_newest_window_first_would_mark_those_who_moved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The order is the proof: whoever acts meanwhile moves upwards, into what was read already."""

    def wrong(seed: int) -> int:
        world = WindowWorld(300, seed, spread=25, rates={"interact": 1})
        nights = Nights(world)
        nights.night()
        found = 0
        for _ in range(3):
            world.leave()
            found += len(nights.night()[1])
        return found

    assert sum(map(wrong, range(6))) == 0
    honest = windowed.WindowReader._plan
    monkeypatch.setattr(
        windowed.WindowReader, "_plan", lambda self, window: reversed(list(honest(self, window)))
    )
    monkeypatch.setattr(windowed, "doubt", lambda *_, **__: None)
    assert sum(map(wrong, range(6))) > 0


def test_an_oa_below_the_ceiling_never_asks_for_windows() -> None:
    world = WindowWorld(40, 1)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("asked")

    world.users_between = refuse  # type: ignore[method-assign,assignment]
    nights = Nights(world)
    assert nights.night()[0].source is Source.FOLLOWERS
    world.leave()
    assert nights.night()[0].complete
