"""A snapshot's id is larger than every one before it, whatever the database's own counter says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, text
from world import contradictions, following, sync

from etl.db.engine import reading, writing
from etl.db.tables import snapshots
from etl.maintenance.undo import undo
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

SET_BACK = {
    "sqlite": "UPDATE sqlite_sequence SET seq = 0",
    "postgresql": "SELECT setval('snapshots_id_seq', 1, false)",
}
"""As after rows were brought by replication, or copied without their counter."""

HIGHER = "UPDATE {} SET {} = {} + 1000"


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(40, max_page=20) as simulator:
        yield simulator


def set_back(db: Engine) -> None:
    with writing(db) as connection:
        connection.execute(text(SET_BACK[db.dialect.name]))


def ids(db: Engine) -> list[int]:
    """By the time at which they were taken."""
    with reading(db) as connection:
        return list(
            connection.execute(select(snapshots.c.id).order_by(snapshots.c.taken_at)).scalars()
        )


def test_a_counter_that_lags_behind_gives_no_id_twice_and_none_from_behind(
    db: Engine, sim: Simulator
) -> None:
    sync(sim, db)
    sync(sim, db)
    for _ in range(3):
        set_back(db)
        sim.unfollow()
        assert sync(sim, db).snapshot.status == "complete"
    assert ids(db) == [1, 2, 3, 4, 5]
    assert contradictions(db) == []
    assert following(db, sim.default) == set(sim.users())


def test_rows_that_came_with_larger_ids_are_older_than_what_is_read_now(
    db: Engine, sim: Simulator
) -> None:
    sync(sim, db)
    sync(sim, db)
    with writing(db) as connection:
        connection.execute(text(HIGHER.format("snapshots", "id", "id")))
        connection.execute(text(HIGHER.format("follower_changes", "snapshot_id", "snapshot_id")))
    set_back(db)
    gone = sim.unfollow()
    newest = sync(sim, db).snapshot
    assert (newest.id, newest.counts and newest.counts.unfollowed) == (1003, 1)
    assert contradictions(db) == []
    undo(db, 1003, now=datetime.now(UTC))
    assert gone in following(db, sim.default)


def test_two_oas_at_once_get_an_id_each_from_a_counter_that_lags_behind(
    db: Engine, sim: Simulator
) -> None:
    sim.add_account("111", "Second", 30)
    for oaid in (sim.default, "111"):
        sync(sim, db, oaid)
    set_back(db)
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda oaid: sync(sim, db, oaid).snapshot, (sim.default, "111")))
    assert {each.status for each in done} == {"complete"}
    assert {each.id for each in done} == {3, 4}
