"""Patience, in one file: what is tried again and for how long, and how fast we may ask at all."""

from __future__ import annotations

import random
import signal
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from etl.errors import (
    EsmsUnavailableError,
    InterruptedRunError,
    MalformedAnswerError,
    OutOfTimeError,
    ThrottledError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

WORTH_RETRYING = (EsmsUnavailableError, MalformedAnswerError)
"""Passing faults. Everything else is raised at once: a refusal, HTTP 4xx, our own faults."""

LONGEST_WAIT = 60.0
"""Seconds; a longer Retry-After is cut to it, and no backoff grows beyond it."""

SLOWEST_SHARE = 1 / 16
"""Of ESMS_RATE: throttling halves the pace again and again, but never below this share."""

RECOVERY = 1.05
"""By how much the pace grows back with every request, up to ESMS_RATE: some 15 requests undo one
halving."""

STOPPED: int = signal.SIGTERM
"""What ended a worker that was stopped without a word."""

PACE_WITHOUT_RATE = 100.0
"""Requests a second from which throttling halves where ESMS_RATE is 0 (no limit)."""


class Pace:
    """The pace of all workers of the process: evenly spaced slots, never a burst.

    It slows down after each throttling. Thread-safe. `clock` gives seconds; waiting ends at a
    deadline of that clock (the pace's own, or that of whoever waits), or when `stop()` is called.
    """

    def __init__(
        self, rate: float, *, deadline: float | None = None, clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
    ) -> None:  # fmt: skip
        self._rate = rate
        self._deadline = deadline
        self._clock = clock
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self._lock = threading.Lock()
        self._next = clock()
        self._share = 1.0
        self._signum = STOPPED

    @property
    def interval(self) -> float:
        """Seconds between two requests now; 0 where nothing limits them."""
        with self._lock:
            return self._interval()

    def take(self, deadline: float | None = None) -> None:
        """Wait for the next slot. Raises as `wait` does."""
        with self._lock:
            now = self._clock()
            slot = max(self._next, now)
            self._next = slot + self._interval()
            self._share = min(1.0, self._share * RECOVERY)
        self.wait(slot - now, deadline=deadline)

    def slow_down(self, seconds: float) -> None:
        """Slow down after code 160 or HTTP 429.

        Nobody asks for so many seconds, and then all ask half as fast, for a while.
        """
        with self._lock:
            self._share = max(SLOWEST_SHARE, self._share / 2)
            self._next = max(self._next, self._clock() + seconds)

    def wait(self, seconds: float, deadline: float | None = None) -> None:
        """Sleep, unless the run is stopped or the deadline comes first.

        Raises:
            OutOfTimeError: the deadline comes first, or is over.
            InterruptedRunError: the run was stopped.
        """
        ends = self._deadline if deadline is None else deadline
        if ends is not None and self._clock() + max(seconds, 0) >= ends:
            raise OutOfTimeError("the run reached ETL_MAX_RUNTIME")
        if seconds > 0:
            self._sleep(seconds)
        self.check()

    def check(self) -> None:
        """Raise where the run was stopped.

        Raises:
            InterruptedRunError: it was.
        """
        if self._stopped.is_set():
            raise InterruptedRunError(self._signum)

    def stop(self, signum: int | None = None) -> None:
        """Wake everybody who waits, and let nobody ask any more.

        `signum` is of the signal that ended the run.
        """
        self._signum = signum or self._signum
        self._stopped.set()

    def _interval(self) -> float:
        if self._share >= 1:
            return 1 / self._rate if self._rate else 0.0
        return 1 / ((self._rate or PACE_WITHOUT_RATE) * self._share)


def patiently(
    call: Callable[[], T],
    *,
    attempts: int,
    backoff_base: float,
    pace: Pace,
    deadline: float | None = None,
    on_retry: Callable[[int, float, str], None],
    rng: Callable[[float, float], float] = random.uniform,
) -> T:
    """Call until it answers, at most `attempts` times.

    Waits grow from `backoff_base` seconds with full jitter: a wait is drawn between 0 and the
    exponential bound, so that workers that failed together do not come back together
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

    Raises:
        EtlError: the last try's own, its message naming the tries; or at once what no retry cures.
        OutOfTimeError: the run's time is over.
    """

    def wait_after(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        bound = min(LONGEST_WAIT, backoff_base * 2.0 ** min(state.attempt_number - 1, 30))
        if isinstance(error, EsmsUnavailableError) and error.retry_after is not None:
            return min(LONGEST_WAIT, error.retry_after + rng(0, backoff_base))
        return rng(0, bound)

    def before_sleep(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        wait = state.upcoming_sleep
        on_retry(state.attempt_number, wait, str(error))
        if isinstance(error, ThrottledError):
            pace.slow_down(wait)

    retrying = Retrying(
        retry=retry_if_exception_type(WORTH_RETRYING),
        stop=stop_after_attempt(attempts),
        wait=wait_after,
        before_sleep=before_sleep,
        sleep=partial(pace.wait, deadline=deadline),
        reraise=True,
    )
    return retrying(call)
