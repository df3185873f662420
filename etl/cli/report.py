"""`etl report`: how many followers were won and lost, for people who do not write SQL."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING, Annotated

import typer

from etl.cli.app import Command, Everyone, Oaids
from etl.cli.database import open_database, watched
from etl.cli.output import open_output, say, width
from etl.cli.progress import progress
from etl.cli.report_table import EXACT, as_table, left_out
from etl.cli.times import date_of
from etl.cli.words import words
from etl.errors import ExitCode, UsageError
from etl.reports import records
from etl.reports.churn import Question, churn_report
from etl.reports.extra import pages, require_charts
from etl.reports.language import Words
from etl.reports.periods import By
from etl.texts import Lang

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from etl.reports.figures import ChurnReport

app = typer.Typer(add_completion=False)


class ReportFormat(StrEnum):
    """What a report can be written as."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    HTML = "html"


Periods = Annotated[
    By, typer.Option("--by", help="Count by periods of this length; weeks begin on Monday.")
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="DATE",
        help="Begin on this day, such as 2026-11-01. Default: the day of the first snapshot.",
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="DATE",
        help="End with this day, included. Default: the day of the last run.",
    ),
]
Format = Annotated[
    ReportFormat,
    typer.Option(
        "--format",
        help="Write this format; csv has the periods, json every figure, one object a line for each OA.",
    ),
]
Language = Annotated[
    Lang | None,
    typer.Option(
        "--lang",
        help="Write table and html in English or Vietnamese. Default: the language of ETL_LANG.",
    ),
]
NoUsers = Annotated[
    bool, typer.Option("--no-users", help="Leave out the User_Ids of those who left last.")
]
Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE|DIR/",
        help="Write to this file, which appears only when it is complete. Default: stdout. With html and a "
        "name that ends in /: an index.html and a page for each OA in that directory.",
    ),
]


@app.command(
    cls=Command,
    epilog="Examples:\n\n    etl report --by month\n\n"
    "    etl report --format html --lang vi -o report.html    # needs the extra `report`\n\n"
    "    etl report --format html -o pages/    # an index, and a page for each OA\n\n"
    "    etl report --by day --since 2026-11-01 --until 2026-11-30 --format csv > november.csv",
)
def report(
    oaid: Oaids = None,
    by: Periods = By.WEEK,
    since: Since = None,
    until: Until = None,
    output: Format = ReportFormat.TABLE,
    lang: Language = None,
    everyone: Everyone = False,
    no_users: NoUsers = False,
    file: Output = None,
) -> int:
    """Report how many followers were won and lost, when, and whether the ones won stay."""
    question = Question(
        by, date_of("--since", since), date_of("--until", until), users=not no_users
    )
    folder = _folder(file, output)
    if output is ReportFormat.HTML:
        if file is None and sys.stdout.isatty():
            raise UsageError("--format html on a terminal needs a file: -o report.html")
        require_charts()
        with suppress(RuntimeError):  # no more threads: the page takes a second longer
            Thread(target=_warm_up, daemon=True).start()
    with ExitStack() as stack:
        # What cannot be written is said before a database is asked for minutes.
        target = stack.enter_context(_opened(file)) if folder is None else None
        settings, engine = open_database()
        accounts = watched(settings, engine, oaid, everyone=everyone)
        if folder is not None:
            with _about_output():
                pages().check_folder(folder, [account.oaid for account in accounts])
        said = Words(lang or words().lang, settings.timezone)
        with progress() as draw:

            def show(key: str, done: int, total: int) -> None:
                draw(words()(key), done, total)

            told = churn_report(
                engine,
                accounts,
                question,
                now=datetime.now(UTC),
                zone=settings.timezone,
                day_begins=settings.day_begins,
                strict=bool(oaid),
                show=show,
            )
            if folder is not None:
                with _about_output():
                    pages().write_folder(told, said, folder, show)
        for each in told.left_out:
            why = f"left out: {each.why}" if said.lang is Lang.EN else left_out(each.label, said)
            say(f"etl: {why}")
        if target is not None:
            columns = width() if file is None and sys.stdout.isatty() else EXACT
            target.write(_rendered(told, output, said, columns))
    return ExitCode.OK


@contextmanager
def _about_output() -> Iterator[None]:
    """What is wrong with a directory is wrong with `-o`."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"-o {error}") from error


def _opened(file: str | None) -> AbstractContextManager[IO[str]]:
    return open_output(None if file is None else Path(file))


def _folder(file: str | None, output: ReportFormat) -> Path | None:
    """The directory that `-o` names, if it names one."""
    if file is None or not file.endswith(("/", os.sep)):
        return None
    if output is not ReportFormat.HTML:
        raise UsageError(f"-o {file}: only --format html writes a directory")
    return Path(file)


def _rendered(told: ChurnReport, output: ReportFormat, words: Words, columns: int) -> str:
    if output is ReportFormat.CSV:
        return records.as_csv(told)
    if output is ReportFormat.JSON:
        return records.as_json(told)
    if output is ReportFormat.TABLE:
        return as_table(told, words, columns)
    return pages().as_page(told, words)


def _warm_up() -> None:
    """Load the charts' libraries while the database counts: they take a second."""
    pages().warm_up()
