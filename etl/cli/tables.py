"""Listings on stdout: a table for people, CSV or JSON lines for programs."""

from __future__ import annotations

import csv
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

from etl.cli.app import TableFormat, plain, write_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def show_rows(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], output: TableFormat) -> None:
    """Show rows of named values in the form that was asked for."""
    if output is TableFormat.JSON:
        for row in rows:
            write_line({column: row[column] for column in columns})
    elif output is TableFormat.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([plain(row[column]) for column in columns] for row in rows)
    else:
        show_table(columns, [[row[column] for column in columns] for row in rows])


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table: drawn on a terminal, tab-separated and whole in a pipe."""
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            sys.stdout.write("\t".join(_cell(value) for value in row) + "\n")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(column)
    for row in rows:
        # Text: an OA's name is data and may look like markup.
        table.add_row(*(Text(_cell(value), justify="right" if isinstance(value, int | float) else "left") for value in row))
    Console().print(table)


def _cell(value: Any) -> str:  # noqa: ANN401 - any column
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    return f"{value:,}" if isinstance(value, int) and sys.stdout.isatty() else str(value)
