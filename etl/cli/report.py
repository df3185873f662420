"""`etl report`: how many followers were won and lost, for people who do not write SQL."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from enum import StrEnum
from threading import Thread
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli.app import Command, Everyone, Oaids, OutputFile
from etl.cli.database import open_database, watched
from etl.cli.output import open_output, say
from etl.errors import ExitCode, UsageError
from etl.reports import records, text
from etl.reports.churn import Question, churn_report
from etl.reports.extra import require_charts
from etl.reports.language import Lang, Words
from etl.reports.periods import By

if TYPE_CHECKING:
    from etl.reports.figures import ChurnReport

app = typer.Typer(add_completion=False)


class ReportFormat(StrEnum):
    """What a report can be written as."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    HTML = "html"


@app.command(
    cls=Command,
    epilog="Examples:\n\n    etl report --by month\n\n"
    "    etl report --format html --lang vi -o report.html    (needs: pip install 'follower-etl\\[report]')\n\n"
    "    etl report --by day --since 2026-11-01 --until 2026-11-30 --format csv > november.csv",
)
def report(
    oaid: Oaids = None,
    by: Annotated[
        By, typer.Option("--by", help="Count by periods of this length; weeks begin on Monday.")
    ] = By.WEEK,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="DATE",
            help="Begin on this day, such as 2026-11-01. Default: the day of the first snapshot.",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="DATE",
            help="End with this day, included. Default: the day of the last run.",
        ),
    ] = None,
    output: Annotated[
        ReportFormat,
        typer.Option(
            "--format",
            help="Write this format; csv has the periods, json every figure, one object a line for each OA.",
        ),
    ] = ReportFormat.TABLE,
    lang: Annotated[
        Lang, typer.Option("--lang", help="Write table and html in English or Vietnamese.")
    ] = Lang.EN,
    everyone: Everyone = False,
    file: OutputFile = None,
) -> int:
    """Report how many followers were won and lost, when, and whether the ones won stay."""
    question = Question(by, _date("--since", since), _date("--until", until))
    if output is ReportFormat.HTML:
        require_charts()
        with suppress(RuntimeError):  # no more threads: the page takes a second longer
            Thread(target=_warm_up, daemon=True).start()
    settings, engine = open_database()
    accounts = watched(settings, engine, oaid, everyone=everyone)
    told = churn_report(
        engine,
        accounts,
        question,
        now=datetime.now(UTC),
        zone=settings.timezone,
        day_begins=settings.day_begins,
        strict=bool(oaid),
    )
    for each in told.left_out:
        say(f"etl: left out: {each.why}")
    content = _rendered(told, output, Words(lang, settings.timezone))
    with open_output(file) as target:
        target.write(content)
    return ExitCode.OK


def _rendered(told: ChurnReport, output: ReportFormat, words: Words) -> str:
    if output is ReportFormat.CSV:
        return records.as_csv(told)
    if output is ReportFormat.JSON:
        return records.as_json(told)
    if output is ReportFormat.TABLE:
        return text.as_table(told, words)
    from etl.reports import webpage  # noqa: PLC0415 - needs the extra `report`

    return webpage.as_page(told, words)


def _warm_up() -> None:
    """Load the charts' libraries while the database counts: they take a second."""
    from etl.reports import svg, webpage  # noqa: F401, PLC0415 - as above; what the page needs is loaded with it

    svg.warm_up()


def _date(option: str, given: str | None) -> date | None:
    if given is None:
        return None
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise UsageError(f"{option} {given!r} is no date such as 2026-11-01") from None
