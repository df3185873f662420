"""`etl demo`: everything without keys and without network."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli.app import Command
from etl.cli.output import open_output, show
from etl.demo import AT, FOLLOWERS, NAME, OAID, ZONE, Demo
from etl.errors import ExitCode, SettingsError
from etl.model import Account
from etl.reports.churn import Question, churn_report
from etl.reports.extra import require_charts
from etl.reports.language import Lang, Words
from etl.reports.text import period_table, section

if TYPE_CHECKING:
    from etl.reports.figures import ChurnReport

app = typer.Typer(add_completion=False)

DEMO_FILE = Path("followers-demo.db")

LAST_WORDS = """
{page}

Try on that file:
  export DATABASE_URL={url}
  {etl} status
  {etl} history
  {etl} report --by month
  {etl} verify
  {etl} export | head

With real keys (a .env file or the environment; README.md has the rest):
  export ESMS_API_KEY=… ESMS_SECRET_KEY=… ESMS_OAIDS=…
  unset DATABASE_URL          # then followers.db in the current directory
  {etl} doctor                  # checks settings, keys and OA; changes nothing
  {etl} sync
"""


@app.command(
    cls=Command,
    epilog="Example: etl demo && etl report    (with DATABASE_URL as the demo's last lines say)",
)
def demo(
    file: Annotated[
        Path,
        typer.Option(
            "--file", help="Make this SQLite file; the file of an earlier demo is replaced."
        ),
    ] = DEMO_FILE,
    weeks: Annotated[
        int, typer.Option("--weeks", min=1, max=52, help="Simulate this many weeks of daily syncs.")
    ] = 8,
) -> int:
    """Show everything without keys and without network: a simulated OA, synced for weeks, and its churn."""
    show(
        f"The data of this demo is SIMULATED: an OA of {FOLLOWERS:,} made-up followers on a simulated eSMS. The syncs are real:\n"
        f"one every night at {AT:%H:%M} for {weeks} weeks, by a scripted clock, while people come and go between the pages.\n"
    )
    world = Demo(file, weeks, datetime.now(UTC))
    engine = world.run(show)
    report = churn_report(
        engine, [Account(OAID, NAME)], Question(), now=datetime.now(UTC), zone=ZONE
    )
    words = Words(Lang.EN, ZONE)
    requests = sum(snapshot.requests or 0 for snapshot in world.snapshots)
    show(f"\n{len(world.snapshots)} syncs, {requests:,} requests to the simulated eSMS.\n")
    show(section("Churn by week (simulated)", period_table(report.accounts[0], report, words)))
    page = _page(report, words, file)
    show(LAST_WORDS.format(etl=_called(), url=world.url, page=page))
    return ExitCode.OK


def _page(report: ChurnReport, words: Words, file: Path) -> str:
    """Write the report as a page beside the file, where the extra is installed; say where it is, or how to get it."""
    try:
        require_charts()
    except SettingsError:
        return "A page with charts needs an extra: pip install 'follower-etl[report]', then etl demo again"
    page = file.with_name(f"{file.name if file.suffix == '.html' else file.stem}.html")
    from etl.reports import webpage  # noqa: PLC0415 - needs the extra `report`

    content = webpage.as_page(report, words)
    with open_output(page) as target:
        target.write(content)
    return f"The report as a page with charts, to open in a browser: {page}"


def _called() -> str:
    """How to call this program from here: `etl`, or as it was called where it is not on the PATH."""
    if shutil.which("etl"):
        return "etl"
    return sys.argv[0] if Path(sys.argv[0]).name == "etl" else "python -m etl"
