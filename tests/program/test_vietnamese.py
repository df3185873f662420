"""With ETL_LANG=vi, what goes wrong is said in Vietnamese from the first word to the last."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING

import pytest
from commandline import Finished, Operator, etl

from etl.cli.answer import reason
from etl.db.engine import connect_engine, reading
from etl.db.tables import snapshots
from etl.simulator import Simulator
from etl.texts import Lang, Texts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENGLISH = re.compile(
    r"\b(the|is|are|was|were|of|not|and|check|with|for|this|that|cannot|must|could|failed|answered"
    r"|missing|from|has|have|there|known|refuses?|run|lower|raise|wrong|because|again|which|denied)\b",
    re.IGNORECASE,
)
QUOTED = re.compile(r"`[^`]*`|\betl [a-z]+( [a-z]+)?|\S*/\S*|simulated \d+")
"""Commands, places, and what eSMS itself says."""


def assert_vietnamese(text: str) -> None:
    assert text.strip()
    assert ENGLISH.findall(QUOTED.sub("", text)) == [], text


@pytest.fixture
def shop(sqlite_url: str) -> Iterator[Operator]:
    with Simulator(60) as sim:
        yield Operator(
            sim,
            sqlite_url,
            ETL_LANG="vi",
            ETL_LOG_FORMAT="console",
            ESMS_MAX_ATTEMPTS="1",
            ESMS_TIMEOUT="0.3",
        )


def fails(shop: Operator, *arguments: str, **settings: str) -> Finished:
    done = shop.run(*arguments, **settings)
    assert done.returncode, arguments
    assert_vietnamese(done.stderr)
    return done


def test_whatever_esms_answers_is_explained_in_vietnamese(shop: Operator) -> None:
    shop.run("sync")
    for name in (
        "code:101", "code:104", "code:110", "code:160", "code:162", "code:799", "http_503", "http_404", "http_403",
        "redirect", "broken_json", "no_object", "truncated", "reset", "hang", "no_total", "user_null", "nobody",
    ):  # fmt: skip
        shop.sim.fault_at(lambda _: True, name, times=1000)
        done = shop.run("sync", ETL_MAX_LOOKS="1")
        assert_vietnamese(done.stderr)
        shop.sim.calm()
    with reading(connect_engine(shop.settings["DATABASE_URL"])) as connection:
        reasons = set(connection.execute(snapshots.select()).scalars("reason"))
    assert len(reasons) > 15
    for each in reasons - {None}:
        assert_vietnamese(" ".join(reason(each, Texts(Lang.VI))))


def test_an_esms_that_nobody_reaches_is_explained_in_vietnamese(shop: Operator) -> None:
    url = "http://127.0.0.1:9/json"
    assert "kết nối bị từ chối" in fails(shop, "sync", ESMS_BASE_URL=url).stderr
    assert_vietnamese(shop.run("doctor", ESMS_BASE_URL=url).stdout)
    fails(shop, "sync", ESMS_BASE_URL="https://esms.invalid/json")
    fails(shop, "sync", ESMS_BASE_URL="https://rest.esms.vn/x", HTTPS_PROXY="ftp://proxy.example")
    fails(shop, "sync", ESMS_BASE_URL="https://rest.esms.vn/x", REQUESTS_CA_BUNDLE="/gone.pem")


@pytest.mark.parametrize("command", ["sync", "status", "report", "doctor"])
def test_a_database_that_cannot_serve_is_explained_in_vietnamese(
    shop: Operator, tmp_path: Path, command: str
) -> None:
    def tried(url: str) -> None:
        done = shop.run(command, DATABASE_URL=url)
        assert done.returncode or command == "doctor"  # which calls some of it a warning
        assert_vietnamese(done.stdout + done.stderr)

    broken = tmp_path / "broken.db"
    broken.write_text("no database at all, but a text of some length\n" * 100)
    tried(f"sqlite:///{broken}")
    old = tmp_path / "old.db"
    with sqlite3.connect(old) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('0002')")
        for table in ("official_accounts", "snapshots", "followers", "follower_changes"):
            connection.execute(f"CREATE TABLE {table} (oaid TEXT)")
    for revision in ("0002", "9999", "abcd"):
        with sqlite3.connect(old) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        tried(f"sqlite:///{old}")
    tried(f"sqlite:///{tmp_path}/gone/f.db")
    tried(f"sqlite:///{tmp_path}")
    for url in ("mysql://h/f", "sqlite://", "sqlite:///f.db?x=y", "postgresql://u:p@h/f@g"):
        tried(url)
    for parameter in ("schema=x", "ssl=require", "sslmode=perhaps"):
        tried(f"postgresql://127.0.0.1:9/f?{parameter}")
    tried("postgresql://127.0.0.1:9/f?connect_timeout=2")
    tried("postgresql://127.0.0.1:99999/f")


def test_settings_that_are_missing_or_wrong_are_named_in_vietnamese(
    shop: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in shop.sim.environment:
        monkeypatch.delenv(name, raising=False)
    done = etl("sync", ETL_LANG="vi")
    assert_vietnamese(done.stderr)
    wrong = {
        "ESMS_OAIDS": "all,123;shop",
        "ESMS_BASE_URL": "http://esms.example/",
        "ESMS_RATE": "-1",
        "ESMS_PAGE_SIZE": "many",
        "ESMS_TIMEOUT": "0",
        "ETL_TIMEZONE": "Mars/Sea",
        "ETL_DAY_BEGINS": "4",
        "ETL_LOG_LEVEL": "loud",
        "ETL_PING_URL": "ping",
        "ETL_MAX_LOOKS": "1000",
        "ETL_TOTAL_TOLERANCE": "1",
        "ETL_MAX_LOOKS_1": "x",
        "ESMS_RATE_1": "5",
        "ESMS_API_KEY": "a\nb",
    }
    for name, value in wrong.items():
        fails(shop, "sync", **{name: value})
    fails(shop, "sync", **wrong)
    fails(shop, "sync", "--account", "all")
    fails(shop, "sync", "--account", "all", ETL_ACCOUNTS_DIR=str(tmp_path))
    fails(shop, "sync", "--account", "b", ETL_ACCOUNTS_DIR="/gone")


def test_what_is_wrong_with_arguments_is_said_in_vietnamese(shop: Operator) -> None:
    shop.run("sync")
    for arguments in (
        "histroy", "status x y", "status --jsn", "status --max-age soon", "status --oaid 12", "sync --oaid abc",
        "sync --unless-since yesterday", "sync --account all --allow-mass-unfollow", "report --since 2026-13-01",
        "report --by year", "report --format html -o /gone/x/", "report --since 2026-11-02 --until 2026-11-01",
        "report -o /gone/x.csv --format csv", "report --until 2020-01-01", "report --since 2050-01-01", "report --format",
        "export --as-of gestern", "export --as-of 2050-01-01", "export --as-of 2020-01-01", "export --format parquet",
        "undo", "undo 99", "undo a", "forget x", "history --limit 0", "history --limit x", "verify --oaid 12",
        "accounts --retire 1 --restore 1", "db copy --to x", "fleet status",
    ):  # fmt: skip
        fails(shop, *arguments.split())


def test_a_night_that_is_held_and_one_that_reads_a_part(shop: Operator) -> None:
    shop.run("sync")
    shop.sim.fault_at(lambda _: True, "nobody", times=1000)
    assert "Tạm giữ" in fails(shop, "sync").stderr
    shop.sim.calm()
    shop.sim.fault_at(lambda _: True, "total:100", times=1000)
    assert "Chưa đủ" in fails(shop, "sync").stderr
    shop.sim.calm()
    fails(shop, "sync", ETL_MAX_RUNTIME="0.00001")
    assert_vietnamese(fails(shop, "status", "--max-age", "0.001s").stderr)
