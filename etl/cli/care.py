"""`etl` doctor, undo, forget and db: looking after it."""

from __future__ import annotations

import sys
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli.app import AsJson, Oaids, app, open_database, say, show_error, write_line
from etl.errors import (
    DatabaseUnreachableError,
    EtlError,
    SettingsError,
    TornStoryError,
    UsageError,
    gravest,
)
from etl.model import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

DECLINED = 130
"""Exit code where the answer to a question is no: as of Ctrl-C there."""

Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask; needed where nobody can be asked.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Tell what would be done, and write nothing at all.")
]

db = typer.Typer(
    name="db",
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Look after the database itself: create or upgrade its tables, check them, move to another database.",
    epilog="Example: etl db check || etl db upgrade",
)
app.add_typer(db)


@db.command(
    epilog="Examples:\n\n    etl db upgrade\n\n    DATABASE_URL=postgresql://etl@db.example/followers etl db upgrade --json"
)
def upgrade(as_json: AsJson = False) -> int:
    """Create the tables, or bring them to what this program was written for, in one transaction. Back up before."""
    from etl.db.engine import connect_engine
    from etl.db.schema import HEAD, current_revision
    from etl.db.schema import upgrade as bring_up
    from etl.settings import database_settings

    engine = connect_engine(database_settings().database_url)
    before = current_revision(engine)
    if before != HEAD:
        bring_up(engine)
    after = current_revision(engine)
    if as_json:
        write_line({"from": before, "to": after, "changed": before != after})
    else:
        say(
            f"etl: the database is current already (revision {after})"
            if before == after
            else f"etl: {before} → {after}"
        )
    return 0


@db.command(
    epilog="Example: etl db check || etl db upgrade    (exit 78: an upgrade is due; 69: not reachable)"
)
def check(as_json: AsJson = False) -> int:
    """Tell whether the tables are those that this program was written for. Changes nothing."""
    from etl.db.engine import connect_engine
    from etl.db.schema import HEAD, current_revision, require_current
    from etl.settings import database_settings

    engine = connect_engine(database_settings().database_url, create=False)
    revision = current_revision(engine)
    if as_json:
        write_line({"revision": revision, "needs": HEAD, "current": revision == HEAD})
    require_current(engine)
    if not as_json:
        say(f"etl: the database is current (revision {revision})")
    return 0


@db.command(
    epilog="Example, from SQLite to PostgreSQL:\n\n    etl db copy --to postgresql://etl@db.example/followers\n\n"
    "    export DATABASE_URL=postgresql://etl@db.example/followers\n\n    etl verify && etl sync"
)
def copy(
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="URL", help="An empty database: sqlite:///file or postgresql://…"
        ),
    ],
    as_json: AsJson = False,
) -> int:
    """Copy everything from DATABASE_URL into an empty database, of either kind, and compare the two.

    The source is left as it is, and no sync of it runs meanwhile.
    """
    from etl.maintenance.copy import copy_database

    _, source = open_database()
    with _about_target():
        target = _target(to)
    with _copying() as on_rows:
        copied = copy_database(source, target, now=datetime.now(UTC), on_rows=on_rows)
    if as_json:
        write_line({"rows": copied.rows, "torn": len(copied.torn)})
    else:
        for table, rows in copied.rows.items():
            typer.echo(f"{table:20}{rows:>12,}")
    if copied.torn:
        raise TornStoryError(
            f"both databases are alike, and in both {len(copied.torn)} checks of `etl verify` find rows torn"
        )
    say(
        "etl: both databases hold the same; set DATABASE_URL to the new one, so that the next sync goes on there"
    )
    return 0


@app.command(
    epilog="Examples:\n\n    etl doctor\n\n    etl doctor --oaid 4097311281936189049 --json    (exit 0: nothing failed)"
)
def doctor(oaid: Oaids = None, as_json: AsJson = False) -> int:
    """Check settings, database and eSMS step by step, and say what to do about each; changes nothing.

    Then it learns by asking what eSMS leaves undocumented: page length, Count or Limit, order,
    Total, ceiling.
    """
    from etl.doctor import State, examine

    states: list[State] = []
    codes: list[int] = []
    for step in examine(oaid or []):
        states.append(step.state)
        codes.append(step.exit_code)
        if as_json:
            write_line(
                {"step": step.name, "state": step.state, "told": step.told, "advice": step.advice}
            )
        else:
            typer.echo(f"{step.state:8} {step.name}: {step.told}")
            if step.advice:
                typer.echo(f"{'':8} → {step.advice}")
        sys.stdout.flush()
    say(
        f"etl: {states.count(State.FAIL)} failed, {states.count(State.WARN)} to look at, {states.count(State.OK)} well"
    )
    return gravest(codes)


