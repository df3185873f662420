"""`etl export`: the User_Ids themselves, for other programs."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from etl import export as exports
from etl.cli.app import Command, Oaids, OutputFile
from etl.cli.database import accounts_in, open_database
from etl.cli.output import open_output, say
from etl.cli.times import point_in_time
from etl.db.engine import reading
from etl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from etl.export import Point

app = typer.Typer(add_completion=False)


class ExportFormat(StrEnum):
    """What an export can be written as."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


@app.command(
    cls=Command,
    epilog="Examples:\n\n    etl export --as-of 2026-11-01 > followers.csv\n\n"
    "    etl export --changes --format jsonl -o changes.jsonl\n\n"
    "    etl export --format parquet -o followers.parquet    # needs the extra `parquet`",
)
def export(
    oaid: Oaids = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="DATE",
            help="Take this day (what its last reading found, as reports count days), or the moment "
            "of a date-time with its zone such as 2026-11-01T09:00:00+07:00. Default: now.",
        ),
    ] = None,
    changes: Annotated[
        bool,
        typer.Option(
            "--changes",
            help="Write the log of changes until that moment instead.",
        ),
    ] = False,
    output: Annotated[
        ExportFormat,
        typer.Option(
            "--format", help="Write this format; parquet needs -o and the extra of that name."
        ),
    ] = ExportFormat.CSV,
    file: OutputFile = None,
) -> int:
    """Write the User_Ids who followed at a moment, or the log of changes, for other programs.

    Who followed then is what the last snapshot until then found.
    """
    if output is ExportFormat.PARQUET:
        if file is None:
            raise UsageError("--format parquet needs -o FILE")
        exports.require_pyarrow()
    settings, engine = open_database()
    at = (
        point_in_time(as_of, zone=settings.timezone, now=datetime.now(UTC))
        if as_of is not None
        else None
    )
    accounts = accounts_in(engine, oaid)
    if not accounts:
        raise UsageError("no OA is in the database yet: run `etl sync` first")
    columns = exports.CHANGE_COLUMNS if changes else exports.FOLLOWER_COLUMNS
    with reading(engine) as connection:
        found = exports.points(connection, [account.oaid for account in accounts], at)
        points = _told_apart(found, strict=bool(oaid))
        with (
            open_output(file, binary=output is ExportFormat.PARQUET) as target,
            closing(exports.SINKS[output](target, columns)) as sink,
        ):
            for point in points:
                count = 0
                for rows in (exports.changes_until if changes else exports.followers_at)(
                    connection, point
                ):
                    sink.write(rows)
                    count += len(rows)
                what = "change" if changes else "follower"
                say(
                    f"etl: OA {point.oaid}: {count} {what}{'' if count == 1 else 's'} as of {point}"
                )
    return ExitCode.OK


def _told_apart(found: dict[str, Point | UsageError], *, strict: bool) -> list[Point]:
    """The OAs of which something is known at that time; the others are left out, with a message.

    Raises:
        UsageError: nothing is known of any of them, or (`strict`) of one.
    """
    unknown = [error for error in found.values() if isinstance(error, UsageError)]
    if unknown and (strict or len(unknown) == len(found)):
        raise unknown[0]
    for error in unknown:
        say(f"etl: left out: {error}")
    return [point for point in found.values() if not isinstance(point, UsageError)]
