"""Work in a thread that nobody has to wait for: it does not outlive the process."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R")


def begin(work: Callable[[], R], name: str) -> Future[R]:
    """Do the work in a daemon thread; in this very one where the system gives no more threads.

    Unlike those of `concurrent.futures`, such a thread is not joined when the process ends.
    """
    future: Future[R] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - whoever takes the result raises it
            future.set_exception(error)

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError:
        run()
    return future
