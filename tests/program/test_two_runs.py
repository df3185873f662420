"""Two runs at once: of the same OA one works and one is turned away; of two OAs neither knows of
the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from commandline import HURRY, etl
from sqlalchemy import text
from world import LIMITS, client, contradictions, counted, following, read_by, rows, sync

from etl.db.engine import connect_engine, reading
from etl.db.schema import HEAD, current_revision
from etl.sync.account import preview_oa
from etl.sync.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from etl.simulator import Simulator

FAST = HURRY | {"ESMS_PAGE_SIZE": "10"}


@pytest.fixture(params=["followers", "windows"])
def sim(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """An OA within reach, and one that is read by windows of days."""
    with read_by(request.param) as simulator:
        yield simulator


def while_it_reads(sim: Simulator, act: Callable[[], Any], *, page: int = 3) -> list[Any]:
    """What `act` gives, done while the server still owes a run its n-th page."""
    given: list[Any] = []
    sim.before_page(page, lambda: given.append(act()))
    return given


def statuses(db: Engine, oaid: str) -> list[tuple[str, str | None]]:
    with reading(db) as connection:
        told = text("SELECT status, reason FROM snapshots WHERE oaid = :oaid ORDER BY id")
        return [(row.status, row.reason) for row in connection.execute(told, {"oaid": oaid})]


def test_the_second_run_of_an_oa_is_busy_and_leaves_no_trace(sim: Simulator, db: Engine) -> None:
    sync(sim, db)
    sim.unfollow()
    second = while_it_reads(sim, lambda: sync(sim, db))
    first = sync(sim, db)
    assert (first.snapshot.status, first.exit_code, counted(first.snapshot).unfollowed) == (
        "complete",
        0,
        1,
    )
    (busy,) = second
    assert (busy.snapshot.status, busy.exit_code, busy.snapshot.id) == ("busy", 75, None)
    assert busy.snapshot.requests in {0, None}, "it asked eSMS nothing"
    assert statuses(db, sim.default) == [("complete", None), ("complete", None)]
    assert contradictions(db) == []


def test_of_many_runs_at_once_each_is_whole_or_busy(sim: Simulator, db: Engine) -> None:
    sync(sim, db)
    for _ in range(3):
        sim.unfollow()
        sim.follow()
        start = threading.Barrier(4)

        def run(start: threading.Barrier = start) -> Any:
            start.wait(30)
            return sync(sim, db)

        with ThreadPoolExecutor(4) as pool:
            outcomes = [future.result() for future in [pool.submit(run) for _ in range(4)]]
        told = sorted((outcome.snapshot.status, outcome.exit_code) for outcome in outcomes)
        assert set(told) <= {("busy", 75), ("complete", 0)}
        assert ("complete", 0) in told
        marked = [each.snapshot.counts.unfollowed for each in outcomes if each.snapshot.counts]
        assert sum(marked) == 1, "each change is told once"
        assert following(db, sim.default) == set(sim.users())
        assert contradictions(db) == []


@pytest.mark.parametrize("sim", ["followers"], indirect=True)
def test_the_command_that_comes_second_says_busy_and_exits_75(sim: Simulator, db_url: str) -> None:
    settings = sim.environment | FAST | {"DATABASE_URL": db_url}
    etl("sync", **settings)
    second: list[Any] = []

    def meanwhile() -> None:
        # A process of its own, so that its output is its own: ours is redirected already.
        done = subprocess.run(
            [sys.executable, "-m", "etl", "sync", "--json"],
            env=os.environ | settings,
            capture_output=True,
            text=True,
            check=False,
        )
        second.append(done)

    sim.before_page(2, meanwhile)
    first = etl("sync", "--json", **settings)
    assert (first.returncode, json.loads(first.stdout)["status"]) == (0, "complete")
    (done,) = second
    line = json.loads(done.stdout)
    assert (done.returncode, line["status"], line["reason"], line["snapshot_id"]) == (
        75,
        "busy",
        "busy",
        None,
    )
    assert sim.default in done.stderr


def test_a_dry_run_while_another_run_reads_is_busy_too(sim: Simulator, db: Engine) -> None:
    sync(sim, db)
    second = while_it_reads(sim, lambda: sync_dry(sim, db))
    assert sync(sim, db).exit_code == 0
    (busy,) = second
    assert (busy.snapshot.status, busy.exit_code) == ("busy", 75)


def sync_dry(sim: Simulator, db: Engine) -> Any:
    with client(sim) as esms:
        return preview_oa(Run(esms, db, LIMITS, ZoneInfo("UTC")), sim.default)


def test_two_oas_are_synced_side_by_side(sim: Simulator, db: Engine) -> None:
    sim.add_account("111", "Second", 45)
    with ThreadPoolExecutor(1) as pool:
        second = while_it_reads(sim, lambda: pool.submit(sync, sim, db, "111"))
        first = sync(sim, db)
    (other,) = second
    assert (first.exit_code, other.result().exit_code) == (0, 0)
    assert following(db, sim.default) == set(sim.users())
    assert following(db, "111") == set(sim.users("111"))
    assert contradictions(db) == []


def test_an_oa_that_is_set_up_twice_is_synced_once(sim: Simulator, sqlite_url: str) -> None:
    twice = {"ESMS_OAIDS": f"{sim.default},111,{sim.default}", "DATABASE_URL": sqlite_url}
    sim.add_account("111", "Second", 5)
    done = etl("sync", "--json", **sim.environment | FAST | twice)
    assert done.returncode == 0
    synced = [json.loads(line)["oaid"] for line in done.stdout.splitlines()]
    assert sorted(synced) == ["111", sim.default]
    db = connect_engine(sqlite_url)
    assert statuses(db, sim.default) == [("complete", None)]
    assert len(rows(db, sim.default)[0]) == len(sim.users())


def test_two_first_runs_at_once_create_one_database(sim: Simulator, db_url: str) -> None:
    sim.add_account("111", "Second", 5)
    commands = [
        [sys.executable, "-m", "etl", "sync", "--json", "--oaid", oaid]
        for oaid in (sim.default, "111")
    ]
    settings = os.environ | sim.environment | FAST | {"DATABASE_URL": db_url}
    runs = [
        subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for command in commands
    ]
    ended = [(run.communicate(timeout=60)[1], run.returncode) for run in runs]
    assert [code for _, code in ended] == [0, 0], ended
    db = connect_engine(db_url)
    assert current_revision(db) == HEAD
    assert following(db, "111") == set(sim.users("111"))
    assert following(db, sim.default) == set(sim.users())
