"""Several eSMS accounts in one place, each with its own keys and thresholds, in one database."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from commandline import Finished, etl
from firms import Accounts
from sqlalchemy import text

from etl.db.engine import connect_engine, reading
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAST = "ESMS_RATE=5000\nESMS_BACKOFF_BASE=0\nESMS_TIMEOUT=5\n"


class Firm(Accounts):
    """Two eSMS accounts, `hotel` (OAs 11 and 12) and `shop` (OA 21), and one database."""

    def __init__(self, directory: Path, url: str, stack: ExitStack) -> None:
        super().__init__(directory)
        self.url = url
        self.sims: dict[str, Simulator] = {}
        for name, oaids in (("hotel", ("11", "12")), ("shop", ("21",))):
            sim = stack.enter_context(Simulator(oaid=oaids[0], followers=60))
            for oaid in oaids[1:]:
                sim.add_account(oaid, "Second", followers=30)
            self.sims[name] = sim
            self.write_account(name, sim, oaids, FAST)

    def write(self, account: str, file: str, content: str) -> None:
        (self.directory / account).mkdir(parents=True, exist_ok=True)
        (self.directory / account / file).write_text(content)

    def add(self, account: str, line: str) -> None:
        with (self.directory / account / "settings.env").open("a") as file:
            file.write(line + "\n")

    def run(self, *arguments: str, **settings: str) -> Finished:
        given = {"DATABASE_URL": self.url, "ETL_ACCOUNTS_DIR": str(self.directory)}
        return etl(*arguments, **given | settings)

    def sync(self, account: str, *arguments: str, **settings: str) -> tuple[int, dict[str, str]]:
        """The exit code, and what became of each OA."""
        done = self.run("sync", "--account", account, "--json", *arguments, **settings)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return done.returncode, {line["oaid"]: line["status"] for line in lines}


@pytest.fixture
def firm(tmp_path: Path, sqlite_url: str) -> Iterator[Firm]:
    with ExitStack() as stack:
        yield Firm(tmp_path / "accounts", sqlite_url, stack)


def test_all_accounts_are_synced_into_one_database(firm: Firm) -> None:
    assert firm.sync("all") == (0, {"11": "complete", "12": "complete", "21": "complete"})
    assert firm.run("verify").returncode == 0


def test_one_account_is_synced_with_its_own_keys_alone(firm: Firm) -> None:
    assert firm.sync("shop") == (0, {"21": "complete"})
    assert not firm.sims["hotel"].requests


def test_one_oa_of_one_account_can_be_chosen(firm: Firm) -> None:
    assert firm.sync("hotel", "--oaid", "12") == (0, {"12": "complete"})
    done = firm.run("sync", "--account", "all", "--oaid", "12")
    assert (done.returncode, "name it" in done.stderr) == (2, True)


def test_the_keys_and_oas_of_the_environment_are_no_accounts(firm: Firm) -> None:
    (firm.directory / "shop" / "ESMS_SECRET_KEY").unlink()
    outside = {"ESMS_API_KEY": "x", "ESMS_SECRET_KEY": "y", "ESMS_OAIDS": "99"}
    done = firm.run("sync", "--account", "shop", **outside)
    assert done.returncode == 78
    assert "account shop: ESMS_SECRET_KEY is missing" in done.stderr
    assert firm.sync("hotel", **outside) == (0, {"11": "complete", "12": "complete"})


def test_an_account_that_is_refused_keeps_no_other_from_being_synced(firm: Firm) -> None:
    firm.write("hotel", "ESMS_API_KEY", "wrong")
    code, became = firm.sync("all")
    assert code == 77
    assert became == {"11": "failed", "12": "failed", "21": "complete"}


def test_an_account_that_fails_before_its_oas_keeps_no_other_from_being_synced(firm: Firm) -> None:
    firm.write("hotel", "ESMS_API_KEY", "wrong")
    firm.add("hotel", "ESMS_OAIDS=all")
    assert firm.sync("all") == (77, {"21": "complete"})


def test_thresholds_are_the_accounts_own_and_the_oas_own(firm: Firm) -> None:
    firm.sync("all")
    for account, oaid in (("hotel", "11"), ("hotel", "12"), ("shop", "21")):
        sim = firm.sims[account]
        for user in sim.users(oaid)[:25]:
            sim.followers(oaid).unfollow(user)
    firm.add("shop", "ETL_UNFOLLOW_FLOOR=30")
    firm.add("hotel", "ETL_UNFOLLOW_FLOOR_12=30")
    assert firm.sync("all") == (65, {"11": "held", "12": "complete", "21": "complete"})


def test_an_oa_has_the_name_that_is_set_for_it(firm: Firm) -> None:
    firm.add("shop", "ETL_NAME_21=Cửa hàng")
    firm.sync("all")
    with reading(connect_engine(firm.url)) as connection:
        names = connection.execute(text("SELECT oaid, name FROM official_accounts")).all()
    assert ("21", "Cửa hàng") in [tuple(row) for row in names]


def test_what_is_set_for_one_oa_holds_without_accounts_too(firm: Firm) -> None:
    sim = firm.sims["shop"]
    given = sim.environment | {
        "ESMS_RATE": "0",
        "ETL_MAX_UNFOLLOW_SHARE_21": "0.9",
        "ETL_NAME_21": "Shop",
    }
    assert firm.run("sync", **given).returncode == 0
    for user in sim.users()[:40]:
        sim.unfollow(user)
    assert firm.run("sync", **given).returncode == 0


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ETL_UNFOLLOW_FLOOR_21", "many", "ETL_UNFOLLOW_FLOOR_21 must be a whole number"),
        ("ETL_MAX_UNFOLLOW_SHARE_21", "2", "ETL_MAX_UNFOLLOW_SHARE_21 must be at most 1"),
        ("ESMS_RATE_21", "5", "ESMS_RATE_21 cannot be set for one OA"),
        ("ETL_UNFOLOW_FLOOR_21", "5", "ETL_UNFOLOW_FLOOR_21 cannot be set for one OA"),
    ],
)
def test_what_is_wrong_for_one_oa_is_named(firm: Firm, name: str, value: str, told: str) -> None:
    firm.add("shop", f"{name}={value}")
    done = firm.run("sync", "--account", "shop")
    assert done.returncode == 78
    assert f"account shop: {told}" in done.stderr


def test_all_problems_of_all_accounts_are_shown_at_once_and_nothing_is_done(firm: Firm) -> None:
    (firm.directory / "hotel" / "ESMS_API_KEY").unlink()
    firm.write("hotel", "ESMS_APIKEY", "a slip")
    firm.write(
        "shop",
        "settings.env",
        "ESMS_RATE=fast\nESMS_OAIDS=shop\nDATABASE_URL=sqlite:///another.db\n",
    )
    (firm.directory / "Two Words").mkdir()
    done = firm.run("sync", "--account", "all", ETL_TIMEZONE="Mars")
    assert done.returncode == 78
    for told in (
        "ETL_TIMEZONE", "account hotel: ESMS_API_KEY is missing", "hotel/ESMS_APIKEY is no setting", "account shop: ESMS_RATE",
        "account shop: ESMS_OAIDS", "account shop: DATABASE_URL is one for all accounts", "account Two Words: a name is",
    ):  # fmt: skip
        assert told in done.stderr.replace("\n", " ") or told in done.stderr, told
    assert not any(sim.requests for sim in firm.sims.values())


def test_an_oa_of_two_accounts_is_named_with_both(firm: Firm) -> None:
    firm.add("shop", "ESMS_OAIDS=21,11")
    done = firm.run("sync", "--account", "all")
    assert (done.returncode, "OA 11 is in several accounts (hotel, shop)" in done.stderr) == (
        78,
        True,
    )


@pytest.mark.parametrize(
    ("setting", "told"),
    [("", "ETL_ACCOUNTS_DIR is missing"), ("/gone", "cannot be read"), (".", "holds no directory")],
)
def test_a_directory_of_accounts_that_is_none_is_named(
    firm: Firm, tmp_path: Path, setting: str, told: str
) -> None:
    (tmp_path / "empty").mkdir()
    given = str(tmp_path / "empty") if setting == "." else setting
    done = firm.run("sync", "--account", "all", ETL_ACCOUNTS_DIR=given)
    assert (done.returncode, told in done.stderr) == (78, True)


def test_an_account_that_is_not_there_is_wrong_usage(firm: Firm) -> None:
    done = firm.run("sync", "--account", "shopp")
    assert (done.returncode, "there: hotel, shop" in done.stderr) == (2, True)


def test_files_beside_the_accounts_and_hidden_ones_are_nobodys_business(firm: Firm) -> None:
    """The directory of the systemd units holds the first account's files; Kubernetes keeps versions
    in hidden ones."""
    (firm.directory / "settings.env").write_text("ESMS_OAIDS=1\n")
    (firm.directory / "..data").mkdir()
    firm.write("shop", ".settings.env.swp", "x")
    assert firm.sync("shop") == (0, {"21": "complete"})


def test_a_dry_run_of_all_accounts_writes_nothing(firm: Firm, tmp_path: Path) -> None:
    code, became = firm.sync("all", "--dry-run")
    assert (code, set(became)) == (0, {"11", "12", "21"})
    assert not (tmp_path / "followers.db").exists()


def test_a_metrics_file_of_all_accounts_has_all_their_oas(firm: Firm, tmp_path: Path) -> None:
    shared, own = tmp_path / "all.prom", tmp_path / "shop.prom"
    firm.add("shop", f"ETL_METRICS_FILE={own}")
    firm.sync("all", ETL_METRICS_FILE=str(shared))
    assert all(f'oaid="{oaid}"' in shared.read_text() for oaid in ("11", "12", "21"))
    assert 'oaid="21"' in own.read_text()
    assert 'oaid="11"' not in own.read_text()
    shared.unlink()
    firm.sync("hotel", ETL_METRICS_FILE=str(shared))
    assert not shared.exists()


def test_the_oas_of_an_account_that_fails_stay_in_the_metrics_file(
    firm: Firm, tmp_path: Path
) -> None:
    """Whatever becomes of the other account's OAs, and however grave it is."""
    shared = tmp_path / "all.prom"
    firm.sync("all", ETL_METRICS_FILE=str(shared))
    firm.add("shop", "ESMS_OAIDS=all")
    firm.sims["shop"].listing_code = "999"
    firm.sims["hotel"].inactive.add("12")
    code, _ = firm.sync("all", ETL_METRICS_FILE=str(shared))
    assert code == 77
    assert 'etl_sync_last_success_timestamp_seconds{oaid="21"}' in shared.read_text()


def test_what_was_read_whole_since_a_time_is_left_out(firm: Firm) -> None:
    firm.sims["hotel"].inactive.add("12")
    assert firm.sync("hotel") == (77, {"11": "complete", "12": "failed"})
    firm.sims["hotel"].inactive.clear()
    assert firm.sync("hotel", "--unless-since", "2020-01-01T00:00:00+07:00") == (
        0,
        {"12": "complete"},
    )
    assert firm.sync("hotel", "--unless-since", "2020-01-01T00:00:00Z") == (0, {})
    assert firm.sync("hotel", "--unless-since", "2999-01-01T00:00:00+00:00") == (
        0,
        {"11": "complete", "12": "complete"},
    )
    assert firm.run("sync", "--account", "hotel", "--unless-since", "2020-01-01").returncode == 2
