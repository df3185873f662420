"""A database that is not UTF-8 holds identifiers exactly or refuses them; a name that does not fit
stops nothing."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

import pytest
from commandline import Finished, etl
from sqlalchemy import select, text
from world import following

from etl.db.encoding import fitted
from etl.db.engine import connect_engine, reading
from etl.db.tables import official_accounts
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "Cửa hàng Đà Nẵng"


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(40, max_page=20) as simulator:
        simulator.add_account("111", NAME, 30)
        yield simulator


@pytest.fixture
def encoded_url(request: pytest.FixtureRequest, postgresql_server: str) -> Iterator[str]:
    """An empty database of another encoding."""
    name = f"t{uuid.uuid4().hex[:12]}"
    server = connect_engine(postgresql_server).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(
            text(
                f"CREATE DATABASE {name} ENCODING '{request.param}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
            )
        )
    yield postgresql_server.replace("/postgres?", f"/{name}?")
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def run(url: str, sim: Simulator, *arguments: str) -> Finished:
    return etl(*arguments, **sim.environment | {"ESMS_RATE": "0", "ESMS_OAIDS": "all", "DATABASE_URL": url})  # fmt: skip


def names(url: str) -> dict[str, str]:
    with reading(connect_engine(url)) as connection:
        oas = official_accounts.c
        return {oaid: name for oaid, name in connection.execute(select(oas.oaid, oas.name))}  # noqa: C416 - rows are no pairs to a type checker


@pytest.mark.parametrize(
    ("encoded_url", "stored"),
    [("LATIN1", "Cua hàng Dà Nang"), ("WIN1258", fitted(NAME, "WIN1258")), ("KOI8R", "Cua hang Da Nang"),
     ("SQL_ASCII", NAME), ("UTF8", NAME)],
    indirect=["encoded_url"],
)  # fmt: skip
def test_a_name_is_stored_as_nearly_as_it_goes_and_every_oa_is_synced(
    encoded_url: str, stored: str, sim: Simulator
) -> None:
    for _ in range(2):
        done = run(encoded_url, sim, "sync", "--json")
        assert done.returncode == 0, done.stderr
        assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["complete"] * 2
    assert run(encoded_url, sim, "accounts").returncode == 0
    assert names(encoded_url)["111"] == stored
    assert stored in run(encoded_url, sim, "status").stdout


@pytest.mark.parametrize("encoded_url", ["LATIN1", "SQL_ASCII", "UTF8"], indirect=True)
def test_an_identifier_that_fits_is_stored_exactly(encoded_url: str, sim: Simulator) -> None:
    sim.follow("usér-1")
    for _ in range(2):
        assert run(encoded_url, sim, "sync").returncode == 0
    assert following(connect_engine(encoded_url), sim.default) == set(sim.users())


@pytest.mark.parametrize("encoded_url", ["LATIN1", "WIN1258"], indirect=True)
def test_an_identifier_that_does_not_fit_ends_its_oa_and_no_other(
    encoded_url: str, sim: Simulator
) -> None:
    sim.follow("người-1")
    for _ in range(2):
        done = run(encoded_url, sim, "sync", "--json")
        assert done.returncode == 78
        assert "ENCODING 'UTF8'" in done.stderr
        assert "người" not in done.stderr
        told = [json.loads(line)["status"] for line in done.stdout.splitlines()]
        assert sorted(told) == ["complete", "failed"]
    assert following(connect_engine(encoded_url), sim.default) == set()
    assert run(encoded_url, sim, "verify").returncode == 0


@pytest.mark.parametrize("encoded_url", ["LATIN1"], indirect=True)
def test_a_copy_that_cannot_hold_an_identifier_is_refused_and_leaves_nothing(
    encoded_url: str, sqlite_url: str, sim: Simulator
) -> None:
    sim.follow("người-1")
    assert run(sqlite_url, sim, "sync").returncode == 0
    refused = run(sqlite_url, sim, "db", "copy", "--to", encoded_url)
    assert (refused.returncode, "ENCODING 'UTF8'" in refused.stderr) == (78, True)
    assert following(connect_engine(encoded_url), sim.default) == set()


@pytest.mark.parametrize("said", ["url", "variable"])
def test_no_setting_of_the_clients_encoding_changes_what_is_stored(
    said: str, postgresql_url: str, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    sim.follow("người-1")
    url = f"{postgresql_url}&client_encoding=latin1" if said == "url" else postgresql_url
    if said == "variable":
        monkeypatch.setenv("PGCLIENTENCODING", "latin1")
    for _ in range(2):
        assert run(url, sim, "sync").returncode == 0
    assert names(postgresql_url)["111"] == NAME
    assert following(connect_engine(postgresql_url), sim.default) == set(sim.users())


@pytest.mark.parametrize(
    ("into", "expected"),
    [("UTF8", "Ử–茶đ"), ("LATIN1", "U??d"), ("EUC_JIS_2004", "U–茶đ"), ("MULE_INTERNAL", "U??d")],
)
def test_what_an_encoding_lacks_becomes_plain_or_a_question_mark(into: str, expected: str) -> None:
    assert fitted("Ử–茶đ", into) == expected
