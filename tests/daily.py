"""A simulated OA that is synced day after day; shared by tests that need a history."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sqlalchemy import text
from world import client

from etl.db.engine import reading
from etl.db.tables import metadata
from etl.sync.account import preview_oa, sync_oa
from etl.sync.decide import Limits
from etl.sync.run import Outcome, Run
from etl.sync.sweep import SweepLimits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from etl.model import Snapshot
    from etl.simulator import Simulator


@dataclass
class Days:
    """One sync a day of a simulator's OAs into a database, by a clock of its own."""

    sim: Simulator
    engine: Engine
    now: datetime = field(default_factory=lambda: datetime(2026, 11, 23, 2, 0, tzinfo=UTC))
    concurrency: int = 1
    max_looks: int = 4

    def sync(self, oaid: str | None = None, **options: bool) -> Snapshot:
        """The next day's snapshot."""
        return self.outcome(oaid, **options).snapshot

    def outcome(
        self, oaid: str | None = None, *, dry_run: bool = False, allow_mass_unfollow: bool = False
    ) -> Outcome:
        """The next day's sync, whatever becomes of it; a dry run takes no day."""
        if not dry_run:
            self.now += timedelta(days=1)
        limits = Limits(
            SweepLimits(self.concurrency, self.max_looks, 0.005),
            max_unfollow_share=0.2,
            unfollow_floor=20,
            allow_mass_unfollow=allow_mass_unfollow,
        )
        with client(self.sim, esms_max_attempts=1, esms_page_size=50) as esms:
            zone = ZoneInfo("Asia/Ho_Chi_Minh")
            run = Run(esms, self.engine, limits, zone, clock=lambda: self.now)
            return (preview_oa if dry_run else sync_oa)(run, oaid or self.sim.default)


def rows(engine: Engine, table: str) -> list[tuple[object, ...]]:
    """All rows of a table, in a stable order."""
    keys = ", ".join(column.name for column in metadata.tables[table].primary_key)
    with reading(engine) as connection:
        return [
            tuple(row) for row in connection.execute(text(f"SELECT * FROM {table} ORDER BY {keys}"))
        ]


def dump(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, but for the leases."""
    tables = {name: rows(engine, name) for name in metadata.tables}
    tables["official_accounts"] = [row[:3] for row in tables["official_accounts"]]
    return tables


def everything(engine: Engine) -> Iterator[str]:
    """Every value of every table as text."""
    for table in metadata.tables:
        for row in rows(engine, table):
            yield from map(str, row)
