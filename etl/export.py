"""Who followed then, and the change log, as CSV, JSON lines or Parquet.

Memory stays flat: a server-side cursor gives chunks, and each is written before the next is read.

Memory stays flat: a server-side cursor gives chunks, and each is written before the next is read.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import IO, TYPE_CHECKING, Any

from sqlalchemy import case, func, select

from etl.db.snapshots import get
from etl.db.tables import follower_changes, followers, snapshots
from etl.errors import UsageError, require_extra
from etl.model import APPLIED, Change, plain
from etl.reports.csv_cells import defused
from etl.reports.periods import never_read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Column, Connection, Select

    from etl.model import Snapshot

CHUNK = 10_000
"""Rows read and written at once; also the rows of a Parquet row group."""

FOLLOWER_COLUMNS = ("oaid", "user_id", "followed_at", "first_seen_at")
CHANGE_COLUMNS = ("oaid", "user_id", "snapshot_id", "change", "changed_at")

Row = tuple[Any, ...]


# -- what ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Point:
    """One OA at one time: the last snapshot that had been applied by then.

    `at` is a moment, or a day: its last snapshot by `taken_on`, whatever the settings are now.
    None: now.
    """

    oaid: str
    at: date | None
    snapshot: Snapshot

    def __str__(self) -> str:
        """Which reading the answer rests on."""
        return f"snapshot {self.snapshot.id} ({self.snapshot.status}), taken at {self.snapshot.taken_at:%Y-%m-%d %H:%M:%SZ}"


def points(
    connection: Connection, oaids: Sequence[str], at: date | None
) -> dict[str, Point | UsageError]:
    """Where each OA stood at a moment or the end of a day (None: now), or why nobody knows."""
    found: dict[str, Point | UsageError] = {}
    for oaid in oaids:
        statement = select(snapshots.c.id).where(
            snapshots.c.oaid == oaid, snapshots.c.status.in_(APPLIED)
        )
        if at is not None:
            statement = statement.where(_time(at) <= at)
        last = connection.execute(
            statement.order_by(snapshots.c.id.desc()).limit(1)
        ).scalar_one_or_none()
        snapshot = get(connection, last) if last is not None else None
        found[oaid] = (
            _unknown(connection, oaid, at) if snapshot is None else Point(oaid, at, snapshot)
        )
    return found


def _time(at: date | None) -> Column[Any]:
    """What a point in time is compared with."""
    moment = at is None or isinstance(at, datetime)
    return snapshots.c.taken_at if moment else snapshots.c.taken_on


def _unknown(connection: Connection, oaid: str, at: date | None) -> UsageError:
    statement = select(func.min(_time(at))).where(
        snapshots.c.oaid == oaid, snapshots.c.status.in_(APPLIED)
    )
    first = connection.execute(statement).scalar_one()
    if first is None:
        return never_read(oaid)
    asked, taken = (
        ("that moment", f"at {first.isoformat(timespec='seconds')}")
        if isinstance(first, datetime)
        else ("that day", f"on {first}")
    )
    return UsageError(f"{asked} lies before the first snapshot of OA {oaid}, taken {taken}")


def followers_at(connection: Connection, point: Point) -> Iterator[list[Row]]:
    """FOLLOWER_COLUMNS of those who followed at the point, by user_id, in chunks."""
    if point.at is None:
        yield from _streamed(connection, _following_now(point.oaid))
        return
    taken_at = _taken_at(connection, point)
    for chunk in _streamed(connection, _following_then(point.oaid, point.snapshot.id)):
        yield [(point.oaid, user, taken_at[last], taken_at[first]) for user, last, first in chunk]


def _following_now(oaid: str) -> Select[Any]:
    """Who follows now."""
    columns = (followers.c[name] for name in FOLLOWER_COLUMNS)
    return (
        select(*columns)
        .where(followers.c.oaid == oaid, followers.c.unfollowed_at.is_(None))
        .order_by(followers.c.user_id)
    )


def _following_then(oaid: str, snapshot_id: int | None) -> Select[Any]:
    """Users whose last change up to a snapshot was an arrival.

    Of each: the User_Id, that change's snapshot, and the snapshot of the first change ever.
    """
    log = follower_changes.c
    arrival = func.max(case((log.change != Change.UNFOLLOWED, log.snapshot_id)))
    return (
        select(log.user_id, arrival.label("last_id"), func.min(log.snapshot_id).label("first_id"))
        .where(log.oaid == oaid, log.snapshot_id <= snapshot_id)
        .group_by(log.user_id)
        .having(func.max(log.snapshot_id) == arrival)
        .order_by(log.user_id)
    )


def changes_until(connection: Connection, point: Point) -> Iterator[list[Row]]:
    """CHANGE_COLUMNS up to the point: user by user, each one's in order, in chunks."""
    log = follower_changes.c
    statement = (
        select(*(log[name] for name in CHANGE_COLUMNS))
        .where(log.oaid == point.oaid, log.snapshot_id <= point.snapshot.id)
        .order_by(log.user_id, log.snapshot_id)
    )
    yield from _streamed(connection, statement)


