"""Whatever ends a run, at any moment: no row is changed or all of them are, and the next run goes
on.

Law 2 of docs/design.md#the-five-laws.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from commandline import HURRY
from sqlalchemy import Engine, event, make_url, text
from world import PAGE, contradictions, following, read_by, rows, sync

from etl.cli import main
from etl.db.catalogue import EMPTY
from etl.db.engine import connect_engine, reading, writing
from etl.db.schema import HEAD, current_revision, upgrade
from etl.db.snapshots import latest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from etl.model import Snapshot
    from etl.simulator import Simulator

FAST = HURRY | {"ESMS_PAGE_SIZE": str(PAGE), "ETL_LOG_FORMAT": "json"}

PATIENCE = 60
"""Seconds after which a test gives up waiting for what must happen."""


@pytest.fixture(params=["followers", "windows"])
def sim(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """An OA within reach, and one that is read by windows of days."""
    with read_by(request.param) as simulator:
        yield simulator


@pytest.fixture
def synced(sim: Simulator, db: Engine) -> Engine:
    """A database with one complete snapshot."""
    sync(sim, db)
    return db


# -- what is checked after every end ---------------------------------------------------------------


def somebody_comes_and_goes(sim: Simulator) -> None:
    """So that there is something of every kind to be applied; as many follow as before."""
    sim.refollow()
    sim.follow()
    sim.unfollow()
    sim.unfollow()


def about_to_change(sim: Simulator, url: str) -> tuple[Engine, Any]:
    """A database that was synced once, with its rows; since then somebody came and somebody
    went."""
    db = connect_engine(url)
    upgrade(db)
    sync(sim, db)
    before = rows(db, sim.default)
    somebody_comes_and_goes(sim)
    return db, before


def all_or_nothing(sim: Simulator, db: Engine, before: Any) -> bool:
    """Whether what the run found was applied. All of it, or no row is other than before; the tables
    agree."""
    (last,) = snapshots(db, 1)
    assert contradictions(db) == []
    if rows(db, sim.default) == before:
        return False
    assert last.status == "complete"
    assert following(db, sim.default) == set(sim.users())
    return True


def takes_over(sim: Simulator, db: Engine, *, abandoned: bool) -> None:
    """A minute later: the next run says what the dead one left, and does what it could not do."""
    (left,) = snapshots(db, 1)
    assert (left.status == "running") == abandoned
    with writing(db) as connection:
        connection.execute(
            text(
                "UPDATE official_accounts SET lease_expires_at = :past WHERE lease_token IS NOT NULL"
            ),
            {"past": "2020-01-01 00:00:00.000000+00:00"},
        )
    assert sync(sim, db).exit_code == 0
    now, then = snapshots(db, 2)
    assert now.status == "complete"
    assert following(db, sim.default) == set(sim.users())
    if abandoned:
        assert (then.id, then.status, then.reason) == (left.id, "failed", "abandoned")
        assert then.finished_at is not None


def snapshots(db: Engine, limit: int) -> list[Snapshot]:
    """The newest snapshots, newest first."""
    with reading(db) as connection:
        oaid = connection.execute(text("SELECT oaid FROM official_accounts")).scalar_one()
        return latest(connection, oaid, limit=limit)


def lease_token(db: Engine) -> str | None:
    with reading(db) as connection:
        return connection.execute(text("SELECT lease_token FROM official_accounts")).scalar_one()  # type: ignore[no-any-return]


# -- killed before each word that it says to the database ------------------------------------------


PRELOADED = [
    "pytest", "psycopg", "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite.pysqlite", "alembic.command",
    "etl.cli.sync", "etl.runs", "etl.cli.status", "etl.sync.account",
    "etl.observe.announce", "etl.db.accounts", "etl.esms.client", "etl.observe.logs", "etl.settings", "etl.simulator",
]  # fmt: skip
"""What a run imports: each is forked from a process that has done so already."""


def sync_until(nth: int, settings: dict[str, str]) -> None:
    """In a process of its own: `etl sync`, which kills itself before its n-th statement or
    commit."""
    spoken = count(1)

    def strike(*_: object) -> None:
        if next(spoken) == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", strike)
    event.listen(Engine, "commit", strike)
    os.environ.update(settings)
    os.dup2(os.open("stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    sys.argv = ["etl", "sync"]
    main()


def killed_before(nth: int, sim: Simulator, url: str) -> bool:
    """Whether the run said that many words at all."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(
        target=sync_until, args=(nth, sim.environment | FAST | {"DATABASE_URL": url})
    )
    process.start()
    process.join(PATIENCE)
    assert process.exitcode in {0, -signal.SIGKILL}, Path("stderr").read_text()
    return process.exitcode != 0


