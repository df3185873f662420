"""`etl status`: when each OA was last read whole, and who follows."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from etl.cli.app import AsJson, Command, Everyone, Oaids
from etl.cli.database import open_database, watched
from etl.cli.output import TableFormat, say, show_rows, write_line
from etl.db.accounts import known_accounts
from etl.errors import ExitCode, UsageError
from etl.status import account_states

app = typer.Typer(add_completion=False)

COLUMNS = (
    "OA",
    "name",
    "following",
    "last complete",
    "age",
    "7 days",
    "30 days",
    "since then",
)


@app.command(
    cls=Command,
    epilog="Examples:\n\n    etl status\n\n    etl status --max-age 26h --json    (for monitoring: exit 75 when too old)",
)
def status(
    oaid: Oaids = None,
    max_age: Annotated[
        str | None,
        typer.Option(
            "--max-age",
            metavar="AGE",
            help="Exit with 75 where the last complete snapshot is older than this: 90m, 26h, 2d.",
        ),
    ] = None,
    everyone: Everyone = False,
    as_json: AsJson = False,
) -> int:
    """Show for each OA when its list was last read whole, who follows, and what happened since."""
    limit = _age(max_age) if max_age is not None else None
    settings, engine = open_database()
    accounts = watched(settings, engine, oaid, everyone=everyone)
    if not known_accounts(engine):
        say("etl: no OA was synced yet: run `etl sync`")
        return ExitCode.TRY_LATER if limit is not None else ExitCode.OK
    if not accounts:
        say("etl: every OA is retired: see them with --all")
    states = account_states(engine, accounts, now=datetime.now(UTC), max_age=limit)
    if as_json:
        for state in states:
            write_line(asdict(state))
    else:
        rows = [dict(zip(COLUMNS, state.row(), strict=True)) for state in states]
        people = [column for column in COLUMNS if column != "last complete"]
        show_rows(COLUMNS, rows, TableFormat.TABLE, people=people)
    old = [state for state in states if state.too_old]
    for state in old:
        say(f"etl: OA {state.oaid}: {state.verdict}")
    return ExitCode.TRY_LATER if old else ExitCode.OK


def _age(text: str) -> timedelta:
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    number, unit = text[:-1], units.get(text[-1:])
    refusal = UsageError(f"--max-age {text!r} is no age such as 90m, 26h or 2d")
    try:
        age = timedelta(**{unit or "": float(number)})
    except (TypeError, ValueError, OverflowError):
        raise refusal from None
    if age <= timedelta():
        raise refusal
    return age
