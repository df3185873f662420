"""The work and the bytes grow with what changed, not with how many follow.

Indexes are used; next to no WAL is written (law 4 of docs/design.md#the-five-laws).
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, insert, text
from world import counted, sync

from etl.db.engine import connect_engine, reading, writing
from etl.db.schema import upgrade
from etl.db.snapshots import before, latest
from etl.db.tables import snapshots
from etl.maintenance.undo import undo
from etl.model import APPLIED, Status
from etl.reports.queries import Asked, stay_counts
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

WHEN = datetime(2026, 11, 23, 2, tzinfo=UTC)

READS_ALL = re.compile(
    r"(?:Seq Scan on|SCAN) (?=followers|follower_changes|snapshots)(\w+)|SEARCH (?=follower)(\w+) [^\n]*\(oaid=\?\)"
)
"""A plan that reads a table, or all of one OA's followers, from one end to the other, in either
database's words."""


def read_whole(plan: str) -> set[str]:
    """The tables that a plan reads so."""
    return {one or other for one, other in READS_ALL.findall(plan)}


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(10_000, max_page=5000) as simulator:
        yield simulator


@contextmanager
def plans(db: Engine) -> Iterator[list[tuple[str, str]]]:
    """Each statement from now on that reads or changes our tables, and how the database goes about
    it."""
    told: list[tuple[str, str]] = []

    def explain(
        connection: Connection, _cursor: object, statement: str, parameters: Any, *_: object
    ) -> None:
        if re.match(
            r"(SELECT|INSERT|UPDATE|DELETE)\b.*\b(followers|follower_changes|snapshots)\b",
            statement,
            re.DOTALL,
        ):
            prefix = "EXPLAIN QUERY PLAN" if db.dialect.name == "sqlite" else "EXPLAIN"
            driver: Any = connection.connection.driver_connection
            told.append(
                (
                    statement,
                    "\n".join(
                        str(row[-1]) for row in driver.execute(f"{prefix} {statement}", parameters)
                    ),
                )
            )

    event.listen(db, "before_cursor_execute", explain)
    try:
        yield told
    finally:
        event.remove(db, "before_cursor_execute", explain)


@pytest.fixture
def large(sim: Simulator, db: Engine) -> Engine:
    """A database in which reading a whole table is dear, and whose planner knows it."""
    sync(sim, db)
    with writing(db) as connection:
        # Another OA's years, and more of them than ours.
        runs = [
            {
                "oaid": "1",
                "status": Status.COMPLETE,
                "taken_at": WHEN,
                "taken_on": WHEN.date(),
                "total": n,
            }
            for n in range(3000)
        ]
        connection.execute(insert(snapshots), runs)
        connection.execute(text("ANALYZE"))
    return db


def somebody_comes_returns_and_goes(sim: Simulator, db: Engine) -> None:
    sim.unfollow()
    sync(sim, db)
    sim.refollow()
    sim.follow()
    sim.unfollow()
    sim.unfollow()


def test_no_statement_of_a_sync_reads_a_whole_table(sim: Simulator, large: Engine) -> None:
    somebody_comes_returns_and_goes(sim, large)
    with plans(large) as told:
        done = counted(sync(sim, large).snapshot)
    assert (done.followed, done.refollowed, done.unfollowed) == (1, 1, 2)
    for statement, plan in told:
        # Of the forgotten ones who came back each is asked for alone; there are never many.
        most = {"snapshots"} if "forgotten" in statement else set()
        assert read_whole(plan) <= most, (statement, plan)
    changing = {
        statement.split()[0] + " " + statement.split()[1 + statement.startswith("INSERT")]
        for statement, _ in told
    }
    assert changing >= {"INSERT follower_changes", "INSERT followers", "UPDATE followers"}, (
        "they were looked at"
    )


def test_an_undo_reads_no_followers_but_those_it_takes_back(sim: Simulator, large: Engine) -> None:
    somebody_comes_returns_and_goes(sim, large)
    number = sync(sim, large).snapshot.id
    assert number
    with plans(large) as told:
        undo(large, number, now=datetime.now(UTC))
    assert [pair for pair in told if "followers" in read_whole(pair[1])] == []


def by_index(statement: str, plan: str) -> bool:
    """Whether a statement about snapshots finds them by their index."""
    return "ix_snapshots_oaid_id" in plan or "FROM forgotten" in statement


def test_the_last_snapshots_of_an_oa_are_found_by_their_index(
    sim: Simulator, large: Engine
) -> None:
    with plans(large) as told, reading(large) as connection:
        latest(connection, sim.default)
        latest(connection, sim.default, APPLIED)
        latest(connection, sim.default, limit=30)
        before(connection, sim.default)
    assert len(told) == 11
    assert [pair for pair in told if not by_index(*pair)] == []


