"""`etl history`: the snapshots on record."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from etl.cli.app import AsJson, Command, Oaids
from etl.cli.database import accounts_in, open_database
from etl.cli.output import TableFormat, show_rows
from etl.db.engine import reading
from etl.db.snapshots import latest
from etl.errors import ExitCode
from etl.model import SNAPSHOT_COLUMNS

app = typer.Typer(add_completion=False)

COLUMNS = ("snapshot_id", *SNAPSHOT_COLUMNS[1:])
FOR_PEOPLE = (
    "snapshot_id",
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


@app.command(cls=Command, epilog="Example: etl history --limit 14 --format csv > snapshots.csv")
def history(
    oaid: Oaids = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit",
            min=1,
            max=2**63 - 1,
            help="Show this many of the newest snapshots of each OA.",
        ),
    ] = 30,
    output: Annotated[
        TableFormat,
        typer.Option("--format", help="Print a table, JSON (one object a line) or CSV."),
    ] = TableFormat.TABLE,
    as_json: AsJson = False,
) -> int:
    """List the snapshots: what every run did with each OA, newest last."""
    _, engine = open_database()
    rows: list[dict[str, Any]] = []
    accounts = accounts_in(engine, oaid)
    for account in accounts:
        with reading(engine) as connection:
            snapshots = reversed(latest(connection, account.oaid, limit=limit))
            rows += [snapshot.row() for snapshot in snapshots]
    people = [column for column in FOR_PEOPLE if column != "oaid" or len(accounts) > 1]
    show_rows(COLUMNS, rows, TableFormat.JSON if as_json else output, people=people)
    return ExitCode.OK
