"""No setting of a server, a database, a role or a client changes a value or stops a command."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from commandline import HURRY, etl
from sqlalchemy import make_url, text
from world import sync

from etl.db.engine import connect_engine, limited, reading
from etl.db.limits import TimeLimit
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

FAST = HURRY | {"ESMS_PAGE_SIZE": "10"}

ODD = {
    "datestyle": "SQL, DMY",
    "timezone": "America/St_Johns",
    "intervalstyle": "iso_8601",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "extra_float_digits": "-3",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "lock_timeout": "1ms",
    "client_min_messages": "debug5",
    "quote_all_identifiers": "on",
    "lc_monetary": "C",
    "client_encoding": "LATIN1",
}
"""What an administrator may have set, for reasons of another program."""


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(30, max_page=10) as simulator:
        simulator.add_account("101", "Trà sữa Hoà Bình", 20)
        yield simulator


FORMS = {"report": ["--format", "json"], "export": ["--format", "jsonl"], "verify": []}


def answers(sim: Simulator, url: str, **settings: str) -> dict[str, int]:
    """What the commands say of a night in which somebody left."""
    given = sim.environment | FAST | {"DATABASE_URL": url, "ESMS_OAIDS": "101"} | settings
    said: dict[str, int] = {}
    for command in ("sync", "status", "history", "report", "verify", "export"):
        done = etl(command, *FORMS.get(command, ["--json"]), **given)
        assert done.returncode == 0, (command, done.stderr)
        assert "Traceback" not in done.stderr
        said[command] = len(done.stdout.splitlines())
    return said


@pytest.mark.parametrize("name", ODD)
def test_a_setting_of_the_database_stops_no_command(
    name: str, sim: Simulator, postgresql_url: str
) -> None:
    db = connect_engine(postgresql_url)
    with db.begin() as connection:
        database = make_url(postgresql_url).database
        connection.execute(text(f"ALTER DATABASE {database} SET {name} = '{ODD[name]}'"))
    assert answers(sim, postgresql_url)["export"] == 20
    sim.followers("101").unfollow()
    assert answers(sim, postgresql_url)["export"] == 19


@pytest.mark.parametrize("where", ["environment", "URL"])
def test_the_encoding_of_the_client_is_ours_to_say(
    where: str, sim: Simulator, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgresql_url
    if where == "URL":
        url += "&client_encoding=latin1"
    else:
        monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
    assert answers(sim, url)["sync"] == 1
    with connect_engine(postgresql_url).begin() as connection:
        name = connection.execute(text("SELECT name FROM official_accounts")).scalar_one()
    assert name == "Trà sữa Hoà Bình"


def test_a_second_run_is_busy_whatever_isolation_is_the_default(
    sim: Simulator, postgresql_url: str
) -> None:
    db = connect_engine(postgresql_url)
    with db.begin() as connection:
        database = make_url(postgresql_url).database
        odd = "SET default_transaction_isolation = 'serializable'"
        connection.execute(text(f"ALTER DATABASE {database} {odd}"))
    given = sim.environment | FAST | {"DATABASE_URL": postgresql_url, "ESMS_OAIDS": "101"}
    assert etl("sync", **given).returncode == 0
    second: list[int] = []
    sim.before_page(1, lambda: second.append(sync(sim, db, "101").exit_code))
    assert etl("sync", **given).returncode == 0
    assert second == [75]


def test_the_time_limits_of_a_role_are_not_those_of_a_long_night(postgresql_url: str) -> None:
    db = connect_engine(postgresql_url)
    limits = ("statement_timeout", "idle_in_transaction_session_timeout")
    with db.begin() as connection:
        database = make_url(postgresql_url).database
        for name in limits:
            connection.execute(text(f"ALTER DATABASE {database} SET {name} = '30s'"))
    with reading(db) as connection:
        assert [connection.execute(text(f"SHOW {name}")).scalar_one() for name in limits] == [
            "0",
            "0",
        ]
    with reading(limited(db, TimeLimit(time.monotonic() + 100))) as connection:
        left = connection.execute(text("SHOW statement_timeout")).scalar_one()
        assert left.startswith(("9", "100"))
