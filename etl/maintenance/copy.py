"""Moving to another database of either kind: one consistent reading, one writing transaction."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select, text

from etl.db.driver import copying_into
from etl.db.engine import reading, writing
from etl.db.lease import acquire
from etl.db.schema import create_or_require_current, require_current
from etl.db.tables import metadata, official_accounts, snapshots
from etl.errors import ContradictionError, UsageError
from etl.maintenance import verify
from etl.model import ignore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Engine, Table

    from etl.maintenance.verify import Finding

CHUNK = 10_000
"""Rows in memory at once."""

TABLES = metadata.sorted_tables

_NOT_COPIED = {official_accounts.c.lease_token, official_accounts.c.lease_expires_at}
"""The lease that we hold while we copy."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied: rows by table, and what `etl verify` finds wrong, on both sides alike."""

    rows: dict[str, int]
    torn: tuple[Finding, ...]


def copy_database(
    source: Engine,
    target: Engine,
    *,
    now: datetime,
    on_rows: Callable[[str, int, int], None] = ignore,
) -> Copied:
    """Copy every table into an empty database, with its ids: the next sync can go on there.

    Every OA's lease is held meanwhile, so that no sync adds to the source what would be missing
    from the copy.

    Args:
        source: where the rows are; nothing but leases is written there.
        target: its tables are created where it has none.
        now: the present moment.
        on_rows: told (table, rows copied so far, rows in all) after each chunk.

    Raises:
        UsageError: the target is not empty.
        BusyError: a run holds an OA of the source.
        DatabaseBehindError: the source or the target is not of this program's revision.
        DatabaseUnreachableError: one of them cannot be read or written.
        ContradictionError: the copy is not what the source is; nothing was kept of it.
    """
    require_current(source)
    prepare_target(target)
    with ExitStack() as leases:
        with reading(source) as connection:
            oaids = list(connection.execute(select(official_accounts.c.oaid)).scalars())
        for oaid in oaids:
            leases.enter_context(acquire(source, oaid, now=now))
        with reading(source) as from_, writing(target) as to:
            _require_empty(to)
            rows = {table.name: _copy(from_, to, table, on_rows) for table in TABLES}
            _continue_numbers(to)
            return Copied(rows, _compared(from_, to))


def prepare_target(target: Engine) -> None:
    """Create the tables in the target, where it has none; refuse one that holds anything of ours.

    Raises:
        UsageError: it is not empty.
        DatabaseBehindError: its tables are not of this program's revision.
        DatabaseUnreachableError: it cannot be read or written.
    """
    create_or_require_current(target)
    with reading(target) as connection:
        _require_empty(connection)


def _require_empty(connection: Connection) -> None:
    full = [
        table.name
        for table in TABLES
        if connection.execute(select(table.c.oaid).limit(1)).first() is not None
    ]
    if full:
        raise UsageError(
            f"the target database is not empty (rows in {', '.join(full)}); copy into a new one"
        )


def _copy(
    source: Connection, target: Connection, table: Table, on_rows: Callable[[str, int, int], None]
) -> int:
    of, done = _count(source, table), 0
    for chunk in _chunks(source, table):
        _load(target, table, chunk)
        done += len(chunk)
        on_rows(table.name, done, of)
    return done


def _chunks(connection: Connection, table: Table) -> Iterator[Sequence[Sequence[Any]]]:
    columns = (text("NULL") if column in _NOT_COPIED else column for column in table.c)
    in_order = select(*columns).select_from(table).order_by(*table.primary_key)
    yield from connection.execution_options(yield_per=CHUNK).execute(in_order).partitions()


def _load(connection: Connection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    if connection.dialect.name != "postgresql":
        names = table.columns.keys()
        connection.execute(insert(table), [dict(zip(names, row, strict=True)) for row in rows])
        return
    with copying_into(connection, table) as copy:
        for row in rows:
            copy.write_row(row)


def _continue_numbers(connection: Connection) -> None:
    """Let the next snapshot get a number of its own.

    SQLite sees to it by itself, PostgreSQL's sequence must be told.
    """
    if connection.dialect.name == "postgresql":
        newest = connection.execute(select(func.max(snapshots.c.id))).scalar_one()
        if newest is not None:
            sequence = func.pg_get_serial_sequence(snapshots.name, snapshots.c.id.name)
            connection.execute(select(func.setval(sequence, newest)))
        for table in TABLES:
            connection.execute(text(f"ANALYZE {table.name}"))


def _compared(source: Connection, target: Connection) -> tuple[Finding, ...]:
    """What `etl verify` finds wrong, on both sides alike.

    Raises:
        ContradictionError: the two sides differ.
    """
    for table in TABLES:
        if (there := _count(source, table)) != (here := _count(target, table)):
            raise _differs(f"{table.name} has {there} rows, its copy {here}")
    findings = _findings(source)
    if findings != _findings(target):
        raise _differs("`etl verify` finds other rows wrong in the copy than in its source")
    return tuple(finding for finding in findings if finding.contradictions)


def _differs(how: str) -> ContradictionError:
    return ContradictionError(
        f"the copy is not what its source is: {how}",
        hint="Nothing was kept of the copy. Please report this.",
    )


def _findings(connection: Connection) -> list[Finding]:
    return list(verify.check(connection, verify.oaids(connection)))


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())
