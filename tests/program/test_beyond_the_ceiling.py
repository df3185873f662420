"""An OA beyond the ceiling, end to end: a real HTTP server, both databases, every verdict there
is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from commandline import etl
from world import changed, client, contradictions, counted, following, limits, rows, sync

from etl.db.engine import connect_engine
from etl.db.schema import upgrade
from etl.demo import beyond_the_ceiling
from etl.model import Reason, Source, Status
from etl.simulator import Simulator, WindowRules
from etl.sync.account import preview_oa
from etl.sync.run import Run

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.model import Snapshot

COUNT = 403
REACH = 100
"""Users that either call lists; some 27 acted on each of the last fifteen days."""


ONE_WORKER = limits(concurrency=1)
"""Then the same list takes the same requests, night after night."""


def world(count: int = COUNT, **rules: Any) -> Simulator:
    given = {"reach": REACH, "spread_days": 15} | rules
    return Simulator(count, max_page=10, max_offset=REACH - 10, windows=WindowRules(**given))


def change(sim: Simulator, **rules: Any) -> None:
    """From now on the server answers by other rules."""
    sim.windows = sim.interactions().rules = replace(sim.windows, **rules)


def night(sim: Simulator, db: Engine) -> Snapshot:
    """A sync; whatever its verdict, nobody who followed throughout is marked, and `verify` is
    content."""
    sim.mark()
    known = following(db, sim.default)
    outcome = sync(sim, db, limits=ONE_WORKER, at=sim.interactions().now)
    snapshot = outcome.snapshot
    assert outcome.exit_code == {Status.COMPLETE: 0, Status.PARTIAL: 75}[snapshot.status]
    assert not (known - following(db, sim.default)) & sim.followed_throughout()
    assert not contradictions(db)
    return snapshot


def test_who_left_and_who_arrived_is_found_night_after_night(db: Engine) -> None:
    with world() as sim:
        first = night(sim, db)
        assert (first.status, first.source, first.seen) == (Status.COMPLETE, Source.WINDOWS, COUNT)
        assert (first.total, counted(first).baseline) == (COUNT, COUNT)
        for _ in range(3):
            sim.midnight()
            gone, new = {sim.unfollow() for _ in range(3)}, {sim.follow() for _ in range(2)}
            snapshot = night(sim, db)
            assert (snapshot.status, snapshot.reason) == (Status.COMPLETE, None)
            assert changed(db, snapshot.id, "unfollowed") == gone
            assert changed(db, snapshot.id, "followed") == new
            assert following(db, sim.default) == set(sim.users())


@pytest.mark.parametrize("semantics", ["last", "any"])
@pytest.mark.parametrize("bounds", ["inclusive", "from_excluded", "to_excluded", "both_excluded"])
def test_whatever_a_day_means_the_list_is_read_whole(
    sqlite_url: str, semantics: str, bounds: str
) -> None:
    db = connect_engine(sqlite_url)
    upgrade(db)
    with world(semantics=semantics, bounds=bounds, single_days_whole=True) as sim:
        night(sim, db)
        gone = {sim.unfollow() for _ in range(3)}
        snapshot = night(sim, db)
        assert (snapshot.reason, changed(db, snapshot.id, "unfollowed")) == (None, gone)


def everybody_acts_today(sim: Simulator, _: Engine) -> None:
    for user in sim.users():
        sim.interact(user)


def days_may_be_lost(sim: Simulator, _: Engine) -> None:
    change(sim, bounds="both_excluded", single_days_whole=True, future="refused")


def two_replicas_answer_in_turn(sim: Simulator, _: Engine) -> None:
    change(sim, replicas=2)


def some_are_hidden(sim: Simulator, _: Engine) -> None:
    change(sim, hidden=0.05)


def total_stops_at_the_reach(sim: Simulator, _: Engine) -> None:
    change(sim, clamp=True)


def offsets_are_ignored(sim: Simulator, _: Engine) -> None:
    change(sim, ignore_offset=True)


def the_last_total_is_too_high(sim: Simulator, db: Engine) -> None:
    # The last request of all is one to GetFollowers: the days test.
    sim.fault_at(requests_of_a_night(sim, db) - 1, f"total:{COUNT + 1}")


def requests_of_a_night(sim: Simulator, db: Engine) -> int:
    """How many requests it takes to read it all, as it is now: a dry run reads and writes
    nothing."""
    with client(sim) as esms:
        run = Run(esms, db, ONE_WORKER, ZoneInfo("UTC"), clock=lambda: sim.interactions().now)
        return preview_oa(run, sim.default).snapshot.requests or 0


VERDICTS = [
    (everybody_acts_today, Reason.CROWDED_DAY),
    (days_may_be_lost, Reason.WINDOW_GAP),
    (some_are_hidden, Reason.TORN),
    (total_stops_at_the_reach, Reason.UNDATED),
    (offsets_are_ignored, Reason.OFFSET_IGNORED),
    (the_last_total_is_too_high, Reason.TOTAL_GAP),
]


@pytest.mark.parametrize(
    ("happens", "reason"), VERDICTS, ids=[each.__name__ for each, _ in VERDICTS]
)
def test_what_cannot_be_believed_has_its_reason_and_marks_nobody(
    db: Engine, happens: Any, reason: Reason
) -> None:
    with world() as sim:
        night(sim, db)
        gone = {sim.unfollow() for _ in range(3)}
        new = sim.follow()
        happens(sim, db)
        snapshot = night(sim, db)
        assert (snapshot.status, snapshot.source) == (Status.PARTIAL, Source.WINDOWS)
        assert snapshot.reason == reason
        assert counted(snapshot).unfollowed == 0
        assert gone <= following(db, sim.default)
        assert counted(snapshot).baseline == 0
        assert changed(db, snapshot.id, "followed") <= {new}


def test_two_replicas_that_answer_in_turn_have_nobody_marked_who_stayed(db: Engine) -> None:
    """Which of them answers what depends on the order of the requests: torn, or whole and right."""
    with world() as sim:
        night(sim, db)
        gone = {sim.unfollow() for _ in range(3)}
        two_replicas_answer_in_turn(sim, db)
        snapshot = night(sim, db)
        if snapshot.status is Status.COMPLETE:
            assert changed(db, snapshot.id, "unfollowed") == gone
        else:
            assert (snapshot.status, snapshot.reason) == (Status.PARTIAL, Reason.TORN)
            assert counted(snapshot).unfollowed == 0


def test_who_has_no_day_cannot_be_missed_but_whoever_is_there_is_kept(db: Engine) -> None:
    with world(undated=0.1) as sim:
        first = night(sim, db)
        assert (first.status, first.source) == (Status.COMPLETE, Source.WINDOWS)
        assert 0 < counted(first).baseline < COUNT
        new = sim.follow()
        quiet = night(sim, db)
        assert (quiet.status, changed(db, quiet.id, "followed")) == (Status.COMPLETE, {new})
        dated = next(user for user in sim.users() if sim.interactions().day(user))
        sim.unfollow(dated)
        lossy = night(sim, db)
        assert (lossy.status, lossy.reason) == (Status.PARTIAL, Reason.UNDATED)
        assert dated in following(db, sim.default)


def test_a_user_without_a_day_who_acts_is_no_arrival_where_the_list_was_never_whole(
    db: Engine,
) -> None:
    """They followed all the time: only whoever GetFollowers showed was known."""
    with world(served="799") as sim:
        first = night(sim, db)
        assert (first.status, first.reason) == (Status.PARTIAL, Reason.CEILING)
        for _ in range(5):
            sim.unfollow(sim.users()[0])
        slid = night(sim, db)
        assert (counted(slid).baseline, counted(slid).followed) == (5, 0)
        change(sim, served="100")
        whole = night(sim, db)
        assert (whole.status, whole.source, counted(whole).followed) == (
            Status.COMPLETE, Source.WINDOWS, 0
        )  # fmt: skip
        assert following(db, sim.default) == set(sim.users())


@pytest.mark.parametrize("served", ["799", "404", "555", "110"])
def test_where_windows_are_not_served_those_in_reach_are_kept_and_nobody_is_marked(
    db: Engine, served: str
) -> None:
    with world() as sim:
        night(sim, db)
        gone, new = sim.unfollow(sim.users()[0]), sim.follow()
        change(sim, served=served)
        snapshot = night(sim, db)
        assert (snapshot.status, snapshot.reason) == (Status.PARTIAL, Reason.CEILING)
        assert snapshot.source is Source.FOLLOWERS
        assert gone in following(db, sim.default)
        change(sim, served="100")
        snapshot = night(sim, db)
        assert (changed(db, snapshot.id, "unfollowed"), snapshot.status) == (
            {gone},
            Status.COMPLETE,
        )
        assert following(db, sim.default) >= {new}


@pytest.mark.parametrize("fault", ["broken_json", "no_total", "http_503", "code:555"])
def test_broken_answers_to_windows_alone_leave_the_listing_as_it_is(db: Engine, fault: str) -> None:
    with world() as sim:
        night(sim, db)
        gone = sim.unfollow(sim.users()[0])
        sim.fault_at(lambda _: _asks_windows(sim), fault, times=10**6)
        snapshot = night(sim, db)
        assert (snapshot.status, snapshot.reason) == (Status.PARTIAL, Reason.CEILING)
        assert gone in following(db, sim.default)


def _asks_windows(sim: Simulator) -> bool:
    return sim.asked is not None and "QueryListUID" in sim.asked.path


@pytest.mark.parametrize("code", ["101", "140", "143"])
def test_a_refusal_of_the_keys_amid_the_windows_is_a_refusal(db: Engine, code: str) -> None:
    with world() as sim:
        night(sim, db)
        before = rows(db, sim.default)
        sim.unfollow()

        def refuse() -> None:
            sim.account_code = code

        sim.before_page(60, refuse)
        outcome = sync(sim, db)
        assert (outcome.snapshot.status, outcome.exit_code) == (Status.FAILED, 77)
        assert rows(db, sim.default) == before


def test_a_failure_of_getfollowers_amid_the_windows_is_a_failed_run(db: Engine) -> None:
    with world() as sim:
        night(sim, db)
        sim.unfollow()

        sim.requests.clear()
        before = rows(db, sim.default)

        def amid_the_windows(_: int) -> bool:
            return not _asks_windows(sim) and any(
                "QueryListUID" in each.path for each in sim.requests
            )

        sim.fault_at(amid_the_windows, "http_503", times=10**6)
        outcome = sync(sim, db)
        assert (outcome.snapshot.status, outcome.exit_code) == (Status.FAILED, 69)
        assert rows(db, sim.default) == before


def test_syncing_an_unchanged_list_again_writes_one_snapshot_and_nothing_else(db: Engine) -> None:
    with world() as sim:
        night(sim, db)
        before = rows(db, sim.default)
        snapshot = night(sim, db)
        assert rows(db, sim.default) == before
        assert counted(snapshot).following == COUNT


def test_the_other_oas_are_synced_and_the_exit_code_says_try_later(db_url: str) -> None:
    with world() as sim:
        sim.add_account("22", "Small", 30)
        settings = {**sim.environment, "DATABASE_URL": db_url, "ESMS_OAIDS": "all", "ESMS_RATE": "0",
                    "ESMS_PAGE_SIZE": "10"}  # fmt: skip
        assert etl("sync", **settings).returncode == 0
        sim.unfollow()
        for user in sim.users():
            sim.interact(user)
        done = etl("sync", "--json", **settings)
        assert done.returncode == 75
        told = {each["oaid"]: each for each in map(json.loads, done.stdout.splitlines())}
        assert (told["22"]["status"], told["22"]["source"]) == ("complete", "followers")
        large = told[sim.default]
        assert (large["status"], large["reason"], large["source"], large["unfollowed"]) == (
            "partial", "crowded_day", "windows", 0
        )  # fmt: skip
        asked = [each.path for each in sim.requests if each.oaid == "22"]
        assert not [path for path in asked if "QueryListUID" in path]


def test_windows_can_be_switched_off(db_url: str) -> None:
    with world() as sim:
        settings = {
            **sim.environment,
            "DATABASE_URL": db_url,
            "ESMS_RATE": "0",
            "ESMS_PAGE_SIZE": "10",
        }
        done = etl("sync", "--json", ETL_WINDOWS="off", **settings)
        assert done.returncode == 75
        assert json.loads(done.stdout)["reason"] == "ceiling"
        assert not [each for each in sim.requests if "QueryListUID" in each.path]


def test_the_demo_tells_of_an_oa_beyond_the_ceiling() -> None:
    told = beyond_the_ceiling(datetime(2026, 11, 24, 16, 40, tzinfo=UTC))
    assert "2,003 followers, of whom one listing shows 500" in told
    assert "complete  2,000 of 2,000 seen, 3 had left, 3 found to be gone" in told


@pytest.mark.parametrize("moved_at", [30, 70, 110])
def test_a_night_in_which_everybody_acts_meanwhile_marks_nobody_who_stayed(
    sqlite_url: str, moved_at: int
) -> None:
    """Half of the users move up into the last day between two answers, wherever that is."""
    db = connect_engine(sqlite_url)
    upgrade(db)
    with world(reach=300, spread_days=15) as sim:
        sim.max_offset = 290
        night(sim, db)
        sim.unfollow()

        def half_of_them_act() -> None:
            for user in sim.users()[::2]:
                sim.interact(user)

        sim.before_page(moved_at, half_of_them_act)
        night(sim, db)