def test_killed_before_any_statement_or_commit_a_run_has_changed_nothing_or_everything(
    sim: Simulator, synced: Engine, db_url: str
) -> None:
    applied: list[bool] = []
    for nth in count(1, 2):  # test_transaction.py fails each of them
        before, known = rows(synced, sim.default), snapshots(synced, 1)
        somebody_comes_and_goes(sim)
        if not killed_before(nth, sim, db_url):
            break
        applied.append(all_or_nothing(sim, synced, before))
        takes_over(sim, synced, abandoned=not applied[-1] and snapshots(synced, 1) != known)
    assert applied == sorted(applied), "applied at one moment, and never half"
    assert applied.count(False) >= 8
    assert applied.count(True) >= 1


def test_killed_while_it_creates_the_database_the_first_run_leaves_an_empty_one_or_a_whole_one(
    sim: Simulator, db_url: str
) -> None:
    engine = connect_engine(db_url)
    revisions = []
    for nth in count(1, 5):
        assert killed_before(nth, sim, db_url)
        revisions.append(current_revision(engine))
        if revisions[-1] != EMPTY:
            break
    assert revisions[-1] == HEAD
    assert len(revisions) >= 4
    assert sync(sim, engine).exit_code == 0
    assert following(engine, sim.default) == set(sim.users())


# -- a process of its own, ended from outside ------------------------------------------------------


class Running:
    """`python -m etl sync` in a process of its own."""

    def __init__(self, sim: Simulator, url: str, **settings: str) -> None:
        environment = os.environ | sim.environment | FAST | {"DATABASE_URL": url} | settings
        command = [sys.executable, "-m", "etl", "sync", "--json"]
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def kill(self, signum: int = signal.SIGKILL) -> None:
        self.process.send_signal(signum)

    def ended(self) -> tuple[int, str]:
        """Its exit code, and what it said on stdout; waits."""
        out, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out


@contextmanager
def running(sim: Simulator, url: str, **settings: str) -> Iterator[Running]:
    run = Running(sim, url, **settings)
    try:
        yield run
    finally:
        run.process.kill()
        run.process.communicate()


def until(happened: Callable[[], object]) -> None:
    """Wait for what must happen."""
    ends = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < ends, "it never happened"
        time.sleep(0.02)


def test_killed_while_it_reads_a_run_has_changed_nothing_and_the_next_one_takes_over(
    sim: Simulator, synced: Engine, db_url: str
) -> None:
    moments = random.Random(synced.dialect.name).sample(range(1, 13), 2)
    for page in moments:
        before = rows(synced, sim.default)
        somebody_comes_and_goes(sim)
        with running(sim, db_url) as run:
            sim.before_page(page, run.kill)
            assert run.ended()[0] == -signal.SIGKILL
        sim.calm()
        assert not all_or_nothing(sim, synced, before)
        takes_over(sim, synced, abandoned=True)


@pytest.mark.parametrize("sim", ["followers"], indirect=True)
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_asked_to_stop_a_run_gives_its_lease_back_at_once_and_is_on_record(
    signum: int, code: int, sim: Simulator, synced: Engine, db_url: str
) -> None:
    before = rows(synced, sim.default)
    somebody_comes_and_goes(sim)
    with running(sim, db_url) as run:

        def stop() -> None:
            sim.fault_rate("hang", 1)  # no answer comes any more: it cannot be done before it hears
            run.kill(signum)

        sim.before_page(4, stop)
        ended, out = run.ended()
    sim.calm()
    assert ended == code
    assert '"status": "failed"' in out
    assert not all_or_nothing(sim, synced, before)
    (last,) = snapshots(synced, 1)
    assert (last.status, last.reason) == (
        "failed",
        f"interrupted: stopped by {signal.Signals(signum).name}",
    )
    assert lease_token(synced) is None
    assert sync(sim, synced).exit_code == 0, "nobody has to wait for it"


@pytest.mark.parametrize("sim", ["followers"], indirect=True)
@pytest.mark.parametrize("trouble", ["hang", "http_503", "http_429_long"])
def test_asked_to_stop_a_run_waits_for_no_answer_and_no_retry(
    trouble: str, sim: Simulator, sqlite_url: str
) -> None:
    sim.fault_rate(trouble, 1)
    settings = {"ESMS_TIMEOUT": "600", "ESMS_BACKOFF_BASE": "600", "ESMS_RATE": "20"}
    with running(sim, sqlite_url, **settings) as run:
        until(lambda: sim.requests)
        run.kill(signal.SIGTERM)
        assert run.ended()[0] == 143
    db = connect_engine(sqlite_url)
    assert snapshots(db, 1)[0].reason == "interrupted: stopped by SIGTERM"
    assert lease_token(db) is None


