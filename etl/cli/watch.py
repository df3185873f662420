"""`etl status`, `history` and `verify`: what the database says of the syncs themselves. They change nothing."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from etl.cli.app import AsJson, Oaids, TableFormat, app, open_database, say, write_line
from etl.errors import TornStoryError, UsageError
from etl.model import SNAPSHOT_COLUMNS

TOO_OLD = 75
"""Exit code of `etl status --max-age`: no believable reading for too long; the next one may cure it."""

STATUS_COLUMNS = (
    "OA",
    "name",
    "following",
    "last complete",
    "age",
    "7 days",
    "30 days",
    "since then",
)

HISTORY_COLUMNS = ("snapshot_id", *SNAPSHOT_COLUMNS[1:])
HISTORY_FOR_PEOPLE = (
    "id",
    "oaid",
    "taken_at",
    "status",
    "followed",
    "refollowed",
    "unfollowed",
    "following",
    "reason",
)
"""What fits on a terminal; the other forms tell everything."""


@app.command(
    epilog="Examples:\n\n    etl status\n\n    etl status --max-age 26h --json    (for monitoring: exit 75 when too old)"
)
def status(
    oaid: Oaids = None,
    max_age: Annotated[
        str | None,
        typer.Option(
            "--max-age",
            metavar="AGE",
            help="Exit 75 where the last complete snapshot is older: 90m, 26h, 2d.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Tell for each OA when its list was last read whole, who follows, and what happened since."""
    from etl.db.accounts import chosen_accounts
    from etl.status import account_status

    limit = _age(max_age) if max_age is not None else None
    _, engine = open_database()
    accounts = chosen_accounts(engine, oaid or [])
    if not accounts:
        say("etl: no OA was synced yet: run `etl sync`")
        return TOO_OLD if limit is not None else 0
    states = [
        account_status(engine, account, now=datetime.now(UTC), max_age=limit)
        for account in accounts
    ]
    if as_json:
        for state in states:
            write_line(asdict(state))
    else:
        from etl.cli.tables import show_rows

        rows = [dict(zip(STATUS_COLUMNS, state.row(), strict=True)) for state in states]
        people = [column for column in STATUS_COLUMNS if column != "last complete"]
        show_rows(STATUS_COLUMNS, rows, TableFormat.TABLE, people=people)
    old = [state for state in states if state.too_old]
    for state in old:
        say(f"etl: OA {state.oaid}: {state.verdict}")
    return TOO_OLD if old else 0


@app.command(epilog="Example: etl history --limit 14 --format csv > snapshots.csv")
def history(
    oaid: Oaids = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", min=1, max=2**63 - 1, help="The newest so many snapshots of each OA."
        ),
    ] = 30,
    output: Annotated[
        TableFormat, typer.Option("--format", help="How to show it.")
    ] = TableFormat.TABLE,
    as_json: AsJson = False,
) -> int:
    """List the snapshots: every run that was, whatever became of it, newest last."""
    from etl.cli.tables import show_rows
    from etl.db.accounts import chosen_accounts
    from etl.db.engine import reading
    from etl.db.snapshots import latest

    _, engine = open_database()
    rows: list[dict[str, Any]] = []
    accounts = chosen_accounts(engine, oaid or [])
    for account in accounts:
        with reading(engine) as connection:
            snapshots = reversed(latest(connection, account.oaid, limit=limit))
            rows += [{"snapshot_id": snapshot.id, **snapshot.columns()} for snapshot in snapshots]
    people = [column for column in HISTORY_FOR_PEOPLE if column != "oaid" or len(accounts) > 1]
    show_rows(HISTORY_COLUMNS, rows, TableFormat.JSON if as_json else output, people=people)
    return 0


@app.command(epilog="Example: etl verify && echo the story is whole")
def verify(oaid: Oaids = None, as_json: AsJson = False) -> int:
    """Prove that the tables tell one story: followers, the change log and the snapshots' counts agree."""
    from etl.db.engine import reading
    from etl.maintenance.verify import check, oaids, require_sound

    _, engine = open_database()
    torn = 0
    with reading(engine) as connection:
        require_sound(connection)
        known = oaids(connection)
        for unknown in set(oaid or []) - set(known):
            raise UsageError(
                f"--oaid: OA {unknown!r} is not in the database (there: {', '.join(known) or 'none yet'})"
            )
        for each in known:
            if oaid and each not in oaid:
                continue
            for finding in check(connection, each):
                torn += finding.contradictions > 0
                if as_json:
                    write_line({**asdict(finding), "ok": not finding.contradictions})
                else:
                    mark = "ok  " if not finding.contradictions else "TORN"
                    count = f"  ({finding.contradictions} rows)" if finding.contradictions else ""
                    typer.echo(f"{mark}  {finding.oaid}  {finding.check}{count}")
    if torn:
        raise TornStoryError(f"{torn} checks found rows that contradict each other")
    return 0


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
