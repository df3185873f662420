"""`etl db upgrade|check|copy` and `etl undo`, as an operator meets them: what they print, and how
they exit."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commandline import etl
from daily import Days, dump, rows
from revisions import downgrade
from sqlalchemy import text

from etl.db.engine import connect_engine, writing
from etl.db.lease import acquire
from etl.db.schema import HEAD
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


def etl_on_a_terminal(*arguments: str, answer: str, database_url: str) -> tuple[int, str]:
    """Run the command on a terminal, where somebody answers."""
    controller, terminal = pty.openpty()
    environment = {**os.environ, "DATABASE_URL": database_url, "TERM": "dumb"}
    command = [sys.executable, "-m", "etl", *arguments]
    with subprocess.Popen(
        command, env=environment, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal
    ) as process:
        os.close(terminal)
        os.write(controller, answer.encode())
        seen = b""
        while True:
            try:
                read = os.read(controller, 4096)
            except OSError:  # the terminal's last reader has gone
                break
            if not read:
                break
            seen += read
        code = process.wait(60)
    os.close(controller)
    return code, seen.decode()


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(followers=120) as simulator:
        yield simulator


# -- upgrade and check -----------------------------------------------------------------------------


def test_upgrade_creates_the_tables_and_says_so_and_a_second_one_finds_them_current(
    db_url: str,
) -> None:
    first = etl("db", "upgrade", DATABASE_URL=db_url)
    assert (first.returncode, first.stderr) == (0, f"etl: empty → {HEAD}\n")
    second = etl("db", "upgrade", DATABASE_URL=db_url)
    assert (second.returncode, second.stderr) == (
        0,
        f"etl: the database is current already (revision {HEAD})\n",
    )
    assert etl("db", "check", DATABASE_URL=db_url).returncode == 0


def test_a_database_that_is_behind_is_refused_by_check_and_brought_up_by_upgrade(
    db: Engine, db_url: str
) -> None:
    downgrade(db, "0001")
    behind = etl("db", "check", "--json", DATABASE_URL=db_url)
    assert behind.returncode == 78
    assert json.loads(behind.stdout) == {"revision": "0001", "needs": HEAD, "current": False}
    assert "etl db upgrade" in behind.stderr
    upgraded = etl("db", "upgrade", "--json", DATABASE_URL=db_url)
    assert json.loads(upgraded.stdout) == {"from": "0001", "to": HEAD, "changed": True}
    current = etl("db", "check", "--json", DATABASE_URL=db_url)
    assert (current.returncode, json.loads(current.stdout)["current"]) == (0, True)


@pytest.mark.parametrize(
    ("revision", "words"),
    [("9999", "newer than this program"), ("3f2a9c01b7de", "are not ours"), (None, "are not ours")],
)
@pytest.mark.parametrize("command", ["check", "upgrade"])
def test_a_database_that_is_not_this_programs_is_left_alone(
    command: str, revision: str | None, words: str, sqlite_url: str
) -> None:
    etl("db", "upgrade", DATABASE_URL=sqlite_url)
    with writing(connect_engine(sqlite_url)) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :it" if revision else "DROP TABLE alembic_version"),
                           {"it": revision} if revision else {})  # fmt: skip
    refused = etl("db", command, DATABASE_URL=sqlite_url)
    assert refused.returncode == 78
    assert words in refused.stderr


def test_an_empty_database_is_behind_and_a_missing_one_is_not_reached(postgresql_url: str) -> None:
    empty = etl("db", "check", DATABASE_URL=postgresql_url)
    assert (empty.returncode, "etl db upgrade" in empty.stderr) == (78, True)
    missing = etl("db", "check", DATABASE_URL="sqlite:///missing.db")
    assert missing.returncode == 69
    assert not Path("missing.db").exists()
    assert (
        etl("db", "check", DATABASE_URL="postgresql://etl:hunter2@127.0.0.1:1/x").returncode == 69
    )


# -- copy ------------------------------------------------------------------------------------------


def test_a_sqlite_file_moves_to_postgresql_and_the_next_command_goes_on_there(
    sim: Simulator, sqlite_url: str, postgresql_url: str
) -> None:
    etl("db", "upgrade", DATABASE_URL=sqlite_url)
    Days(sim, connect_engine(sqlite_url)).sync()
    copied = etl("db", "copy", "--to", postgresql_url, "--json", DATABASE_URL=sqlite_url)
    assert copied.returncode == 0
    assert json.loads(copied.stdout)["rows"]["followers"] == 120
    for url in (sqlite_url, postgresql_url):
        assert etl("verify", DATABASE_URL=url).returncode == 0
    again = etl("db", "copy", "--to", postgresql_url, DATABASE_URL=sqlite_url)
    assert (again.returncode, again.stdout) == (2, "")
    assert "the target database is not empty" in again.stderr
    synced = etl("sync", "--json", DATABASE_URL=postgresql_url, **sim.environment)
    assert json.loads(synced.stdout)["snapshot_id"] == 2


def test_a_busy_source_is_told_to_wait(sim: Simulator, db: Engine, db_url: str) -> None:
    days = Days(sim, db)
    days.sync()
    with acquire(db, sim.default, now=days.now):
        busy = etl("db", "copy", "--to", "sqlite:///copy.db", DATABASE_URL=db_url)
    assert busy.returncode == 75
    assert "another run holds" in busy.stderr


@pytest.mark.parametrize(
    ("to", "code", "words"),
    [
        ("nonsense", 2, "--to is no database URL"),
        ("mysql://root@localhost/x", 2, "--to is no database URL"),
        ("sqlite:///no/where/copy.db", 69, "--to: the database failed"),
        ("postgresql://etl:hunter2@127.0.0.1:1/x", 69, "--to: the database failed"),
    ],
)
def test_a_target_that_will_not_do_is_named_as_the_argument_that_it_is(
    to: str, code: int, words: str, sqlite_url: str
) -> None:
    etl("db", "upgrade", DATABASE_URL=sqlite_url)
    refused = etl("db", "copy", "--to", to, DATABASE_URL=sqlite_url)
    assert refused.returncode == code
    assert words in refused.stderr
    assert "hunter2" not in refused.stdout + refused.stderr


# -- undo ------------------------------------------------------------------------------------------


def test_an_undo_needs_a_yes_where_nobody_can_be_asked_and_a_dry_run_changes_nothing(
    sim: Simulator, db: Engine, db_url: str
) -> None:
    Days(sim, db).sync()
    before = dump(db)
    refused = etl("undo", "1", DATABASE_URL=db_url)
    assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
    foreseen = etl("undo", "1", "--dry-run", "--json", DATABASE_URL=db_url)
    assert foreseen.returncode == 0
    assert (json.loads(foreseen.stdout)["status"], json.loads(foreseen.stdout)["dry_run"]) == (
        "complete",
        True,
    )
    assert dump(db) == before
    done = etl("undo", "1", "--yes", "--json", DATABASE_URL=db_url)
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert (told["snapshot_id"], told["status"], told["baseline"]) == (1, "undone", 120)
    assert rows(db, "followers") == []
    assert etl("verify", DATABASE_URL=db_url).returncode == 0
    again = etl("undo", "1", "--yes", DATABASE_URL=db_url)
    assert (again.returncode, "is undone" in again.stderr) == (2, True)


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("\n", 130, 120)])
def test_on_a_terminal_the_answer_decides(
    answer: str, code: int, left: int, sim: Simulator, sqlite_url: str
) -> None:
    etl("db", "upgrade", DATABASE_URL=sqlite_url)
    engine = connect_engine(sqlite_url)
    Days(sim, engine).sync()
    ended, seen = etl_on_a_terminal("undo", "1", answer=answer, database_url=sqlite_url)
    assert ended == code
    assert "Take all of this back? [y/N]" in seen
    assert ("nothing was changed" in seen) == (code != 0)
    assert len(rows(engine, "followers")) == left


# -- help and completion ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", ["doctor", "undo", "forget", "db upgrade", "db check", "db copy"]
)
def test_the_help_of_each_command_has_an_example(command: str) -> None:
    helped = etl(*command.split(), "--help", TERM="dumb")
    assert helped.returncode == 0
    assert re.search(rf"Examples?[:,].*etl {command}", helped.stdout, re.DOTALL)


@pytest.mark.parametrize(
    ("words", "completions"), [("etl d", {"db", "doctor"}), ("etl db c", {"check", "copy"})]
)
def test_the_shell_completes_commands(words: str, completions: set[str]) -> None:
    asked = {
        "_ETL_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    script = Path(sysconfig.get_path("scripts")) / "etl"
    told = subprocess.run(
        [script], env=os.environ | asked, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert completions <= set(told.split())
