"""`etl accounts`: the OAs of the eSMS account."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from etl.cli.app import AsJson, Command
from etl.cli.database import open_database
from etl.cli.output import say, show_table, write_line
from etl.db.accounts import chosen_accounts, name_accounts, retire
from etl.db.engine import connect_engine
from etl.db.schema import HEAD, current_revision
from etl.errors import (
    DatabaseUnreachableError,
    ExitCode,
    NoDatabaseError,
    UnfitDatabaseError,
    UsageError,
)
from etl.esms.client import EsmsClient
from etl.settings import sync_settings

app = typer.Typer(add_completion=False)


@app.command(
    cls=Command,
    epilog="Examples:\n\n    etl accounts\n\n    etl accounts --retire 4097311281936189049",
)
def accounts(
    retired: Annotated[
        str | None,
        typer.Option(
            "--retire",
            metavar="OAID",
            help="Stop syncing this OA and waiting for it; its history stays.",
        ),
    ] = None,
    restored: Annotated[
        str | None,
        typer.Option("--restore", metavar="OAID", help="Take a retired OA back in."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """List the OAs of the eSMS account with their names.

    OAs that are synced already get these names in the database, so that reports show them.
    """
    if retired and restored:
        raise UsageError("--retire and --restore exclude each other: one OA at a time")
    if retired or restored:
        return _change(retired or restored or "", retire_it=bool(retired), as_json=as_json)
    settings = sync_settings()
    with EsmsClient(settings, deadline=time.monotonic() + settings.max_runtime_seconds) as esms:
        listed = esms.accounts()
    if as_json:
        for account in listed:
            write_line({"oaid": account.oaid, "name": account.name})
    else:
        show_table(("OAID", "name"), [(account.oaid, account.name) for account in listed])
    try:
        engine = connect_engine(settings.database_url, create=False)
        if current_revision(engine) == HEAD:
            name_accounts(engine, listed, add=False)
    except NoDatabaseError:
        pass
    except (DatabaseUnreachableError, UnfitDatabaseError) as error:
        say(f"etl: the names were not stored: {error}")
    return ExitCode.OK


def _change(oaid: str, *, retire_it: bool, as_json: bool) -> int:
    _, engine = open_database()
    retire(engine, oaid, datetime.now(UTC) if retire_it else None)
    (account,) = chosen_accounts(engine, [oaid])
    if as_json:
        write_line({"oaid": account.oaid, "name": account.name, "retired": account.retired})
    elif retire_it:
        say(f"OA {oaid} is retired: no run reads it, and nobody waits for it.")
        say(f"Its history stays. To take it back: etl accounts --restore {oaid}")
    else:
        say(f"OA {oaid} is back: the next run reads it.")
    return ExitCode.OK
