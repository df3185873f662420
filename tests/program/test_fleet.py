"""`etl fleet`: real workers, as processes, on one PostgreSQL; killed, paused, stopped, and the
clock at the schedule."""

from __future__ import annotations

import asyncio
import signal
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import psycopg
import pytest
from commandline import etl
from firms import Firm, firm_of, wait_until
from procrastinate.jobs import Job
from pydantic import SecretStr

from etl.db.engine import connect_engine
from etl.db.schema import current_revision
from etl.errors import SettingsError
from etl.fleet import engine
from etl.fleet.schedule import cron_lines, is_moment, moments
from etl.fleet.tasks import Again, SyncFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def firm(tmp_path: Path, postgresql_url: str) -> Iterator[Firm]:
    """Three accounts of two OAs, each page taking a while."""
    with firm_of(tmp_path / "accounts", postgresql_url, 3, 2, latency=0.3) as made:
        assert made.etl("fleet", "init").returncode == 0
        yield made


def jobs_of(url: str, name: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM procrastinate_jobs WHERE task_name = %s", [name]
        ).fetchone()
    return int(row[0]) if row else 0


# -- workers ---------------------------------------------------------------------------------------


def test_two_workers_sync_every_account_once(firm: Firm) -> None:
    workers = [firm.worker(), firm.worker(concurrency=2)]
    wait_until(firm.are_complete)
    assert firm.complete_oas() == firm.every_oa()
    assert firm.read_by_two_at_once() == []
    assert jobs_of(firm.url, "etl.sync") == 3
    states = firm.states()
    assert {each["exit_code"] for each in states.values()} == {0}
    assert all(each["next_run_at"] > each["finished_at"] for each in states.values())
    assert [worker.end() for worker in workers] == [143, 143]


def test_a_worker_that_is_killed_has_its_job_taken_over(firm: Firm) -> None:
    first = firm.worker()
    wait_until(lambda: first.has_logged("sync"))  # one of the account's two OAs is read
    first.send(signal.SIGKILL)
    second = firm.worker(concurrency=3)
    wait_until(firm.are_complete)
    assert firm.complete_oas() == firm.every_oa()
    assert firm.read_by_two_at_once() == []
    assert second.has_logged("job taken over")


def test_a_worker_that_is_paused_loses_its_job_and_ends_when_it_wakes(firm: Firm) -> None:
    first = firm.worker()
    wait_until(lambda: first.has_logged("job started"))
    first.send(signal.SIGSTOP)
    firm.worker(concurrency=3)
    wait_until(firm.are_complete)
    first.send(signal.SIGCONT)
    assert first.process.wait(60) == 75
    time.sleep(1)
    assert firm.are_complete()
    assert firm.complete_oas() == firm.every_oa()
    assert firm.read_by_two_at_once() == []


def test_a_worker_that_is_stopped_leaves_its_job_to_others_at_once(firm: Firm) -> None:
    first = firm.worker()
    wait_until(lambda: first.has_logged("job started"))
    assert first.end() == 143
    assert {each["state"] for each in firm.states().values()} == {"waiting"}
    second = firm.worker(concurrency=3)
    wait_until(firm.are_complete)
    assert firm.complete_oas() == firm.every_oa()
    assert not second.has_logged("job taken over")


def test_a_database_that_goes_away_ends_a_worker_and_another_one_goes_on_later(firm: Firm) -> None:
    name = urlsplit(firm.url).path.strip("/")
    admin = firm.url.replace(f"/{name}?", "/postgres?")
    worker = firm.worker(concurrency=3)
    wait_until(lambda: worker.has_logged("job started"))
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        assert worker.process.wait(90) == 69
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
    firm.worker(concurrency=3)
    wait_until(firm.are_complete)
    assert firm.complete_oas() == firm.every_oa()


def test_a_code_for_a_person_fails_and_one_that_may_pass_is_tried_again_later(firm: Firm) -> None:
    firm.write("a00", "ESMS_API_KEY", "wrong")
    firm.sims["a01"].max_offset = 50
    firm.worker(concurrency=3)

    def all_ended() -> bool:
        return all(each["exit_code"] is not None for each in firm.states().values())

    wait_until(all_ended)
    wait_until(lambda: firm.states()["a01"]["state"] == "waiting")
    states = firm.states()
    assert {name: (each["state"], each["exit_code"]) for name, each in states.items()} == {
        "a00": ("failed", 77), "a01": ("waiting", 75), "a02": ("complete", 0),
    }  # fmt: skip
    again = datetime.fromisoformat(states["a01"]["next_run_at"])
    assert timedelta(minutes=10) < again - datetime.now(UTC) <= timedelta(minutes=15)
    assert "is tried again" in firm.etl("fleet", "status").stdout


