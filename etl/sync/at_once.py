"""Several OAs at once, each in a thread of its own.

So a signal always finds the main thread listening.
"""

from __future__ import annotations

import signal
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from etl.errors import InterruptedRunError
from etl.threads import begin

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

R = TypeVar("R")
T = TypeVar("T")

LISTEN_SECONDS = 0.5
"""How often the main thread looks up: a signal that comes just before it begins to wait does not
wake it."""

FAREWELL_SECONDS = 7.0
"""How long, after a signal, the OAs are waited for."""


def at_once(
    work: Callable[[T], R], items: Iterable[T], count: int, *, stop: Callable[[int], None]
) -> Generator[R]:
    """Do the work for as many items at once as `count` says.

    Give each result as soon as it is there.

    Args:
        work: called in a thread of its own for each item.
        items: begun in their order.
        count: threads at once.
        stop: lets all work end soon; given the number of a signal.

    Raises:
        InterruptedRunError: a signal came. Not where the result of some work says so already: its
            `error` is one.
    """
    waiting = iter(items)
    unseen: set[Future[R]] = set()
    try:
        while True:
            while len(unseen) < count and (item := next(waiting, None)) is not None:
                unseen.add(begin(partial(work, item), "etl-oa"))
            if not unseen:
                return
            for each in wait(unseen, LISTEN_SECONDS, FIRST_COMPLETED).done:
                unseen.discard(each)
                yield each.result()
    except InterruptedRunError as interrupted:
        stop(interrupted.signum)
        results = [each.result() for each in wait(unseen, timeout=FAREWELL_SECONDS).done]
        yield from results
        if not any(
            isinstance(getattr(each, "error", None), InterruptedRunError) for each in results
        ):
            raise
    except BaseException:  # whoever takes the results takes no more of them
        stop(signal.SIGTERM)  # as a signal would end what is under way
        wait(unseen, timeout=FAREWELL_SECONDS)
        raise
