"""A simulated eSMS, a real database and our own program between the two, without the command
line."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from etl.db.engine import reading
from etl.db.tables import follower_changes, followers
from etl.esms.client import EsmsClient
from etl.maintenance.verify import check, oaids
from etl.settings import EsmsSettings
from etl.simulator import API_KEY, SECRET_KEY, Simulator, WindowRules
from etl.sync.account import sync_oa
from etl.sync.decide import Limits
from etl.sync.run import Run
from etl.sync.sweep import SweepLimits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

    from etl.model import Counts, Snapshot
    from etl.sync.run import Outcome

PAGE = 10
"""Users of a page, where a test wants several."""

LIMITS = Limits(SweepLimits(concurrency=3))


@contextmanager
def read_by(source: str) -> Iterator[Simulator]:
    """A simulated OA within reach of GetFollowers (`followers`), or one that is read by `windows`
    of days."""
    world: dict[str, Any] = {"followers": 60}
    if source == "windows":
        rules = WindowRules(reach=120, spread_days=20)
        world = {"followers": 160, "max_offset": 110, "windows": rules}
    with Simulator(**world, max_page=PAGE) as simulator:
        yield simulator


@contextmanager
def client(sim: Simulator, **settings: Any) -> Iterator[EsmsClient]:
    """Our client, pointed at the simulator, in a hurry."""
    given = {
        "esms_rate": 5000,
        "esms_backoff_base": 0,
        "esms_timeout": 5,
        "esms_page_size": sim.max_page,
        **settings,
    }
    keys = {"esms_api_key": API_KEY, "esms_secret_key": SECRET_KEY, "esms_base_url": sim.url}
    with EsmsClient(EsmsSettings.model_validate(keys | given)) as esms:
        yield esms


def sync(
    sim: Simulator,
    db: Engine,
    oaid: str | None = None,
    *,
    limits: Limits = LIMITS,
    at: datetime | None = None,
    **run: Any,
) -> Outcome:
    """Sync one OA once."""
    clock = (lambda: at) if at else (lambda: datetime.now(UTC))
    settings = {name: run.pop(name) for name in list(run) if name.startswith("esms_")}
    with client(sim, **settings) as esms:
        return sync_oa(
            Run(esms, db, limits, ZoneInfo("UTC"), clock=clock, **run), oaid or sim.default
        )


def limits(**changed: Any) -> Limits:
    """The usual limits, some of them changed; those of the sweep, too."""
    sweep = {
        name: changed.pop(name)
        for name in ("concurrency", "max_looks", "tolerance")
        if name in changed
    }
    return replace(LIMITS, sweep=replace(LIMITS.sweep, **sweep), **changed)


def following(db: Engine, oaid: str) -> set[str]:
    """Who follows, by our tables."""
    with reading(db) as connection:
        statement = select(followers.c.user_id).where(
            followers.c.oaid == oaid, followers.c.unfollowed_at.is_(None)
        )
        return set(connection.scalars(statement))


def changed(db: Engine, snapshot_id: int | None, change: str) -> set[str]:
    """Who came or went in a snapshot."""
    with reading(db) as connection:
        log = follower_changes.c
        statement = select(log.user_id).where(log.snapshot_id == snapshot_id, log.change == change)
        return set(connection.scalars(statement))


def counted(snapshot: Snapshot) -> Counts:
    """What a snapshot changed; it must have got that far."""
    assert snapshot.counts is not None
    return snapshot.counts


def rows(db: Engine, oaid: str) -> tuple[list[Any], list[Any]]:
    """Every follower row and every change of an OA, as it stands."""
    with reading(db) as connection:
        return _rows(connection, followers, oaid), _rows(connection, follower_changes, oaid)


def contradictions(db: Engine, *asked: str) -> list[str]:
    """What `etl verify` would find wrong, of all OAs unless some are named."""
    with reading(db) as connection:
        found = check(connection, asked or oaids(connection))
        return [f"{each.oaid}: {each.check}" for each in found if each.contradictions]


def _rows(connection: Connection, table: Any, oaid: str) -> list[Any]:
    return [
        tuple(row)
        for row in connection.execute(
            select(table).where(table.c.oaid == oaid).order_by(*table.primary_key)
        )
    ]
