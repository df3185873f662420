"""Several OAs in one run: at once, the stalest first, under their names; retired ones are left
out."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from commandline import HURRY, Finished, etl
from sqlalchemy import func, select, text
from world import client

from etl.db.engine import connect_engine, reading
from etl.db.tables import official_accounts
from etl.errors import OutOfTimeError
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

SHOPS = [str(number) for number in range(101, 107)]

FAST = HURRY | {"ESMS_PAGE_SIZE": "10"}


class Agency:
    """Six shops of one eSMS account, and a database."""

    def __init__(self, sim: Simulator, url: str) -> None:
        self.sim = sim
        self.db = connect_engine(url)
        self._settings = sim.environment | FAST | {"DATABASE_URL": url}

    def etl(self, *arguments: str, oaids: str = ",".join(SHOPS), **settings: str) -> Finished:
        return etl(*arguments, **self._settings | {"ESMS_OAIDS": oaids} | settings)

    def sync(self, *arguments: str, **settings: str) -> list[str]:
        """The OAs in the order in which they ended; all of them were complete."""
        done = self.etl("sync", "--json", *arguments, **settings)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == 0, done.stderr
        assert {line["status"] for line in lines} == {"complete"}
        return [line["oaid"] for line in lines]

    def one_by_one(self, *arguments: str, **settings: str) -> list[str]:
        return self.sync(*arguments, ESMS_CONCURRENCY="1", **settings)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(60, max_page=10) as simulator:
        for oaid in SHOPS:
            simulator.add_account(oaid, f"Shop {oaid}", 30)
        yield simulator


@pytest.fixture
def agency(sim: Simulator, db_url: str) -> Agency:
    return Agency(sim, db_url)


@pytest.fixture
def lite(sim: Simulator, sqlite_url: str) -> Agency:
    return Agency(sim, sqlite_url)


def asked(db: Engine, query: str) -> list[tuple[object, ...]]:
    with reading(db) as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def leases_held(db: Engine) -> int:
    held = select(func.count()).where(official_accounts.c.lease_token.is_not(None))
    with reading(db) as connection:
        return connection.execute(held).scalar_one()


def test_oas_are_read_at_once_and_each_has_its_own_lease(agency: Agency) -> None:
    agency.sync()
    held: list[int] = []
    agency.sim.latency = 0.02
    agency.sim.before_each(lambda: held.append(leases_held(agency.db)))
    assert sorted(agency.sync()) == SHOPS
    assert max(held) > 1
    assert asked(agency.db, "SELECT count(*) FROM snapshots WHERE status = 'complete'") == [(12,)]


def test_a_signal_ends_all_of_them_and_gives_every_lease_back(agency: Agency) -> None:
    agency.sync()

    def stop() -> None:
        agency.sim.fault_rate("hang", 1)  # no answer comes any more
        os.kill(os.getpid(), signal.SIGTERM)

    agency.sim.before_page(9, stop)
    done = agency.etl("sync", "--json", ESMS_TIMEOUT="600")
    assert done.returncode == 143
    assert "stopped by SIGTERM" in done.stdout
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(line["oaid"] for line in lines) == SHOPS  # those that were not begun, too
    assert leases_held(agency.db) == 0
    assert asked(agency.db, "SELECT count(*) FROM snapshots WHERE status = 'running'") == [(0,)]
    agency.sim.calm()
    assert sorted(agency.sync()) == SHOPS


def test_the_oa_that_was_not_read_whole_for_longest_goes_first(lite: Agency) -> None:
    assert lite.one_by_one() == SHOPS
    lite.one_by_one("--oaid", "101", "--oaid", "103")
    lite.sim.add_account("999", "New", 5)
    order = lite.one_by_one(oaids=",".join([*SHOPS, "999"]))
    assert order == ["999", "102", "104", "105", "106", "101", "103"]


def test_a_run_that_was_ended_half_way_goes_on_with_the_others(lite: Agency) -> None:
    lite.one_by_one()
    lite.sim.before_page(len(lite.sim.requests) // 2, os.kill, os.getpid(), signal.SIGTERM)
    done = lite.etl("sync", "--json", ESMS_CONCURRENCY="1")
    assert done.returncode == 143
    read = [
        line["oaid"]
        for line in map(json.loads, done.stdout.splitlines())
        if line["status"] == "complete"
    ]
    assert read == SHOPS[: len(read)]
    assert lite.one_by_one() == SHOPS[len(read) :] + read


def test_the_time_of_one_oa_is_not_that_of_another(sim: Simulator) -> None:
    with client(sim) as esms:
        esms.begin("101", time.monotonic())
        esms.begin("102", time.monotonic() + 600)
        with pytest.raises(OutOfTimeError):
            esms.page("101", 0)
        assert esms.page("102", 0).total == 30


def test_names_are_asked_for_once_a_run_and_kept(agency: Agency) -> None:
    done = agency.etl("sync")
    assert '"name": "Shop 101"' in done.stderr
    names = "SELECT oaid, name FROM official_accounts ORDER BY oaid"
    assert asked(agency.db, names) == [(oaid, f"Shop {oaid}") for oaid in SHOPS]
    assert agency.sim.listings == 1


def test_no_run_fails_because_esms_gives_no_names(lite: Agency) -> None:
    lite.sim.listing_code = "999"
    assert sorted(lite.sync(ETL_NAME_102="Corner shop")) == SHOPS
    names = "SELECT oaid, name FROM official_accounts WHERE name IS NOT NULL"
    assert asked(lite.db, names) == [("102", "Corner shop")]
    assert lite.sim.listings == 1, "it is not worth another try"


def test_a_retired_oa_is_left_out_until_it_is_restored(agency: Agency) -> None:
    agency.sync()
    assert agency.etl("accounts", "--retire", "103").returncode == 0
    rest = [oaid for oaid in SHOPS if oaid != "103"]
    assert sorted(agency.sync()) == rest
    assert "103" not in agency.sync(oaids="all")
    assert agency.sync("--oaid", "103") == ["103"], "it was named"
    assert asked(agency.db, "SELECT count(*) FROM snapshots WHERE oaid = '103'") == [(2,)]
    assert agency.etl("accounts", "--restore", "103").returncode == 0
    assert sorted(agency.sync()) == SHOPS


def test_what_cannot_be_retired_is_said_and_changes_nothing(lite: Agency) -> None:
    lite.sync()
    for arguments in (
        ["--retire", "7"],
        ["--retire", "x"],
        ["--retire", "101", "--restore", "102"],
    ):
        assert lite.etl("accounts", *arguments).returncode == 2
    assert asked(lite.db, "SELECT count(*) FROM official_accounts WHERE retired_at IS NULL") == [
        (6,)
    ]


def test_a_run_of_retired_oas_only_is_no_success(lite: Agency) -> None:
    lite.sync(oaids="101")
    lite.etl("accounts", "--retire", "101")
    done = lite.etl("sync", oaids="101")
    assert done.returncode == 78
    assert "etl accounts --restore 101" in done.stderr
