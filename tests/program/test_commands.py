"""`etl history`, `verify`, `accounts`, `db check`, `--help` and `--version`: their forms, their
exit codes, what they find."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
from commandline import Finished, etl
from daily import Days
from documented import all_commands, inner, program
from sqlalchemy import text

from etl.cli.app import COMMANDS as LISTED
from etl.db.engine import writing
from etl.db.schema import HEAD
from etl.maintenance.verify import _CHECKS
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

SNAPSHOT = [
    "snapshot_id", "oaid", "status", "taken_at", "taken_on", "finished_at", "total", "seen", "baseline", "followed",
    "refollowed", "unfollowed", "following", "looks", "requests", "retries", "reason", "source", "gap",
]  # fmt: skip

COMMANDS = [
    "sync", "status", "history", "report", "export", "verify", "accounts", "doctor", "undo", "forget", "db upgrade", "db check",
    "db copy", "demo", "simulate",
]  # fmt: skip
"""docs/design.md#exit-codes."""


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(60) as simulator:
        yield simulator


@pytest.fixture
def lived(sim: Simulator, db: Engine) -> Engine:
    """A database with a history: 60 baseline, one gone and one new, one back."""
    days = Days(sim, db)
    days.sync()
    sim.unfollow()
    sim.follow()
    days.sync()
    sim.refollow()
    days.sync()
    return db


def lines(done: Finished) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


# -- history ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("lived")
def test_history_tells_every_column_of_each_snapshot_as_json(db_url: str, sim: Simulator) -> None:
    done = etl("history", "--json", DATABASE_URL=db_url)
    told = lines(done)
    assert (done.returncode, done.stderr) == (0, "")
    assert [list(line) for line in told] == [SNAPSHOT] * 3
    assert [(line["snapshot_id"], line["oaid"], line["status"]) for line in told] == [
        (n, sim.default, "complete") for n in (1, 2, 3)
    ]
    counts = ("baseline", "followed", "refollowed", "unfollowed", "following", "seen", "total")
    assert [tuple(line[name] for name in counts) for line in told] == [
        (60, 0, 0, 0, 60, 60, 60),
        (0, 1, 0, 1, 60, 60, 60),
        (0, 0, 1, 0, 61, 61, 61),
    ]
    assert (told[0]["taken_at"], told[0]["taken_on"]) == ("2026-11-24T02:00:00+00:00", "2026-11-24")
    assert done.stdout == etl("history", "--format", "json", DATABASE_URL=db_url).stdout


@pytest.mark.usefixtures("lived")
def test_history_as_csv_and_as_a_table_in_a_pipe(db_url: str) -> None:
    head, *told = csv.reader(
        io.StringIO(etl("history", "--format", "csv", DATABASE_URL=db_url).stdout)
    )
    assert head == SNAPSHOT
    assert [row[0] for row in told] == ["1", "2", "3"]
    assert {row[head.index("reason")] for row in told} == {""}
    table = [line.split("\t") for line in etl("history", DATABASE_URL=db_url).stdout.splitlines()]
    assert table[0] == SNAPSHOT
    assert {len(row) for row in table} == {len(SNAPSHOT)}


def test_history_of_one_oa_and_of_the_last_runs(lived: Engine, db_url: str, sim: Simulator) -> None:
    sim.add_account("111", "Second", 3)
    Days(sim, lived).sync("111")
    assert [
        line["oaid"]
        for line in lines(etl("history", "--json", "--oaid", "111", DATABASE_URL=db_url))
    ] == ["111"]
    last = lines(etl("history", "--json", "--limit", "1", DATABASE_URL=db_url))
    assert {line["oaid"]: line["snapshot_id"] for line in last} == {sim.default: 3, "111": 4}
    assert etl("history", "--limit", "0", DATABASE_URL=db_url).returncode == 2


# -- what is not there -----------------------------------------------------------------------------


