"""`db copy` moves everything, from either database to either, and the next sync goes on there."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from daily import Days, dump, rows
from revisions import downgrade
from sqlalchemy import text
from world import contradictions

from etl.db.engine import connect_engine, writing
from etl.db.lease import acquire
from etl.db.schema import HEAD, current_revision, upgrade
from etl.errors import BusyError, DatabaseBehindError, DatabaseUnreachableError, UsageError
from etl.maintenance.copy import copy_database
from etl.maintenance.forget import forget
from etl.maintenance.undo import undo
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(followers=120) as simulator:
        yield simulator


@pytest.fixture
def second_postgresql_url(postgresql_url: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database beside the first."""
    url = connect_engine(postgresql_url).url
    second = f"{url.database}_copy"
    _at_once(postgresql_url, f"CREATE DATABASE {second}")
    yield url.set(database=second).render_as_string(hide_password=False)
    _at_once(postgresql_url, f"DROP DATABASE {second} WITH (FORCE)")


def _at_once(url: str, statement: str) -> None:
    with (
        connect_engine(url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection
    ):
        connection.execute(text(statement))


@pytest.fixture
def target(request: pytest.FixtureRequest, db: Engine, tmp_path: Path) -> Engine:
    """An empty database of the other kind."""
    if db.dialect.name == "postgresql":
        return connect_engine(f"sqlite:///{tmp_path}/copy.db")
    return connect_engine(request.getfixturevalue("postgresql_url"))


@pytest.fixture
def same_kind(request: pytest.FixtureRequest, db: Engine, tmp_path: Path) -> Engine:
    """An empty database of the same kind."""
    if db.dialect.name == "postgresql":
        return connect_engine(request.getfixturevalue("second_postgresql_url"))
    return connect_engine(f"sqlite:///{tmp_path}/copy.db")


def eventful_days(sim: Simulator, days: Days) -> None:
    """Every kind of change, of status and of row."""
    sim.add_account("2", "Hệ thống\tESMS \\N", 30)
    rng = random.Random(5)
    for day in range(6):
        for verb in (sim.unfollow, sim.refollow, sim.follow):
            for _ in range(rng.randrange(1, 5) if day else 0):
                verb()
        sim.max_offset = 60 if day == 3 else None
        days.sync()
    sim.max_offset = None
    days.sync("2")
    last = days.sync()
    assert last.id is not None
    undo(days.engine, last.id, now=days.now)
    forget(days.engine, sim.default, sim.users()[7], now=days.now)
    sim.account_code = "143"
    days.sync()
    sim.account_code = None


@pytest.mark.parametrize("kind", ["target", "same_kind"])
def test_everything_is_copied_and_the_next_sync_goes_on_there(
    kind: str, db: Engine, sim: Simulator, request: pytest.FixtureRequest
) -> None:
    target: Engine = request.getfixturevalue(kind)
    days = Days(sim, db)
    eventful_days(sim, days)
    told: list[tuple[str, int, int]] = []
    copied = copy_database(
        db, target, now=days.now, on_rows=lambda *progress: told.append(progress)
    )

    assert copied.torn == ()
    assert plain(target) == plain(db)
    assert copied.rows == {table: len(rows) for table, rows in dump(db).items()}
    assert all(copied.rows.values())
    assert {table: count for table, count, _ in told} == copied.rows
    assert current_revision(target) == HEAD
    assert contradictions(target) == []

    sim.unfollow()
    sim.follow()
    there = Days(sim, target, now=days.now).sync()
    here = days.sync()
    assert there == here
    assert there.status == "complete"
    assert contradictions(target) == []


def plain(engine: Engine) -> dict[str, list[tuple[str, ...]]]:
    """Every row of every table, written alike on both databases."""

    def word(value: object) -> str:
        if isinstance(value, str) and value[4:5] == "-" and value.endswith("+00:00"):
            value = datetime.fromisoformat(value)
        return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)

    return {table: [tuple(map(word, row)) for row in rows] for table, rows in dump(engine).items()}


def test_the_copy_is_nobodys_lease_and_the_source_gets_its_own_back(
    db: Engine, target: Engine, sim: Simulator
) -> None:
    days = Days(sim, db)
    days.sync()
    copy_database(db, target, now=days.now)
    for engine in (db, target):
        [account] = rows(engine, "official_accounts")
        assert account[3:] == (None, None, None)


def test_a_target_that_holds_anything_is_refused_and_left_as_it_is(
    db: Engine, target: Engine, sim: Simulator
) -> None:
    Days(sim, db).sync()
    upgrade(target)
    Days(sim, target).sync()
    state = dump(target)
    with pytest.raises(UsageError, match="the target database is not empty"):
        copy_database(db, target, now=Days(sim, db).now)
    assert dump(target) == state


def test_a_target_with_empty_tables_will_do(db: Engine, target: Engine, sim: Simulator) -> None:
    days = Days(sim, db)
    days.sync()
    upgrade(target)
    copy_database(db, target, now=days.now)
    assert len(rows(target, "followers")) == 120


def test_nothing_is_copied_while_a_sync_runs(db: Engine, target: Engine, sim: Simulator) -> None:
    days = Days(sim, db)
    days.sync()
    with acquire(db, sim.default, now=days.now), pytest.raises(BusyError):
        copy_database(db, target, now=days.now)
    assert rows(target, "followers") == []


def test_a_source_that_is_behind_is_refused(db: Engine, target: Engine, sim: Simulator) -> None:
    downgrade(db, "0002")
    with pytest.raises(DatabaseBehindError):
        copy_database(db, target, now=Days(sim, db).now)


def test_a_failing_copy_leaves_an_empty_target(db: Engine, target: Engine, sim: Simulator) -> None:
    days = Days(sim, db)
    days.sync()
    upgrade(target)
    with writing(target) as connection:
        for statement in refusing_the_last_table(connection.dialect.name):
            connection.execute(text(statement))
    with pytest.raises(DatabaseUnreachableError) as raised:
        copy_database(db, target, now=days.now)
    assert sim.users()[0] not in str(raised.value)
    assert not any(rows(target, table) for table in ("official_accounts", "snapshots", "followers"))


def refusing_the_last_table(dialect: str) -> list[str]:
    """A trigger that fails as a full disk would, in the middle of the copy."""
    if dialect == "sqlite":
        return [
            "CREATE TRIGGER full BEFORE INSERT ON snapshots BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        ]
    return [
        "CREATE FUNCTION full_disk() RETURNS trigger AS $$ BEGIN RAISE 'disk full'; END $$ LANGUAGE plpgsql",
        "CREATE TRIGGER full_disk BEFORE INSERT ON snapshots FOR EACH ROW EXECUTE FUNCTION full_disk()",
    ]


def test_a_torn_source_is_copied_as_it_is_and_said_to_be_torn(
    db: Engine, target: Engine, sim: Simulator
) -> None:
    days = Days(sim, db)
    days.sync()
    with writing(db) as connection:
        connection.execute(
            text("DELETE FROM followers WHERE user_id = (SELECT min(user_id) FROM followers)")
        )
    copied = copy_database(db, target, now=days.now)
    assert copied.torn
    assert contradictions(target) == contradictions(db) != []
