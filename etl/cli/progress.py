"""A progress bar on a terminal, and nothing elsewhere."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from etl.model import ignore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show how far something is; gives a callback of (what, done, of how many).

    A bar that cannot be drawn is no reason not to go on.
    """
    bar = ExitStack()
    show: Callable[[str, int, int], None] = ignore
    if sys.stderr.isatty():
        from etl.cli import terminal  # noqa: PLC0415 - rich is not imported where nobody watches

        with suppress(OSError, RuntimeError):  # RuntimeError: it wants a thread
            show = bar.enter_context(terminal.draw_progress())
    try:
        yield show
    finally:
        with suppress(OSError, RuntimeError):
            bar.close()