def test_a_user_is_looked_up_by_the_primary_keys(sim: Simulator, large: Engine) -> None:
    user = sim.users()[5000]
    with plans(large) as told, reading(large) as connection:
        for table in ("followers", "follower_changes"):
            question = text(f"SELECT * FROM {table} WHERE oaid = :oaid AND user_id = :user_id")
            assert (
                len(connection.execute(question, {"oaid": sim.default, "user_id": user}).all()) == 1
            )
    for _, plan in told:
        assert re.search(r"pk_follower|USING PRIMARY KEY", plan), plan


@contextmanager
def own_wal(db: Engine) -> Iterator[list[int]]:
    """The bytes of WAL that each connection of ours has written, whatever else the server does."""
    written: list[int] = []

    def count(driver: Any, _record: object) -> None:
        driver.rollback()
        driver.autocommit = True
        driver.execute("SELECT pg_stat_force_next_flush()")
        told = driver.execute("SELECT wal_bytes FROM pg_stat_get_backend_wal(pg_backend_pid())")
        written.append(int(told.fetchone()[0]))

    event.listen(db, "close", count)
    try:
        yield written
    finally:
        event.remove(db, "close", count)


def test_a_second_sync_of_an_unchanged_list_of_100_000_writes_one_snapshot_and_next_to_nothing(
    postgresql_url: str,
) -> None:
    db = connect_engine(postgresql_url)
    upgrade(db)

    def untouched() -> tuple[str, int]:
        rows = "SELECT md5(string_agg(xmin::text || xmax::text || ctid::text, ',' ORDER BY user_id)) FROM {}"
        return str(asked(rows.format("followers"))), int(
            asked("SELECT count(*) FROM follower_changes")
        )

    def asked(question: str) -> Any:
        with reading(db) as connection:
            return connection.execute(text(question)).scalar_one()

    with Simulator(100_000, max_page=5000) as sim:
        sync(sim, db)
        with db.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # What the server does by itself now and then is done now, so that it does not count for
            # the sync.
            connection.execute(text("VACUUM (ANALYZE)"))
            connection.execute(text("CHECKPOINT"))
        sync(sim, db)  # the pages that it touches are in the WAL whole, once after each checkpoint
        followers, count = untouched(), asked("SELECT count(*) FROM snapshots")
        with own_wal(db) as written:
            done = sync(sim, db)
    assert (done.snapshot.status, done.snapshot.seen, done.snapshot.looks) == (
        "complete",
        100_000,
        1,
    )
    assert 0 < sum(written) < 100_000, "bytes"
    assert untouched() == followers
    assert asked("SELECT count(*) FROM snapshots") == count + 1


def test_what_a_sync_writes_grows_with_what_changed(postgresql_url: str) -> None:
    db = connect_engine(postgresql_url)
    upgrade(db)
    statements: list[tuple[str, int]] = []

    @event.listens_for(db, "after_cursor_execute")
    def count(_connection: object, cursor: Any, statement: str, *_: object) -> None:
        if statement.startswith(("INSERT INTO follower", "UPDATE follower")):
            statements.append(
                (
                    statement.split(maxsplit=3)[2 if statement.startswith("I") else 1],
                    cursor.rowcount,
                )
            )

    with Simulator(2_000, max_page=1000) as sim:
        sync(sim, db)
        statements.clear()
        for _ in range(3):
            sim.unfollow()
        sim.follow()
        sync(sim, db)
    assert statements == [("follower_changes", 4), ("followers", 1), ("followers", 3)]


def test_the_days_of_many_stays_are_found_by_the_snapshots_key(sqlite_url: str) -> None:
    """Where the plan reads them once for each stay, a report of sixty OAs takes minutes."""
    db = connect_engine(sqlite_url)
    upgrade(db)
    asked = [Asked(str(n), WHEN.date(), WHEN.date(), 1, 9) for n in range(60)]
    plans: list[str] = []

    def explain(
        connection: Connection, _: object, statement: str, given: Any, *_more: object
    ) -> None:
        driver: Any = connection.connection.driver_connection
        plans.append(str(driver.execute(f"EXPLAIN QUERY PLAN {statement}", given).fetchall()))

    with reading(db) as connection:
        event.listen(db, "before_cursor_execute", explain)
        stay_counts(connection, asked)
    (plan,) = plans
    for each in ("began", "ended", "cohort"):
        assert f"SEARCH {each} USING INTEGER PRIMARY KEY" in plan
