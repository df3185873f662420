"""Whether the database can be reached, read and written, and what may fail a sync some night."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from etl.db import health
from etl.db.address import is_sqlite, shown, sqlite_file
from etl.db.catalogue import EMPTY
from etl.db.encoding import UTF8
from etl.db.engine import connect_engine
from etl.db.schema import HEAD, current_revision, require_current
from etl.doctor.step import State, Step, failed, tried
from etl.errors import EtlError, NoDatabaseError, SettingsError, UnfitDatabaseError
from etl.model import day_of
from etl.settings import database_settings
from etl.texts import phrase

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date, timedelta
    from zoneinfo import ZoneInfo

    from sqlalchemy import Engine

    from etl.settings import DatabaseSettings
    from etl.texts import Phrase

MOUNTS = Path("/proc/self/mounts")

_ELSEWHERE = (
    "nfs",
    "cifs",
    "smb",
    "fuse.",
    "9p",
    "afs",
    "ceph",
    "gluster",
    "lustre",
    "beegfs",
    "vboxsf",
    "drvfs",
    "davfs",
    "prl_fs",
)
"""Begins of the names of file systems that lie on another machine, or behind a program."""

CLOCK_SECONDS = 5.0
"""Clocks may differ by so much before it is worth a word."""


def of_database(settings: DatabaseSettings | None) -> Iterator[Step]:
    """Everything about the database; what cannot be tried after a failure is left out."""
    what = phrase("doctor.what.reachable")
    try:
        known = settings or database_settings()
        url = known.database_url.get_secret_value()
        engine = connect_engine(url, create=False)
        revision = current_revision(engine)
    except NoDatabaseError as error:
        yield _no_file(what, sqlite_file(url).path, error)
        return
    except SettingsError as error:
        # Told already, with all other settings.
        yield (
            failed(what, error)
            if settings is not None
            else Step(what, State.SKIPPED, phrase("doctor.wrong_settings"))
        )
        return
    except EtlError as error:
        yield failed(what, error)
        return
    yield Step(what, State.OK, shown(url))
    yield _migrated(engine, revision)
    yield _writable(engine, revision)
    try:
        yield clock(health.clock_ahead(engine, lambda: datetime.now(UTC)))
        if is_sqlite(url):
            yield from place(sqlite_file(url).path, _mounts())
        else:
            yield text_encoding(health.text_encoding(engine))
        if revision == HEAD:
            if not is_sqlite(url):
                yield numbers(health.snapshot_numbers(engine))
            yield from days(health.newest_days(engine), known.timezone, known.day_begins)
    except EtlError as error:
        yield failed(phrase("doctor.what.database_rest"), error)


def _writable(engine: Engine, revision: str) -> Step:
    what = phrase("doctor.what.writable")
    if revision == EMPTY:
        found = phrase("doctor.writable.creating")
        return tried(what, partial(health.try_creating, engine), found)
    if revision == HEAD:
        return tried(what, partial(health.try_writing, engine), phrase("doctor.writable.ok"))
    return Step(what, State.SKIPPED, phrase("doctor.writable.not_ours"))


def _no_file(what: Phrase, path: str, error: EtlError) -> Step:
    directory = Path(path).absolute().parent
    if directory.is_dir() and not os.access(directory, os.W_OK | os.X_OK):
        found = phrase("doctor.no_file.refused", path=path)
        todo = phrase("doctor.no_file.refused_todo")
        return Step(what, State.FAIL, found, todo, error.exit_code)
    if directory.is_dir():
        found, todo = phrase("doctor.no_file.yet", path=path), phrase("doctor.no_file.yet_todo")
        return Step(what, State.WARN, found, todo)
    found = phrase("doctor.no_file.nowhere", path=path)
    todo = phrase("doctor.no_file.nowhere_todo")
    return Step(what, State.FAIL, found, todo, error.exit_code)


def _migrated(engine: Engine, revision: str) -> Step:
    what = phrase("doctor.what.tables")
    if revision == EMPTY:
        found, todo = phrase("doctor.tables.none"), phrase("doctor.tables.none_todo")
        return Step(what, State.WARN, found, todo)
    found = phrase("doctor.tables.current", revision=revision)
    return tried(what, lambda: require_current(engine), found)


def clock(ahead: float) -> Step:
    """Whether the database's clock and ours agree.

    Ours dates the snapshots, the database's ends the leases.
    """
    what, seconds = phrase("doctor.what.clock"), f"{abs(ahead):.1f}"
    if abs(ahead) <= 1:
        return Step(what, State.OK, phrase("doctor.clock.same"))
    found = (
        phrase("doctor.clock.ahead", seconds=seconds)
        if ahead > 0
        else phrase("doctor.clock.behind", seconds=seconds)
    )
    if abs(ahead) <= CLOCK_SECONDS:
        return Step(what, State.OK, found)
    return Step(what, State.WARN, found, phrase("doctor.clock.todo"))


def text_encoding(encoding: str) -> Step:
    """Whether the database can hold whatever eSMS tells."""
    what = phrase("doctor.what.encoding")
    if encoding == UTF8:
        return Step(what, State.OK, encoding)
    found = phrase("doctor.encoding.lacks", encoding=encoding)
    return Step(what, State.WARN, found, phrase("doctor.encoding.todo"))


def numbers(known: health.Numbers) -> Step:
    """Whether the sequence that numbers snapshots may be used, and is where the snapshots are."""
    what = phrase("doctor.what.numbers")
    if not known.usable:
        found, todo = phrase("doctor.numbers.unusable"), phrase("doctor.numbers.unusable_todo")
        return Step(what, State.FAIL, found, todo, UnfitDatabaseError.exit_code)
    drawn, newest = str(known.drawn), str(known.newest)
    if known.drawn >= known.newest:
        return Step(what, State.OK, phrase("doctor.numbers.ok", drawn=drawn))
    return Step(
        what,
        State.WARN,
        phrase("doctor.numbers.behind", drawn=drawn, newest=newest),
        phrase("doctor.numbers.behind_todo", newest=newest),
    )


def days(
    taken: Sequence[tuple[datetime, date]], zone: ZoneInfo, begins: timedelta
) -> Iterator[Step]:
    """Whether the newest snapshots have the days that today's settings would give them.

    No step if there are no snapshots.
    """
    what = phrase("doctor.what.days")
    others = [(at, on) for at, on in taken if day_of(at, zone, begins) != on]
    if others:
        at, on = others[0]
        found = phrase(
            "doctor.days.others",
            others=len(others),
            newest=len(taken),
            at=f"{at:%Y-%m-%d %H:%MZ}",
            on=on,
            now=day_of(at, zone, begins),
        )
        yield Step(what, State.WARN, found, phrase("doctor.days.others_todo"))
    elif taken:
        yield Step(what, State.OK, phrase("doctor.days.ok"))


def place(path: str, mounts: str) -> Iterator[Step]:
    """Whether a SQLite file lies where locks work.

    No step if the system does not say (`mounts`: the content of /proc/self/mounts).
    """
    file = Path(os.path.realpath(path))
    kind, longest = "", -1
    for line in mounts.splitlines():
        _, mounted, each, *_ = [*line.split(), "", "", ""]
        at = Path(mounted.replace("\\040", " "))
        if file.is_relative_to(at) and len(at.parts) >= longest:
            kind, longest = each, len(at.parts)
    what = phrase("doctor.what.file_system")
    if kind.startswith(_ELSEWHERE):
        found = phrase("doctor.file_system.elsewhere", kind=kind)
        yield Step(what, State.WARN, found, phrase("doctor.file_system.todo"))
    elif kind:
        yield Step(what, State.OK, kind)


def _mounts() -> str:
    try:
        return MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
