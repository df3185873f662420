"""`etl demo`: everything without keys and without network."""

from __future__ import annotations

import shlex
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli.app import Command
from etl.cli.output import folded, open_output, show, show_lines, width
from etl.cli.report_table import period_lines
from etl.cli.words import words
from etl.demo import AT, FOLLOWERS, NAME, OAID, ZONE, Demo
from etl.errors import ExitCode, SettingsError
from etl.model import Account
from etl.reports.churn import Question, churn_report
from etl.reports.extra import pages
from etl.reports.language import Words
from etl.reports.text import period_table
from etl.texts import Lang

if TYPE_CHECKING:
    from etl.reports.figures import ChurnReport

app = typer.Typer(add_completion=False)

DEMO_FILE = Path("followers-demo.db")

LAST_WORDS = """
{page}

Look at what the demo left, as you will look at your own:
  export DATABASE_URL={url}
  {etl} status
  {etl} history
  {etl} report --by month
  {etl} report --format html --lang vi --no-users -o baocao.html
  {etl} report --format html -o pages/
  {etl} verify

A held night changes nothing. Compare with the number that Zalo shows for the
OA. It is as before: do nothing, the next night decides. It is really smaller:
  {etl} sync --allow-mass-unfollow

To clean up:
  unset DATABASE_URL
  rm -f {files} baocao.html
  rm -rf pages/

With real keys, in a file .env (README.md; in Vietnamese: README.vi.md):
  {etl} doctor    # checks everything, changes nothing
  {etl} sync      # the first night: whoever is found is the baseline
Churn needs two nights: from the second on it is known who came and who left.
So let cron sync every night (crontab -e):
  40 23 * * *  cd {here} && ETL_LOG_LEVEL=warning ETL_LOG_FORMAT=console {path} sync
"""


@app.command(
    cls=Command,
    epilog="Example: etl demo --weeks 4",
)
def demo(
    file: Annotated[
        Path,
        typer.Option(
            "--file",
            metavar="FILE",
            help="Make this SQLite file; the file of an earlier demo is replaced.",
        ),
    ] = DEMO_FILE,
    weeks: Annotated[
        int,
        typer.Option(
            "--weeks", metavar="N", min=1, max=52, help="Simulate this many weeks of daily syncs."
        ),
    ] = 8,
) -> int:
    """Show everything without keys and without network: a simulated OA, synced for weeks."""
    length = "1 week" if weeks == 1 else f"{weeks} weeks"
    show(
        folded(
            f"The data of this demo is SIMULATED: an OA of {FOLLOWERS:,} made-up followers on a "
            f"simulated eSMS. The syncs are real: one every night at {AT:%H:%M} for {length}, by a "
            "scripted clock, while people come and go between the pages.",
            rest="",
        )
        + "\n"
    )
    world = Demo(file, weeks, datetime.now(UTC))
    engine = world.run(_show_night)
    report = churn_report(
        engine, [Account(OAID, NAME)], Question(), now=datetime.now(UTC), zone=ZONE
    )
    english = Words(Lang.EN, ZONE)
    requests = sum(snapshot.requests or 0 for snapshot in world.snapshots)
    show(f"\n{len(world.snapshots)} syncs, {requests:,} requests to the simulated eSMS.\n")
    show("Churn by week (SIMULATED)")
    table = period_table(report.accounts[0], report, english)
    show_lines(period_lines(table, english, width(), total=True))
    page = _page(report, Words(words().lang, ZONE), file)
    called = _called()
    files = shlex.join(map(str, [file, _page_of(file)]))
    path = shutil.which(called) or called
    show(
        LAST_WORDS.format(
            etl=called, url=world.url, page=page, files=files, here=Path.cwd(), path=path
        )
    )
    return ExitCode.OK


def _show_night(lines: str) -> None:
    for line in lines.split("\n"):
        show(folded(line, rest=" " * 6))


def _page_of(file: Path) -> Path:
    """Where the page of a demo lies: beside its database."""
    return file.with_name(f"{file.name if file.suffix == '.html' else file.stem}.html")


def _page(report: ChurnReport, said: Words, file: Path) -> str:
    """Write the report as a page beside the file, if the extra is installed.

    Gives a sentence: where the page is, or how to get one.
    """
    try:
        content = pages().as_page(report, said)
    except SettingsError as error:
        return f"{error}. {error.hint}"
    page = _page_of(file)
    with open_output(page) as target:
        target.write(content)
    return f"The report as a page with charts, to open in a browser: {page}"


def _called() -> str:
    """How to call this program from here: `etl`, or as it was called if it is not on the PATH."""
    if shutil.which("etl"):
        return "etl"
    return sys.argv[0] if Path(sys.argv[0]).name == "etl" else "python -m etl"
