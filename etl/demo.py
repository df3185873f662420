"""`etl demo`: some weeks of daily syncs with a simulated eSMS and a scripted clock.

The script has what a year brings: ordinary days, a campaign, people who return, an outage upstream
that would have wiped everybody, a list that was cut short, a day without an answer. The syncs are
the real ones.
"""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from etl.db.accounts import name_accounts
from etl.db.engine import connect_engine
from etl.db.schema import upgrade
from etl.errors import UsageError
from etl.esms.client import EsmsClient
from etl.model import VIETNAM, Account, Status
from etl.settings import EsmsSettings
from etl.simulator import Simulator, WindowRules
from etl.sync.account import sync_oa
from etl.sync.decide import Limits
from etl.sync.run import Run
from etl.sync.sweep import SweepLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from etl.model import Snapshot

OAID = "1000000000000000001"
NAME = "SIMULATED OA"
ZONE = ZoneInfo(VIETNAM)
FOLLOWERS = 1_000
LARGE, LISTED = 2_003, 500
"""Followers of the OA beyond the ceiling, and how many of them one listing shows."""

AT = time(23, 40)
"""When the demo's cron line runs, in ETL_TIMEZONE."""

LIMITS = Limits(SweepLimits(concurrency=1))
"""One page after the other: who moves while which page is read is the same each time."""

OUTAGE, CUT_SHORT, SILENCE, CAMPAIGN = 24, 33, 40, range(15, 19)
"""The days on which something happens, counted from 0."""

TOLD = {
    CAMPAIGN.start: "a campaign begins: many arrive, and some will not stay",
    OUTAGE: "eSMS lists nobody. A tool that believes it retires everybody; this one holds. "
    "On a real night: compare with Zalo, then wait, or accept it",
    CUT_SHORT: "eSMS lists fewer than it counts: who is new is baseline, nobody is marked as unfollowed",
    SILENCE: "eSMS does not answer at all",
}


@dataclass
class Demo:
    """The world and the database of a demo. `snapshots` grows day by day."""

    path: Path
    weeks: int
    now: datetime
    snapshots: list[Snapshot] = field(default_factory=list)

    @property
    def url(self) -> str:
        """What DATABASE_URL is to be."""
        return f"sqlite:///{self.path}"

    def run(self, told: Callable[[str], None]) -> Engine:
        """Make the file, live through the days, and tell of those that are not like the others.

        Raises:
            UsageError: the file is there and not a demo's.
        """
        _make_room(self.path)
        engine = connect_engine(self.url)
        upgrade(engine)
        rng = random.Random(1)  # noqa: S311 - the same demo every time, nothing secret
        with Simulator(FOLLOWERS, oaid=OAID) as sim:
            for day, at in enumerate(self._days()):
                _a_day_passes(sim, rng, day)
                snapshot = self._night(sim, engine, day, at)
                self.snapshots.append(snapshot)
                if line := _line(snapshot, day):
                    told(line)
        name_accounts(engine, [Account(OAID, NAME)])
        told(beyond_the_ceiling(self.snapshots[-1].taken_at))
        return engine

    def _days(self) -> Iterator[datetime]:
        """Every night up to the last one."""
        last = datetime.combine(self.now.astimezone(ZONE), AT, ZONE)
        last -= timedelta(days=1 if last > self.now else 0)
        for back in range(7 * self.weeks - 1, -1, -1):
            yield (last - timedelta(days=back)).astimezone(UTC)

    def _night(self, sim: Simulator, engine: Engine, day: int, at: datetime) -> Snapshot:
        """A real sync, while people come and go between its pages."""
        sim.churn(leaves=0.02, arrivals=0.03, seed=day)
        _trouble(sim, day)
        snapshot = _sync(sim, engine, at)
        sim.calm()
        return snapshot


