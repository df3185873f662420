"""What is drawn on a terminal, by rich; imported only where there is one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


def draw_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]
) -> None:
    """Draw a table on stdout. Nothing is cut off, however narrow the terminal."""
    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True, padding=(0, 1, 0, 0))
    for column, figures in zip(columns, numeric, strict=True):
        table.add_column(
            column.replace("_", " "), justify="right" if figures else "left", overflow="fold"
        )
    for row in rows:
        # Text: an OA's name is data and may look like markup.
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


@contextmanager
def draw_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Draw a progress bar on stderr; gives a callback of (what, done, of how many)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, visible=False)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, visible=True, description=what, completed=done, total=max(total, done))

        yield show
