"""`etl history`: the snapshots on record."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli.answer import advice, reason_in_words
from etl.cli.app import AsJson, Command, Oaids
from etl.cli.database import accounts_in, open_database
from etl.cli.listing import Column, Row, listing
from etl.cli.output import TableFormat, folded, printable, show, show_lines, show_rows, width
from etl.cli.words import words
from etl.db.engine import reading
from etl.db.snapshots import latest
from etl.db.tables import LARGEST_NUMBER
from etl.errors import ExitCode
from etl.model import SNAPSHOT_COLUMNS, Status

if TYPE_CHECKING:
    from etl.model import Account, Snapshot
    from etl.texts import Texts

app = typer.Typer(add_completion=False)

COLUMNS = ("snapshot_id", *SNAPSHOT_COLUMNS[1:])
"""For programs; people see what a terminal has room for."""

CHANGES = ("followed", "refollowed", "unfollowed")


@app.command(cls=Command, epilog="Example: etl history --limit 14 --format csv > snapshots.csv")
def history(
    oaid: Oaids = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit",
            metavar="N",
            min=1,
            help="Show this many of the newest snapshots of each OA.",
        ),
    ] = 30,
    output: Annotated[
        TableFormat,
        typer.Option("--format", help="Print a table, JSON (one object a line) or CSV."),
    ] = TableFormat.TABLE,
    as_json: AsJson = False,
) -> int:
    """List the snapshots: what every run did with each OA, newest last."""
    _, engine = open_database()
    form = TableFormat.JSON if as_json else output
    found: list[tuple[Account, list[Snapshot]]] = []
    for account in accounts_in(engine, oaid):
        with reading(engine) as connection:
            newest = latest(connection, account.oaid, limit=min(limit, LARGEST_NUMBER))
        found.append((account, newest[::-1]))
    if form is TableFormat.TABLE and sys.stdout.isatty():
        _show(found, words())
    else:
        show_rows(COLUMNS, [each.row() for _, several in found for each in several], form)
    return ExitCode.OK


def _show(found: list[tuple[Account, list[Snapshot]]], say: Texts) -> None:
    """A table for each OA, for people."""
    if not found:
        show(say("history.none"))
    for number, (account, snapshots) in enumerate(found):
        if len(found) > 1:
            name = f"{account.name} ({account.oaid})" if account.name else account.oaid
            show(("\n" if number else "") + folded(printable(name)))
        if snapshots:
            heads = _columns(say, say.zone_name(snapshots[-1].taken_at))
            rows = [_row(each, say) for each in snapshots]
            show_lines(
                listing(heads, [*rows[:-1], _with_advice(rows[-1], snapshots[-1], say)], width())
            )


def _columns(say: Texts, zone: str) -> list[Column]:
    """Status and followers always; the rest while there is room."""
    return [
        Column(say("column.id"), number=True),
        Column(say("column.taken", zone=zone), number=True),
        Column(say("column.status")),
        Column(say("column.total"), number=True, drop=1),
        Column(say("column.seen"), number=True, drop=2),
        Column(say("column.gap"), number=True, drop=1),
        Column(say("column.new"), number=True, drop=1),
        Column(say("column.returned"), number=True, drop=3),
        Column(say("column.left"), number=True, drop=1),
        Column(say("column.followers"), number=True),
        Column(say("column.looks"), number=True, drop=4),
        Column(say("column.requests"), number=True, drop=5),
        Column(say("column.source"), drop=6),
    ]


def _row(snapshot: Snapshot, say: Texts) -> Row:
    counts, held = snapshot.counts, snapshot.status is Status.HELD
    changes = [None] * 3 if counts is None or held else [getattr(counts, each) for each in CHANGES]
    numbers = (
        *(snapshot.total, snapshot.seen, snapshot.gap, *changes),
        *(counts.following if counts else None, snapshot.looks, snapshot.requests),
    )
    id_and_time = (str(snapshot.id), say.time(snapshot.taken_at), snapshot.status)
    return Row([*id_and_time, *map(say.number, numbers), snapshot.source], _notes(snapshot, say))


def _with_advice(row: Row, newest: Snapshot, say: Texts) -> Row:
    """The row of the newest snapshot, and what to do about it; for those before, it is too late."""
    return replace(row, notes=[*row.notes, *advice(newest.reason_word or "", say)])


def _notes(snapshot: Snapshot, say: Texts) -> list[str]:
    """Why it is not complete, with the word that the documentation has for it."""
    notes = []
    if snapshot.status is Status.HELD and snapshot.counts is not None:
        notes.append(say("history.held", count=say.number(snapshot.counts.unfollowed)))
    if snapshot.reason is not None:
        sentence = reason_in_words(snapshot.reason, say)
        kind, _, detail = snapshot.reason.partition(": ")
        known = say.error(detail) if detail else sentence
        notes.append(printable(kind if known == kind else f"{kind}: {known}"))
    return notes