def _sync(sim: Simulator, engine: Engine, at: datetime) -> Snapshot:
    environment = sim.environment
    settings = EsmsSettings(
        esms_api_key=SecretStr(environment["ESMS_API_KEY"]),
        esms_secret_key=SecretStr(environment["ESMS_SECRET_KEY"]),
        esms_base_url=sim.url,
        esms_page_size=50,
        esms_rate=0,
        esms_backoff_base=0,
    )
    with EsmsClient(settings) as esms:
        run = Run(esms, engine, LIMITS, ZONE, clock=lambda: at)
        return sync_oa(run, OAID).snapshot


def beyond_the_ceiling(at: datetime) -> str:
    """Two nights of an OA of which one listing shows a quarter, in a database of their own."""
    large = Simulator(LARGE, oaid=OAID, max_offset=LISTED - 50, windows=WindowRules(reach=LISTED))
    with large as sim, TemporaryDirectory() as directory:
        sim.clock = lambda: at
        engine = connect_engine(f"sqlite:///{directory}/large.db")
        upgrade(engine)
        _sync(sim, engine, at)
        for _ in range(3):
            sim.unfollow()
        night = _sync(sim, engine, at)
        engine.dispose()
    found = night.counts.unfollowed if night.counts else 0
    return (
        f"\nAnother OA: {LARGE:,} followers, of whom one listing shows {LISTED}. Read by days of interaction:\n"
        f"  the next night  {night.status:8}  {night.seen:,} of {night.total:,} seen, 3 had left, {found} found to be gone"
    )


def _make_room(path: Path) -> None:
    """Take an earlier demo's file away, and no other.

    Raises:
        UsageError: the file is there and not a demo's.
    """
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path)) as connection:
            oaids = connection.execute("SELECT oaid FROM official_accounts").fetchall()
    except sqlite3.Error:
        oaids = []
    if oaids != [(OAID,)]:
        raise UsageError(f"{path} is there and is not a demo's; give another name")
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


def _a_day_passes(sim: Simulator, rng: random.Random, day: int) -> None:
    """Between two nights: some arrive, fewer leave, a few return."""
    if not day:
        return
    arrivals, leaves = rng.randrange(4, 13), rng.randrange(2, 9)
    if day in CAMPAIGN:
        arrivals += 30
    if CAMPAIGN.stop <= day < CAMPAIGN.stop + 10:
        leaves += 6
    newest = sim.users()[FOLLOWERS:]
    for _ in range(arrivals):
        sim.follow()
    for _ in range(leaves):
        # Whoever came lately is likelier to leave than who was always there.
        fresh = [user for user in newest if user in sim.followers()]
        sim.unfollow(rng.choice(fresh) if fresh and rng.random() < 0.6 else None)  # noqa: PLR2004 - a made-up world
    for _ in range(rng.randrange(0, 3)):
        sim.refollow()


def _trouble(sim: Simulator, day: int) -> None:
    """What is wrong upstream on some nights."""
    if day == OUTAGE:
        sim.fault_rate("nobody", 1)
    elif day == CUT_SHORT:
        sim.fault_rate(f"total:{len(sim.users()) + 120}", 1)
    elif day == SILENCE:
        sim.fault_rate("http_503", 1)


def _line(snapshot: Snapshot, day: int) -> str | None:
    """A line for a day that is not like the others, and for every Monday."""
    if day % 7 and day not in TOLD and snapshot.status == Status.COMPLETE:
        return None
    counts = snapshot.counts
    if counts is not None and counts.baseline:
        happened = f"{counts.baseline:,} followers found: the baseline, no arrivals"
    elif counts is not None and snapshot.status is Status.HELD:
        happened = (
            f"{counts.unfollowed:,} would have been marked as unfollowed; nothing was changed"
        )
    elif counts is not None:
        arrived = counts.followed + counts.refollowed
        happened = f"{counts.following:,} followers (+{arrived} −{counts.unfollowed})"
    else:
        happened = f"nothing was changed ({snapshot.reason_word})"
    line = f"  {snapshot.taken_on}  {snapshot.status:8}  {happened}"
    return f"{line}\n    ↳ {TOLD[day]}" if day in TOLD else line