def _streamed(connection: Connection, statement: Select[Any]) -> Iterator[list[Row]]:
    for chunk in connection.execute(statement, execution_options={"yield_per": CHUNK}).partitions():
        yield [tuple(row) for row in chunk]


def _taken_at(connection: Connection, point: Point) -> dict[int, datetime]:
    """The times of the few snapshots, so that the many rows need no join."""
    statement = select(snapshots.c.id, snapshots.c.taken_at).where(snapshots.c.oaid == point.oaid)
    return {row.id: row.taken_at for row in connection.execute(statement)}


# -- how -------------------------------------------------------------------------------------------


class CsvSink:
    """CSV in UTF-8 with a header, times in ISO 8601, and no cell that would be a formula."""

    def __init__(self, file: IO[str], columns: Sequence[str]) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(columns)

    def write(self, rows: list[Row]) -> None:
        """Take a chunk of rows."""
        self._writer.writerows([_cell(value) for value in row] for row in rows)

    def close(self) -> None:
        """Nothing to add."""


class JsonlSink:
    """One JSON object a line."""

    def __init__(self, file: IO[str], columns: Sequence[str]) -> None:
        self._file, self._columns = file, columns

    def write(self, rows: list[Row]) -> None:
        """Take a chunk of rows."""
        for row in rows:
            values = dict(zip(self._columns, map(plain, row), strict=True))
            self._file.write(json.dumps(values, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Nothing to add."""


class ParquetSink:
    """Parquet: text, 64-bit numbers, and times in UTC to the microsecond; zstd.

    Raises:
        SettingsError: pyarrow is not installed.
    """

    def __init__(self, file: IO[bytes], columns: Sequence[str]) -> None:
        require_pyarrow()
        import pyarrow.parquet  # noqa: PLC0415 - needs the extra `parquet`

        types = {"snapshot_id": pyarrow.int64()} | {
            name: pyarrow.timestamp("us", tz="UTC") for name in columns if name.endswith("_at")
        }
        self._pyarrow = pyarrow
        self._schema = pyarrow.schema(
            [(name, types.get(name, pyarrow.string())) for name in columns]
        )
        self._writer = pyarrow.parquet.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, rows: list[Row]) -> None:
        """Take a chunk of rows."""
        arrays = [
            self._pyarrow.array(values, each.type)
            for values, each in zip(zip(*rows, strict=True), self._schema, strict=True)
        ]
        self._writer.write_batch(self._pyarrow.record_batch(arrays, schema=self._schema))

    def close(self) -> None:
        """Write the footer, without which the file is none."""
        self._writer.close()


def require_pyarrow() -> None:
    """Refuse early, before a file is begun.

    Raises:
        SettingsError: pyarrow is not installed.
    """
    require_extra("a Parquet file", "parquet", "pyarrow")


SINKS: dict[str, type[CsvSink | JsonlSink | ParquetSink]] = {
    "csv": CsvSink,
    "jsonl": JsonlSink,
    "parquet": ParquetSink,
}
"""By the name of the format."""


def _cell(value: object) -> object:
    return defused(value) if isinstance(value, str) else plain(value)
