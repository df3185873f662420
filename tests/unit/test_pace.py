"""Patience has bounds, and a pace that is kept by all workers together. The clock is the test's
own: nobody sleeps here."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.errors import (
    EsmsUnavailableError,
    EtlError,
    FaultError,
    ImpossibleAnswerError,
    InterruptedRunError,
    MalformedAnswerError,
    OffsetRefusedError,
    OutOfTimeError,
    RefusedError,
    ThrottledError,
)
from etl.esms.pace import LONGEST_WAIT, SLOWEST_SHARE, Pace, patiently
from etl.model import ignore

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """Stands still but for what is slept, and remembers that."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def pace(self, rate: float = 0, *, deadline: float | None = None) -> Pace:
        return Pace(rate, deadline=deadline, clock=self, sleep=self.sleep)


class Server:
    """Fails with what it is given, one after the other, and then answers."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return "answer"


def largest(_: float, high: float) -> float:
    """The jitter at its bound."""
    return high


def ask(
    server: Server,
    pace: Pace,
    *,
    attempts: int = 6,
    base: float = 0.5,
    rng: Callable[[float, float], float] = largest,
    told: Callable[[int, float, str], None] = ignore,
) -> str:
    return patiently(
        server, attempts=attempts, backoff_base=base, pace=pace, on_retry=told, rng=rng
    )


# -- trying again ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "passing",
    [EsmsUnavailableError("down"), MalformedAnswerError("no JSON"), ThrottledError("160")],
)
def test_a_passing_fault_is_tried_again_until_it_has_passed(passing: EtlError) -> None:
    server, clock = Server(passing, passing, passing), Clock()
    assert ask(server, clock.pace()) == "answer"
    assert server.asked == 4
    assert clock.slept == [0.5, 1, 2]


@pytest.mark.parametrize(
    "final",
    [
        RefusedError("wrong keys", code="101", hint="h"),
        FaultError("110"),
        ImpossibleAnswerError("HTTP 404"),
        OffsetRefusedError(100),
        OutOfTimeError("over"),
        InterruptedRunError(15),
        KeyError("a fault of ours"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_no_retry_cures_is_raised_at_once(final: Exception) -> None:
    server, clock = Server(final, final), Clock()
    with pytest.raises(type(final)) as caught:
        ask(server, clock.pace())
    assert caught.value is final
    assert (server.asked, clock.slept) == (1, [])


@pytest.mark.parametrize("attempts", [1, 2, 6])
def test_the_last_of_so_many_attempts_raises_its_own_error_and_is_not_waited_for(
    attempts: int,
) -> None:
    failures = [EsmsUnavailableError(f"down {n}") for n in range(20)]
    server, clock = Server(*failures), Clock()
    with pytest.raises(EsmsUnavailableError) as caught:
        ask(server, clock.pace(), attempts=attempts)
    assert caught.value is failures[attempts - 1]
    assert server.asked == attempts
    assert len(clock.slept) == attempts - 1


def test_each_wait_is_told_with_its_attempt_and_reason_before_it_is_waited() -> None:
    clock, told = Clock(), []
    ask(
        Server(EsmsUnavailableError("down"), MalformedAnswerError("broken")),
        clock.pace(),
        told=lambda attempt, wait, reason: told.append((attempt, wait, reason, len(clock.slept))),
    )
    assert told == [(1, 0.5, "down", 0), (2, 1.0, "broken", 1)]


def test_waits_double_up_to_the_longest_and_no_further() -> None:
    clock = Clock()
    ask(Server(*[EsmsUnavailableError("down")] * 99), clock.pace(), attempts=100)
    assert clock.slept[:8] == [0.5, 1, 2, 4, 8, 16, 32, 60]
    assert set(clock.slept[8:]) == {LONGEST_WAIT}


def test_jitter_is_full_between_nothing_and_the_bound() -> None:
    drawn: list[tuple[float, float]] = []

    def draw(low: float, high: float) -> float:
        drawn.append((low, high))
        return high / 4

    clock = Clock()
    ask(Server(*[EsmsUnavailableError("down")] * 3), clock.pace(), rng=draw)
    assert drawn == [(0, 0.5), (0, 1), (0, 2)]
    assert clock.slept == [0.125, 0.25, 0.5]


@given(
    seed=st.integers(),
    base=st.floats(0, 600),
    failures=st.lists(st.none() | st.just("down") | st.floats(0, 1e9), max_size=12),
)
def test_no_wait_is_ever_negative_or_longer_than_the_longest(
    seed: int, base: float, failures: list[float | str | None]
) -> None:
    errors = [
        EsmsUnavailableError("down") if each == "down" else ThrottledError("160", retry_after=each)  # type: ignore[arg-type]
        for each in failures
    ]
    clock = Clock()
    ask(
        Server(*errors),
        clock.pace(),
        attempts=len(errors) + 1,
        base=base,
        rng=random.Random(seed).uniform,
    )
    assert all(0 <= wait <= LONGEST_WAIT for wait in clock.slept)


@pytest.mark.parametrize(
    ("retry_after", "low", "high"),
    [(0, 0, 0.5), (7, 7, 7.5), (59.9, 59.9, 60), (60, 60, 60), (1e6, 60, 60)],
)
def test_retry_after_is_waited_for_but_never_longer_than_a_minute(
    retry_after: float, low: float, high: float
) -> None:
    for edge in (lambda low, _: low, largest):
        clock = Clock()
        ask(Server(ThrottledError("429", retry_after=retry_after)), clock.pace(), rng=edge)
        assert low <= sum(clock.slept) <= high


def test_a_wait_that_would_reach_the_deadline_is_not_begun() -> None:
    server, clock = Server(*[EsmsUnavailableError("down")] * 99), Clock()
    with pytest.raises(OutOfTimeError):
        ask(server, clock.pace(deadline=clock.now + 10), attempts=100)
    assert clock.slept == [0.5, 1, 2, 4]  # 7.5 seconds; 8 more would be too late
    assert server.asked == 5


# -- the pace --------------------------------------------------------------------------------------


def test_slots_are_evenly_spaced_and_never_come_in_a_burst_after_a_pause() -> None:
    clock = Clock()
    pace = clock.pace(20)
    for _ in range(4):
        pace.take()
    assert clock.slept == pytest.approx([0.05] * 3)
    clock.now += 100
    clock.slept.clear()
    for _ in range(4):
        pace.take()
    assert clock.slept == pytest.approx([0.05] * 3)


def test_many_threads_share_one_pace_and_no_slot_is_given_twice() -> None:
    waits: list[float] = []
    pace = Pace(10, clock=lambda: 0.0, sleep=waits.append)
    start = threading.Barrier(16)

    def work() -> None:
        start.wait()
        for _ in range(10):
            pace.take()

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == pytest.approx(
        [slot / 10 for slot in range(1, 160)]
    )  # the first one waits for nothing


def test_a_rate_of_zero_is_no_limit() -> None:
    clock = Clock()
    pace = clock.pace(0)
    for _ in range(1_000):
        pace.take()
    assert clock.slept == []
    assert pace.interval == 0


@pytest.mark.parametrize("rate", [20, 0])
def test_throttling_halves_the_pace_of_all_and_it_grows_back_with_every_request(
    rate: float,
) -> None:
    clock = Clock()
    pace = clock.pace(rate)
    before = pace.interval
    pace.slow_down(0)
    halved = pace.interval
    assert halved == pytest.approx(2 * before if rate else 0.02)
    pace.slow_down(0)
    assert pace.interval == pytest.approx(2 * halved)
    intervals = []
    for _ in range(40):
        pace.take()
        intervals.append(pace.interval)
    assert intervals == sorted(intervals, reverse=True)
    assert intervals[20] > before
    assert intervals[-1] == before


def test_however_often_it_is_throttled_the_pace_stays_above_a_sixteenth() -> None:
    pace = Clock().pace(20)
    for _ in range(50):
        pace.slow_down(0)
    assert pace.interval == pytest.approx(0.05 / SLOWEST_SHARE)


@pytest.mark.parametrize("retry_after", [None, 3.0])
def test_one_throttled_worker_keeps_all_the_others_waiting(retry_after: float | None) -> None:
    clock = Clock()
    pace = clock.pace(20)
    pace.take()
    waits: list[float] = []

    def others(_: int, wait: float, __: str) -> None:
        waits.append(wait)

    sleeping = (
        Clock()
    )  # the throttled worker's own sleep, so that the shared clock stands still meanwhile
    mine = Pace(20, clock=clock, sleep=sleeping.sleep)
    ask(Server(ThrottledError("160", retry_after=retry_after)), mine, told=others)
    clock.slept.clear()
    mine.take()
    assert waits[0] >= (retry_after or 0.5)
    assert sleeping.slept == [
        waits[0],
        pytest.approx(waits[0]),
    ]  # its own wait, then that of the next who asks
    assert mine.interval == pytest.approx(0.1, rel=0.06)


def test_an_ordinary_fault_slows_nobody_down() -> None:
    pace = Clock().pace(20)
    ask(Server(EsmsUnavailableError("down"), MalformedAnswerError("broken")), pace)
    assert pace.interval == pytest.approx(0.05)


def test_a_slot_beyond_the_deadline_ends_the_run_instead_of_being_waited_for() -> None:
    clock = Clock()
    pace = clock.pace(1, deadline=clock.now + 2.5)
    for _ in range(3):
        pace.take()
    with pytest.raises(OutOfTimeError, match="ETL_MAX_RUNTIME"):
        pace.take()
    assert clock.slept == [1, 1]


def test_past_the_deadline_nothing_is_asked_any_more() -> None:
    clock = Clock()
    pace = clock.pace(0, deadline=clock.now + 5)
    clock.now += 5
    asks: list[Callable[[], None]] = [pace.take, lambda: pace.wait(0), lambda: pace.wait(-1)]
    for ask_for in asks:
        with pytest.raises(OutOfTimeError):
            ask_for()


@pytest.mark.parametrize("waiting", ["between two tries", "for a slot"])
def test_stop_wakes_everybody_who_waits_and_lets_nobody_ask_any_more(waiting: str) -> None:
    pace = Pace(1 / 3600)
    pace.take()
    ended: list[BaseException] = []
    begun = threading.Barrier(5)

    def wait() -> None:
        begun.wait()
        try:
            if waiting == "for a slot":
                pace.take()
            else:
                pace.wait(3600)
        except InterruptedRunError as error:
            ended.append(error)

    threads = [threading.Thread(target=wait, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    begun.wait()
    pace.stop()
    for thread in threads:
        thread.join(timeout=30)
    assert [type(error) for error in ended] == [InterruptedRunError] * 4
    with pytest.raises(InterruptedRunError):
        pace.wait(0)
    with pytest.raises(InterruptedRunError):
        pace.take()
