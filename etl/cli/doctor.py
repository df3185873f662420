"""`etl doctor`: check settings, database and eSMS, and change nothing."""

from __future__ import annotations

import sys

import typer

from etl.cli.app import AsJson, Command, Oaids
from etl.cli.output import say, show_folded, write_line
from etl.doctor import State, examine
from etl.errors import gravest

app = typer.Typer(add_completion=False)


@app.command(
    cls=Command,
    epilog="Examples:\n\n    etl doctor\n\n    etl doctor --oaid 4097311281936189049 --json    # exit 0: nothing failed",
)
def doctor(oaid: Oaids = None, as_json: AsJson = False) -> int:
    """Check settings, database and eSMS step by step, and say what to do about each problem.

    Changes nothing. It also asks eSMS for what its documentation leaves open: the length of a page,
    Count or Limit, the order of the list, Total and the largest Offset.
    """
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
            show_folded(f"{step.state:8} {step.name}: {step.told}", " " * 9)
            if step.advice:
                show_folded(f"{'':8} → {step.advice}", " " * 11)
        sys.stdout.flush()
    say(
        f"etl: {states.count(State.FAIL)} failed, {states.count(State.WARN)} to look at, {states.count(State.OK)} well"
    )
    return gravest(codes)