@app.command(
    epilog="Examples:\n\n    etl history --limit 3    (tells the ids)\n\n    etl undo 412 --dry-run\n\n    etl undo 412 --yes"
)
def undo(
    snapshot_id: Annotated[
        int,
        typer.Argument(
            metavar="SNAPSHOT_ID",
            max=2**63 - 1,
            help="The newest complete or partial one of its OA.",
        ),
    ],
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> int:
    """Take a snapshot back out of the followers and their changes, for the day when something wrong was believed.

    It stays on record as `undone`. The next `etl sync` reads the list anew.
    """
    from etl.maintenance.undo import undo as take_back
    from etl.maintenance.undo import undoable

    _, engine = open_database()
    snapshot = undoable(engine, snapshot_id)
    counts = snapshot.counts or NOTHING
    say(
        f"etl: snapshot {snapshot_id} of OA {snapshot.oaid}, {snapshot.status}, taken {snapshot.taken_at:%Y-%m-%d %H:%M:%SZ}: "
        f"{counts.baseline} baseline, {counts.followed} followed, {counts.refollowed} refollowed, "
        f"{counts.unfollowed} unfollowed"
    )
    if not dry_run:
        _ask("Take all of this back?", yes=yes)
        snapshot = take_back(engine, snapshot_id, now=datetime.now(UTC))
        say(f"etl: undone; `etl sync --oaid {snapshot.oaid}` reads the list anew")
    if as_json:
        columns = snapshot.columns()
        write_line({"snapshot_id": columns.pop("id"), **columns, "dry_run": dry_run})
    return 0


@app.command(
    epilog="Examples:\n\n    etl forget 7800378501923859642 --dry-run\n\n"
    "    etl forget 7800378501923859642 --oaid 4097311281936189049 --yes"
)
def forget(
    user_id: Annotated[
        str, typer.Argument(metavar="USER_ID", help="As eSMS names the person.", show_default=False)
    ],
    oaid: Oaids = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> int:
    """Erase a person: a random pseudonym takes the place of their User_Id in every table, and counts stay true.

    Who still follows will be found again by the next sync, and is kept under the pseudonym, not
    under the User_Id. To be gone for good they unfollow the OA. Logs, backups and exports made
    before still hold the User_Id.
    """
    from etl.db.accounts import chosen_accounts
    from etl.maintenance.forget import traces

    _, engine = open_database()
    found = traces(
        engine, user_id, [account.oaid for account in chosen_accounts(engine, oaid or [])]
    )
    if not found:
        raise UsageError(
            "this User_Id is in none of the chosen OAs: never seen, or forgotten already"
        )
    if not dry_run:
        for trace in found:
            state = "follows now" if trace.following else "followed once"
            say(f"etl: OA {trace.oaid}: {state}, changes on record: {trace.changes}")
        _ask("Replace the User_Id by a pseudonym? It cannot be taken back.", yes=yes)
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
    from etl.maintenance.forget import forget as erase
    from etl.maintenance.forget import traces

    try:
        trace = (
            traces(engine, user_id, [oaid])[0]
            if dry_run
            else erase(engine, oaid, user_id, now=datetime.now(UTC))
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
    return 0


def _ask(question: str, *, yes: bool) -> None:
    """Go on only where somebody says so.

    Raises:
        UsageError: nobody is there to be asked, and `--yes` was not given.
        Exit: the answer is no; as with Ctrl-C, 130.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "--yes is needed where nobody can be asked (this is no terminal); --dry-run tells what would be done"
        )
    with suppress(typer.Abort):  # no answer at all is none
        if typer.confirm(question, err=True):
            return
    say("etl: nothing was changed")
    raise typer.Exit(DECLINED)


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
    from pydantic import SecretStr, ValidationError

    from etl.db.engine import connect_engine
    from etl.maintenance.copy import prepare_target
    from etl.settings import DatabaseSettings

    try:
        engine = connect_engine(DatabaseSettings(database_url=SecretStr(url)).database_url)
    except ValidationError:
        raise SettingsError([]) from None
    prepare_target(engine)
    return engine


@contextmanager
def _copying() -> Iterator[Callable[[str, int, int], None]]:
    """A callback told (table, rows copied, rows in all): a bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda table, rows, of: None  # noqa: ARG005 - nobody watches
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, visible=False)

        def show(table: str, rows: int, of: int) -> None:
            bar.update(task, visible=True, description=table, completed=rows, total=of)

        yield show
