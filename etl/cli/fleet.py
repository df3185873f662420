"""`etl fleet`: several hosts sync several eSMS accounts, around one PostgreSQL database."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli.app import AsJson, Command, Group
from etl.cli.output import say, show_table, write_line
from etl.errors import ExitCode, require_extra
from etl.observe.logs import configure_logging, logger
from etl.settings import process_settings
from etl.settings.accounts import account_names, esms_accounts

if find_spec("procrastinate"):
    from etl.fleet.engine import make_tables
    from etl.fleet.status import fleet_status, words
    from etl.fleet.tasks import Fleet, Silence
    from etl.fleet.work import work as take_jobs

if TYPE_CHECKING:
    from etl.settings import ProcessSettings

app = typer.Typer(
    add_completion=False,
    cls=Group,
    name="fleet",
    no_args_is_help=True,
    help="Sync several eSMS accounts on several hosts, with jobs in one PostgreSQL database.",
    epilog="Example: etl fleet init && etl fleet work --concurrency 4",
)


@app.command(cls=Command, epilog="Example: etl fleet init")
def init() -> int:
    """Make the tables of the jobs, or bring them up to the version that is installed."""
    settings = _settings()
    made = make_tables(settings.database_url)
    say("etl: the tables of the fleet's jobs are " + ("made" if made else "there already"))
    return ExitCode.OK


@app.command(cls=Command, epilog="Example: etl fleet work --concurrency 4")
def work(
    concurrency: Annotated[
        int,
        typer.Option(
            "--concurrency",
            metavar="N",
            min=1,
            max=256,
            help="How many accounts this host syncs at once.",
        ),
    ] = 4,
    take_over: Annotated[
        float,
        typer.Option(
            "--take-over",
            metavar="SECONDS",
            min=6,
            max=3600,
            help="Take the jobs of a worker that was silent for so long. The same on every host.",
        ),
    ] = 60,
) -> int:
    """Take jobs until stopped: at ETL_FLEET_SCHEDULE one for each account of ETL_ACCOUNTS_DIR.

    On any number of hosts; each needs the same ETL_ACCOUNTS_DIR and DATABASE_URL.
    """
    settings = _settings()
    esms_accounts()  # all problems of all accounts are shown now, not at night
    configure_logging(settings.etl_log_format, settings.etl_log_level)
    fleet = Fleet(
        settings.etl_fleet_schedule,
        settings.timezone,
        Silence(take_over),
        lambda: account_names(process_settings()),
        logger(),
    )
    take_jobs(settings.database_url, fleet, concurrency=concurrency)
    return ExitCode.OK


@app.command(cls=Command, epilog="Example: etl fleet status --json")
def status(as_json: AsJson = False) -> int:
    """Show for each account what became of its last job, and when it is synced next."""
    settings = _settings()
    states = fleet_status(
        settings.database_url,
        account_names(settings),
        at=settings.etl_fleet_schedule,
        zone=settings.timezone,
        now=datetime.now(UTC),
    )
    if as_json:
        for state in states:
            write_line(asdict(state))
        return ExitCode.OK
    zone = settings.timezone

    def local(moment: datetime | None) -> str | None:
        return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z") if moment else None

    show_table(
        ("account", "last outcome", "ended", "next run"),
        [
            (state.account, words(state), local(state.finished_at), local(state.next_run_at))
            for state in states
        ],
    )
    return ExitCode.OK


def _settings() -> ProcessSettings:
    settings = process_settings()
    require_extra("etl fleet", "fleet", "procrastinate")
    return settings
