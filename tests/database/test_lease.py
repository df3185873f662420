"""The lease: one run per OA at a time, by the database's clock, with a fence that lets nobody write
who lost it."""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest
import time_machine
from sqlalchemy import event, select, text

from etl.db import lease as leases
from etl.db.engine import connect_engine, reading, writing
from etl.db.lease import (
    CLOCK_SLACK_SECONDS,
    LEASE_SECONDS,
    RENEW_SECONDS,
    Lease,
    acquire,
    held,
)
from etl.db.schema import upgrade
from etl.db.snapshots import begin, latest
from etl.db.tables import official_accounts
from etl.errors import BusyError, LeaseLostError
from etl.model import Snapshot, Status

if TYPE_CHECKING:
    from sqlalchemy import Engine

OAID = "4097311281936189049"

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)


def row(db: Engine) -> tuple[str | None, datetime | None]:
    """The token and the expiry, as they stand."""
    with reading(db) as connection:
        account = connection.execute(
            select(official_accounts).where(official_accounts.c.oaid == OAID)
        ).one()
        return account.lease_token, account.lease_expires_at


def now(db: Engine) -> datetime:
    with reading(db) as connection:
        return datetime.fromisoformat(
            str(connection.execute(select(leases.database_clock(db.dialect.name))).scalar_one())
        )


def let_pass(db: Engine, seconds: float) -> None:
    """The time goes by: the expiry comes so much nearer."""
    _, expires = row(db)
    assert expires is not None
    with writing(db) as connection:
        connection.execute(
            official_accounts.update().values(lease_expires_at=expires - timedelta(seconds=seconds))
        )


def is_held(db: Engine) -> bool:
    with reading(db) as connection:
        return held(connection, OAID)


def write(db: Engine, lease: Lease) -> None:
    """What every transaction of a run does: the fence, then something."""
    with writing(db) as connection:
        lease.fence(connection)
        connection.execute(official_accounts.update().values(name="written"))


def name(db: Engine) -> str | None:
    with reading(db) as connection:
        told = connection.execute(select(official_accounts.c.name)).scalar_one()
        return None if told is None else str(told)


def test_it_registers_the_oa_lasts_so_long_and_is_given_back(db: Engine) -> None:
    with acquire(db, OAID, now=NOW):
        token, expires = row(db)
        assert token
        assert expires
        assert (
            timedelta(seconds=LEASE_SECONDS - 30)
            < expires - now(db)
            <= timedelta(seconds=LEASE_SECONDS)
        )
        assert is_held(db)
    assert row(db) == (None, None)
    assert not is_held(db)


def test_it_is_given_back_after_an_error_too(db: Engine) -> None:
    with pytest.raises(ZeroDivisionError), acquire(db, OAID, now=NOW):
        raise ZeroDivisionError
    assert row(db) == (None, None)


def test_nobody_gets_it_while_somebody_holds_it_and_the_holder_notices_nothing(db: Engine) -> None:
    with acquire(db, OAID, now=NOW) as mine:
        before = row(db)
        with pytest.raises(BusyError, match=OAID), acquire(db, OAID, now=NOW):
            pass
        assert row(db) == before
        write(db, mine)
        with acquire(db, "another", now=NOW):
            pass


@pytest.mark.parametrize(("passed", "taken"), [(LEASE_SECONDS - 20, False), (LEASE_SECONDS, True)])
def test_it_is_taken_over_only_once_it_has_expired(db: Engine, passed: int, *, taken: bool) -> None:
    with acquire(db, OAID, now=NOW):
        let_pass(db, passed)
        if not taken:
            with pytest.raises(BusyError), acquire(db, OAID, now=NOW):
                pass
            return
        mine, _ = row(db)
        with acquire(db, OAID, now=NOW):
            assert row(db)[0] not in {mine, None}


@pytest.mark.parametrize("later", [timedelta(hours=1), timedelta(days=30)])
def test_one_that_ends_later_than_any_can_was_given_by_a_wrong_clock_and_holds_nobody_up(
    db: Engine, later: timedelta
) -> None:
    with acquire(db, OAID, now=NOW, renew_every=3600) as lost:
        let_pass(db, -later.total_seconds())
        assert not is_held(db)
        with pytest.raises(LeaseLostError):
            write(db, lost)
        mine, _ = row(db)
        with acquire(db, OAID, now=NOW) as successor:
            assert row(db)[0] not in {mine, None}
            write(db, successor)


def test_one_of_a_clock_that_was_set_back_a_little_still_holds(db: Engine) -> None:
    with acquire(db, OAID, now=NOW, renew_every=3600) as mine:
        let_pass(db, -CLOCK_SLACK_SECONDS / 2)
        assert is_held(db)
        with pytest.raises(BusyError), acquire(db, OAID, now=NOW):
            pass
        write(db, mine)


@pytest.mark.parametrize("here", [timedelta(days=-300), timedelta(days=300)])
def test_the_clock_that_counts_is_the_databases(postgresql_url: str, here: timedelta) -> None:
    db = connect_engine(postgresql_url)
    upgrade(db)
    with acquire(db, OAID, now=NOW), time_machine.travel(datetime.now(UTC) + here, tick=True):
        assert is_held(db)
        with pytest.raises(BusyError), acquire(db, OAID, now=datetime.now(UTC)):
            pass
        _, expires = row(db)
        assert expires is not None
        assert abs(expires - now(db)) <= timedelta(seconds=LEASE_SECONDS)


