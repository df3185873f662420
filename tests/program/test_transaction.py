"""The one transaction that applies a sweep, failed once at each of its statements.

All of it, once, or none of it (law 2 of docs/design.md#the-five-laws).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import event, text
from world import changed, contradictions, following, rows, sync

from etl.db.engine import connect_engine, reading
from etl.db.schema import upgrade
from etl.db.snapshots import latest
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from etl.sync.run import Outcome

FENCE = "UPDATE official_accounts SET lease_expires_at"

COMMIT = "COMMIT"


def database_is_locked() -> sqlite3.OperationalError:
    """SQLite's own, with the code that only SQLite can give it."""
    with (
        closing(sqlite3.connect("locked.db", timeout=0)) as one,
        closing(sqlite3.connect("locked.db", timeout=0)) as other,
    ):
        one.execute("BEGIN EXCLUSIVE")
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            return error
    raise AssertionError("two connections hold one lock")


def passing(db: Engine) -> list[Exception]:
    """Errors that say nothing against the statement."""
    if db.dialect.name == "sqlite":
        return [database_is_locked()]
    return [
        psycopg.errors.SerializationFailure("could not serialize access"),
        psycopg.errors.DeadlockDetected("deadlock detected"),
        psycopg.errors.AdminShutdown("terminating connection due to administrator command"),
        psycopg.OperationalError("server closed the connection unexpectedly"),
    ]


def lasting(db: Engine) -> list[Exception]:
    """Errors that another try would meet again."""
    if db.dialect.name == "sqlite":
        return [
            sqlite3.OperationalError("database or disk is full"),
            sqlite3.OperationalError("attempt to write a readonly database"),
            sqlite3.DatabaseError("database disk image is malformed"),
        ]
    return [
        psycopg.errors.DiskFull("could not extend file"),
        psycopg.errors.InsufficientPrivilege("permission denied for table followers"),
        psycopg.errors.ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction"),
        psycopg.errors.UndefinedTable('relation "followers" does not exist'),
    ]


@dataclass
class StatementListener:
    """Listens to the applying transaction. `strike` is called once, just before its n-th word (its
    commit is the last one)."""

    nth: int
    strike: Callable[[Any], None]
    words: list[str] = field(default_factory=list)
    struck: bool = False
    _fences: int = 0
    _begun: bool = False

    def says(self, words: str, driver: Any) -> None:
        if words.startswith(FENCE):
            self._fences += 1
            # The first one goes ahead of the snapshot's beginning.
            self._begun = self._fences > 1
            self.words = []
        if self._begun:
            self.words.append(words)
            self._begun = words != COMMIT
            if len(self.words) == self.nth and not self.struck:
                self.struck = True
                self.strike(driver)


@contextmanager
def applying(db: Engine, nth: int, strike: Callable[[Any], None]) -> Iterator[StatementListener]:
    """Where SQLAlchemy hands a statement to the driver, so that what is raised looks as if the
    driver had raised it."""
    told = StatementListener(nth, strike)
    dialect: Any = db.dialect
    commit = dialect.do_commit

    def execute(cursor: Any, statement: str, *_: Any) -> None:
        told.says(statement, cursor.connection)

    def committing(connection: Any) -> None:
        told.says(COMMIT, connection.driver_connection)
        commit(connection)

    event.listen(db, "do_execute", execute)
    event.listen(db, "do_execute_no_params", execute)
    dialect.do_commit = committing
    try:
        yield told
    finally:
        dialect.do_commit = commit
        event.remove(db, "do_execute", execute)
        event.remove(db, "do_execute_no_params", execute)


def raising(error: Exception) -> Callable[[Any], None]:
    def strike(_: Any) -> None:
        raise error

    return strike


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(40) as simulator:
        yield simulator


def everything_happens(sim: Simulator) -> None:
    """One arrival, one return, two leaves: whatever a transaction can have to write."""
    sim.unfollow()
    sim.refollow()
    sim.follow()
    sim.unfollow()


def right_and_once(sim: Simulator, db: Engine, outcome: Outcome, before: set[str]) -> None:
    """The list as it is, each change of it once, and one snapshot that says so."""
    assert (outcome.snapshot.status, outcome.exit_code, outcome.error) == ("complete", 0, None)
    now = set(sim.users())
    assert following(db, sim.default) == now
    assert changed(db, outcome.snapshot.id, "unfollowed") == before - now
    assert (
        changed(db, outcome.snapshot.id, "followed")
        | changed(db, outcome.snapshot.id, "refollowed")
        == now - before
    )
    assert contradictions(db) == []
    with reading(db) as connection:
        assert latest(connection, sim.default)[0] == outcome.snapshot
        assert (
            connection.execute(text("SELECT lease_token FROM official_accounts")).scalar_one()
            is None
        )


