"""`etl forget`, as an operator meets it: what it says, what it writes, and what the next sync makes
of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from commandline import etl
from daily import Days, dump, everything
from world import contradictions

from etl.db.lease import acquire
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(followers=120) as simulator:
        yield simulator


@pytest.fixture
def days(sim: Simulator, db: Engine, db_url: str, monkeypatch: pytest.MonkeyPatch) -> Days:
    """A database with one day's snapshot, set up as DATABASE_URL beside the simulated eSMS."""
    for name, value in (sim.environment | {"DATABASE_URL": db_url}).items():
        monkeypatch.setenv(name, value)
    first = Days(sim, db)
    first.sync()
    return first


def nothing_of(user: str, engine: Engine) -> bool:
    return not any(user in value for value in everything(engine))


def test_a_forgotten_follower_is_found_again_by_the_next_sync_and_is_no_churn(
    days: Days, sim: Simulator
) -> None:
    user = sim.users()[60]
    forgotten = etl("forget", user, "--yes")
    assert (forgotten.returncode, forgotten.stdout) == (0, "")
    assert "found again by the next sync" in forgotten.stderr
    assert "To be gone for good they unfollow the OA" in forgotten.stderr
    assert "logs, backups and exports made before still hold the User_Id" in forgotten.stderr
    assert nothing_of(user, days.engine)

    synced = json.loads(etl("sync", "--json").stdout)
    assert synced["status"] == "complete"
    assert (synced["looks"], synced["followed"], synced["unfollowed"], synced["following"]) == (
        1,
        0,
        0,
        120,
    )
    sim.unfollow(user)
    synced = json.loads(etl("sync", "--json").stdout)
    assert (synced["followed"], synced["unfollowed"], synced["following"]) == (0, 1, 119)
    sim.follow(user)
    synced = json.loads(etl("sync", "--json").stdout)
    assert (synced["followed"], synced["unfollowed"], synced["following"]) == (1, 0, 120)
    assert etl("verify").returncode == 0


def test_who_left_before_is_not_said_to_be_found_again(days: Days, sim: Simulator) -> None:
    user = sim.unfollow()
    days.sync()
    forgotten = etl("forget", user, "--yes", "--json")
    assert json.loads(forgotten.stdout) == {
        "oaid": sim.default,
        "following": False,
        "changes": 2,
        "dry_run": False,
    }
    assert "found again" not in forgotten.stderr
    assert nothing_of(user, days.engine)
    assert contradictions(days.engine) == []


def test_nothing_that_is_printed_leads_from_the_person_to_the_pseudonym(
    days: Days, sim: Simulator
) -> None:
    del days
    user = sim.users()[60]
    forgotten = etl("forget", user, "--yes", "--json")
    for printed in (forgotten.stdout, forgotten.stderr):
        assert user not in printed
        assert "forgotten-" not in printed


def test_a_dry_run_tells_and_writes_nothing(days: Days, sim: Simulator) -> None:
    before = dump(days.engine)
    foreseen = etl("forget", sim.users()[60], "--dry-run", "--json")
    assert foreseen.returncode == 0
    assert json.loads(foreseen.stdout) == {
        "oaid": sim.default,
        "following": True,
        "changes": 1,
        "dry_run": True,
    }
    assert "would be forgotten" in foreseen.stderr
    assert dump(days.engine) == before


def test_an_unknown_user_is_refused_without_being_repeated(days: Days) -> None:
    before = dump(days.engine)
    refused = etl("forget", "7800378501923859642", "--yes")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "in none of the chosen OAs" in refused.stderr
    assert "7800378501923859642" not in refused.stderr
    assert dump(days.engine) == before


@pytest.mark.parametrize("user", ["", "12\udcff", "forgotten-0123456789abcdef01234567"])
def test_what_can_be_no_user_id_is_refused(user: str, days: Days) -> None:
    before = dump(days.engine)
    refused = etl("forget", user, "--yes")
    assert (refused.returncode, "USER_ID" in refused.stderr) == (2, True)
    assert dump(days.engine) == before


def test_a_yes_is_needed_where_nobody_can_be_asked(days: Days, sim: Simulator) -> None:
    before = dump(days.engine)
    refused = etl("forget", sim.users()[60])
    assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
    assert dump(days.engine) == before


def test_only_the_chosen_oa_forgets(days: Days, sim: Simulator) -> None:
    user = sim.users()[5]
    sim.add_account("2", "Another", sim.users()[:30])
    days.sync("2")
    forgotten = etl("forget", user, "--oaid", "2", "--yes", "--json")
    assert [json.loads(line)["oaid"] for line in forgotten.stdout.splitlines()] == ["2"]
    everywhere = etl("forget", user, "--yes", "--json")
    assert [json.loads(line)["oaid"] for line in everywhere.stdout.splitlines()] == [sim.default]
    assert nothing_of(user, days.engine)
    assert etl("forget", user, "--oaid", "3", "--yes").returncode == 2


def test_a_busy_oa_does_not_keep_the_others_from_forgetting(days: Days, sim: Simulator) -> None:
    user = sim.users()[5]
    sim.add_account("2", "Another", sim.users()[:30])
    days.sync("2")
    with acquire(days.engine, "2", now=days.now):
        forgotten = etl("forget", user, "--yes", "--json")
    assert forgotten.returncode == 75
    assert [json.loads(line)["oaid"] for line in forgotten.stdout.splitlines()] == [sim.default]
    assert "another run holds OA 2" in forgotten.stderr
    assert etl("forget", user, "--yes").returncode == 0
    assert nothing_of(user, days.engine)
