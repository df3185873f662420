"""Several OAs at once, each in a thread of its own, so that the main thread hears every signal."""

from __future__ import annotations

import signal
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from typing import TYPE_CHECKING

from etl.errors import InterruptedRunError
from etl.threads import begin

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from etl.sync.run import Outcome

LISTEN_SECONDS = 0.5
"""How often the main thread looks up: a signal that comes just before it begins to wait does not
wake it."""

STOPPING_SECONDS = 7.0
"""How long, after a signal, the OAs are waited for."""


def at_once(
    sync: Callable[[str], Outcome],
    oaids: Iterable[str],
    count: int,
    *,
    stop: Callable[[int], None],
) -> Generator[Outcome]:
    """Sync as many OAs at once as `count` says; gives each outcome as soon as it is there.

    Args:
        sync: called in a thread of its own for each OA.
        oaids: begun in their order.
        count: threads at once.
        stop: lets all of them end soon; given the number of a signal.

    Raises:
        InterruptedRunError: a signal came, and no outcome says so.
    """
    waiting = iter(oaids)
    unseen: set[Future[Outcome]] = set()
    try:
        while True:
            while len(unseen) < count and (oaid := next(waiting, None)) is not None:
                unseen.add(begin(partial(sync, oaid), "etl-oa"))
            if not unseen:
                return
            for each in wait(unseen, LISTEN_SECONDS, FIRST_COMPLETED).done:
                unseen.discard(each)
                yield each.result()
    except InterruptedRunError as interrupted:
        stop(interrupted.signum)
        outcomes = [each.result() for each in wait(unseen, timeout=STOPPING_SECONDS).done]
        yield from outcomes
        if not any(isinstance(each.error, InterruptedRunError) for each in outcomes):
            raise
    except BaseException:  # whoever takes the outcomes takes no more of them
        stop(signal.SIGTERM)  # as a signal would end what is under way
        wait(unseen, timeout=STOPPING_SECONDS)
        raise
