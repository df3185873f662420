"""`etl simulate`: a simulated eSMS on this machine."""

from __future__ import annotations

import sys
from dataclasses import fields
from datetime import date
from typing import Annotated, Any

import typer

from etl.cli.app import Command
from etl.cli.output import say, show
from etl.errors import ExitCode, InterruptedRunError, UsageError
from etl.simulator import Simulator, WindowRules

app = typer.Typer(add_completion=False)


Port = Annotated[
    int,
    typer.Option(
        "--port",
        metavar="N",
        min=0,
        max=65535,
        help="Listen on this port; 0 takes any free one.",
    ),
]
Followers = Annotated[
    int, typer.Option("--followers", metavar="N", min=0, help="Begin with this many followers.")
]
Oaid = Annotated[str, typer.Option("--oaid", metavar="OAID", help="Serve an OA of this OAID.")]
Order = Annotated[
    str,
    typer.Option(
        "--order", metavar="ORDER", help="Order the list by oldest, newest, activity or bounce."
    ),
]
Seed = Annotated[
    int,
    typer.Option("--seed", metavar="N", help="Repeat the same random events with the same number."),
]
MaxPage = Annotated[
    int,
    typer.Option(
        "--max-page", metavar="N", min=1, help="Give at most this many users in an answer."
    ),
]
MaxOffset = Annotated[
    int | None,
    typer.Option("--max-offset", metavar="N", min=0, help="Answer a larger Offset with code 162."),
]
Rate = Annotated[
    float,
    typer.Option(
        "--rate",
        metavar="N",
        min=0,
        help="Answer with code 160 above this many requests a second; 0 sets no limit.",
    ),
]
Latency = Annotated[
    float,
    typer.Option(
        "--latency", metavar="N", min=0, help="Wait this many seconds before each answer."
    ),
]
Leaves = Annotated[
    float,
    typer.Option(
        "--leaves",
        metavar="N",
        min=0,
        help="Let this many users leave before each page, on average.",
    ),
]
Arrivals = Annotated[
    float,
    typer.Option(
        "--arrivals",
        metavar="N",
        min=0,
        help="Let this many users arrive before each page, on average.",
    ),
]
Returns = Annotated[
    float,
    typer.Option(
        "--returns",
        metavar="N",
        min=0,
        help="Let this many users return before each page, on average.",
    ),
]
Acts = Annotated[
    float,
    typer.Option(
        "--acts",
        metavar="N",
        min=0,
        help="Let this many users act before each page, on average.",
    ),
]
Windows = Annotated[
    list[str] | None,
    typer.Option(
        "--windows",
        metavar="RULE=VALUE",
        help="Serve QueryListUID, too: `on`, or with rules such as semantics=any, "
        "future=refused, undated=0.1, reach=500 (CONTRIBUTING.md has all).",
    ),
]
Fault = Annotated[
    list[str] | None,
    typer.Option(
        "--fault",
        metavar="NAME=P",
        help="Add a fault with its probability, such as http_503=0.01.",
    ),
]


@app.command(
    cls=Command,
    epilog="Example: etl simulate --port 8460 --followers 5000 --leaves 0.2 --arrivals 0.3",
)
def simulate(
    port: Port = 8460,
    followers: Followers = 1000,
    oaid: Oaid = "4097311281936189049",
    order: Order = "oldest",
    seed: Seed = 1,
    max_page: MaxPage = 50,
    max_offset: MaxOffset = None,
    rate: Rate = 0,
    latency: Latency = 0,
    leaves: Leaves = 0,
    arrivals: Arrivals = 0,
    returns: Returns = 0,
    acts: Acts = 0,
    windows: Windows = None,
    fault: Fault = None,
) -> int:
    """Serve a simulated eSMS on this machine, to try everything without keys, until Ctrl-C.

    Its followers are made up, and come and go while they are read.
    """
    try:
        simulator = Simulator(
            followers, oaid=oaid, order=order, seed=seed, port=port, max_page=max_page, max_offset=max_offset, rate=rate,
            latency=latency, windows=window_rules(windows) if windows else None,
        )  # fmt: skip
        simulator.churn(leaves=leaves, arrivals=arrivals, returns=returns, touches=acts, seed=seed)
        for each in fault or []:
            name, _, probability = each.partition("=")
            simulator.fault_rate(name, float(probability or 1), seed=seed)
    except ValueError as error:
        raise UsageError(str(error)) from None
    simulator.remember = False
    try:
        with simulator:
            say(
                "A simulated eSMS (its followers are made up) listens. Point etl to it from another terminal:\n"
            )
            for name, value in simulator.environment.items():
                show(f"export {name}={value}")
            sys.stdout.flush()  # whoever reads them through a pipe waits for them now
            say("\nCtrl-C ends it.")
            simulator.stopped.wait()
    except OSError as error:
        raise UsageError(f"--port {port}: {error.strerror}") from None
    except InterruptedRunError:
        return ExitCode.OK
    return ExitCode.OK


def window_rules(given: list[str]) -> WindowRules:
    """The rules of `--windows`.

    Raises:
        ValueError: there is no such rule, or its value does not fit.
    """
    known = {field.name: field.default for field in fields(WindowRules)}
    rules: dict[str, Any] = {}
    for each in given:
        name, _, value = each.partition("=")
        if each == "on":
            continue
        if name not in known:
            raise ValueError(f"--windows {name}: the rules are on, {', '.join(known)}")
        rules[name] = _typed(known[name], value)
    return WindowRules(**rules)


def _typed(default: object, value: str) -> object:
    """A rule's value, of the type of its default; where that is None: a date, or an hour."""
    if default is None:
        return date.fromisoformat(value) if "-" in value else int(value)
    if isinstance(default, bool):
        return value.lower() in {"", "1", "true", "yes"}
    return type(default)(value)  # type: ignore[call-arg]  # str, int or float of a text
