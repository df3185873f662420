"""One suite, both databases: whoever asks for `db` runs on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import os
import shutil
from pathlib import PurePath
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from postgres import Databases, own_server
from sqlalchemy import create_engine
from xdist.scheduler import LoadScopeScheduling

from etl.db.engine import connect_engine
from etl.db.schema import upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine
    from xdist.remote import Producer


# No example fails because the machine was busy.
settings.register_profile("etl", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("etl")


LONGEST = {"test_kill", "test_fleet", "test_laws", "test_windows", "test_shell"}
"""Files with tests that take long: begun first, so that no worker is left with one at the end."""

TOGETHER = {
    "test_days_agree", "test_days_where_clocks_change", "test_demo", "test_half_seen", "test_half_seen_sql",
    "test_pgbouncer", "test_report_folder", "test_report_page", "test_report_queries", "test_terminal",
    "test_trouble", "test_wheel",
}  # fmt: skip
"""Files whose tests share something dear (a browser, a server, a wheel): one worker runs them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first; the order within a file stays."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Give out one test at a time, but those that share at once.

    `--dist loadgroup` is made for that; with pytest 9.2 pytest-xdist 3.8 finds no group.
    """
    return _Together(config, log)


class _Together(LoadScopeScheduling):
    """What has the same scope runs on one worker."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return path if PurePath(path).stem in TOGETHER else nodeid


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the developer's own settings, nor a `.env` in the directory where pytest was
    started."""
    for name in os.environ:
        if name.startswith(("ESMS_", "ETL_", "DATABASE_URL", "CREDENTIALS_DIRECTORY")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL server of this test worker's own, without a database name."""
    with own_server() as server:
        # No test cuts the power: nothing need wait for the disk. Nor does a table live long enough
        # to be tidied up.
        for command in (
            "ALTER SYSTEM SET fsync = off",
            "ALTER SYSTEM SET autovacuum = off",
            "SELECT pg_reload_conf()",
        ):
            server.psql(f"{command};")
        yield server.get_uri()


@pytest.fixture(scope="session")
def postgresql_admin(postgresql_server: str) -> Iterator[Connection]:
    """A connection on which databases are made and dropped."""
    admin = create_engine(_psycopg(postgresql_server), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        yield connection
    admin.dispose()


@pytest.fixture(scope="session")
def postgresql_databases(postgresql_server: str, postgresql_admin: Connection) -> Databases:
    """The databases of this worker's server."""
    return Databases(postgresql_server, postgresql_admin)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with our tables, to be copied."""
    path = tmp_path_factory.mktemp("template") / "with_tables.db"
    engine = connect_engine(f"sqlite:///{path}")
    upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture
def postgresql_url(
    request: pytest.FixtureRequest, postgresql_databases: Databases
) -> Iterator[str]:
    """The URL of a PostgreSQL database: empty, or with our tables where the test asks for `db`."""
    asked = "db" in request.fixturenames
    with postgresql_databases.with_tables() if asked else postgresql_databases.empty() as url:
        yield url


@pytest.fixture
def sqlite_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a SQLite file that does not exist yet, or has our tables where the test asks for
    `db`."""
    path = tmp_path / "followers.db"
    if "db" in request.fixturenames:
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def db_url(request: pytest.FixtureRequest) -> str:
    """The URL of a database, on SQLite and on PostgreSQL: empty unless the test asks for `db`,
    too."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of a database with our tables that all tests of a file read, and none writes."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("shared") / "followers.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    with request.getfixturevalue("postgresql_databases").with_tables() as url:
        yield url


@pytest.fixture
def db(db_url: str) -> Engine:
    """A database with our tables, on SQLite and on PostgreSQL."""
    return connect_engine(db_url)


def _psycopg(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")