@pytest.mark.parametrize(
    ("exception", "attempts", "again"),
    [
        (SyncFailedError(69), 0, True), (SyncFailedError(75), 2, True), (SyncFailedError(75), 3, False),
        (SyncFailedError(77), 0, False), (SyncFailedError(65), 0, False), (SyncFailedError(1), 0, False),
        (asyncio.CancelledError(), 7, True), (ValueError(), 0, False),
    ],
)  # fmt: skip
def test_what_may_pass_is_tried_again_three_times_at_most(
    exception: BaseException, attempts: int, *, again: bool
) -> None:
    job = Job(id=1, queue="q", lock=None, queueing_lock=None, task_name="t", attempts=attempts)
    assert (Again().get_retry_decision(exception=exception, job=job) is not None) == again


# -- the schedule ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "at", "after", "expected"),
    [
        ("Asia/Ho_Chi_Minh", "23:40", "2026-11-25T16:39:59", ["2026-11-25T16:40", "2026-11-26T16:40"]),
        ("Asia/Ho_Chi_Minh", "23:40", "2026-11-25T16:40:00", ["2026-11-26T16:40", "2026-11-27T16:40"]),
        ("Europe/Berlin", "23:40", "2026-10-24T12:00:00", ["2026-10-24T21:40", "2026-10-25T22:40"]),
        ("Europe/Berlin", "02:30", "2026-03-28T12:00:00", ["2026-03-29T01:30", "2026-03-30T00:30"]),
        ("Europe/Berlin", "02:30", "2026-10-24T12:00:00", ["2026-10-25T00:30", "2026-10-26T01:30"]),
        ("Pacific/Kiritimati", "00:00", "2026-11-25T09:59:00", ["2026-11-25T10:00", "2026-11-26T10:00"]),
    ],
)  # fmt: skip
def test_each_day_has_one_moment_whatever_its_clocks_do(
    zone: str, at: str, after: str, expected: list[str]
) -> None:
    given = moments(at, ZoneInfo(zone), datetime.fromisoformat(after).replace(tzinfo=UTC))
    assert [next(given).strftime("%Y-%m-%dT%H:%M") for _ in expected] == expected


@pytest.mark.parametrize(
    ("zone", "lines"),
    [("Asia/Ho_Chi_Minh", ["40 16 * * *"]), ("Europe/Berlin", ["40 21 * * *", "40 22 * * *"])],
)
def test_the_cron_lines_are_in_utc_and_only_one_of_a_day_counts(
    zone: str, lines: list[str]
) -> None:
    assert cron_lines("23:40", ZoneInfo(zone), datetime(2026, 11, 25, tzinfo=UTC)) == lines
    counted = [
        is_moment("23:40", ZoneInfo(zone), datetime(2026, 7, day, hour, 40, tzinfo=UTC))
        for day in range(1, 8)
        for hour in (16, 21, 22)
    ]
    assert sum(counted) == 7


def test_a_night_that_has_jobs_gets_no_others_when_a_worker_starts_again(firm: Firm) -> None:
    firm.worker(concurrency=3)
    wait_until(firm.are_complete)
    firm.workers[0].end()
    second = firm.worker(concurrency=3)
    wait_until(lambda: second.has_logged("fleet worker started"))
    time.sleep(4)
    assert jobs_of(firm.url, "etl.sync") == 3
    assert len(firm.snapshots()) == 6


# -- procrastinate's tables ------------------------------------------------------------------------


def test_a_fleet_on_sqlite_says_what_to_do(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "accounts" / "shop").mkdir(parents=True)
    for name, content in (("ESMS_API_KEY", "k"), ("ESMS_SECRET_KEY", "s"), ("ESMS_OAIDS", "1")):
        (tmp_path / "accounts" / "shop" / name).write_text(content)
    for command in ("init", "work", "status"):
        done = etl(
            "fleet", command, DATABASE_URL=sqlite_url, ETL_ACCOUNTS_DIR=str(tmp_path / "accounts")
        )
        assert done.returncode == 78
        assert "a fleet needs PostgreSQL" in done.stderr
        assert "etl db copy" in done.stderr