@pytest.mark.parametrize("sim", ["followers"], indirect=True)
@pytest.mark.parametrize(
    ("signum", "table"),
    [
        (signal.SIGKILL, "official_accounts"),
        (signal.SIGKILL, "followers"),
        (signal.SIGKILL, "snapshots"),
        (signal.SIGTERM, "follower_changes"),
        (signal.SIGTERM, "followers"),
    ],
)
def test_ended_while_it_applies_what_it_found_a_run_has_changed_nothing(
    signum: int, table: str, sim: Simulator, postgresql_url: str
) -> None:
    db, before = about_to_change(sim, postgresql_url)
    with db.connect() as locker:
        # From the first page on nobody can write to the table: the applying transaction gets so
        # far, and waits.
        sim.before_page(1, lambda: locker.execute(text(f"LOCK TABLE {table} IN EXCLUSIVE MODE")))
        with running(sim, postgresql_url) as run:
            until(lambda: waits_for_a_lock(db))
            run.kill(signum)
            assert run.ended()[0] == (143 if signum == signal.SIGTERM else -signal.SIGKILL)
        locker.rollback()
    assert not all_or_nothing(sim, db, before)
    takes_over(sim, db, abandoned=signum == signal.SIGKILL)


class Relay:
    """Stands between a run and PostgreSQL, and can fall silent without closing a connection. A
    context manager."""

    def __init__(self, url: str) -> None:
        there = make_url(url)
        self._server = f"{there.query['host']}/.s.PGSQL.5432"
        self._open = ExitStack()
        self._listener = self._open.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = self._listener.getsockname()[1]
        self.url = there.set(host="127.0.0.1", port=port, query={}).render_as_string(
            hide_password=False
        )
        self._silent = threading.Event()
        self._threads: list[threading.Thread] = []
        self.swallowed = 0

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._silent.set()
        for each in self._threads:
            each.join(PATIENCE)
        self._open.close()

    def silence(self) -> None:
        """Pass nothing on any more."""
        self._silent.set()

    def _start(self, work: Callable[..., None], *args: socket.socket) -> None:
        self._threads.append(threading.Thread(target=work, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._open.enter_context(self._listener.accept()[0])
                server = self._open.enter_context(socket.socket(socket.AF_UNIX))
                server.connect(self._server)
                self._start(self._pass, client, server)
                self._start(self._pass, server, client)

    def _pass(self, from_: socket.socket, to: socket.socket) -> None:
        with suppress(OSError):
            while data := from_.recv(65536):
                if self._silent.is_set():
                    self.swallowed += len(data)
                else:
                    to.sendall(data)
        with suppress(OSError):  # the other end hears of it
            to.shutdown(socket.SHUT_RDWR)


LOCKS = {
    "a row of official_accounts": "SELECT * FROM official_accounts FOR UPDATE",
    "snapshots": "LOCK TABLE snapshots IN EXCLUSIVE MODE",
    "followers": "LOCK TABLE followers IN EXCLUSIVE MODE",
}
"""What somebody else holds: by name, the statement."""


@pytest.mark.parametrize("sim", ["followers"], indirect=True)  # what is waited for is no page
@pytest.mark.parametrize("how", [*LOCKS, "silence"])
@pytest.mark.parametrize("ender", ["SIGTERM", "ETL_MAX_RUNTIME"])
def test_a_run_ends_whatever_it_waits_for(
    how: str, ender: str, sim: Simulator, postgresql_url: str
) -> None:
    """Somebody holds a lock, or the server says nothing any more, until after the run has ended."""
    db, before = about_to_change(sim, postgresql_url)
    settings = {"ETL_MAX_RUNTIME": "0.05"} if ender == "ETL_MAX_RUNTIME" else {}
    with Relay(postgresql_url) as relay, db.connect() as locker:
        waiting: Callable[[], object] = lambda: waits_for_a_lock(db)  # noqa: E731 - or the other one
        if how == "silence":
            sim.before_page(1, relay.silence)
            waiting = lambda: relay.swallowed  # noqa: E731 - as above
        else:
            sim.before_page(1, lambda: locker.execute(text(LOCKS[how])))
        with running(sim, relay.url, **settings) as run:
            until(waiting)
            if ender == "SIGTERM":
                run.kill(signal.SIGTERM)
            code, out = run.ended()
        locker.rollback()
    assert code == (143 if ender == "SIGTERM" else 75)
    assert ("interrupted: " if ender == "SIGTERM" else "out_of_time: ") in out
    assert not all_or_nothing(sim, db, before)
    until(lambda: not waits_for_a_lock(db))
    takes_over(sim, db, abandoned=snapshots(db, 1)[0].status == "running")


@pytest.mark.parametrize("sim", ["followers"], indirect=True)
def test_asked_to_stop_a_run_does_not_wait_for_another_writer_of_a_sqlite_file(
    sim: Simulator, sqlite_url: str
) -> None:
    db, before = about_to_change(sim, sqlite_url)
    with closing(
        sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), check_same_thread=False)
    ) as writer:
        asked = len(sim.requests)
        sim.before_page(1, lambda: writer.execute("BEGIN IMMEDIATE"))
        with running(sim, sqlite_url) as run:
            until(lambda: len(sim.requests) >= asked + 8)  # the last page of the first look
            run.kill(signal.SIGTERM)
            assert run.ended()[0] == 143
    assert not all_or_nothing(sim, db, before)
    takes_over(sim, db, abandoned=True)


def waits_for_a_lock(db: Engine) -> bool:
    with reading(db) as connection:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return bool(connection.execute(text(waiting)).scalar_one())
