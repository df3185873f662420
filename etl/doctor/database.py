"""Whether the database can be reached, seen, read and written, and what about it makes a sync fail some night."""

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

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date, timedelta
    from zoneinfo import ZoneInfo

    from sqlalchemy import Engine

    from etl.settings import DatabaseSettings

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
    name = "database: reachable"
    try:
        known = settings or database_settings()
        url = known.database_url.get_secret_value()
        engine = connect_engine(url, create=False)
        revision = current_revision(engine)
    except NoDatabaseError as error:
        yield _no_file(name, sqlite_file(url).path, error)
        return
    except SettingsError as error:
        # Told already, with all other settings.
        yield (
            failed(name, error)
            if settings is not None
            else Step(name, State.SKIPPED, "its settings are wrong")
        )
        return
    except EtlError as error:
        yield failed(name, error)
        return
    yield Step(name, State.OK, shown(url))
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
        yield failed("database: the rest", error)


def _writable(engine: Engine, revision: str) -> Step:
    name = "database: writable"
    if revision == EMPTY:
        told = "its tables may be created, and all that a sync writes; rolled back"
        return tried(name, partial(health.try_creating, engine), told)
    if revision == HEAD:
        told = "all that a sync writes, rolled back"
        return tried(name, partial(health.try_writing, engine), told)
    return Step(name, State.SKIPPED, "its tables are not there, or not ours")


def _no_file(name: str, path: str, error: EtlError) -> Step:
    directory = Path(path).absolute().parent
    if directory.is_dir() and not os.access(directory, os.W_OK | os.X_OK):
        told = f"{error}, and none can be made in its directory: Permission denied"
        return Step(name, State.FAIL, told, "Check the permissions.", error.exit_code)
    if directory.is_dir():
        return Step(
            name,
            State.WARN,
            f"{error}, yet",
            "The first `etl sync` creates it; check the directory you are in.",
        )
    return Step(
        name,
        State.FAIL,
        f"{error}, and no such directory",
        "Check DATABASE_URL, or make the directory.",
        error.exit_code,
    )


def _migrated(engine: Engine, revision: str) -> Step:
    name = "database: tables"
    if revision == EMPTY:
        return Step(name, State.WARN, "none yet", "The first `etl sync` creates them.")
    return tried(name, lambda: require_current(engine), f"current (revision {revision})")


def clock(ahead: float) -> Step:
    """Whether the database's clock and ours agree: ours dates the snapshots, the database's ends the leases."""
    told = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    if abs(ahead) <= CLOCK_SECONDS:
        return Step(
            "database: clock", State.OK, told if abs(ahead) > 1 else "the same as this machine's"
        )
    return Step(
        "database: clock",
        State.WARN,
        told,
        "Let both machines keep time by NTP; snapshots are dated by this one.",
    )


def text_encoding(encoding: str) -> Step:
    """Whether the database can hold whatever eSMS tells."""
    name = "database: encoding"
    if encoding == UTF8:
        return Step(name, State.OK, encoding)
    return Step(
        name,
        State.WARN,
        f"{encoding}: names of OAs lose what it lacks, and an identifier that it lacks ends its OA (78)",
        "Make a database with ENCODING 'UTF8', and move there: etl db copy.",
    )


def numbers(found: health.Numbers) -> Step:
    """Whether the sequence that numbers snapshots may be used, and is where the snapshots are."""
    name = "database: numbers"
    if not found.usable:
        advice = "As the owner: GRANT USAGE ON SEQUENCE snapshots_id_seq TO the role (docs/postgresql.md)."
        told = "the role may not use the sequence of snapshots"
        return Step(name, State.FAIL, told, advice, UnfitDatabaseError.exit_code)
    if found.drawn >= found.newest:
        return Step(name, State.OK, f"the sequence of snapshots is at {found.drawn}")
    return Step(
        name,
        State.WARN,
        f"the sequence of snapshots is at {found.drawn}, behind the newest one ({found.newest})",
        "Nothing for a sync, which takes a larger number; for others: "
        f"SELECT setval('snapshots_id_seq', {found.newest}).",
    )


def days(
    taken: Sequence[tuple[datetime, date]], zone: ZoneInfo, begins: timedelta
) -> Iterator[Step]:
    """Whether the newest snapshots have the days that today's settings would give them; nothing where there are none."""
    name = "database: days"
    others = [(at, on) for at, on in taken if day_of(at, zone, begins) != on]
    if others:
        at, on = others[0]
        yield Step(
            name,
            State.WARN,
            f"{len(others)} of the newest {len(taken)} snapshots have another day than ETL_TIMEZONE and ETL_DAY_BEGINS "
            f"would give them now (that of {at:%Y-%m-%d %H:%MZ} has {on}, not {day_of(at, zone, begins)})",
            "Snapshots keep their day. If nobody changed the settings, they differ from those of the timer's sync.",
        )
    elif taken:
        yield Step(name, State.OK, "those that ETL_TIMEZONE and ETL_DAY_BEGINS give")


def place(path: str, mounts: str) -> Iterator[Step]:
    """Whether a SQLite file lies where locks work; nothing where the system does not tell (`mounts`: as /proc/self/mounts has it)."""
    file = Path(path).resolve()
    kind, longest = "", -1
    for line in mounts.splitlines():
        _, mounted, each, *_ = [*line.split(), "", "", ""]
        at = Path(mounted.replace("\\040", " "))
        if file.is_relative_to(at) and len(at.parts) >= longest:
            kind, longest = each, len(at.parts)
    name = "database: file system"
    if kind.startswith(_ELSEWHERE):
        yield Step(
            name,
            State.WARN,
            f"{kind}: SQLite's locks do not work there, and files get damaged",
            "Keep the file on a local disk, or use PostgreSQL: etl db copy.",
        )
    elif kind:
        yield Step(name, State.OK, kind)


def _mounts() -> str:
    try:
        return MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