def test_a_process_that_was_paused_and_wakes_late_changes_nothing(db: Engine) -> None:
    with acquire(db, OAID, now=NOW) as paused:
        let_pass(db, LEASE_SECONDS)
        with pytest.raises(LeaseLostError):  # though nobody has taken it over
            write(db, paused)
        with acquire(db, OAID, now=NOW) as successor:
            with pytest.raises(LeaseLostError):
                write(db, paused)
            assert name(db) is None
            write(db, successor)
            assert name(db) == "written"


def test_what_a_late_process_gives_back_is_not_its_successors(db: Engine) -> None:
    with acquire(db, OAID, now=NOW) as paused:
        let_pass(db, LEASE_SECONDS)
        with acquire(db, OAID, now=NOW):
            theirs = row(db)
            paused.end()
            with writing(db) as connection:
                paused.release(connection)
            assert row(db) == theirs
    assert row(db) == (None, None)


def test_an_expired_lease_is_not_renewed_back_to_life(db: Engine) -> None:
    with acquire(db, OAID, now=NOW, renew_every=3600) as lease:
        let_pass(db, LEASE_SECONDS)
        expired = row(db)
        renewing(lease)
        assert row(db) == expired


def test_it_is_renewed_while_its_run_lives(db: Engine) -> None:
    with acquire(db, OAID, now=NOW, renew_every=3600) as lease:
        let_pass(db, LEASE_SECONDS - 20)
        _, before = row(db)
        renewing(lease)
        _, after = row(db)
        assert before is not None
        assert after is not None
        assert after - before > timedelta(seconds=LEASE_SECONDS - 40)


def renewing(lease: Lease) -> None:
    """Let the renewer have its turn, twice; each may take as long as a busy machine needs."""
    turns = threading.Semaphore(0)

    @event.listens_for(lease.engine, "after_cursor_execute")
    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE official_accounts"):
            turns.release()

    thread = threading.Thread(target=lease.renew_until_ended, args=(2.0,))
    thread.start()
    assert turns.acquire(timeout=60)
    assert turns.acquire(timeout=60)
    lease._ended.set()
    thread.join(60)
    lease._ended.clear()
    event.remove(lease.engine, "after_cursor_execute", count)


def test_the_renewer_rests_while_a_transaction_of_the_run_holds_the_row(db: Engine) -> None:
    renewed = threading.Event()

    @event.listens_for(db, "before_cursor_execute")
    def listen(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if threading.current_thread().name == "etl-lease" and statement.startswith(
            "UPDATE official_accounts"
        ):
            renewed.set()

    with acquire(db, OAID, now=NOW, renew_every=0.01) as lease:
        assert renewed.wait(30), "it is busy otherwise"
        with lease.transaction():
            renewed.clear()
            assert not renewed.wait(0.3)
        assert renewed.wait(30), "and goes on"


def test_a_renewal_that_fails_is_no_end_as_long_as_the_lease_lasts(db: Engine) -> None:
    failing = threading.Event()
    failed = threading.Event()

    def execute(_cursor: object, statement: str, *_: object) -> None:
        if failing.is_set() and statement.startswith("UPDATE official_accounts"):
            failed.set()
            raise (
                psycopg.OperationalError
                if db.dialect.name == "postgresql"
                else sqlite3.OperationalError
            )

    event.listen(db, "do_execute", execute)
    with acquire(db, OAID, now=NOW, renew_every=0.01) as lease:
        failing.set()
        assert failed.wait(30)
        failing.clear()
        write(db, lease)
    assert row(db) == (None, None)


def test_whoever_takes_over_says_what_was_left_behind(db: Engine) -> None:
    with acquire(db, OAID, now=NOW):
        with writing(db) as connection:
            left = begin(
                connection, Snapshot(None, OAID, Status.RUNNING, taken_at=NOW, taken_on=NOW.date())
            )
            other = begin(
                connection,
                Snapshot(None, "another", Status.RUNNING, taken_at=NOW, taken_on=NOW.date()),
            )
        let_pass(db, LEASE_SECONDS)
        with acquire(db, OAID, now=NOW + timedelta(days=1)), reading(db) as connection:
            (closed,) = latest(connection, OAID)
            (untouched,) = latest(connection, "another")
    assert (closed.id, closed.status, closed.reason, closed.finished_at) == (
        left.id,
        "failed",
        "abandoned",
        NOW + timedelta(days=1),
    )
    assert untouched == other


def test_a_lease_that_cannot_be_given_back_ends_by_itself(db: Engine) -> None:
    with acquire(db, OAID, now=NOW), db.begin() as connection:
        connection.execute(text("ALTER TABLE official_accounts RENAME TO away"))
    with db.begin() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO official_accounts"))
    assert is_held(db)
    let_pass(db, LEASE_SECONDS)
    assert not is_held(db)


def test_it_is_renewed_twice_at_least_before_it_ends() -> None:
    assert 2 * RENEW_SECONDS < LEASE_SECONDS


def test_its_token_is_in_no_repr_and_never_the_same(db: Engine) -> None:
    tokens = set()
    for _ in range(3):
        with acquire(db, OAID, now=NOW) as lease:
            token, _ = row(db)
            assert token
            tokens.add(token)
            assert token not in repr(lease)
    assert len(tokens) == 3
