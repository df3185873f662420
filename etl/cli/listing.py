"""A table in lines of a terminal: never wider than it, and no word and no number is cut."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GAP = 2
"""Blanks between two columns."""

READABLE = 20
"""Characters of a text in a column, where the column names no other number."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a listing.

    Attributes:
        header: above it; it may be folded.
        number: set to the right, and never folded.
        drop: where the terminal is too narrow, the columns with the largest value are left out
            first; one with 0 never is.
        readable: characters; rather than fold a text to less, a column is left out.
    """

    header: str
    number: bool = False
    drop: int = 0
    readable: int = READABLE


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of a row, in the order of the columns, and what is told below it."""

    cells: Sequence[str]
    notes: Sequence[str] = field(default_factory=tuple)


def listing(
    columns: Sequence[Column], rows: Sequence[Row], width: int, *, total: Row | None = None
) -> list[str]:
    """The lines of a table: its header, its rows, and the total of all below a rule.

    Args:
        columns: what is shown, from left to right.
        rows: each with a cell for each column.
        width: characters of a line.
        total: the last row, if there is one.
    """
    every = [*rows, *([total] if total else [])]
    kept = _kept(columns, every, width)
    shown = [columns[at] for at in kept]
    cells = [[row.cells[at] for at in kept] for row in every]
    widths = _widths(shown, cells, width, readable=True)
    if _line_width(widths) > width:
        widths = _widths(shown, cells, width)
    if _line_width(widths) > width:
        return list(_records(columns, every, width))
    lines = [*_row([column.header for column in shown], shown, widths)]
    rule = "─" * _line_width(widths)
    lines.append(rule)
    for number, (row, texts) in enumerate(zip(every, cells, strict=True)):
        if row is total and number:
            lines.append(rule)
        lines += _row(texts, shown, widths)
        for note in row.notes:
            lines += fold(note, width, "    ", "    ")
    return lines


def breadth(text: str) -> int:
    """How many columns of a terminal a text takes: an accent of its own none, a wide letter two."""
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def fold(text: str, width: int, indent: str = "", rest: str = "") -> list[str]:
    """A text in lines of at most `width` columns, folded at blanks; a longer word is not cut.

    `indent` stands before the first line, `rest` before the others.
    """
    lines = [indent]
    for blanks, word in re.findall(r"(\s*)(\S+)", text):
        longer = f"{lines[-1]}{' ' * len(blanks)}{word}"
        if lines != [indent] and breadth(longer) > width:
            lines.append(rest + word)
        else:
            lines[-1] = longer
    return lines


def _kept(columns: Sequence[Column], rows: Sequence[Row], width: int) -> list[int]:
    """The places of the columns for which there is room."""
    kept = list(range(len(columns)))
    while True:
        shown = [columns[at] for at in kept]
        cells = [[row.cells[at] for at in kept] for row in rows]
        if _line_width(_widths(shown, cells, width, readable=True)) <= width:
            return kept
        least = max(kept, key=lambda at: (columns[at].drop, at))
        if not columns[least].drop:
            return kept
        kept.remove(least)


def _widths(
    columns: Sequence[Column],
    cells: Sequence[Sequence[str]],
    width: int,
    *,
    readable: bool = False,
) -> list[int]:
    """The width of each column: that of its cells, or less if texts have to be folded.

    With `readable`, no text is folded to less than its column says.
    """
    widths, least = [], []
    for at, column in enumerate(columns):
        texts = [row[at] for row in cells]
        words = [column.header, *([] if column.number else texts)]
        longest = max((breadth(word) for text in words for word in text.split()), default=0)
        widest = max((breadth(text) for text in texts), default=0)
        most = min(widest, column.readable) if readable else 0
        least.append(max(longest, widest if column.number else most))
        widths.append(max(longest, widest, breadth(column.header)))
    while (excess := _line_width(widths) - width) > 0:
        at = max(range(len(widths)), key=lambda at: widths[at] - least[at])
        if widths[at] == least[at]:
            return widths
        widths[at] = max(least[at], widths[at] - excess)
    return widths


def _line_width(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _row(texts: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> Iterator[str]:
    """The lines of one row: as many as its most folded cell has."""
    folded = [fold(text, size) for text, size in zip(texts, widths, strict=True)]
    for parts in zip_longest(*folded, fillvalue=""):
        padded = (
            " " * (size - breadth(part)) + part
            if column.number
            else part + " " * (size - breadth(part))
            for part, column, size in zip(parts, columns, widths, strict=True)
        )
        yield (" " * GAP).join(padded).rstrip()


def _records(columns: Sequence[Column], rows: Sequence[Row], width: int) -> Iterator[str]:
    """Where not even the narrowest table fits: a line for each cell."""
    for row in rows:
        for column, text in zip(columns, row.cells, strict=True):
            yield from fold(f"{column.header}: {text}", width)
        for note in row.notes:
            yield from fold(note, width, "    ", "    ")
        yield ""
