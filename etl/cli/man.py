"""The manual page etl(1), made from the commands themselves; hatch_build.py puts it into the wheel.

click-man would make it of commands of click; it finds no options in those of typer, which brings a
click of its own, and knows neither examples nor exit codes.
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

from typer import Context
from typer.main import get_command

from etl.cli.app import COMMANDS, app, load
from etl.errors import ExitCode
from etl.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDS = {
    ExitCode.OK: "every OA complete",
    ExitCode.FAULT: "a fault of this program",
    ExitCode.USAGE: "wrong usage",
    ExitCode.CONTRADICTION: "held; or verify found rows that contradict each other",
    ExitCode.UNREACHABLE: "API or database not reachable after retries",
    ExitCode.TRY_LATER: "try later: partial, or another run holds the OA",
    ExitCode.IMPOSSIBLE_ANSWER: "the API answered something impossible",
    ExitCode.REFUSED: "refused: keys, IP address or OA",
    ExitCode.SETTINGS: "settings missing or wrong; database not upgraded",
    ExitCode.SIGNALLED: "and the number of a signal: 130 is Ctrl-C, 143 SIGTERM",
}

INPUT = 70
"""Characters of a line of the page's source, before signs are written in roff's way."""

_MARKUP = re.compile(r"\[/?(?:bold)?\]")
"""Of rich, as the help of `etl` has it."""


def page(version: str) -> str:
    """The page in roff (man(7)), with every command, its options and its examples.

    Args:
        version: of this program.
    """
    return "\n".join([*_lines(version), ""])


def _lines(version: str) -> Iterator[str]:
    root = get_command(app)
    yield f'.TH ETL 1 "" "follower-etl {version}" "User Commands"'
    yield from (".SH NAME", _plain("etl - keep the followers of Zalo OAs in a database"))
    yield from (".SH SYNOPSIS", r".B etl", _plain("COMMAND [OPTIONS]"))
    yield from (".SH DESCRIPTION", _plain(root.help or ""), ".PP", _plain(root.epilog or ""))
    yield ".SH COMMANDS"
    for name in COMMANDS:
        yield from _command(f"etl {name}", load(name))
    yield ".SH EXIT STATUS"
    for code, meaning in ENDS.items():
        yield from (".TP", f".B {code}", _plain(meaning))
    names = ", ".join(sorted(name.upper() for name in Settings.names()))
    yield ".SH ENVIRONMENT"
    yield _plain(
        "Settings are read from the environment, from a file .env in the current directory and "
        "from $CREDENTIALS_DIRECTORY. README.md has each with its default:"
    )
    yield from (".PP", _plain(f"{names}."))


def _command(called: str, command: Any) -> Iterator[str]:  # noqa: ANN401 - typer does not export its commands
    """One command; of a group, each of its commands."""
    if several := getattr(command, "commands", None):
        for name, each in several.items():
            yield from _command(f"{called} {name}", each)
        return
    context = Context(command, info_name=called)
    yield f'.SS "{_plain(called)}"'
    usage = " ".join(command.collect_usage_pieces(context))
    yield from (f".B {_plain(called)}", _plain(usage))
    for paragraph in (command.help or "").split("\n\n"):
        yield from (".PP", _plain(paragraph))
    for param in command.get_params(context):
        declared, told = param.get_help_record(context) or (param.make_metavar(context), param.help)
        yield from (".TP", f".B {_plain(declared)}", _plain(told or ""))
    yield from _examples(command.epilog or "")


def _examples(epilog: str) -> Iterator[str]:
    """The examples below a command's help: each on a line of its own, to be copied."""
    if not epilog:
        return
    _, _, examples = epilog.partition(":")
    yield from (".PP", "Examples:", ".PP", ".nf", ".RS 4")
    for line in textwrap.dedent(examples).strip().splitlines():
        if line.strip():
            yield _exactly(line.strip())
    yield from (".RE", ".fi")


def _plain(text: str) -> str:
    """Text as roff shows it unchanged, folded at blanks."""
    lines = textwrap.wrap(_MARKUP.sub("", text), INPUT, break_long_words=False)
    return "\n".join(map(_exactly, lines))


def _exactly(line: str) -> str:
    """A line without what roff would take for a request, an escape or a typographic sign."""
    signs = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "~": r"\(ti", "^": r"\(ha"}
    safe = "".join(
        signs.get(char, char if char.isascii() else rf"\[u{ord(char):04X}]") for char in line
    )
    return rf"\&{safe}" if safe.startswith(".") else safe
