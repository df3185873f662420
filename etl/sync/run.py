"""What a run of one OA is given, and what becomes of it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from etl.db.engine import limited
from etl.db.limits import StopSwitch, TimeLimit
from etl.model import Page, Snapshot, Status, Window, day_of, ignore

if TYPE_CHECKING:
    from collections.abc import Callable
    from zoneinfo import ZoneInfo

    from sqlalchemy import Engine

    from etl.errors import EtlError
    from etl.model import Sweep
    from etl.sync.decide import Limits


class Esms(Protocol):
    """What a sync needs of the eSMS client."""

    def begin(self, oaid: str, ends: float) -> None:
        """From here on requests for the OA end at `ends` (of `time.monotonic()`)."""

    def page(self, oaid: str, offset: int) -> Page:
        """The page of an OA's followers at an offset."""

    def users_between(self, oaid: str, window: Window, offset: int, *, count: int = 50) -> Page:
        """The page of an OA's followers whose day lies within a window."""

    def fresh_connections(self) -> None:
        """Ask over new connections from here on."""

    def requests_of(self, oaid: str) -> int:
        """How many requests were made for the OA."""

    def retries_of(self, oaid: str) -> int:
        """How many of them were tried again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one OA: its snapshot, seconds, exit code, and the error if any.

    The snapshot of a dry run and of a busy OA is not on record. `name` is the OA's, as far as is
    known.
    """

    snapshot: Snapshot
    duration_s: float
    exit_code: int
    error: EtlError | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """What all OAs of one run share: ETL_TIMEZONE and ETL_WINDOWS among it.

    `day_begins` is how long after midnight a day begins; `max_runtime` seconds bound each OA;
    `switch` ends what the database is asked.
    """

    esms: Esms
    engine: Engine | None
    limits: Limits
    zone: ZoneInfo
    day_begins: timedelta = timedelta()
    windows: bool = True
    max_runtime: float = math.inf
    switch: StopSwitch = field(default_factory=StopSwitch)
    on_page: Callable[[str, int, int, int], None] = ignore
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def of(self, oaid: str) -> Run:
        """The run of one OA, which begins now: it ends `max_runtime` from now."""
        ends = time.monotonic() + self.max_runtime
        self.esms.begin(oaid, ends)
        if self.engine is None:
            return self
        return replace(self, engine=limited(self.engine, TimeLimit(ends, self.switch)))

    def begun(self, oaid: str) -> Snapshot:
        """The snapshot of a run that begins now."""
        now = self.clock()
        day = day_of(now, self.zone, self.day_begins)
        return Snapshot(None, oaid, Status.RUNNING, taken_at=now, taken_on=day)

    def found(self, snapshot: Snapshot, swept: Sweep) -> Snapshot:
        """The snapshot with what its sweep found, before anything is decided."""
        return replace(
            self._counted(snapshot),
            total=swept.total,
            seen=swept.seen,
            looks=swept.looks,
            source=swept.source,
            gap=swept.gap,
        )

    def failed(self, snapshot: Snapshot, failure: EtlError) -> Snapshot:
        """The snapshot of a run that ends now by an error."""
        return replace(
            self._counted(snapshot),
            status=Status.FAILED,
            finished_at=self.clock(),
            reason=failure.recorded,
        )

    def _counted(self, snapshot: Snapshot) -> Snapshot:
        return replace(
            snapshot,
            requests=self.esms.requests_of(snapshot.oaid),
            retries=self.esms.retries_of(snapshot.oaid),
        )
