"""`etl undo`: take a snapshot back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from etl.cli.app import AsJson, Command, DryRun, Yes
from etl.cli.database import open_database
from etl.cli.output import confirm, say, say_lines, write_line
from etl.cli.words import words
from etl.db.tables import LARGEST_NUMBER
from etl.errors import ExitCode
from etl.maintenance import undo as undoing
from etl.model import NO_COUNTS

app = typer.Typer(add_completion=False)

CHANGES = ("baseline", "followed", "refollowed", "unfollowed")


@app.command(
    cls=Command,
    epilog="Examples:\n\n    etl history --limit 3    # shows the ids\n\n    etl undo 412 --dry-run\n\n    etl undo 412 --yes",
)
def undo(
    snapshot_id: Annotated[
        int,
        typer.Argument(
            metavar="SNAPSHOT_ID",
            help="The id of the newest complete or partial snapshot of its OA; `etl history` lists the ids.",
        ),
    ],
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> int:
    """Take a snapshot back out of the followers and the log of changes.

    For the day when something wrong was accepted. The snapshot stays on record as `undone`.
    The next `etl sync` reads the list anew.
    """
    _, engine = open_database()
    snapshot_id = min(max(snapshot_id, 0), LARGEST_NUMBER)  # others are no snapshot, either
    snapshot = undoing.undoable(engine, snapshot_id)
    counts = snapshot.counts or NO_COUNTS
    texts = words()
    amounts = {name: texts.number(getattr(counts, name)) for name in CHANGES}
    say_lines(
        [
            texts(
                "undo.what",
                id=snapshot_id,
                oa=f"OA {snapshot.oaid}",
                status=snapshot.status,
                when=texts.moment(snapshot.taken_at),
                counts=texts("undo.counts", **amounts),
            )
        ]
    )
    if dry_run:
        say(texts("undo.dry_run"))
    else:
        confirm(texts("undo.question"), yes=yes)
        snapshot = undoing.undo(engine, snapshot_id, now=datetime.now(UTC))
        say(texts("undo.done", oaid=snapshot.oaid))
    if as_json:
        write_line({**snapshot.row(), "dry_run": dry_run})
    return ExitCode.OK