def test_a_passing_error_at_any_statement_is_tried_again_and_the_sync_becomes_right(
    sim: Simulator, db: Engine
) -> None:
    sync(sim, db)
    errors, struck = passing(db), []
    for nth in count(1):
        before = set(sim.users())
        everything_happens(sim)
        with applying(db, nth, raising(errors[nth % len(errors)])) as told:
            outcome = sync(sim, db)
        right_and_once(sim, db, outcome, before)
        if not told.struck:
            break
        struck.append(told.words[nth - 1])
    assert struck[0].startswith(FENCE)
    assert struck[-1] == COMMIT
    assert {words.split()[0] for words in struck} >= {
        "UPDATE",
        "CREATE",
        "INSERT",
        "SELECT",
        COMMIT,
    }


def test_a_lasting_error_at_any_statement_leaves_every_row_of_the_followers_as_it_was(
    sim: Simulator, db: Engine
) -> None:
    sync(sim, db)
    everything_happens(sim)
    errors = lasting(db)
    before = rows(db, sim.default)
    for nth in count(1):
        with applying(db, nth, raising(errors[nth % len(errors)])) as told:
            outcome = sync(sim, db)
        if not told.struck:
            break
        assert rows(db, sim.default) == before, told.words
        assert (outcome.snapshot.status, outcome.exit_code) == ("failed", 69)
        assert (outcome.snapshot.reason or "").startswith("database: ")
        assert str(errors[nth % len(errors)]) in (outcome.snapshot.reason or "")
        with reading(db) as connection:
            assert latest(connection, sim.default)[0] == outcome.snapshot, "it is on record"
    assert nth > 8
    assert outcome.exit_code == 0


