"""`etl db`: create, upgrade, check and copy the database."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import SecretStr, ValidationError

from etl.cli.app import AsJson, Command, Group
from etl.cli.database import open_database
from etl.cli.output import say, show, write_line
from etl.cli.progress import progress
from etl.db import schema
from etl.db.engine import connect_engine
from etl.db.schema import HEAD, current_revision, require_current
from etl.errors import (
    ContradictionError,
    DatabaseUnreachableError,
    ExitCode,
    SettingsError,
    UsageError,
)
from etl.maintenance.copy import copy_database, prepare_target
from etl.settings import DatabaseSettings, database_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

app = typer.Typer(
    add_completion=False,
    cls=Group,
    name="db",
    no_args_is_help=True,
    help="Create, upgrade, check or copy the database.",
    epilog="Example: etl db check || etl db upgrade",
)


@app.command(
    cls=Command,
    epilog="Examples:\n\n    etl db upgrade\n\n    DATABASE_URL=postgresql://etl@db.example/followers etl db upgrade --json",
)
def upgrade(as_json: AsJson = False) -> int:
    """Create the tables, or bring them up to this program's revision. Back up before."""
    engine = connect_engine(database_settings().database_url)
    before = current_revision(engine)
    if before != HEAD:
        schema.upgrade(engine)
    after = current_revision(engine)
    if as_json:
        write_line({"from": before, "to": after, "changed": before != after})
    else:
        say(
            f"etl: the database is current already (revision {after})"
            if before == after
            else f"etl: {before} → {after}"
        )
    return ExitCode.OK


@app.command(
    cls=Command,
    epilog="Example: etl db check || etl db upgrade    # exit 78: an upgrade is due; 69: not reachable",
)
def check(as_json: AsJson = False) -> int:
    """Check that the tables have the revision that this program needs. Changes nothing."""
    engine = connect_engine(database_settings().database_url, create=False)
    revision = current_revision(engine)
    if as_json:
        write_line({"revision": revision, "needs": HEAD, "current": revision == HEAD})
    require_current(engine)
    if not as_json:
        say(f"etl: the database is current (revision {revision})")
    return ExitCode.OK


@app.command(
    cls=Command,
    epilog="Example, from SQLite to PostgreSQL:\n\n    etl db copy --to postgresql://etl@db.example/followers\n\n"
    "    export DATABASE_URL=postgresql://etl@db.example/followers\n\n    etl verify && etl sync",
)
def copy(
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="URL",
            help="Copy into this empty database: sqlite:///file or postgresql://…",
        ),
    ],
    as_json: AsJson = False,
) -> int:
    """Copy everything from DATABASE_URL into an empty database of either kind; compare the two.

    The source is left as it is, and no sync of it runs meanwhile.
    """
    _, source = open_database()
    with _about_target():
        target = _target(to)
    with progress() as on_rows:
        copied = copy_database(source, target, now=datetime.now(UTC), on_rows=on_rows)
    if as_json:
        write_line({"rows": copied.rows, "torn": len(copied.torn)})
    else:
        for table, rows in copied.rows.items():
            show(f"{table:20}{rows:>12,}")
    if copied.torn:
        raise ContradictionError(
            f"both databases are alike, and in both {len(copied.torn)} checks of `etl verify` find rows torn"
        )
    say(
        "etl: both databases hold the same; set DATABASE_URL to the new one, so that the next sync goes on there"
    )
    return ExitCode.OK


@contextmanager
def _about_target() -> Iterator[None]:
    """What is wrong with the target is wrong with `--to`, not with DATABASE_URL."""
    try:
        yield
    except SettingsError:
        raise UsageError(
            "--to is no database URL such as sqlite:///copy.db or postgresql://user@host/name"
        ) from None
    except DatabaseUnreachableError as error:
        error.args = (f"--to: {error}",)
        error.hint = "Check --to, the server, the disk and the permissions."
        raise


def _target(url: str) -> Engine:
    """The database to copy to, with its tables, and nothing in them."""
    try:
        engine = connect_engine(DatabaseSettings(database_url=SecretStr(url)).database_url)
    except ValidationError:
        raise SettingsError([]) from None
    prepare_target(engine)
    return engine