def test_without_its_tables_a_fleet_says_how_to_make_them(
    tmp_path: Path, postgresql_url: str
) -> None:
    with firm_of(tmp_path / "accounts", postgresql_url, 1, 1) as firm:
        for command in ("work", "status"):
            done = firm.etl("fleet", command)
            assert (done.returncode, "etl fleet init" in done.stderr) == (78, True)
        assert "made" in firm.etl("fleet", "init").stderr
        assert "there already" in firm.etl("fleet", "init").stderr
        assert firm.states()["a00"]["state"] == "none"


def test_all_problems_of_all_accounts_are_shown_before_anything_is_done(firm: Firm) -> None:
    firm.write("a00", "settings.env", "ESMS_RATE=fast\nESMS_OAIDS=1\n")
    (firm.directory / "a01" / "ESMS_API_KEY").unlink()
    done = firm.etl("fleet", "work")
    assert done.returncode == 78
    assert "account a00: ESMS_RATE" in done.stderr
    assert "account a01: ESMS_API_KEY is missing" in done.stderr


def test_a_schedule_that_is_none_is_named(firm: Firm) -> None:
    firm.schedule = "daily"
    done = firm.etl("fleet", "work")
    assert (done.returncode, "ETL_FLEET_SCHEDULE must be a time of day" in done.stderr) == (
        78,
        True,
    )


def test_tables_of_an_older_procrastinate_are_brought_up_to_date(postgresql_url: str) -> None:
    url = SecretStr(postgresql_url)
    old = [number for number in engine._migrations() if number <= "03.01.00_50"]
    with psycopg.connect(postgresql_url) as connection:
        for number in old:
            connection.execute(engine._migrations()[number].encode())
        connection.execute(b"COMMENT ON TABLE procrastinate_jobs IS 'etl fleet: 03.01.00_50'")
    assert engine.tables(url) is engine.Tables.OLDER
    with pytest.raises(SettingsError, match="older"):
        engine.require_tables(url)
    assert engine.make_tables(url)
    assert engine.tables(url) is engine.Tables.CURRENT
    with psycopg.connect(postgresql_url) as connection:
        rows = connection.execute("SELECT proname FROM pg_proc").fetchall()
    assert engine._functions() <= {row[0] for row in rows}


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (b"COMMENT ON TABLE procrastinate_jobs IS 'etl fleet: 99.00.00_01'", "newer"),
        (b"COMMENT ON TABLE procrastinate_jobs IS NULL; DROP FUNCTION procrastinate_fetch_job_v2", "another version"),
    ],
)  # fmt: skip
def test_tables_of_another_version_are_named(
    postgresql_url: str, statement: bytes, told: str
) -> None:
    url = SecretStr(postgresql_url)
    engine.make_tables(url)
    with psycopg.connect(postgresql_url) as connection:
        connection.execute(statement)
    for refuse in (engine.require_tables, engine.make_tables):
        with pytest.raises(SettingsError, match=told):
            refuse(url)


def test_tables_that_procrastinates_own_command_made_are_taken(postgresql_url: str) -> None:
    engine.make_tables(SecretStr(postgresql_url))
    with psycopg.connect(postgresql_url) as connection:
        connection.execute(b"COMMENT ON TABLE procrastinate_jobs IS 'of our own'")
    engine.require_tables(SecretStr(postgresql_url))


def test_our_commands_leave_its_tables_alone(
    postgresql_url: str, tmp_path: Path, firm: Firm
) -> None:
    """A database that has its tables is still empty to us; ours are made, checked and copied beside
    them."""
    tables = _tables(postgresql_url)
    assert current_revision(connect_engine(postgresql_url)) == "empty"
    assert firm.etl("sync", "--account", "a00").returncode == 0
    for command in (("db", "check"), ("verify",), ("db", "upgrade"), ("status",)):
        assert firm.etl(*command).returncode == 0, command
    copy = f"sqlite:///{tmp_path}/copy.db"
    assert firm.etl("db", "copy", "--to", copy).returncode == 0
    assert etl("verify", DATABASE_URL=copy).returncode == 0
    assert _tables(postgresql_url) >= tables


def test_a_database_with_its_tables_can_be_copied_into(
    postgresql_url: str, tmp_path: Path, firm: Firm
) -> None:
    target, firm.url = firm.url, f"sqlite:///{tmp_path}/before.db"
    assert firm.etl("sync", "--account", "a00").returncode == 0
    assert firm.etl("db", "copy", "--to", target).returncode == 0
    engine.require_tables(SecretStr(postgresql_url))


def _tables(url: str) -> set[Any]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row[0] for row in rows}
