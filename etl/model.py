"""The values that everything else speaks of. One word per thing, the same in tables, logs, commands and reports.

A *page* is one answer of the API, a *look* one reading of the list from head to tail, a *sweep* the union of its looks,
*staged* rows wait beside the truth, a *diff* is counted, a *snapshot* is on record.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date, datetime


class Status(StrEnum):
    """What became of a snapshot."""

    RUNNING = "running"
    COMPLETE = "complete"
    PARTIAL = "partial"
    HELD = "held"
    FAILED = "failed"
    UNDONE = "undone"


APPLIED = (Status.COMPLETE, Status.PARTIAL)
"""The statuses whose changes stand in `followers`."""

BUSY = "busy"
"""What `etl sync --json` says of an OA that another run holds; never stored."""


class Change(StrEnum):
    """What happened to one user in one snapshot."""

    BASELINE = "baseline"
    FOLLOWED = "followed"
    REFOLLOWED = "refollowed"
    UNFOLLOWED = "unfollowed"


class Reason(StrEnum):
    """Why a sweep could not be believed whole (`snapshots.reason` of a partial one)."""

    CEILING = "ceiling"
    TORN = "torn"
    TOTAL_GAP = "total_gap"
    OFFSET_IGNORED = "offset_ignored"


class Source(StrEnum):
    """Which call of eSMS a snapshot was read by (`snapshots.source`)."""

    FOLLOWERS = "followers"
    WINDOWS = "windows"


@dataclass(frozen=True, slots=True)
class Account:
    """One Official Account (OA) as GetListZOA names it."""

    oaid: str
    name: str


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
class Sweep:
    """What the looks of one run add up to. The users themselves wait in the spool.

    `total` is the API's last `Total`, `total_first` its first; `seen` counts the distinct users of
    all looks; `missing` those known to follow of whom no look saw anything; `reason` is None where
    the sweep is complete.
    """

    total: int
    total_first: int
    seen: int
    missing: int
    looks: int
    closed_looks: int
    reason: Reason | None

    @property
    def complete(self) -> bool:
        """Whether the whole list was provably read."""
        return self.reason is None


@dataclass(frozen=True, slots=True)
class Diff:
    """What applying a sweep would change, counted. `following` is how many follow before it."""

    following: int
    baseline: int = 0
    followed: int = 0
    refollowed: int = 0
    unfollowed: int = 0

    @property
    def following_after(self) -> int:
        """How many follow once the diff is applied."""
        return self.following + self.baseline + self.followed + self.refollowed - self.unfollowed


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One row of `snapshots`. Times are UTC; `taken_on` is the date of `taken_at` in ETL_TIMEZONE.

    Counts are None where the run did not get far enough to know them.
    """

    id: int | None
    oaid: str
    status: str
    taken_at: datetime
    taken_on: date
    finished_at: datetime | None = None
    total: int | None = None
    seen: int | None = None
    baseline: int | None = None
    followed: int | None = None
    refollowed: int | None = None
    unfollowed: int | None = None
    following: int | None = None
    looks: int | None = None
    requests: int | None = None
    retries: int | None = None
    reason: str | None = None
    source: str = Source.FOLLOWERS
    gap: int | None = None