def test_a_passing_error_that_does_not_pass_ends_as_a_failure(
    sim: Simulator, db: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.sync.account.APPLY_WAITS", (0, 0, 0))
    sync(sim, db)
    everything_happens(sim)
    before = rows(db, sim.default)
    tries = count(1)

    def strike(_: Any) -> None:
        told.struck = False
        next(tries)
        raise passing(db)[0]

    with applying(db, 5, strike) as told:
        outcome = sync(sim, db)
    assert next(tries) == 1 + 1 + 3
    assert rows(db, sim.default) == before
    assert (outcome.snapshot.status, outcome.exit_code) == ("failed", 69)


def test_a_fault_of_ours_amid_the_transaction_leaves_every_row_as_it_was(
    sim: Simulator, db: Engine
) -> None:
    sync(sim, db)
    everything_happens(sim)
    before = rows(db, sim.default)
    with applying(db, 6, raising(ZeroDivisionError())):
        outcome = sync(sim, db)
    assert (outcome.snapshot.status, outcome.snapshot.reason, outcome.exit_code) == (
        "failed",
        "fault: ZeroDivisionError in etl",
        1,
    )
    assert rows(db, sim.default) == before


@pytest.mark.parametrize("unseen", [0, 1], ids=["and seen", "and not even seen at first"])
def test_a_connection_that_is_lost_after_its_commit_got_through_applies_once(
    sim: Simulator, db: Engine, unseen: int
) -> None:
    sync(sim, db)
    snapshots = len(ids(db))
    everything_happens(sim)
    left = [unseen]

    def lost_on_the_way_back(driver: Any) -> None:
        driver.commit()
        raise passing(db)[0]

    def execute(_cursor: Any, statement: str, *_: Any) -> None:
        if told.struck and left[0] and statement.startswith("SELECT snapshots"):
            left[0] -= 1
            raise passing(db)[-1]

    with applying(db, 0, raising(AssertionError())) as told:
        sync(sim, db)  # learns how many words it takes
    everything_happens(sim)
    before = following(db, sim.default)
    event.listen(db, "do_execute", execute)
    with applying(db, len(told.words), lost_on_the_way_back) as told:
        outcome = sync(sim, db)
    event.remove(db, "do_execute", execute)
    assert told.struck
    assert left == [0]
    right_and_once(sim, db, outcome, before)
    assert len(ids(db)) == snapshots + 2


def test_a_snapshot_of_another_oa_under_its_id_is_not_taken_for_its_own(
    sim: Simulator, db: Engine
) -> None:
    """A backup is restored amid a run, and another OA is synced: it gets the id of this run's
    snapshot."""
    other = "111"
    sim.add_account(other, "Other", 30)
    sync(sim, db)
    everything_happens(sim)
    with applying(db, 0, raising(AssertionError())) as told:
        sync(sim, db)  # learns how many words it takes
    everything_happens(sim)
    before = rows(db, sim.default)
    elsewhere = connect_engine(db.url.render_as_string(hide_password=False))

    def restore(driver: Any) -> None:
        driver.rollback()
        with elsewhere.begin() as connection:
            lost = connection.execute(text("SELECT max(id) FROM snapshots")).scalar_one()
            connection.execute(text("DELETE FROM snapshots WHERE status = 'running'"))
            connection.execute(text("UPDATE official_accounts SET lease_token = NULL"))
        theirs = sync(sim, elsewhere, other).snapshot
        assert theirs.status == "complete"
        with elsewhere.begin() as connection:
            connection.execute(
                text("UPDATE snapshots SET id = :lost WHERE id = :id"),
                {"lost": lost, "id": theirs.id},
            )
        raise passing(db)[-1]

    with applying(db, len(told.words), restore) as told:
        outcome = sync(sim, db)
    elsewhere.dispose()
    assert told.struck
    assert (outcome.snapshot.oaid, outcome.snapshot.status) == (sim.default, "failed")
    assert outcome.exit_code != 0
    assert rows(db, sim.default) == before
    with reading(db) as connection:
        assert latest(connection, other)[0].status == "complete", "theirs is as it was"


def ids(db: Engine) -> list[int]:
    with reading(db) as connection:
        return list(connection.scalars(text("SELECT id FROM snapshots")))


def test_a_server_that_ends_the_connection_at_any_word_is_asked_again(
    sim: Simulator, postgresql_url: str
) -> None:
    """The real thing: the backend is terminated, amid COPY and at COMMIT, too."""
    db = connect_engine(postgresql_url)
    upgrade(db)
    sync(sim, db)
    struck = []

    def terminate(driver: psycopg.Connection[Any]) -> None:
        with db.connect() as admin:
            admin.execute(
                text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": driver.info.backend_pid}
            )

    for nth in count(1):
        before = set(sim.users())
        everything_happens(sim)
        with applying(db, nth, terminate) as told:
            outcome = sync(sim, db)
        right_and_once(sim, db, outcome, before)
        if not told.struck:
            break
        struck.append(told.words[nth - 1])
    assert struck[-1] == COMMIT


# -- databases that cannot take it, for real -------------------------------------------------------


def test_a_full_disk_is_told_and_no_row_is_touched(sim: Simulator, sqlite_url: str) -> None:
    db = connect_engine(sqlite_url)
    upgrade(db)
    sync(sim, db)
    before = rows(db, sim.default)
    for _ in range(4000):
        sim.follow()
    with reading(db) as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()

    @event.listens_for(db, "connect")
    def small_disk(connection: sqlite3.Connection, _: Any) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages + 20}")

    outcome = sync(sim, db)
    assert rows(db, sim.default) == before
    assert (outcome.snapshot.status, outcome.exit_code) == ("failed", 69)
    assert "full" in (outcome.snapshot.reason or "")
    with reading(db) as connection:
        assert latest(connection, sim.default)[0] == outcome.snapshot


def test_a_read_only_database_is_told_and_no_row_is_touched(sim: Simulator, db: Engine) -> None:
    sync(sim, db)
    everything_happens(sim)
    before = rows(db, sim.default)
    if db.dialect.name == "sqlite":

        @event.listens_for(db, "connect")
        def read_only(connection: sqlite3.Connection, _: Any) -> None:
            connection.execute("PRAGMA query_only = on")

    else:
        with db.begin() as connection:
            connection.execute(
                text(f"ALTER DATABASE {db.url.database} SET default_transaction_read_only = on")
            )
    outcome = sync(sim, db)
    assert (outcome.snapshot.status, outcome.exit_code) == ("failed", 69)
    assert "read" in (outcome.snapshot.reason or "")
    assert "DATABASE_URL" in (outcome.error.hint if outcome.error else "")
    assert rows(db, sim.default) == before
    assert len(ids(db)) == 1
