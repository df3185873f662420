"""`etl status`: when each OA was last read whole, and who follows."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli.answer import reason
from etl.cli.app import AsJson, Command, Everyone, Oaids
from etl.cli.database import open_database, watched
from etl.cli.listing import Column, Row, listing
from etl.cli.output import (
    printable,
    say,
    show_lines,
    show_table,
    width,
    write_line,
)
from etl.cli.times import age_of
from etl.cli.words import words
from etl.db.accounts import known_accounts
from etl.errors import ExitCode
from etl.status import account_states, in_hours

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from etl.status import AccountStatus
    from etl.texts import Texts

app = typer.Typer(add_completion=False)

HOUR, DAY = 3600.0, 86_400.0
"""In seconds."""

NAME = 36
"""Characters of a name that are shown on a line, rather than the OAID beside it."""

NUMBERS = ("following", "net_7_days", "net_30_days")

COLUMNS = (
    "OA",
    "name",
    "following",
    "last complete",
    "age",
    "7 days",
    "30 days",
    "since then",
)


@app.command(
    cls=Command,
    epilog="Examples:\n\n    etl status\n\n    etl status --max-age 26h --json    # for monitoring: exit 75 when too old",
)
def status(
    oaid: Oaids = None,
    max_age: Annotated[
        str | None,
        typer.Option(
            "--max-age",
            metavar="AGE",
            help="Exit with 75 where the last complete snapshot is older than this: 90m, 26h, 2d.",
        ),
    ] = None,
    everyone: Everyone = False,
    as_json: AsJson = False,
) -> int:
    """Show for each OA when its list was last read whole, who follows, and what happened since."""
    limit = age_of("--max-age", max_age)
    settings, engine = open_database()
    accounts = watched(settings, engine, oaid, everyone=everyone)
    texts = words()
    if not known_accounts(engine):
        say(texts("status.none"))
        if not accounts:
            return ExitCode.TRY_LATER if limit is not None else ExitCode.OK
    elif not accounts:
        say(texts("status.retired"))
    states = account_states(engine, accounts, now=datetime.now(UTC), max_age=limit)
    if as_json:
        for state in states:
            write_line(asdict(state))
    elif sys.stdout.isatty():
        show_lines(_table(states, texts))
    else:
        show_table(COLUMNS, [plain_row(state) for state in states])
    old = [state for state in states if state.too_old]
    for state in sorted(old, key=_by_trouble):
        say(f"etl: {_too_old(state, limit, texts)}")
    return ExitCode.TRY_LATER if old else ExitCode.OK


def plain_row(state: AccountStatus) -> list[object]:
    """One OA for a pipe or a file: every column, in English."""
    since = ", ".join(f"{count} {status}" for status, count in state.since.items())
    if state.since and state.last_reason:
        since += f" (last: {state.last_reason})"
    if state.at_ceiling:
        since += f"; {state.last_seen} of {state.last_total} could be read"
    age = in_hours(state.age_s) if state.age_s is not None else None
    trends = (
        f"{net:+d}" if net is not None else None for net in (state.net_7_days, state.net_30_days)
    )
    following, last = state.following, state.last_complete_at
    return [state.oaid, state.name, following, last, age, *trends, since or None]


def _table(states: list[AccountStatus], say: Texts) -> list[str]:
    """The OAs, those in trouble first, and the total of all."""
    named = any(state.name for state in states)
    columns = [
        Column(say("column.oa"), readable=NAME),
        *([Column(say("column.oaid"), drop=3)] if named else []),
        Column(say("column.followers"), number=True),
        Column(say("column.week"), number=True, drop=1),
        Column(say("column.month"), number=True, drop=2),
        Column(say("column.age"), number=True),
    ]
    rows = [_row(state, say, named=named) for state in sorted(states, key=_by_trouble)]
    total = None
    if len(states) > 1:
        sums = [_sum([getattr(state, name) for state in states]) for name in NUMBERS]
        name = say("status.total", count=say.number(len(states)))
        total = Row([name, *([""] if named else []), *_numbers(sums, say), ""])
    return listing(columns, rows, width(), total=total)


def _row(state: AccountStatus, say: Texts, *, named: bool) -> Row:
    """One OA; its OAID stands beside its name where any of them has one."""
    notes = []
    if state.since:
        runs = (say(f"status.run.{each}", count=count) for each, count in state.since.items())
        notes.append(say("status.since", runs=", ".join(runs)))
        if state.last_reason:
            told = " ".join(reason(state.last_reason, say))
            notes.append(say("status.last", reason=printable(told)))
        notes += _reach(state, say)
    oa = [printable(state.name or state.oaid), *([state.oaid] if named else [])]
    numbers = _numbers([getattr(state, each) for each in NUMBERS], say)
    return Row([*oa, *numbers, _ago(state.age_s, say)], notes)


def _reach(state: AccountStatus, say: Texts) -> list[str]:
    """How much of the list eSMS shows, where that may not be all of it."""
    if not state.at_ceiling or state.last_seen is None or state.last_total is None:
        return []
    seen, total = say.number(state.last_seen), say.number(state.last_total)
    key = "status.part" if state.last_seen < state.last_total else "status.limit"
    return [say(key, seen=seen, total=total)]


def _sum(values: Sequence[int | None]) -> int | None:
    """The sum; None if one is not known: the sum of the others would pass for it."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _numbers(values: Sequence[int | None], say: Texts) -> list[str]:
    following, *trends = values
    return [say.number(following), *(say.number(each, sign=True) for each in trends)]


def _by_trouble(state: AccountStatus) -> tuple[bool, bool, bool, str]:
    """The order: never read whole, too old, incomplete runs since, the others by name."""
    never = state.last_complete_id is None
    return (not never, not state.too_old, not state.since, state.name or state.oaid)


def _too_old(state: AccountStatus, limit: timedelta | None, say: Texts) -> str:
    """What is said of an OA that is too old: the time since, and the limit."""
    name = f" ({printable(state.name)})" if state.name else ""
    if state.age_s is None:
        return say("status.old_never", oaid=state.oaid) + name
    hours = say.decimal(abs(state.age_s) / HOUR, point=True)
    if state.age_s < 0:
        return say("status.old_clock", oaid=state.oaid, hours=hours) + name
    most = say.decimal(limit.total_seconds() / HOUR if limit else 0.0, point=True)
    return say("status.old", oaid=state.oaid, hours=hours, limit=most) + name


def _ago(seconds: float | None, say: Texts) -> str:
    if seconds is None:
        return say("status.never")
    if seconds < 0:
        return say("status.ahead", count=say.decimal(-seconds / HOUR))
    if seconds < 2 * DAY:
        return say("status.hours", count=say.decimal(seconds / HOUR))
    return say("status.days", count=say.number(int(seconds // DAY)))
