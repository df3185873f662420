"""A progress bar on a terminal, and nothing elsewhere."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show how far something is; gives a callback of (what, done, of how many)."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None  # noqa: ARG005 - nobody watches
        return
    from etl.cli import terminal  # noqa: PLC0415 - rich is not imported where nobody watches

    with terminal.draw_progress() as show:
        yield show
