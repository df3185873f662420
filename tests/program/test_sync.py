"""`etl sync` as an operator meets it: its arguments, its lines, its exit codes, and what stands in
the database after it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from commandline import Operator
from daily import dump
from sqlalchemy import create_engine, text
from world import contradictions

from etl.db.engine import connect_engine
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(120) as simulator:
        yield simulator


class Syncer(Operator):
    """Somebody who syncs, and looks at what stands in the database."""

    def sync(self, *arguments: str, **settings: str) -> tuple[dict[str, Any], int]:
        """Sync; the one JSON line, and the exit code."""
        done = self.run("sync", "--json", *arguments, **settings)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(lines) == 1, done
        return lines[0], done.returncode

    def dump(self) -> dict[str, list[tuple[object, ...]]]:
        return dump(connect_engine(self.url))

    def contradictions(self) -> list[str]:
        return contradictions(connect_engine(self.url))

    def following(self) -> set[str]:
        return {str(row[1]) for row in self.dump()["followers"] if row[4] is None}


@pytest.fixture
def operator(sim: Simulator, db_url: str) -> Syncer:
    return Syncer(sim, db_url, ESMS_TIMEOUT="5")


@pytest.fixture
def lite(sim: Simulator, sqlite_url: str) -> Syncer:
    """For what does not depend on the database."""
    return Syncer(sim, sqlite_url, ESMS_TIMEOUT="5")


# -- what a sync does ------------------------------------------------------------------------------


def test_the_first_sync_creates_the_database_and_calls_everybody_baseline(
    operator: Syncer,
) -> None:
    line, code = operator.sync()
    assert code == 0
    said = {
        "status": "complete",
        "total": 120,
        "seen": 120,
        "baseline": 120,
        "followed": 0,
        "following": 120,
        "looks": 1,
    }
    assert {name: line[name] for name in said} == said
    assert line["reason"] is None
    assert operator.following() == set(operator.sim.users())


def test_the_json_line_has_the_columns_of_the_snapshot_and_how_long_it_took(
    operator: Syncer,
) -> None:
    line, _ = operator.sync()
    assert set(line) == {
        "snapshot_id", "oaid", "status", "taken_at", "taken_on", "finished_at", "total", "seen", "baseline", "followed",
        "refollowed", "unfollowed", "following", "looks", "requests", "retries", "reason", "source", "gap", "duration_s",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("begins", "hours"), [("00:00", 0), ("04:00", 4), (None, 4), ("23:59", 23 + 59 / 60)]
)
def test_the_day_of_a_reading_is_its_date_less_when_a_day_begins(
    begins: str | None, hours: float, operator: Syncer
) -> None:
    line, _ = operator.sync(**({"ETL_DAY_BEGINS": begins} if begins else {}))
    local = datetime.fromisoformat(line["taken_at"]) + timedelta(hours=7)  # in Viet Nam
    assert line["taken_on"] == (local - timedelta(hours=hours)).date().isoformat()


def test_one_empty_first_page_is_asked_for_once_more(operator: Syncer) -> None:
    operator.sim.fault_at(1, "empty_page")
    line, code = operator.sync()
    assert (code, line["status"], line["baseline"], line["followed"]) == (0, "complete", 120, 0)


def test_whoever_is_found_after_a_list_that_began_with_nobody_is_the_baseline_still(
    operator: Syncer,
) -> None:
    operator.sim.fault_at(1, "empty_page", times=2)
    line, code = operator.sync()
    assert (code, line["status"], line["reason"], line["seen"]) == (75, "partial", "ceiling", 0)
    line, code = operator.sync()
    assert (code, line["status"], line["baseline"], line["followed"]) == (0, "complete", 120, 0)


def test_who_comes_leaves_and_returns_is_told_from_each_other(operator: Syncer) -> None:
    operator.sync()
    gone = operator.sim.unfollow()
    new = operator.sim.follow()
    line, _ = operator.sync()
    assert (line["followed"], line["refollowed"], line["unfollowed"], line["following"]) == (
        1,
        0,
        1,
        120,
    )
    operator.sim.refollow(gone)
    line, _ = operator.sync()
    assert (line["followed"], line["refollowed"], line["unfollowed"], line["following"]) == (
        0,
        1,
        0,
        121,
    )
    assert {gone, new} <= operator.following() == set(operator.sim.users())
    assert operator.contradictions() == []


def test_syncing_an_unchanged_list_again_adds_one_snapshot_and_changes_nothing_else(
    operator: Syncer,
) -> None:
    operator.sync()
    before = operator.dump()
    line, code = operator.sync()
    after = operator.dump()
    assert code == line["followed"] == line["unfollowed"] == 0
    assert len(after.pop("snapshots")) == len(before.pop("snapshots")) + 1
    assert after == before


@pytest.mark.parametrize(("gone", "most"), [(0, 209), (1, 419)])
def test_ten_thousand_followers_take_one_look_unless_somebody_is_gone(
    lite: Syncer, gone: int, most: int
) -> None:
    with Simulator(10_003) as sim:
        lite.sim = sim
        lite.sync()
        for _ in range(gone):
            sim.unfollow()
        line, code = lite.sync()
    assert code == 0
    assert line["unfollowed"] == gone
    assert line["requests"] <= most


def test_a_dry_run_says_what_the_real_run_would_do_and_writes_nothing_at_all(
    operator: Syncer,
) -> None:
    operator.sync()
    gone = operator.sim.unfollow()
    operator.sync()
    operator.sim.unfollow()
    operator.sim.follow()
    operator.sim.refollow(gone)
    before = operator.dump()
    dry, code = operator.sync("--dry-run")
    assert operator.dump() == before
    real, real_code = operator.sync()
    counts = (
        "status",
        "total",
        "seen",
        "baseline",
        "followed",
        "refollowed",
        "unfollowed",
        "following",
        "looks",
        "reason",
    )
    assert {name: dry[name] for name in counts} == {name: real[name] for name in counts}
    assert code == real_code == 0
    assert dry["snapshot_id"] is None


def test_a_dry_run_without_a_database_makes_none(lite: Syncer, tmp_path: Path) -> None:
    line, code = lite.sync("--dry-run")
    assert (code, line["status"], line["baseline"], line["following"]) == (0, "complete", 120, 120)
    assert not list(tmp_path.glob("*.db*"))


def test_a_dry_run_on_an_empty_postgresql_database_makes_no_table(
    sim: Simulator, postgresql_url: str
) -> None:
    _, code = Syncer(sim, postgresql_url, ESMS_TIMEOUT="5").sync("--dry-run")
    engine = create_engine(postgresql_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        tables = connection.execute(
            text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        ).scalar_one()
    engine.dispose()
    assert (code, tables) == (0, 0)


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_dry_run_exits_as_the_real_run_would(lite: Syncer, dry: tuple[str, ...]) -> None:
    lite.sync()
    for _ in range(60):
        lite.sim.unfollow()
    line, code = lite.sync(*dry)
    assert (line["status"], line["reason"], line["unfollowed"], code) == (
        "held",
        "mass_unfollow",
        60,
        65,
    )


# -- what it cannot believe ------------------------------------------------------------------------


def test_a_mass_unfollow_is_held_until_it_is_allowed(operator: Syncer) -> None:
    operator.sync()
    before = operator.dump()
    for _ in range(60):
        operator.sim.unfollow()
    held, code = operator.sync()
    assert (held["status"], held["reason"], held["unfollowed"], held["following"], code) == (
        "held",
        "mass_unfollow",
        60,
        120,
        65,
    )
    after = operator.dump()
    assert (after["followers"], after["follower_changes"]) == (
        before["followers"],
        before["follower_changes"],
    )
    for _ in range(6):
        operator.sim.unfollow()  # a tenth more than was held is let through
    line, code = operator.sync("--allow-mass-unfollow")
    assert (line["status"], line["unfollowed"], line["following"], code) == ("complete", 66, 54, 0)
    assert operator.contradictions() == []


def test_allowing_a_mass_unfollow_lets_through_no_more_than_a_tenth_above_what_was_held(
    lite: Syncer,
) -> None:
    lite.sync()
    for _ in range(60):
        lite.sim.unfollow()
    lite.sync()
    for _ in range(7):
        lite.sim.unfollow()
    line, code = lite.sync("--allow-mass-unfollow")
    assert (line["status"], line["unfollowed"], code) == ("held", 67, 65)


def test_allowing_a_mass_unfollow_where_nothing_was_held_allows_nothing(lite: Syncer) -> None:
    lite.sync()
    for _ in range(60):
        lite.sim.unfollow()
    line, code = lite.sync("--allow-mass-unfollow")
    assert (line["status"], code) == ("held", 65)


def test_nobody_at_all_is_held_even_where_few_follow(operator: Syncer) -> None:
    with Simulator(5) as sim:
        operator.sim = sim
        operator.sync()
        sim.fault_rate("nobody", 1)
        line, code = operator.sync()
    assert (line["status"], line["reason"], line["unfollowed"], code) == (
        "held",
        "nobody_seen",
        5,
        65,
    )


def ceiling_by_162(sim: Simulator) -> None:
    sim.max_offset = 50


def ceiling_by_an_empty_page(sim: Simulator) -> None:
    sim.max_offset, sim.refuse_by = 50, "empty"


def total_much_larger_than_the_list(sim: Simulator) -> None:
    sim.overcount = 40


def total_a_little_larger_than_the_list(sim: Simulator) -> None:
    sim.overcount = 4  # within the tolerance, but the snapshot before had no gap


def offset_ignored(sim: Simulator) -> None:
    sim.ignore_offset = True


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (ceiling_by_162, "ceiling"),
        (ceiling_by_an_empty_page, "ceiling"),
        (
            total_much_larger_than_the_list,
            "ceiling",
        ),  # the page behind the last follower is empty, well before its Total
        (total_a_little_larger_than_the_list, "total_gap"),
        (offset_ignored, "offset_ignored"),
    ],
)
def test_from_a_list_that_cannot_be_read_whole_nobody_is_marked_as_unfollowed(
    operator: Syncer, trouble: Callable[[Simulator], None], reason: str
) -> None:
    operator.sync()
    operator.sim.unfollow(operator.sim.users()[100])
    new = operator.sim.follow(at=0)
    trouble(operator.sim)
    line, code = operator.sync()
    assert (line["status"], line["reason"], line["unfollowed"], code) == ("partial", reason, 0, 75)
    assert new in operator.following(), "who was seen follows"
    assert operator.contradictions() == []


def test_a_list_that_never_stops_moving_is_torn(lite: Syncer) -> None:
    lite.sync()
    users = lite.sim.followers()

    def churn() -> None:
        for _ in range(25):
            users.unfollow(users.users[0])
            users.follow()

    lite.sim.before_each(churn)
    line, code = lite.sync()
    assert (line["status"], line["reason"], line["unfollowed"], code) == ("partial", "torn", 0, 75)


def test_a_total_that_always_counts_a_little_too_much_stops_nothing(lite: Syncer) -> None:
    lite.sim.overcount = 3
    assert lite.sync()[1] == 0
    lite.sim.unfollow()
    line, code = lite.sync()
    assert (line["status"], line["unfollowed"], line["total"] - line["seen"], code) == (
        "complete",
        1,
        3,
        0,
    )


def test_whoever_is_found_before_the_first_whole_reading_is_no_arrival(lite: Syncer) -> None:
    lite.sim.ignore_offset = True
    assert lite.sync()[0]["baseline"] == 50, "all there is on the one page that is ever given"
    lite.sim.ignore_offset = False
    lite.sim.follow()
    line, _ = lite.sync()
    assert (line["status"], line["baseline"], line["followed"]) == ("complete", 71, 0)
    lite.sim.follow()
    line, _ = lite.sync()
    assert (line["baseline"], line["followed"]) == (0, 1)


def test_whoever_a_cut_listing_shows_is_the_baseline_and_never_an_arrival(lite: Syncer) -> None:
    lite.sim.max_offset = 50
    assert lite.sync()[0]["reason"] == "ceiling"
    for user in lite.sim.users()[:3]:
        lite.sim.unfollow(user)
    line, _ = lite.sync()
    assert (line["reason"], line["baseline"], line["followed"]) == ("ceiling", 3, 0)


def test_whoever_a_cut_listing_shows_is_the_baseline_after_a_whole_reading_too(
    lite: Syncer,
) -> None:
    """They may have slid into view as others left."""
    assert lite.sync()[0]["status"] == "complete"
    lite.sim.max_offset = 50
    for _ in range(10):
        lite.sim.follow()
    for user in lite.sim.users()[:25]:
        lite.sim.unfollow(user)
    line, _ = lite.sync()
    # The last page served begins at 48: of the ten, the three up to place 98 are shown.
    assert (line["reason"], line["baseline"], line["followed"]) == ("ceiling", 3, 0)


def test_one_stray_refusal_in_the_first_sync_makes_nobody_an_arrival_the_next_day(
    lite: Syncer,
) -> None:
    lite.sim.fault_at(2, "code:162")
    assert lite.sync()[0]["status"] == "complete"
    line, _ = lite.sync()
    assert (line["status"], line["followed"]) == ("complete", 0)


# -- several OAs -----------------------------------------------------------------------------------


def test_a_user_who_leaves_one_oa_still_follows_the_other(operator: Syncer) -> None:
    both = operator.sim.users()[:60]
    operator.sim.add_account("111", "Second", both)
    operator.sim.add_account("222", "Third", both)
    assert operator.run("sync", ESMS_OAIDS="111,222").returncode == 0
    operator.sim.followers("111").unfollow(both[7])
    done = operator.run("sync", "--json", ESMS_OAIDS="111,222")
    told = {
        line["oaid"]: (line["status"], line["unfollowed"])
        for line in map(json.loads, done.stdout.splitlines())
    }
    assert told == {"111": ("complete", 1), "222": ("complete", 0)}
    gone = [row[:2] for row in operator.dump()["followers"] if row[4] is not None]
    assert gone == [("111", both[7])]
    operator.sim.followers("111").refollow(both[7])
    operator.sim.followers("222").unfollow(both[7])
    assert operator.run("sync", ESMS_OAIDS="111,222").returncode == 0
    gone = [row[:2] for row in operator.dump()["followers"] if row[4] is not None]
    assert gone == [("222", both[7])]
    assert operator.contradictions() == []


# -- what eSMS refuses, or does not answer ---------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "code", "reason"),
    [
        ("code:101", 77, "refused"), ("code:140", 77, "refused"), ("code:143", 77, "refused"), ("code:204", 77, "refused"),
        ("code:799", 77, "refused"), ("code:110", 1, "fault"), ("code:161", 1, "fault"), ("code:162", 78, "offset_refused"),
        ("code:160", 69, "throttled"), ("code:555", 69, "unreachable"), ("http_500", 69, "unreachable"),
        ("reset", 69, "unreachable"), ("truncated", 69, "unreachable"), ("http_404", 76, "impossible_answer"),
        ("redirect", 76, "impossible_answer"), ("html", 76, "malformed"), ("user_float", 76, "malformed"),
        ("negative_total", 76, "malformed"),
    ],
)  # fmt: skip
def test_what_esms_answers_decides_the_exit_code_and_no_follower_row_is_touched(
    lite: Syncer, fault: str, code: int, reason: str
) -> None:
    lite.sync()
    before = lite.dump()
    lite.sim.fault_rate(fault, 1)
    line, exit_code = lite.sync(ESMS_MAX_ATTEMPTS="2")
    assert (line["status"], exit_code) == ("failed", code)
    assert line["reason"].startswith(f"{reason}: ")
    after = lite.dump()
    assert (after["followers"], after["follower_changes"]) == (
        before["followers"],
        before["follower_changes"],
    )


def test_a_run_ends_at_its_longest_time(lite: Syncer) -> None:
    lite.sim.latency = 0.2
    line, code = lite.sync(ETL_MAX_RUNTIME="0.002")
    assert (line["status"], code) == ("failed", 75)
    assert line["reason"].startswith("out_of_time: ")
    assert "ETL_MAX_RUNTIME" in line["reason"]


def test_one_oa_that_fails_does_not_keep_the_others_from_being_synced(operator: Syncer) -> None:
    operator.sim.add_account("111", "Second", 30)
    operator.sim.inactive.add(operator.sim.default)
    done = operator.run(
        "sync", "--json", ESMS_OAIDS=f"{operator.sim.default},111,{operator.sim.default}"
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted((line["oaid"], line["status"]) for line in lines) == [
        ("111", "complete"),
        (operator.sim.default, "failed"),
    ]
    assert done.returncode == 77
    assert "799" in done.stderr


def test_an_oa_that_esms_does_not_know_and_that_was_never_read_leaves_no_row(
    operator: Syncer,
) -> None:
    done = operator.run("sync", "--json", ESMS_OAIDS="404")
    line = json.loads(done.stdout)
    assert (done.returncode, line["reason"].split(":")[0]) == (77, "refused")
    assert line["snapshot_id"] is None  # the id of a row that is not there leads nowhere
    assert (operator.dump()["official_accounts"], operator.dump()["snapshots"]) == ([], [])


def test_failed_runs_of_an_oa_that_esms_does_not_know_leave_no_row_either(lite: Syncer) -> None:
    lite.sim.account_code = "143"
    lite.run("sync", ESMS_OAIDS="404")
    assert len(lite.dump()["snapshots"]) == 1
    lite.sim.account_code = None
    lite.run("sync", ESMS_OAIDS="404")
    assert (lite.dump()["official_accounts"], lite.dump()["snapshots"]) == ([], [])


def test_an_oa_that_was_read_before_keeps_its_rows_when_esms_no_longer_knows_it(
    operator: Syncer,
) -> None:
    operator.sync()
    operator.sim.inactive.add(operator.sim.default)
    line, code = operator.sync()
    assert (code, line["status"]) == (77, "failed")
    assert len(operator.dump()["official_accounts"]) == 1
    assert len(operator.dump()["snapshots"]) == 2


def test_each_oa_has_its_line_where_the_database_ends_the_run_before_them(lite: Syncer) -> None:
    gone = "postgresql://u:topsecret@127.0.0.1:1/x"
    done = lite.run("sync", "--json", DATABASE_URL=gone, ESMS_OAIDS="222,111,222")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 69
    assert [(line["oaid"], line["status"], line["snapshot_id"]) for line in lines] == [
        ("222", "failed", None),
        ("111", "failed", None),
    ]
    assert lines[0]["reason"].startswith("database: ")
    assert "topsecret" not in done.stdout


def test_whoever_asks_for_what_cannot_be_done_gets_no_line(lite: Syncer) -> None:
    done = lite.run("sync", "--json", "--allow-mass-unfollow", ESMS_OAIDS="1,2")
    assert (done.returncode, done.stdout) == (2, "")


def test_all_asks_esms_for_the_oas_and_keeps_their_names(operator: Syncer) -> None:
    operator.sim.add_account("111", "Hệ thống ESMS", 30)
    done = operator.run("sync", "--json", ESMS_OAIDS="all")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)
    assert "Hệ thống ESMS" in operator.run("status", ESMS_OAIDS="all").stdout


# -- how it is asked -------------------------------------------------------------------------------


def test_an_oa_that_is_named_twice_is_synced_once(lite: Syncer) -> None:
    done = lite.run("sync", "--json", "--oaid", lite.sim.default, "--oaid", lite.sim.default)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)


def test_an_oa_that_esms_does_not_know_is_refused(lite: Syncer) -> None:
    line, code = lite.sync("--oaid", "999")
    assert (line["status"], code) == ("failed", 77)


@pytest.mark.parametrize("oaid", ["", "12 34", "x" * 100])
def test_what_cannot_be_an_oaid_is_a_wrong_argument(
    lite: Syncer, oaid: str, tmp_path: Path
) -> None:
    done = lite.run("sync", "--oaid", oaid)
    assert done.returncode == 2
    assert "--oaid" in done.stderr
    assert not list(tmp_path.glob("*.db*"))


def test_allowing_a_mass_unfollow_of_several_oas_at_once_is_a_wrong_argument(
    lite: Syncer,
) -> None:
    done = lite.run("sync", "--allow-mass-unfollow", ESMS_OAIDS="1,2")
    assert done.returncode == 2
    assert "--oaid" in done.stderr


def test_stdout_is_data_and_stderr_one_line_for_each_oa(lite: Syncer) -> None:
    done = lite.run("sync")
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["event"] == "sync"


@pytest.mark.parametrize(
    "arguments", [["status"], ["history"], ["verify"], ["history", "--oaid", "999"]]
)
def test_commands_that_read_make_no_database(
    lite: Syncer, arguments: list[str], tmp_path: Path
) -> None:
    assert lite.run(*arguments).returncode == 69
    assert not list(tmp_path.glob("*.db*"))


def test_history_lists_every_run_newest_last(lite: Syncer) -> None:
    lite.sync()
    lite.sim.fault_rate("http_404", 1)
    lite.sync()
    lines = [json.loads(line) for line in lite.run("history", "--json").stdout.splitlines()]
    assert [line["status"] for line in lines] == ["complete", "failed"]
    assert lines[1]["reason"].startswith("impossible_answer: ")
    assert len(lite.run("history", "--limit", "1", "--format", "csv").stdout.splitlines()) == 2


def test_accounts_lists_what_esms_names(lite: Syncer) -> None:
    lite.sim.add_account("111", "Second")
    done = lite.run("accounts", "--json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"oaid": lite.sim.default, "name": "Simulated OA"},
        {"oaid": "111", "name": "Second"},
    ]


def test_verify_finds_a_row_that_somebody_changed_by_hand(operator: Syncer) -> None:
    operator.sync()
    assert operator.run("verify").returncode == 0
    engine = create_engine(operator.url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(
            text("DELETE FROM followers WHERE user_id = (SELECT min(user_id) FROM followers)")
        )
    engine.dispose()
    done = operator.run("verify", "--json")
    assert done.returncode == 65
    assert sum(not json.loads(line)["ok"] for line in done.stdout.splitlines()) == 2
