"""`undo` takes back exactly what a snapshot did, and the tables agree after it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from daily import Days, dump, rows
from world import contradictions, counted

from etl.db.engine import reading
from etl.db.lease import acquire
from etl.db.snapshots import get
from etl.errors import BusyError, UsageError
from etl.maintenance.undo import undo, undoable
from etl.model import Status
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


Tables = tuple[list[tuple[object, ...]], list[tuple[object, ...]]]
"""The rows of `followers`, and of `follower_changes`."""


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(followers=120) as simulator:
        yield simulator


def test_every_snapshot_undone_in_turn_gives_back_the_tables_as_they_were_before_it(
    db: Engine, sim: Simulator
) -> None:
    days = Days(sim, db)
    before: list[tuple[int, Tables]] = []
    rng = random.Random(3)
    statuses = set()
    changes = set()
    for day in range(9):
        for verb in (sim.unfollow, sim.refollow, sim.follow):
            for _ in range(rng.randrange(7) if day else 0):
                verb()
        sim.max_offset = 60 if day == 4 else None
        state = (rows(db, "followers"), rows(db, "follower_changes"))
        snapshot = days.sync()
        assert snapshot.id is not None
        before.append((snapshot.id, state))
        statuses.add(snapshot.status)
        changes |= {
            name
            for name in ("baseline", "followed", "refollowed", "unfollowed")
            if getattr(counted(snapshot), name)
        }
    assert statuses == {"complete", "partial"}
    assert changes == {"baseline", "followed", "refollowed", "unfollowed"}

    for snapshot_id, state in reversed(before):
        with reading(db) as connection:
            recorded = get(connection, snapshot_id)
        assert recorded is not None
        undone = undo(db, snapshot_id, now=days.now)
        assert undone.status == Status.UNDONE
        assert (undone.counts, undone.reason) == (recorded.counts, recorded.reason)
        assert (rows(db, "followers"), rows(db, "follower_changes")) == state
        assert contradictions(db) == []
    assert rows(db, "followers") == []
    assert rows(db, "follower_changes") == []


def test_a_sync_after_an_undo_finds_again_what_was_taken_back(db: Engine, sim: Simulator) -> None:
    days = Days(sim, db)
    days.sync()
    sim.unfollow()
    sim.follow()
    first = days.sync()
    assert first.id is not None
    undo(db, first.id, now=days.now)
    again = days.sync()
    counts = counted(again)
    assert (again.status, counts.followed, counts.unfollowed, counts.following) == (
        "complete",
        1,
        1,
        120,
    )
    assert contradictions(db) == []


def test_an_undone_first_snapshot_leaves_the_baseline_open(db: Engine, sim: Simulator) -> None:
    days = Days(sim, db)
    first = days.sync()
    assert first.id is not None
    undo(db, first.id, now=days.now)
    again = days.sync()
    assert (counted(again).baseline, counted(again).followed) == (120, 0)


def test_an_older_snapshot_is_refused_and_the_refusal_names_the_one_that_must_go_first(
    db: Engine, sim: Simulator
) -> None:
    days = Days(sim, db)
    older, newer = days.sync(), days.sync()
    assert older.id is not None
    state = dump(db)
    with pytest.raises(UsageError, match=f"etl undo {newer.id}"):
        undo(db, older.id, now=days.now)
    assert dump(db) == state


def test_a_newer_snapshot_of_which_nothing_stands_is_in_nobodys_way(
    db: Engine, sim: Simulator
) -> None:
    days = Days(sim, db)
    complete = days.sync()
    for _ in range(60):
        sim.unfollow()
    assert days.sync().status == Status.HELD
    sim.account_code = "143"
    assert days.sync().status == Status.FAILED
    assert complete.id is not None
    assert undo(db, complete.id, now=days.now).status == Status.UNDONE


@pytest.mark.parametrize("why", ["unknown", "held", "failed", "undone"])
def test_a_snapshot_of_which_nothing_stands_cannot_be_undone(
    db: Engine, sim: Simulator, why: str
) -> None:
    days = Days(sim, db)
    snapshot = days.sync()
    if why == "held":
        for _ in range(60):
            sim.unfollow()
        snapshot = days.sync()
    elif why == "failed":
        sim.account_code = "143"
        snapshot = days.sync()
    assert snapshot.id is not None
    if why == "undone":
        undo(db, snapshot.id, now=days.now)
    state = dump(db)
    with pytest.raises(
        UsageError, match="there is no snapshot" if why == "unknown" else f"is {why}"
    ):
        undo(db, 4711 if why == "unknown" else snapshot.id, now=days.now)
    assert dump(db) == state


def test_an_undo_waits_for_no_other_run_but_says_that_it_is_busy(
    db: Engine, sim: Simulator
) -> None:
    days = Days(sim, db)
    snapshot = days.sync()
    assert snapshot.id is not None
    state = dump(db)
    with acquire(db, sim.default, now=days.now), pytest.raises(BusyError):
        undo(db, snapshot.id, now=days.now)
    assert dump(db) == state
    assert undoable(db, snapshot.id).id == snapshot.id


def test_another_oas_newer_snapshot_is_in_nobodys_way(db: Engine, sim: Simulator) -> None:
    sim.add_account("2", "Another", 30)
    days = Days(sim, db)
    mine = days.sync()
    other = days.sync("2")
    assert mine.id is not None
    assert other.id is not None
    undo(db, mine.id, now=days.now)
    assert [row[0] for row in rows(db, "followers")] == ["2"] * 30
    assert contradictions(db) == []
