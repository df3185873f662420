"""A progress bar on a terminal, and silence under cron."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def progress() -> Iterator[Callable[[str, int, int, int], None]]:
    """A callback for `Run.on_page`, told (oaid, look, users read, Total) after every page. Draws on stderr, if at all."""
    if not sys.stderr.isatty():
        yield lambda oaid, look, end, total: None  # noqa: ARG005 - nobody watches
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("OA {task.fields[oaid]}, look {task.fields[look]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, visible=False, oaid="", look=1)

        def show(oaid: str, look: int, end: int, total: int) -> None:
            bar.update(
                task, visible=True, oaid=oaid, look=look, completed=end, total=max(total, end)
            )

        yield show
