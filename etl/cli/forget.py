"""`etl forget`: erase a person."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli.app import AsJson, Command, DryRun, Oaids, Yes
from etl.cli.database import accounts_in, open_database
from etl.cli.output import confirm, say, show_error, write_line
from etl.errors import EtlError, ExitCode, UsageError, gravest
from etl.maintenance import forget as forgetting

if TYPE_CHECKING:
    from sqlalchemy import Engine

app = typer.Typer(add_completion=False)


@app.command(
    cls=Command,
    epilog="Examples:\n\n    etl forget 7800378501923859642 --dry-run\n\n"
    "    etl forget 7800378501923859642 --oaid 4097311281936189049 --yes",
)
def forget(
    user_id: Annotated[
        str,
        typer.Argument(
            metavar="USER_ID", help="The person, by the User_Id of eSMS.", show_default=False
        ),
    ],
    oaid: Oaids = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> int:
    """Erase a person: replace their User_Id by a random pseudonym in every table.

    All counts stay true.

    Whoever still follows is found again by the next sync and is kept under the pseudonym. To be
    gone for good they must unfollow the OA. Logs, backups and exports made before still hold the
    User_Id.
    """
    _, engine = open_database()
    found = forgetting.traces(
        engine, user_id, [account.oaid for account in accounts_in(engine, oaid)]
    )
    if not found:
        raise UsageError(
            "this User_Id is in none of the chosen OAs: never seen, or forgotten already"
        )
    if not dry_run:
        for trace in found:
            state = "follows now" if trace.following else "followed once"
            say(f"etl: OA {trace.oaid}: {state}, changes on record: {trace.changes}")
        confirm("Replace the User_Id by a pseudonym? It cannot be taken back.", yes=yes)
    codes = [
        _forget_in(engine, trace.oaid, user_id, dry_run=dry_run, as_json=as_json) for trace in found
    ]
    if not dry_run:
        say(
            "etl: logs, backups and exports made before still hold the User_Id, and so does this terminal's history"
        )
    return gravest(codes)


def _forget_in(engine: Engine, oaid: str, user_id: str, *, dry_run: bool, as_json: bool) -> int:
    """One OA; one that is busy does not keep the others from forgetting."""
    try:
        trace = (
            forgetting.traces(engine, user_id, [oaid])[0]
            if dry_run
            else forgetting.forget(engine, oaid, user_id, now=datetime.now(UTC))
        )
    except EtlError as error:
        show_error(error)
        return error.exit_code
    if as_json:
        write_line({**asdict(trace), "dry_run": dry_run})
    done = "would be forgotten" if dry_run else "forgotten"
    say(f"etl: OA {oaid}: {done} (changes on record: {trace.changes})")
    if trace.following:
        say(
            "     They still follow: they will be found again by the next sync, kept under the pseudonym, never the User_Id.\n"
            "     To be gone for good they unfollow the OA."
        )
    return ExitCode.OK
