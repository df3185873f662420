"""`etl verify`: check that the tables agree with each other."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from etl.cli.app import AsJson, Command, Oaids
from etl.cli.database import open_database
from etl.cli.output import show_folded, write_line
from etl.db.engine import reading
from etl.errors import ContradictionError, ExitCode, UsageError
from etl.maintenance.verify import NAMED, check, oaids, require_sound

if TYPE_CHECKING:
    from etl.maintenance.verify import Finding

app = typer.Typer(add_completion=False)


@app.command(cls=Command, epilog="Example: etl verify && echo fine")
def verify(oaid: Oaids = None, as_json: AsJson = False) -> int:
    """Check that followers, the log of changes and the counts of the snapshots agree.

    Names up to ten rows that contradict each other a check, all of them with --json.
    """
    _, engine = open_database()
    torn = 0
    with reading(engine) as connection:
        require_sound(connection)
        known = oaids(connection)
        for unknown in set(oaid or []) - set(known):
            raise UsageError(
                f"--oaid: OA {unknown!r} is not in the database (there: {', '.join(known) or 'none yet'})"
            )
        for finding in check(connection, oaid or known, named=None if as_json else NAMED):
            torn += finding.contradictions > 0
            if as_json:
                write_line({**asdict(finding), "ok": not finding.contradictions})
            else:
                _show(finding)
    if torn:
        raise ContradictionError(f"{torn} checks found rows that contradict each other")
    return ExitCode.OK


def _show(finding: Finding) -> None:
    count = finding.contradictions
    mark, rows = ("TORN", f"  ({count} rows)") if count else ("ok  ", "")
    show_folded(f"{mark}  {finding.oaid}  {finding.check}{rows}", " " * 6)
    for row in filter(None, map(str, finding.rows)):
        show_folded(f"      {row}", " " * 6)
    if count > len(finding.rows):
        show_folded(f"      and {count - len(finding.rows)} more: etl verify --json", " " * 6)
    if finding.note:
        show_folded(f"      {finding.note}", " " * 6)
