"""`etl report`: what the tables say, for people who do not write SQL."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli.app import Oaids, OutputFile, app, open_database, say
from etl.errors import UsageError

if TYPE_CHECKING:
    from datetime import date

    from etl.reports.figures import ChurnReport
    from etl.reports.language import Words


class ReportFormat(StrEnum):
    """What a report can be written as."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    HTML = "html"


class PeriodLength(StrEnum):
    """How time is cut (`etl.reports.periods.By`, which a start-up need not import)."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Language(StrEnum):
    """What people read it in (`etl.reports.language.Lang`)."""

    EN = "en"
    VI = "vi"


@app.command(
    epilog="Examples:\n\n    etl report --by month\n\n"
    "    etl report --format html --lang vi -o report.html    (needs: pip install 'follower-etl\\[report]')\n\n"
    "    etl report --by day --since 2026-11-01 --until 2026-11-30 --format csv > november.csv"
)
def report(
    oaid: Oaids = None,
    by: Annotated[
        PeriodLength, typer.Option("--by", help="How long a period is; weeks begin on Monday.")
    ] = PeriodLength.WEEK,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="DATE",
            help="The first day, such as 2026-11-01. Default: the first snapshot's.",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until", metavar="DATE", help="The last day, included. Default: the last run's."
        ),
    ] = None,
    output: Annotated[
        ReportFormat,
        typer.Option(
            "--format", help="csv: the periods; json: every figure, one object a line for each OA."
        ),
    ] = ReportFormat.TABLE,
    lang: Annotated[Language, typer.Option("--lang", help="Of table and html.")] = Language.EN,
    file: OutputFile = None,
) -> int:
    """Tell how many followers were won and lost, when, and whether the ones won stay."""
    from datetime import UTC, datetime

    from etl.db.accounts import chosen_accounts
    from etl.reports.churn import Question, churn_report
    from etl.reports.language import Lang, Words
    from etl.reports.periods import By
    from etl.reports.webpage import write_file

    question = Question(By(by), _date("--since", since), _date("--until", until))
    if output is ReportFormat.HTML:
        from threading import Thread

        from etl.reports.svg import require_charts, warm_up

        require_charts()
        Thread(target=warm_up, daemon=True).start()
    settings, engine = open_database()
    accounts = chosen_accounts(engine, oaid or [])
    told = churn_report(
        engine, accounts, question, now=datetime.now(UTC), zone=settings.timezone, strict=bool(oaid)
    )
    for why in told.left_out:
        say(f"etl: left out: {why}")
    content = _rendered(told, output, Words(Lang(lang), settings.timezone))
    if file is None:
        sys.stdout.write(content)
        sys.stdout.flush()
    else:
        write_file(file, content)
    return 0


def _rendered(told: ChurnReport, output: ReportFormat, words: Words) -> str:
    from etl.reports import text
    from etl.reports.webpage import as_page

    if output is ReportFormat.CSV:
        return text.as_csv(told)
    if output is ReportFormat.JSON:
        return text.as_json(told)
    return as_page(told, words) if output is ReportFormat.HTML else text.as_table(told, words)


def _date(option: str, given: str | None) -> date | None:
    from datetime import date

    if given is None:
        return None
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise UsageError(f"{option} {given!r} is no date such as 2026-11-01") from None
