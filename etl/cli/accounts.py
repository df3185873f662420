"""`etl accounts`: the OAs of the eSMS account."""

from __future__ import annotations

import time

import typer

from etl.cli.app import AsJson, Command
from etl.cli.output import say, show_table, write_line
from etl.db.accounts import name_accounts
from etl.db.engine import connect_engine
from etl.db.schema import HEAD, current_revision
from etl.errors import (
    DatabaseUnreachableError,
    ExitCode,
    NoDatabaseError,
    UnfitDatabaseError,
)
from etl.esms.client import EsmsClient
from etl.settings import sync_settings

app = typer.Typer(add_completion=False)


@app.command(cls=Command, epilog="Example: etl accounts")
def accounts(as_json: AsJson = False) -> int:
    """List the OAs of the eSMS account with their names.

    OAs that are synced already get these names in the database, so that reports show them.
    """
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
