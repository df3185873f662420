"""`etl export`: the User_Ids themselves, for other programs."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import closing, contextmanager
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from etl.cli.app import Oaids, OutputFile, app, open_database, say
from etl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from etl.export import Point


class ExportFormat(StrEnum):
    """What an export can be written as."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


@app.command(
    epilog="Examples:\n\n    etl export --as-of 2026-11-01 > followers.csv\n\n"
    "    etl export --changes --format jsonl -o changes.jsonl\n\n"
    "    etl export --format parquet -o followers.parquet    (needs: pip install 'follower-etl\\[parquet]')"
)
def export(
    oaid: Oaids = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="DATE",
            help="A date (the end of that day in ETL_TIMEZONE) or a date-time with its zone, such as "
            "2026-11-01T09:00:00+07:00. Default: now.",
        ),
    ] = None,
    changes: Annotated[
        bool, typer.Option("--changes", help="The change log until then, in place of who followed.")
    ] = False,
    output: Annotated[
        ExportFormat, typer.Option("--format", help="parquet needs -o and the extra of that name.")
    ] = ExportFormat.CSV,
    file: OutputFile = None,
) -> int:
    """Write the User_Ids who followed at a moment, as the last snapshot until then found them; or the change log."""
    from datetime import UTC, datetime

    from etl import export as exports
    from etl.db.accounts import chosen_accounts
    from etl.db.engine import reading

    if output is ExportFormat.PARQUET:
        if file is None:
            raise UsageError("--format parquet needs -o FILE")
        exports.require_pyarrow()
    settings, engine = open_database()
    moment = (
        exports.moment_of(as_of, zone=settings.timezone, now=datetime.now(UTC))
        if as_of is not None
        else None
    )
    accounts = chosen_accounts(engine, oaid or [])
    if not accounts:
        raise UsageError("no OA is in the database yet: run `etl sync` first")
    columns = exports.CHANGE_COLUMNS if changes else exports.FOLLOWER_COLUMNS
    with reading(engine) as connection:
        found = exports.points(connection, [account.oaid for account in accounts], moment)
        points = _told_apart(found, strict=bool(oaid))
        with (
            _target(file, binary=output is ExportFormat.PARQUET) as target,
            closing(exports.SINKS[output](target, columns)) as sink,
        ):
            for point in points:
                count = 0
                for rows in (exports.changes_until if changes else exports.followers_at)(
                    connection, point
                ):
                    sink.write(rows)
                    count += len(rows)
                say(
                    f"etl: OA {point.oaid}: {count} {'changes' if changes else 'followers'} as of {point}"
                )
    return 0


def _told_apart(found: dict[str, Point | UsageError], *, strict: bool) -> list[Point]:
    """The OAs of which something is known then. One that is not ends it where it was named, or where it is all there is."""
    unknown = [error for error in found.values() if isinstance(error, UsageError)]
    if unknown and (strict or len(unknown) == len(found)):
        raise unknown[0]
    for error in unknown:
        say(f"etl: left out: {error}")
    return [point for point in found.values() if not isinstance(point, UsageError)]


@contextmanager
def _target(file: Path | None, *, binary: bool) -> Iterator[IO[Any]]:
    """Stdout, or a file that is there only once it is whole.

    Raises:
        UsageError: the file cannot be written.
    """
    from etl.files import atomic_file

    if file is None:
        try:
            yield sys.stdout
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader has seen enough (`etl export | head`): nothing is wrong, and nothing more
            # can be flushed.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(128 + signal.SIGPIPE) from None
        return
    try:
        with atomic_file(file, "wb" if binary else "w") as target:
            yield target
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageError(f"-o {file}: {error.strerror or error}") from error
