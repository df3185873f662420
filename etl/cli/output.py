"""What commands print: rows (table, CSV, JSON lines) on stdout, messages and errors on stderr."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import sys
from contextlib import contextmanager, suppress
from datetime import datetime
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Any

import typer

from etl.cli import streams
from etl.cli.listing import Column, Row, fold, listing
from etl.cli.words import words
from etl.errors import ExitCode, SettingsError, UsageError, trace
from etl.files import atomic_file
from etl.model import plain
from etl.texts import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from etl.errors import EtlError


COMMAND = "pip install"
"""A command that is to be copied is not folded."""


class TableFormat(StrEnum):
    """What a listing can be shown as."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def say(message: str) -> None:
    """Print a message for the operator on stderr, so that stdout stays data."""
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


def show(text: str) -> None:
    """Print a line of data on stdout."""
    sys.stdout.write(text + "\n")


def show_folded(text: str, rest: str = "  ") -> None:
    """Print a text on stdout, folded if it is a terminal; `rest` begins all lines but the first."""
    show(folded(text, rest=rest) if sys.stdout.isatty() else text)


def show_error(error: EtlError) -> None:
    """Print what went wrong and what to do about it on stderr."""
    people = sys.stderr.isatty()
    # Several settings that are wrong: each on a line of its own, where somebody reads it.
    texts = words()
    problems = error.problems if isinstance(error, SettingsError) else [str(error)]
    told = [texts.error(each) for each in problems]
    if not people:
        told = ["; ".join(told)]
    for line in [f"etl: {told[0]}", *(f"     {more}" for more in told[1:])]:
        say(_folded_error(line) if people else line)
    if advice := texts.error(error.hint):
        line = f"     {advice}"
        say(_folded_error(line) if people and COMMAND not in advice else line)
    if place := trace(error):
        say(f"     where: {place}")


def _folded_error(line: str) -> str:
    text = line.lstrip()
    return folded(text, line[: len(line) - len(text)], " " * 5)


def say_lines(lines: Sequence[str]) -> None:
    """Print a message of several lines on stderr, folded at words: all but the first are indented.

    A line that begins with a blank is a command, to be copied: it is not folded.
    """
    for number, line in enumerate(lines):
        indent = "  " if number else ""
        if line.startswith(" "):
            say(indent + line)
        else:
            say(folded(line, indent))


def folded(text: str, indent: str = "", rest: str = "  ") -> str:
    """A text in lines of the terminal, folded at words.

    `indent` before the first line, `rest` before the others.
    """
    return "\n".join(fold(text, width(), indent, rest))


def printable(text: str) -> str:
    """Without what could steer a terminal: an OA's name is data."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def width() -> int:
    """How many characters a line of the terminal has; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns


def write_line(values: Mapping[str, Any]) -> None:
    """Print one JSON object on a line of stdout."""
    sys.stdout.write(json.dumps(values, default=plain, ensure_ascii=False) + "\n")


def show_rows(
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    output: TableFormat,
) -> None:
    """Print rows of named values in the form that was asked for."""
    if output is TableFormat.JSON:
        for row in rows:
            write_line({column: row[column] for column in columns})
    elif output is TableFormat.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([plain(row[column]) for column in columns] for row in rows)
    else:
        show_table(columns, [[row[column] for column in columns] for row in rows])


def show_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table: drawn on a terminal, tab-separated and with every column in a pipe."""
    texts = [[_cell(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for row in (columns, *texts):
            sys.stdout.write("\t".join(row) + "\n")
        return
    numeric = [any(isinstance(row[at], int | float) for row in rows) for at in range(len(columns))]
    named = zip(columns, numeric, strict=True)
    heads = [Column(name.replace("_", " "), number=number) for name, number in named]
    show_lines(listing(heads, [Row(list(map(printable, row))) for row in texts], width()))


def show_lines(lines: Sequence[str]) -> None:
    """Print lines on stdout."""
    for line in lines:
        show(line)


def _cell(value: object) -> str:
    if value is None:
        return NOTHING
    people = sys.stdout.isatty()
    if isinstance(value, datetime):
        return words().time(value) if people else value.strftime("%Y-%m-%d %H:%M:%SZ")
    return words().number(value) if isinstance(value, int) and people else str(value)


@contextmanager
def open_output(file: Path | None, *, binary: bool = False) -> Iterator[IO[Any]]:
    """Open what `-o` names, a file that appears only when it is complete, or stdout without it.

    Raises:
        UsageError: the file cannot be written.
        Exit: whoever read our stdout has gone.
    """
    if file is None:
        try:
            yield sys.stdout
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader has seen enough (`etl export | head`): nothing is wrong, and nothing more
            # can be flushed.
            streams.drop(sys.stdout)
            raise typer.Exit(ExitCode.SIGNALLED + signal.SIGPIPE) from None
        return
    try:
        with atomic_file(file, "wb" if binary else "w") as target:
            yield target
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageError(f"-o {file}: {error.strerror or error}") from error


def confirm(question: str, *, yes: bool) -> None:
    """Go on only where somebody agrees.

    Raises:
        UsageError: nobody can be asked, and `yes` was not given.
        Exit: the answer is no; as after Ctrl-C, 130.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "--yes is needed where nobody can be asked (this is no terminal); --dry-run shows what would be done"
        )
    with suppress(typer.Abort):  # no answer at all is a no
        if typer.confirm(question, err=True):
            return
    say("etl: nothing was changed")
    raise typer.Exit(ExitCode.SIGNALLED + signal.SIGINT)
