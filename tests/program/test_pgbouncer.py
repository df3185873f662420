"""Through a real pgbouncer in transaction mode, with fewer server connections than clients; and
over TLS, which it speaks."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from commandline import etl
from firms import firm_of, wait_until
from poolers import pgbouncer
from programs import need_program
from sqlalchemy import text
from world import changed, contradictions, following, sync

from etl.db.engine import connect_engine, reading
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from commandline import Finished


@dataclass(frozen=True)
class Pooler:
    """A pgbouncer in front of one database. `url` leads through it, `direct` past it."""

    url: str
    direct: str
    authority: Path


@pytest.fixture(scope="module")
def certificates() -> Iterator[Path]:
    """A certificate for `localhost` by an authority of its own, and the certificate of another
    authority."""
    openssl = need_program("openssl")
    with TemporaryDirectory(prefix="etl-tls-") as name:
        directory = Path(name)
        make = [
            openssl,
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ]
        for who, subject in (("server", "localhost"), ("stranger", "stranger.example")):
            files = ["-keyout", f"{name}/{who}.key", "-out", f"{name}/{who}.crt"]
            names = ["-subj", f"/CN={subject}", "-addext", f"subjectAltName=DNS:{subject}"]
            subprocess.run([*make, *files, *names], check=True, capture_output=True)
        yield directory


@pytest.fixture
def pooler(
    postgresql_url: str, certificates: Path, request: pytest.FixtureRequest
) -> Iterator[Pooler]:
    """A pgbouncer in transaction mode with one server connection, or as many as the test names."""
    given = getattr(request, "param", 1)
    with pgbouncer(postgresql_url, connections=given, certificates=certificates) as url:
        yield Pooler(url, postgresql_url, certificates)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(60, max_page=20) as simulator:
        yield simulator


def run(url: str, sim: Simulator, *arguments: str) -> Finished:
    return etl(
        *arguments, **sim.environment, ESMS_RATE="0", ESMS_BACKOFF_BASE="0", DATABASE_URL=url
    )


def test_every_command_works_through_it(pooler: Pooler, sim: Simulator) -> None:
    leaver = None
    for day in range(3):
        done = run(pooler.url, sim, "sync", "--json")
        assert done.returncode == 0, done
        told = json.loads(done.stdout)
        assert (told["seen"], told["unfollowed"]) == (60, 1 if day else 0)
        leaver = sim.unfollow()
        sim.follow()
    for command in (
        "db check", "status", "history", "verify", "report", "report --format json", "export", "export --changes", "doctor",
        "sync --dry-run", f"forget {leaver} --yes", "undo 3 --yes", "sync", "verify",
    ):  # fmt: skip
        done = run(pooler.url, sim, *command.split())
        assert done.returncode == 0, (command, done)
    assert len(following(connect_engine(pooler.direct), sim.default)) == 60


def test_nothing_of_a_session_is_left_to_the_next_who_gets_the_connection(
    pooler: Pooler, sim: Simulator
) -> None:
    """One server connection serves everybody: what we set or made on it would be seen here."""
    run(pooler.url, sim, "sync")
    sim.unfollow()
    run(pooler.url, sim, "sync")
    run(pooler.url, sim, "report")
    with reading(connect_engine(pooler.url)) as connection:
        fresh = connect_engine(pooler.direct)
        for setting in (
            "work_mem",
            "jit",
            "default_transaction_read_only",
            "default_transaction_isolation",
        ):
            with reading(fresh) as other:
                usual = other.execute(text(f"SHOW {setting}")).scalar_one()
            assert connection.execute(text(f"SHOW {setting}")).scalar_one() == usual, setting
        left = "SELECT count(*) FROM pg_class WHERE relpersistence = 't'"
        assert connection.execute(text(left)).scalar_one() == 0
        assert (
            connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one()
            == 0
        )


@pytest.mark.parametrize("pooler", [2], indirect=True)
def test_runs_at_once_share_two_connections(pooler: Pooler) -> None:
    accounts = [str(number) for number in range(101, 106)]
    with Simulator(0, max_page=20) as sim:
        for oaid in accounts:
            sim.add_account(oaid, f"OA {oaid}", 40)
        db = connect_engine(pooler.url)
        assert run(pooler.url, sim, "db", "upgrade").returncode == 0
        with ThreadPoolExecutor(5) as threads:
            assert {
                outcome.exit_code
                for outcome in threads.map(lambda oaid: sync(sim, db, oaid), accounts)
            } == {0}
            gone = {oaid: sim.followers(oaid).unfollow() for oaid in accounts}
            outcomes = dict(
                zip(accounts, threads.map(lambda oaid: sync(sim, db, oaid), accounts), strict=True)
            )
        for oaid, outcome in outcomes.items():
            assert changed(db, outcome.snapshot.id, "unfollowed") == {gone[oaid]}
            assert contradictions(db) == []


def test_tls_with_a_name_that_is_checked_works_through_it(pooler: Pooler, sim: Simulator) -> None:
    good = f"{pooler.url}?sslmode=verify-full&sslrootcert={pooler.authority}/server.crt"
    assert run(good, sim, "sync").returncode == 0
    with connect_engine(good).connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        assert driver.pgconn.ssl_in_use


@pytest.mark.parametrize("wrong", ["another authority", "another name"])
def test_tls_with_a_certificate_that_does_not_fit_ends_it_before_anything_is_sent(
    pooler: Pooler, sim: Simulator, wrong: str
) -> None:
    authority = "stranger.crt" if wrong == "another authority" else "server.crt"
    host = "localhost" if wrong == "another authority" else "127.0.0.1"
    url = pooler.url.replace("@localhost", f":Sup3rSecret@{host}")
    done = run(f"{url}?sslmode=verify-full&sslrootcert={pooler.authority}/{authority}", sim, "sync")
    assert done.returncode == 69
    assert "certificate" in done.stderr
    assert "Sup3rSecret" not in done.stdout + done.stderr
    assert not sim.requests
    with reading(connect_engine(pooler.direct)) as connection:
        assert (
            connection.execute(
                text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
            ).scalar_one()
            == 0
        )


def test_a_fleet_works_through_it(pooler: Pooler, tmp_path: Path) -> None:
    """Nobody is notified and nothing is prepared: workers, jobs and their locks need no session."""
    with firm_of(tmp_path / "accounts", pooler.url, 3, 1) as firm:
        assert firm.etl("fleet", "init").returncode == 0
        workers = [firm.worker(), firm.worker(concurrency=2)]
        wait_until(firm.are_complete)
        assert firm.complete_oas() == firm.every_oa()
        assert firm.read_by_two_at_once() == []
        assert [worker.end() for worker in workers] == [143, 143]
