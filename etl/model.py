"""The values that everything else speaks of.

One word per thing, the same in tables, logs, commands and reports.

A *page* is one answer of the API, a *look* one reading of the list from head to tail, a *sweep* the
union of its looks, a *snapshot* is on record.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta
    from zoneinfo import ZoneInfo


VIETNAM = "Asia/Ho_Chi_Minh"
"""Where Zalo is used: the default of ETL_TIMEZONE, and the zone of eSMS."""


class Status(StrEnum):
    """What became of a snapshot."""

    RUNNING = "running"
    COMPLETE = "complete"
    PARTIAL = "partial"
    HELD = "held"
    FAILED = "failed"
    UNDONE = "undone"
    BUSY = "busy"
    """What `etl sync --json` says of an OA that another run holds; never stored."""


APPLIED = (Status.COMPLETE, Status.PARTIAL)
"""The statuses whose changes stand in `followers`."""


class Change(StrEnum):
    """What happened to one user in one snapshot."""

    BASELINE = "baseline"
    FOLLOWED = "followed"
    REFOLLOWED = "refollowed"
    UNFOLLOWED = "unfollowed"


class Reason(StrEnum):
    """Why a snapshot is partial or held (`snapshots.reason`; docs/design.md#reasons)."""

    CEILING = "ceiling"
    TORN = "torn"
    TOTAL_GAP = "total_gap"
    OFFSET_IGNORED = "offset_ignored"
    CROWDED_DAY = "crowded_day"
    WINDOW_GAP = "window_gap"
    UNDATED = "undated"
    MASS_UNFOLLOW = "mass_unfollow"
    NOBODY_SEEN = "nobody_seen"


OUT_OF_REACH = (Reason.CEILING, Reason.CROWDED_DAY, Reason.UNDATED)
"""Reasons of a list of which eSMS shows no more than a part, or may show no more."""


class Source(StrEnum):
    """Which call of eSMS a snapshot was read by (`snapshots.source`)."""

    FOLLOWERS = "followers"
    WINDOWS = "windows"


@dataclass(frozen=True, slots=True)
class Account:
    """One Official Account (OA) as GetListZOA names it.

    Of a retired one the history stays, and nobody waits for it any more.
    """

    oaid: str
    name: str
    retired: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: a contiguous slice of the list as it was at one moment.

    `offset` is the index asked for, `total` the `Total` of this very answer.
    """

    offset: int
    users: tuple[str, ...]
    total: int

    @property
    def end(self) -> int:
        """The index after the last user of the page."""
        return self.offset + len(self.users)


@dataclass(frozen=True, slots=True)
class Window:
    """A range of days, both included, in the zone of the OA's country."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """How many."""
        return (self.last - self.first).days + 1


@dataclass(frozen=True, slots=True)
class Gaps:
    """What is known of the gaps of one source.

    Attributes:
        kept: the smallest of the OA's complete snapshots since the last one that marked somebody,
            of six at most; None where none is known.
        before: those of its latest snapshots, newest first, whatever their status.
    """

    kept: int | None = None
    before: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Sweep:
    """What the looks of one run add up to. The users themselves wait in the spool.

    Attributes:
        total: the API's last `Total`.
        seen: the distinct users of all looks.
        missing: users known to follow whom no look saw.
        looks: how many times the list was read.
        closed_looks: how many of them closed.
        gap: the one to keep: how many users its Total counts that it never shows, never below 0;
            None where no look closed.
        reason: None where the sweep is complete.
        source: the call that it was read by.
        reached: the end of the farthest page with users.
    """

    total: int
    seen: int
    missing: int
    looks: int
    closed_looks: int
    gap: int | None
    reason: Reason | None
    source: Source = Source.FOLLOWERS
    reached: int = 0

    @property
    def complete(self) -> bool:
        """Whether the whole list was provably read."""
        return self.reason is None


@dataclass(frozen=True, slots=True)
class Counts:
    """What a snapshot changed, in users; of a held one, what it would have changed.

    `following` is how many follow after it.
    """

    baseline: int
    followed: int
    refollowed: int
    unfollowed: int
    following: int

    @property
    def change(self) -> int:
        """By how many more follow after it."""
        return self.baseline + self.followed + self.refollowed - self.unfollowed


NO_COUNTS = Counts(0, 0, 0, 0, 0)
"""Of a run that did not get far enough to know them, where a figure needs numbers."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One row of `snapshots`. Times are UTC.

    Attributes:
        id: None until it is on record.
        taken_on: the day that it closes (`day_of`).
        counts: None where the run did not get far enough to know them; so is every other number.
    """

    id: int | None
    oaid: str
    status: Status
    taken_at: datetime
    taken_on: date
    finished_at: datetime | None = None
    total: int | None = None
    seen: int | None = None
    counts: Counts | None = None
    looks: int | None = None
    requests: int | None = None
    retries: int | None = None
    reason: str | None = None
    source: Source = Source.FOLLOWERS
    gap: int | None = None

    @property
    def reason_word(self) -> str | None:
        """What programs read of its reason: `unreachable` of `unreachable: no answer from …`."""
        return self.reason.partition(":")[0] if self.reason else None

    def columns(self) -> dict[str, Any]:
        """It as the table has it: the counts are columns, NULL where there are none."""
        return {
            name: getattr(self.counts if name in COUNTS else self, name, None)
            for name in SNAPSHOT_COLUMNS
        }

    def row(self) -> dict[str, Any]:
        """It as every output names its columns: `snapshot_id` for its id."""
        columns = self.columns()
        return {"snapshot_id": columns.pop("id"), **columns}

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> Snapshot:
        """It from a row of the table."""
        values = dict(columns)
        counts = {name: values.pop(name) for name in COUNTS}
        known = all(count is not None for count in counts.values())
        values["status"], values["source"] = Status(values["status"]), Source(values["source"])
        return cls(**values, counts=Counts(**counts) if known else None)


COUNTS = tuple(field.name for field in fields(Counts))
SNAPSHOT_COLUMNS = tuple(
    name
    for field in fields(Snapshot)
    for name in (COUNTS if field.name == "counts" else (field.name,))
)
"""The columns of `snapshots`, in their order."""


@dataclass(frozen=True, slots=True)
class Retry:
    """One more try of a request is about to be waited for.

    Attributes:
        oaid: empty where the request is no OA's.
        offset: None where it has none.
        attempt: the one that failed, from 1.
        wait_s: how long is waited (seconds).
        reason: why it failed.
    """

    oaid: str
    offset: int | None
    attempt: int
    wait_s: float
    reason: str


def day_of(moment: datetime, zone: ZoneInfo, begins: timedelta) -> date:
    """The day that a reading closes: the date of `moment` in `zone`, less when a day begins there.

    Where days begin at 04:00, a reading at 03:17 tells of the day before.
    """
    return (moment.astimezone(zone).replace(tzinfo=None) - begins).date()


def ignore(*_: object) -> None:
    """The callback of whoever does not want to know."""


def plain(value: object) -> object:
    """A value as JSON and CSV write it: dates and times in ISO 8601, everything else as it is."""
    return _iso(value) if isinstance(value, date) else value  # a datetime is a date


@lru_cache(maxsize=10_000)
def _iso(moment: date) -> str:
    """The text of a moment. Rows are many, moments are as few as snapshots."""
    return moment.isoformat()
