"""`etl verify`: check that the tables agree with each other."""

from __future__ import annotations

from dataclasses import asdict

import typer

from etl.cli.app import AsJson, Command, Oaids
from etl.cli.database import open_database
from etl.cli.output import show, write_line
from etl.db.engine import reading
from etl.errors import ExitCode, TornStoryError, UsageError
from etl.maintenance.verify import check, oaids, require_sound

app = typer.Typer(add_completion=False)


@app.command(cls=Command, epilog="Example: etl verify && echo fine")
def verify(oaid: Oaids = None, as_json: AsJson = False) -> int:
    """Check that followers, the log of changes and the counts of the snapshots agree."""
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
                    show(f"{mark}  {finding.oaid}  {finding.check}{count}")
    if torn:
        raise TornStoryError(f"{torn} checks found rows that contradict each other")
    return ExitCode.OK
