"""Listings on stdout: a table for people, CSV or JSON lines for programs."""

from __future__ import annotations

import csv
import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

from etl.cli.app import TableFormat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def show_rows(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], output: TableFormat) -> None:
    """Show rows of named values in the form that was asked for."""
    if output is TableFormat.JSON:
        for row in rows:
            values = {column: row[column] for column in columns}
            sys.stdout.write(json.dumps(values, default=_plain, ensure_ascii=False) + "\n")
    elif output is TableFormat.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_plain(row[column]) for column in columns] for row in rows)
    else:
        show_table(columns, [[row[column] for column in columns] for row in rows])


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table: drawn on a terminal, tab-separated and whole in a pipe."""
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            sys.stdout.write("\t".join(_cell(value) for value in row) + "\n")
        return
    from rich import box  # noqa: PLC0415 - a pipe never pays for it
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(column)
    for row in rows:
        # Text: an OA's name is data and may look like markup.
        table.add_row(
            *(Text(_cell(value), justify="right" if isinstance(value, int | float) else "left") for value in row)
        )
    Console().print(table)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any column
    return value.isoformat() if hasattr(value, "isoformat") else value


def _cell(value: Any) -> str:  # noqa: ANN401 - any column
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    return f"{value:,}" if isinstance(value, int) and sys.stdout.isatty() else str(value)
