"""The `etl` command: its commands, the options that several of them share, and how it ends."""

from __future__ import annotations

import atexit
import gc
import signal
import sys
import traceback
from contextlib import contextmanager
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

from etl.cli import streams
from etl.cli.output import show, show_error
from etl.errors import ExitCode, InterruptedRunError, UsageError, as_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

COMMANDS = {
    "sync": "Read the followers of every OA from eSMS and bring the database up to date.",
    "status": "Show for each OA when its list was last read whole, who follows, and what happened since.",
    "history": "List the snapshots: what every run did with each OA, newest last.",
    "report": "Report how many followers were won and lost, when, and whether the ones won stay.",
    "export": "Write the User_Ids who followed at a moment, or the log of changes, for other programs.",
    "verify": "Check that followers, the log of changes and the counts of the snapshots agree.",
    "accounts": "List the OAs of the eSMS account with their names.",
    "doctor": "Check settings, database and eSMS step by step, and say what to do about each problem.",
    "undo": "Take a snapshot back out of the followers and the log of changes.",
    "forget": "Erase a person: replace their User_Id by a random pseudonym in every table.",
    "db": "Create, upgrade, check or copy the database.",
    "fleet": "Sync several eSMS accounts on several hosts, with jobs in one PostgreSQL database.",
    "demo": "Show everything without keys and without network: a simulated OA, synced for weeks.",
    "simulate": "Serve a simulated eSMS on this machine, to try everything without keys.",
}
"""Every command with its line in `etl --help`; `etl NAME` is etl/cli/NAME.py."""

Oaids = Annotated[
    list[str] | None,
    typer.Option(
        "--oaid",
        metavar="OAID",
        help="Use only this OA; give the option again for several. Default: all OAs.",
    ),
]
Everyone = Annotated[
    bool,
    typer.Option(
        "--all",
        help="Take every OA in the database. Default: those of ESMS_OAIDS, where it is set, but for "
        "the retired.",
    ),
]
OutputFile = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="Write to this file, which appears only when it is complete. Default: stdout.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs, one object a line.")]
Yes = Annotated[
    bool,
    typer.Option("--yes", "-y", help="Do not ask; needed where nobody can answer."),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Show what would be done, and write nothing."),
]


def load(name: str) -> Any:  # noqa: ANN401 - typer does not export the type of its commands
    """A command, from its module: imported when it is called, because start-up counts."""
    return get_command(import_module(f"etl.cli.{name}").app)


class Command(TyperCommand):
    """A command whose help shows no type behind a flag: a flag takes no value."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 - typer does not export its context
        """Give its arguments and options."""
        return _flags_without_type(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - as above
        """Read the arguments; what is wrong with a value is said in our words."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            if (found := getattr(error.__cause__, "errors", None)) is not None:
                # Only here: it loads the settings, and most commands have no wrong argument.
                from etl.settings.problems import in_words  # noqa: PLC0415 - as said above

                error.message = in_words(found()[0])
            raise
        except TyperException as error:
            error.ctx = ctx  # type: ignore[attr-defined]  # of which command it is, Typer does not always say
            raise


class Group(TyperGroup):
    """A group of commands, with the same help."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 - as above
        """Give its options."""
        return _flags_without_type(super().get_params(ctx))


def _flags_without_type(params: list[Any]) -> list[Any]:
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params


class Commands(Group):
    """Lists all commands without importing them, and imports the one that is called."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - typer's own arguments
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name, help=line) for name, line in COMMANDS.items()}

    def make_context(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as above
        """Read the arguments; what ends here is the help."""
        with _in_our_words():
            return super().make_context(*arguments, **named)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as above
        """Run the command."""
        with _in_our_words():
            return super().invoke(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:  # noqa: ANN401 - as above
        """Find the command that the arguments name, or suggest another."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed if name is None else load(name), rest


@contextmanager
def _in_our_words() -> Iterator[None]:
    """Say in our words what Typer would say in its own.

    If the reader of our output has gone (`etl history | head`), nothing is wrong. Wrong arguments
    are an error like any other.
    """
    try:
        yield
    except TyperException as error:
        # By its name, as Typer does: its message is the help.
        if type(error).__name__ == "NoArgsIsHelpError" or error.exit_code != ExitCode.USAGE:
            raise
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "etl"
        hint = f"To see what fits: {path} --help"
        raise UsageError(error.format_message(), hint=hint) from None
    except BrokenPipeError:
        streams.drop(sys.stdout)
        raise typer.Exit(ExitCode.SIGNALLED + signal.SIGPIPE) from None


def _end(code: object, **_: object) -> NoReturn:
    """What a command returns is its exit code."""
    raise typer.Exit(code if isinstance(code, int) else ExitCode.OK)


app = typer.Typer(
    name="etl",
    cls=Commands,
    result_callback=_end,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # its tracebacks show locals, and locals may hold keys
    help="Keep the followers of Zalo Official Accounts (OAs) in a database, and prove that the whole list was read.",
    epilog="First steps without keys: [bold]etl demo[/]. Everything else: README.md and docs/.",
)


def _show_version(asked: bool) -> None:  # noqa: FBT001 - typer's signature
    if asked:
        show(f"follower-etl {metadata.version('follower-etl')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Show the version and exit.",
            is_eager=True,
            callback=_show_version,
        ),
    ] = False,
) -> None:
    """Run before every command: nothing to do."""


def _stop_on_signals() -> None:
    """Let SIGTERM and a terminal that closes end the program as Ctrl-C does.

    They raise an exception, so that leases are given back.
    """

    def stop(signum: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - the handler's signature
        # A second signal while we tidy up must not interrupt the tidying; SIGKILL remains.
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        raise InterruptedRunError(signum)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # not under nohup
        signal.signal(signal.SIGHUP, stop)


def main() -> NoReturn:
    """Run the command of the arguments and exit with its code (docs/design.md#exit-codes)."""
    streams.prepare()
    # Imports make some hundred thousand objects that live as long as the process: looking for
    # garbage among them costs a tenth of a small sync, and at its end a third of `etl history`.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
    _stop_on_signals()
    code = _ended(app)
    written = _ended(_flush)
    sys.exit(code or written)


def _flush() -> None:
    with streams.writing():
        pass


def _ended(step: Callable[[], object]) -> int:
    """The exit code of a step. Nobody is shown a traceback, unless they look for a fault."""
    try:
        step()
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # rich, whose reader has gone
            return ExitCode.SIGNALLED + signal.SIGPIPE
        return end.code if isinstance(end.code, int) else ExitCode.FAULT
    except BrokenPipeError:  # what waited for a reader who has gone
        return ExitCode.SIGNALLED + signal.SIGPIPE
    except Exception as raised:  # noqa: BLE001 - whatever it is, it is said in words
        error = as_ours(raised)
        show_error(error)
        if streams.debugging() and error is not raised:
            traceback.print_exception(raised)
        return error.exit_code
    return ExitCode.OK
