"""The `etl` command itself: its application, how it ends, and what all commands share."""

from __future__ import annotations

import gc
import json
import signal
import sys
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from etl.errors import EtlError, InterruptedRunError

if TYPE_CHECKING:
    from types import FrameType

    from sqlalchemy import Engine

    from etl.settings import DatabaseSettings


def _end(code: object, **_: object) -> NoReturn:
    """What a command returns is its exit code."""
    raise typer.Exit(code if isinstance(code, int) else 0)


app = typer.Typer(
    name="etl",
    result_callback=_end,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # its tracebacks show locals, and locals may hold keys
    help="Keep the followers of Zalo Official Accounts (OAs) in a database, and prove that the whole list was read.",
    epilog="First steps without keys: [bold]etl demo[/]. Everything else: README.md and docs/.",
)

Oaids = Annotated[
    list[str] | None,
    typer.Option(
        "--oaid",
        metavar="OAID",
        help="Only this OA; give it again for several. Default: all that are set up.",
    ),
]
OutputFile = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="Written beside, then renamed: whole or not at all. Default: stdout.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="For programs: JSON on stdout, one object a line.")
]


def _show_version(asked: bool) -> None:  # noqa: FBT001 - typer's signature
    if asked:
        from importlib.metadata import version

        typer.echo(f"follower-etl {version('follower-etl')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None:
    """Run before every command: nothing to do."""


class TableFormat(StrEnum):
    """What a listing can be shown as."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def stop_on_signals() -> None:
    """Let SIGTERM end the program as Ctrl-C does: by an exception, so that leases are given back."""

    def stop(signum: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - the handler's signature
        # A second signal while we tidy up must not interrupt the tidying; SIGKILL remains.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise InterruptedRunError(signum)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def open_database() -> tuple[DatabaseSettings, Engine]:
    """The settings and the database of a command that does without eSMS; never makes a database.

    Raises:
        SettingsError, NoDatabaseError, DatabaseBehindError: naming what to change.
    """
    from etl.db.engine import connect_engine
    from etl.db.schema import require_current
    from etl.settings import database_settings

    settings = database_settings()
    engine = connect_engine(settings.database_url, create=False)
    require_current(engine)
    return settings, engine


def write_line(values: dict[str, Any]) -> None:
    """One JSON object on a line of stdout."""
    sys.stdout.write(json.dumps(values, default=plain, ensure_ascii=False) + "\n")


def plain(value: Any) -> Any:  # noqa: ANN401 - any column
    """A value as JSON and CSV show it: times in ISO 8601."""
    return value.isoformat() if hasattr(value, "isoformat") else value


def say(message: str) -> None:
    """Tell the operator something: stderr, so that stdout stays data."""
    typer.echo(message, err=True)


def show_error(error: EtlError) -> None:
    """What went wrong and what to do about it, on stderr."""
    say(f"etl: {error}")
    if error.hint:
        say(f"     {error.hint}")


def main() -> NoReturn:
    """Run the command that the arguments name and exit with its code (docs/design.md#exit-codes)."""
    for module in (
        "run",
        "watch",
        "report",
        "data",
        "care",
        "play",
    ):  # they register their commands, listed in this order
        import_module(f"etl.cli.{module}")

    # Imports make some hundred thousand objects that live as long as the process: looking for
    # garbage among them costs a tenth of a small sync.
    gc.set_threshold(100_000)
    stop_on_signals()
    try:
        app()
    except EtlError as error:
        show_error(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone (`etl export | head`): nothing is wrong.
        sys.stderr.close()
        sys.exit(128 + signal.SIGPIPE)
    raise AssertionError("unreachable: typer exits")