@pytest.mark.usefixtures("lived")
@pytest.mark.parametrize("command", ["history", "status", "verify", "report"])
def test_an_oa_that_is_not_in_the_database_is_a_wrong_argument(
    command: str, db_url: str, sim: Simulator
) -> None:
    done = etl(command, "--oaid", "999", DATABASE_URL=db_url)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--oaid" in done.stderr
    assert "'999'" in done.stderr
    assert sim.default in done.stderr, "those that are there are named"


@pytest.mark.parametrize("command", ["history", "status", "verify", "db check"])
@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("sqlite:///nowhere.db", 69),
        ("postgresql://etl:hunter2@127.0.0.1:1/x", 69),
        ("nonsense", 78),
        ("mysql://root:hunter2@localhost/x", 78),
    ],
)
def test_a_database_that_is_gone_or_none_is_named_without_its_password(
    command: str, url: str, code: int
) -> None:
    done = etl(*command.split(), DATABASE_URL=url)
    assert (done.returncode, done.stdout) == (code, "")
    assert "DATABASE_URL" in done.stderr
    assert "hunter2" not in done.stderr


# -- verify ----------------------------------------------------------------------------------------


def test_verify_asks_every_question_of_every_oa(lived: Engine, db_url: str, sim: Simulator) -> None:
    sim.add_account("111", "Second", 3)
    Days(sim, lived).sync("111")
    done = etl("verify", "--json", DATABASE_URL=db_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert [(line["oaid"], line["check"]) for line in lines(done)] == [
        (oaid, name) for oaid in ("111", sim.default) for name in _CHECKS
    ]
    assert {(line["contradictions"], line["ok"]) for line in lines(done)} == {(0, True)}
    one = etl("verify", "--oaid", "111", DATABASE_URL=db_url)
    assert [line.split()[0] for line in one.stdout.splitlines()] == ["ok"] * len(_CHECKS)


STAYED = """user_id = (SELECT min(user_id) FROM follower_changes
                      WHERE user_id NOT IN (SELECT user_id FROM follower_changes WHERE change <> 'baseline'))"""

RETURNED = "user_id = (SELECT min(user_id) FROM follower_changes WHERE change = 'refollowed')"

MADE_UP = f"SELECT oaid, 'nobody', first_seen_at, followed_at, first_seen_at FROM followers WHERE {STAYED}"

ARRIVED_AGAIN = f"""SELECT oaid, user_id, 2, 'followed', (SELECT taken_at FROM snapshots WHERE id = 2)
                    FROM follower_changes WHERE {STAYED}"""

PROJECTION = "followers is what follower_changes adds up to"
ALTERNATE = "a user's changes alternate, and begin with baseline or followed"
BELONGS = "every change belongs to an applied snapshot of its OA, at its time"
COUNTS = "each applied snapshot's counts are its changes"
CONTINUES = "each applied snapshot's following continues the one before"
LAST = "the last applied snapshot's following is how many follow"
PARTIAL = "a partial snapshot marked nobody as unfollowed"
IN_TIME = "the snapshots' ids follow their times"

TAMPERED = [
    # A follower row that is gone, made up, or not what the log says.
    (f"DELETE FROM followers WHERE {STAYED}", {PROJECTION, LAST}),
    (f"INSERT INTO followers {MADE_UP}", {PROJECTION}),
    (f"UPDATE followers SET unfollowed_at = followed_at WHERE {STAYED}", {PROJECTION, LAST}),
    (f"UPDATE followers SET followed_at = (SELECT max(taken_at) FROM snapshots) WHERE {STAYED}", {PROJECTION}),
    (f"UPDATE followers SET first_seen_at = (SELECT max(taken_at) FROM snapshots) WHERE {STAYED}", {PROJECTION}),
    (f"UPDATE followers SET first_seen_at = followed_at WHERE {RETURNED}", {PROJECTION}),
    # A log that is gone, made up, or tells what cannot be.
    (f"DELETE FROM follower_changes WHERE {STAYED}", {PROJECTION, COUNTS}),
    (f"INSERT INTO follower_changes {ARRIVED_AGAIN}", {ALTERNATE, COUNTS, PROJECTION}),
    (f"UPDATE follower_changes SET change = 'refollowed' WHERE {STAYED}", {ALTERNATE, COUNTS}),
    ("UPDATE follower_changes SET change = 'baseline' WHERE change = 'refollowed'", {ALTERNATE, COUNTS}),
    (f"UPDATE follower_changes SET snapshot_id = 99 WHERE {STAYED}", {BELONGS, COUNTS}),
    (f"UPDATE follower_changes SET changed_at = (SELECT max(taken_at) FROM snapshots) WHERE {STAYED}", {BELONGS, PROJECTION}),
    # Snapshots whose counts are not their changes.
    *((f"UPDATE snapshots SET {name} = {name} + 1 WHERE id = 2", {COUNTS, CONTINUES})
      for name in ("baseline", "followed", "refollowed", "unfollowed")),
    ("UPDATE snapshots SET followed = NULL WHERE id = 2", {COUNTS}),
    ("UPDATE snapshots SET following = following + 1 WHERE id = 2", {CONTINUES}),
    ("UPDATE snapshots SET following = NULL WHERE id = 2", {CONTINUES}),
    ("UPDATE snapshots SET following = following + 1 WHERE id = 3", {CONTINUES, LAST}),
    ("UPDATE snapshots SET status = 'failed' WHERE id = 3", {BELONGS, LAST}),
    ("UPDATE snapshots SET taken_at = (SELECT taken_at FROM snapshots WHERE id = 1) WHERE id = 2", {BELONGS}),
    ("UPDATE snapshots SET oaid = 'another' WHERE id = 2", {BELONGS, CONTINUES, COUNTS}),
    ("DELETE FROM snapshots WHERE id = 2", {BELONGS}),
    ("UPDATE snapshots SET status = 'partial' WHERE id = 2", {PARTIAL}),
    # The newest numbered as the oldest, by a sequence that lagged behind.
    ("UPDATE snapshots SET id = -1 WHERE id = 3", {IN_TIME, CONTINUES, LAST}),
]  # fmt: skip
"""What somebody may have done to the tables by hand, and the questions that are answered with
it."""


def test_every_question_of_verify_has_its_contradiction() -> None:
    assert set().union(*(torn for _, torn in TAMPERED)) == set(_CHECKS)


def test_verify_finds_each_kind_of_contradiction(lived: Engine, db_url: str) -> None:
    for statement, torn in TAMPERED:
        with writing(lived) as connection:
            kept = {
                name: [
                    dict(row)
                    for row in connection.execute(text(f"SELECT * FROM {name}")).mappings()
                ]
                for name in TABLES
            }
            assert connection.execute(text(statement)).rowcount >= 1, statement
        done = etl("verify", "--json", DATABASE_URL=db_url)
        found = {line["check"] for line in lines(done) if not line["ok"]}
        assert found >= torn, statement
        assert done.returncode == 65, statement
        assert all(line["ok"] == (line["contradictions"] == 0) for line in lines(done))
        assert all(len(line["rows"]) == line["contradictions"] for line in lines(done))
        with writing(lived) as connection:
            for name, were in kept.items():
                connection.execute(text(f"DELETE FROM {name}"))
                columns = ", ".join(f":{column}" for column in were[0])
                connection.execute(
                    text(f"INSERT INTO {name} ({', '.join(were[0])}) VALUES ({columns})"), were
                )
    assert etl("verify", DATABASE_URL=db_url).returncode == 0


def test_verify_names_the_rows_ten_of_each_question_and_all_with_json(
    lived: Engine, db_url: str
) -> None:
    with writing(lived) as connection:
        newest = "(SELECT max(taken_at) FROM snapshots)"
        connection.execute(text(f"UPDATE follower_changes SET changed_at = {newest} WHERE snapshot_id = 1"))  # fmt: skip
        users = list(
            connection.execute(text("SELECT user_id FROM follower_changes WHERE snapshot_id = 1 ORDER BY 1")).scalars()
        )  # fmt: skip
    done = etl("verify", DATABASE_URL=db_url)
    shown = done.stdout.partition(BELONGS)[2].splitlines()
    assert shown[0] == f"  ({len(users)} rows)"
    assert [line.strip() for line in shown[1:11]] == [f"{user} in snapshot 1" for user in users[:10]]  # fmt: skip
    assert shown[11].strip() == f"and {len(users) - 10} more: etl verify --json"
    found = {line["check"]: line for line in lines(etl("verify", "--json", DATABASE_URL=db_url))}
    assert found[BELONGS]["rows"] == [{"user_id": user, "snapshot_id": 1} for user in users]
    assert [row["user_id"] for row in found[PROJECTION]["rows"]] == users


def test_a_clock_that_was_set_back_is_told_and_is_no_contradiction(
    lived: Engine, db_url: str
) -> None:
    later = "'2031-01-01 00:00:00.000000+00:00'"
    with writing(lived) as connection:
        connection.execute(text(f"UPDATE snapshots SET taken_at = {later} WHERE id = 2"))
        for column in ("first_seen_at", "followed_at", "unfollowed_at"):
            second = "(SELECT changed_at FROM follower_changes WHERE snapshot_id = 2)"
            connection.execute(
                text(f"UPDATE followers SET {column} = {later} WHERE {column} IN {second}")
            )
        connection.execute(
            text(f"UPDATE follower_changes SET changed_at = {later} WHERE snapshot_id = 2")
        )
    done = etl("verify", DATABASE_URL=db_url)
    assert (done.returncode, "TORN" in done.stdout) == (0, False)
    assert "dated later than one after it: snapshot 2. The clock was set back" in done.stdout


TABLES = ("snapshots", "followers", "follower_changes")


def test_verify_tells_people_which_check_is_torn_and_what_to_do(lived: Engine, db_url: str) -> None:
    with writing(lived) as connection:
        connection.execute(text(f"DELETE FROM followers WHERE {STAYED}"))
    done = etl("verify", DATABASE_URL=db_url)
    assert done.returncode == 65
    assert [
        line.split("  ", 2)[2] for line in done.stdout.splitlines() if line.startswith("TORN")
    ] == [
        f"{PROJECTION}  (1 rows)",
        f"{LAST}  (1 rows)",
    ]
    assert "2 checks" in done.stderr
    assert "backup" in done.stderr


# -- accounts --------------------------------------------------------------------------------------


def test_accounts_names_the_oas_that_are_in_the_database_and_adds_none(
    lived: Engine, db_url: str, sim: Simulator
) -> None:
    sim.add_account("111", "Hệ thống ESMS")
    done = etl("accounts", DATABASE_URL=db_url, **sim.environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "OAID\tname",
        f"{sim.default}\tSimulated OA",
        "111\tHệ thống ESMS",
    ]
    with lived.connect() as connection:
        assert connection.execute(text("SELECT oaid, name FROM official_accounts")).all() == [
            (sim.default, "Simulated OA")
        ]


@pytest.mark.parametrize(("fault", "code"), [("101", 77), ("140", 77), ("555", 69)])
def test_accounts_that_esms_refuses_to_name(
    fault: str, code: int, sim: Simulator, sqlite_url: str
) -> None:
    sim.account_code = fault
    hurry = {"ESMS_BACKOFF_BASE": "0", "ESMS_MAX_ATTEMPTS": "2", "DATABASE_URL": sqlite_url}
    done = etl("accounts", "--json", **sim.environment | hurry)
    assert (done.returncode, done.stdout) == (code, "")
    assert fault in done.stderr


def test_accounts_without_keys_names_the_settings_that_are_missing() -> None:
    done = etl("accounts")
    assert (done.returncode, done.stdout) == (78, "")
    assert "ESMS_API_KEY" in done.stderr
    assert "ESMS_SECRET_KEY" in done.stderr


# -- db check, help, version -----------------------------------------------------------------------


@pytest.mark.usefixtures("lived")
def test_db_check_tells_the_revision_and_changes_nothing(db_url: str) -> None:
    done = etl("db", "check", "--json", DATABASE_URL=db_url)
    assert (done.returncode, lines(done)) == (
        0,
        [{"revision": HEAD, "needs": HEAD, "current": True}],
    )
    people = etl("db", "check", DATABASE_URL=db_url)
    assert (people.returncode, people.stdout) == (0, "")
    assert HEAD in people.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = etl(*command.split(), "--help", TERM="dumb", COLUMNS="120")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: etl {command}" in done.stdout
    assert "Example" in done.stdout


def test_help_names_every_command() -> None:
    done = etl("--help", TERM="dumb", COLUMNS="120")
    assert done.returncode == 0
    assert [
        command for command in {each.split()[0] for each in COMMANDS} if command not in done.stdout
    ] == []
    assert "Usage: etl" in etl(TERM="dumb", COLUMNS="120").stdout, (
        "who asks for nothing is helped, too"
    )


def test_the_version_is_the_one_that_is_installed() -> None:
    done = etl("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert version("follower-etl") in done.stdout.split()


@pytest.mark.parametrize(
    "wrong", ["nonsense", "--nonsense", "sync --nonsense", "history --format xml", "undo", "undo x"]
)
def test_what_cannot_be_understood_is_a_wrong_argument(wrong: str) -> None:
    done = etl(*wrong.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("history --limit 0", "'--limit': must be at least 1"),
        ("history --limit x", "'--limit': must be a whole number"),
        ("history --format xml", "'--format': 'xml' is not one of 'table', 'json', 'csv'"),
        ("undo x", "'SNAPSHOT_ID': must be a whole number"),
        ("simulate --rate x", "'--rate': must be a number"),
    ],
)
def test_what_is_wrong_with_a_value_is_said_without_the_words_of_a_library(
    wrong: str, words: str
) -> None:
    said = " ".join(etl(*wrong.split(), TERM="dumb", COLUMNS="120").stderr.split())
    assert words in said
    assert "Value error" not in said
    assert "Input should" not in said


def test_python_m_etl_is_etl(tmp_path: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "etl", "--version"],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, etl("--version").stdout)
    assert not list(tmp_path.iterdir())


def test_the_help_lists_every_command_with_the_first_sentence_of_its_own_help() -> None:
    for name, command in inner(program()).items():
        first = " ".join((command.help or "").split("\n\n")[0].split())
        listed = LISTED[name].removesuffix(".")
        assert first.startswith(listed), f"etl --help says of {name}: {listed}"


def test_no_flag_has_a_type_in_the_help() -> None:
    for words in ["", *COMMANDS]:
        assert "<bool>" not in etl(*words.split(), "--help").stdout
        assert "boolean" not in etl(*words.split(), "--help").stdout.lower()


def test_every_option_says_what_it_does() -> None:
    for name, command in all_commands().items():
        for option in command.params:
            assert getattr(option, "help", ""), f"{name} {option.name}"


@pytest.mark.parametrize("arguments", ["--help", "--version"])
def test_what_needs_no_settings_and_no_database_loads_neither(arguments: str) -> None:
    script = (
        f"import sys, etl.cli; sys.argv = ['etl', '{arguments}']\n"
        "try: etl.cli.main()\n"
        "finally: assert not {'pydantic', 'sqlalchemy', 'requests'} & sys.modules.keys()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
