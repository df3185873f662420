"""Which `etl` commands a text names, and whether the program has them: for documents, units and
help."""

from __future__ import annotations

import re
import shlex
from functools import cache
from typing import Any

import typer
from typer.main import get_command

from etl.cli.app import app

PROGRAMS = ("etl", "etl-service")

_OPERATORS = re.compile(r"[();<>|&]+")

_ASSIGNMENT = re.compile(r"[A-Za-z_]+=")

_BEFORE_A_COMMAND = {"!", "{", "do", "exec", "if", "sudo", "then", "time", "while"}


@cache
def program() -> Any:
    """The command itself, with all its subcommands."""
    return get_command(app)


def inner(command: Any) -> dict[str, Any]:
    """The commands below one, by name; those of `etl` itself are loaded when they are asked for."""
    if not hasattr(command, "list_commands"):
        return {}
    return {name: command.resolve_command(None, [name])[1] for name in command.list_commands(None)}


def all_commands() -> dict[str, Any]:
    """Every command that does something, by its words: `sync`, `db upgrade`."""
    found: dict[str, Any] = {}
    for name, command in inner(program()).items():
        below = inner(command)
        found |= {f"{name} {each}": one for each, one in below.items()} or {name: command}
    return found


def etl_commands(script: str) -> list[list[str]]:
    """The arguments of each call of etl in a shell script."""
    found = []
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.commenters = "#"
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:  # a quotation that goes on in the next line: text, not a call of ours
            continue
        call: list[str] | None = []  # None: in a call of something else, up to the next operator
        for word in words:
            if _OPERATORS.fullmatch(word) or (word in _BEFORE_A_COMMAND and not call):
                call = []
            elif call:
                call.append(word)
            elif call is not None and not _ASSIGNMENT.match(word):
                call = [word] if word.rpartition("/")[2] in PROGRAMS else None
                if call:
                    found.append(call)
    return [call[1:] for call in found if len(call) > 1]


def trouble(call: list[str]) -> str | None:
    """What the program would say against these arguments; None where it takes them. Nothing is
    run."""
    command, names = program(), []
    rest = list(call)
    while rest and (below := inner(command).get(rest[0])):
        command = below
        names.append(rest.pop(0))
    if not names or inner(command):
        known = {option for each in command.params for option in each.opts} | {"--help"}
        return None if rest and rest[0] in known else f"etl {' '.join(call)}: no such command"
    if "--help" in rest:
        return None
    try:
        command.make_context(" ".join(names), rest)
    except typer.TyperException as error:
        return f"etl {' '.join(call)}: {error}"
    return None


def misnamed(words: list[str]) -> list[str]:
    """Commands and options in a sketch such as `etl db upgrade|check` or `etl sync [--oaid …]` that
    the program does not have."""
    known = program()
    for position, word in enumerate(words):
        below = inner(known)
        if not below or word.startswith("-"):
            break
        names = word.split("|")
        wrong = [name for name in names if name not in below]
        if wrong:
            return [] if position == 0 and not re.fullmatch(r"[a-z]+", names[0]) else wrong
        if len(names) > 1:
            return []
        known = below[word]
    options = {option for each in known.params for option in (*each.opts, *each.secondary_opts)} | {
        "--help"
    }
    return [
        word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word) and word not in options
    ]
