"""Listings on stdout: a table for people, CSV or JSON lines for programs."""

from __future__ import annotations

import csv
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

from etl.cli.app import TableFormat, plain, write_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def show_rows(
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    output: TableFormat,
    *,
    people: Sequence[str] = (),
) -> None:
    """Show rows of named values in the form that was asked for. `people`: the columns that a terminal has room for."""
    if output is TableFormat.JSON:
        for row in rows:
            write_line({column: row[column] for column in columns})
    elif output is TableFormat.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([plain(row[column]) for column in columns] for row in rows)
    else:
        if people and sys.stdout.isatty():
            columns = [column for column in people if any(row[column] is not None for row in rows)]
        show_table(columns, [[row[column] for column in columns] for row in rows])


def show_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table: drawn on a terminal, tab-separated and whole in a pipe."""
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            sys.stdout.write("\t".join(_cell(value) for value in row) + "\n")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True, padding=(0, 1, 0, 0))
    for number, column in enumerate(columns):
        figures = any(isinstance(row[number], int | float) for row in rows)
        # Nothing is cut off, however narrow the terminal.
        table.add_column(
            column.replace("_", " "), justify="right" if figures else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(
            *(Text(_cell(value)) for value in row)
        )  # Text: an OA's name is data and may look like markup
    Console().print(table)


def _cell(value: Any) -> str:  # noqa: ANN401 - any column
    if value is None:
        return "–"
    people = sys.stdout.isatty()
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%MZ" if people else "%Y-%m-%d %H:%M:%SZ")
    return f"{value:,}" if isinstance(value, int) and people else str(value)
