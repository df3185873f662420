"""`etl doctor`: check settings, database and eSMS, and change nothing."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import typer

from etl.cli.app import AsJson, Command, Oaids
from etl.cli.output import printable, say, show_folded, write_line
from etl.cli.words import speak, words
from etl.doctor import State, examine
from etl.errors import SettingsError, gravest
from etl.settings import database_settings
from etl.texts import Phrase

if TYPE_CHECKING:
    from etl.doctor import Step
    from etl.texts import Texts

app = typer.Typer(add_completion=False)


@app.command(
    cls=Command,
    epilog="Examples:\n\n    etl doctor\n\n"
    "    etl doctor --oaid 4097311281936189049 --json    # exit 0: nothing failed",
)
def doctor(oaid: Oaids = None, as_json: AsJson = False) -> int:
    """Check settings, database and eSMS step by step, and say what to do about each problem.

    Changes nothing. It also asks eSMS for what its documentation leaves open: the length of a page,
    Count or Limit, the order of the list, Total and the largest Offset.
    """
    with suppress(SettingsError):  # a step says so
        speak(database_settings())
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
            _show(step, words())
        sys.stdout.flush()
    failed, warned, well = map(states.count, (State.FAIL, State.WARN, State.OK))
    say("etl: " + words()("doctor.end", failed=failed, warned=warned, well=well))
    return gravest(codes)


def _show(step: Step, say: Texts) -> None:
    """A step for people: how it went, what was found, and below it what to do."""
    state = say(f"doctor.state.{step.state}")
    show_folded(f"{state:8} {_said(step.what, say)}: {_said(step.found, say)}", " " * 9)
    if todo := _said(step.todo, say):
        show_folded(f"{'':8} → {todo}", " " * 11)


def _said(text: Phrase | str, say: Texts) -> str:
    # Names of OAs are in it, and what servers answered.
    return printable(text.said(say) if isinstance(text, Phrase) else say.error(text))
