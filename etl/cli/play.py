"""`etl demo` and `simulate`: everything without keys."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli.app import app, say

if TYPE_CHECKING:
    from etl.reports.figures import ChurnReport
    from etl.reports.language import Words

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
    epilog="Example: etl simulate --port 8460 --followers 5000 --leaves 0.2 --arrivals 0.3"
)
def simulate(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = 8460,
    followers: Annotated[int, typer.Option("--followers", min=0)] = 1000,
    oaid: Annotated[str, typer.Option("--oaid", metavar="OAID")] = "4097311281936189049",
    order: Annotated[
        str, typer.Option("--order", help="oldest, newest or activity: how the list is ordered.")
    ] = "oldest",
    seed: Annotated[int, typer.Option("--seed", help="The same seed, the same world.")] = 1,
    max_page: Annotated[
        int, typer.Option("--max-page", min=1, help="The most users an answer holds.")
    ] = 50,
    max_offset: Annotated[
        int | None,
        typer.Option("--max-offset", min=0, help="A larger Offset is answered with 162."),
    ] = None,
    rate: Annotated[
        float, typer.Option("--rate", min=0, help="Requests a second before code 160; 0: no limit.")
    ] = 0,
    latency: Annotated[
        float, typer.Option("--latency", min=0, help="Seconds before each answer.")
    ] = 0,
    leaves: Annotated[
        float, typer.Option("--leaves", min=0, help="How many leave before a page, on average.")
    ] = 0,
    arrivals: Annotated[
        float, typer.Option("--arrivals", min=0, help="How many arrive before a page.")
    ] = 0,
    returns: Annotated[
        float, typer.Option("--returns", min=0, help="How many return before a page.")
    ] = 0,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            "--fault", metavar="NAME=P", help="A fault and its probability, such as http_503=0.01."
        ),
    ] = None,
) -> int:
    """Serve a simulated eSMS on this machine until Ctrl-C: followers come and go while they are read."""
    from etl.errors import InterruptedRunError, UsageError
    from etl.simulator import Simulator

    try:
        simulator = Simulator(
            followers, oaid=oaid, order=order, seed=seed, port=port, max_page=max_page, max_offset=max_offset, rate=rate,
            latency=latency,
        )  # fmt: skip
        simulator.churn(leaves=leaves, arrivals=arrivals, returns=returns, seed=seed)
        for each in fault or []:
            name, _, probability = each.partition("=")
            simulator.fault_rate(name, float(probability or 1), seed=seed)
    except ValueError as error:
        raise UsageError(str(error)) from None
    simulator.remember = False
    try:
        with simulator:
            say(
                "A simulated eSMS (its followers are made up) listens. Point etl to it from another terminal:\n"
            )
            for name, value in simulator.environment.items():
                typer.echo(f"export {name}={value}")
            say("\nCtrl-C ends it.")
            simulator.stopped.wait()
    except OSError as error:
        raise UsageError(f"--port {port}: {error.strerror}") from None
    except InterruptedRunError:
        return 0
    return 0


@app.command(
    epilog="Example: etl demo && etl report    (with DATABASE_URL as the demo's last lines say)"
)
def demo(
    file: Annotated[
        Path, typer.Option("--file", help="The SQLite file to make; an earlier demo's is replaced.")
    ] = DEMO_FILE,
    weeks: Annotated[int, typer.Option("--weeks", min=1, max=52, help="Weeks of daily syncs.")] = 8,
) -> int:
    """Show everything without keys and without network: weeks of daily syncs of a simulated OA, and its churn."""
    from datetime import UTC, datetime

    from etl.demo import FOLLOWERS, HOUR, NAME, OAID, ZONE, Demo
    from etl.model import Account
    from etl.reports.churn import Question, churn_report
    from etl.reports.language import Lang, Words
    from etl.reports.text import period_table, section

    typer.echo(
        f"The data of this demo is SIMULATED: an OA of {FOLLOWERS:,} made-up followers on a simulated eSMS. The syncs are real:\n"
        f"one every night at {HOUR}:00 for {weeks} weeks, by a scripted clock, while people come and go between the pages.\n"
    )
    show = Demo(file, weeks, datetime.now(UTC))
    engine = show.run(typer.echo)
    report = churn_report(
        engine, [Account(OAID, NAME)], Question(), now=datetime.now(UTC), zone=ZONE
    )
    words = Words(Lang.EN, ZONE)
    requests = sum(snapshot.requests or 0 for snapshot in show.snapshots)
    typer.echo(f"\n{len(show.snapshots)} syncs, {requests:,} requests to the simulated eSMS.\n")
    typer.echo(
        section("Churn by week (simulated)", period_table(report.accounts[0], report, words))
    )
    page = _page(report, words, file)
    typer.echo(LAST_WORDS.format(etl=_called(), url=show.url, page=page))
    return 0


def _page(report: ChurnReport, words: Words, file: Path) -> str:
    """Write the report as a page beside the file, where the extra is installed; say where it is, or how to get it."""
    from etl.errors import SettingsError
    from etl.reports.svg import require_charts
    from etl.reports.webpage import as_page, write_file

    try:
        require_charts()
    except SettingsError:
        return "A page with charts needs an extra: pip install 'follower-etl[report]', then etl demo again"
    page = file.with_name(f"{file.name if file.suffix == '.html' else file.stem}.html")
    write_file(page, as_page(report, words))
    return f"The report as a page with charts, to open in a browser: {page}"


def _called() -> str:
    """How to call this program from here: `etl`, or as it was called where it is not on the PATH."""
    if shutil.which("etl"):
        return "etl"
    return sys.argv[0] if Path(sys.argv[0]).name == "etl" else "python -m etl"
