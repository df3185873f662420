"""`etl export` as an operator meets it: who followed then, in three forms, whole or not at all."""

from __future__ import annotations

import csv
import json
import signal
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet
import pytest
import time_machine
from histories import ZONE, Expected, Reading, write_history

from etl.cli import main
from etl.db.engine import connect_engine
from etl.db.schema import upgrade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

A, B, C = "4097311281936189049", "4097311281936189050", "4097311281936189051"
NAMES = {A: "Bubble tea", B: "Noodles"}
BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "report_data.py"


def users(names: str) -> frozenset[str]:
    return frozenset(names.split())


HISTORY = [
    Reading(A, "2026-10-01 02:00", "complete", users("an bao chi")),
    Reading(A, "2026-10-02 02:00", "complete", users("bao chi =1+1")),
    Reading(A, "2026-10-03 02:00", "partial", users("chi dung"), "torn"),
    Reading(A, "2026-10-04 02:00", "failed", reason="unreachable: no answer"),
    Reading(A, "2026-10-05 02:00", "complete", users("an chi =1+1 dung")),
    Reading(B, "2026-10-05 03:00", "complete", users("an hoa")),
    Reading(A, "2026-10-05 14:00", "complete", users("an bao chi")),
    Reading(B, "2026-10-06 06:30", "complete", users("hoa")),
    Reading(A, "2026-10-07 02:00", "complete", users("an bao chi @hoa")),
]
EXPECTED = {oaid: Expected(HISTORY, oaid) for oaid in NAMES}


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, str]]:
        """The CSV on stdout."""
        return list(csv.DictReader(StringIO(self.out)))

    @property
    def users(self) -> set[tuple[str, str]]:
        """(OA, User_Id) of every row."""
        return {(row["oaid"], row["user_id"]) for row in self.rows}


@pytest.fixture
def etl(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Done]]:
    """The whole program, in this process; it is 10 October 2026."""
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["etl", *arguments])
        with (
            pytest.raises(SystemExit) as ended,
            time_machine.travel(datetime(2026, 10, 10, 5, tzinfo=UTC), tick=False),
        ):
            main()
        written = capsys.readouterr()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0, written.out, written.err)

    yield run
    for each, handler in handlers.items():
        signal.signal(each, handler)


@pytest.fixture
def told(db_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The history above, on both databases, in DATABASE_URL."""
    return _told(db_url, monkeypatch)


@pytest.fixture
def told_sqlite(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same for what has nothing to do with the database."""
    return _told(sqlite_url, monkeypatch)


def _told(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    engine = connect_engine(url)
    upgrade(engine)
    write_history(engine, HISTORY, NAMES)
    monkeypatch.setenv("DATABASE_URL", url)
    return url


def defused(user: str) -> str:
    return f"'{user}" if user[0] in "=@" else user


def followers(moment: datetime) -> set[tuple[str, str]]:
    """Who followed at a moment, from the readings themselves, as CSV shows them."""
    return {
        (oaid, defused(user)) for oaid, expected in EXPECTED.items() for user in expected.at(moment)
    }


def end_of(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=ZONE) + timedelta(days=1, seconds=-1)


# -- who followed then -----------------------------------------------------------------------------


@pytest.mark.usefixtures("told")
def test_without_a_date_it_is_who_follows_now(etl: Callable[..., Done]) -> None:
    done = etl("export")
    assert done.code == 0
    assert done.out.splitlines() == [
        "oaid,user_id,followed_at,first_seen_at",
        f"{A},'@hoa,2026-10-06T19:00:00+00:00,2026-10-06T19:00:00+00:00",
        f"{A},an,2026-10-04T19:00:00+00:00,2026-09-30T19:00:00+00:00",
        f"{A},bao,2026-10-05T07:00:00+00:00,2026-09-30T19:00:00+00:00",
        f"{A},chi,2026-09-30T19:00:00+00:00,2026-09-30T19:00:00+00:00",
        f"{B},hoa,2026-10-04T20:00:00+00:00,2026-10-04T20:00:00+00:00",
    ]
    assert f"OA {A}: 4 followers as of snapshot 9 (complete)" in done.err


@pytest.mark.parametrize("day", ["2026-10-05", "2026-10-06", "2026-10-07", "2026-10-09"])
@pytest.mark.usefixtures("told")
def test_a_date_is_who_followed_at_its_end_on_the_spot(day: str, etl: Callable[..., Done]) -> None:
    assert etl("export", "--as-of", day).users == followers(end_of(day))


@pytest.mark.parametrize("day", ["2026-10-01", "2026-10-02", "2026-10-03", "2026-10-04"])
@pytest.mark.usefixtures("told")
def test_an_oa_that_was_not_read_by_then_is_left_out_and_said_so(
    day: str, etl: Callable[..., Done]
) -> None:
    done = etl("export", "--as-of", day)
    assert done.users == followers(end_of(day))
    assert (
        f"etl: left out: that day lies before the first snapshot of OA {B}, taken on 2026-10-05"
        in done.err
    )


@pytest.mark.usefixtures("told")
def test_as_of_today_is_what_is_so_now(etl: Callable[..., Done]) -> None:
    assert etl("export", "--as-of", "2026-10-10").out == etl("export").out


@pytest.mark.usefixtures("told")
def test_each_row_tells_the_stay_that_covers_the_moment(etl: Callable[..., Done]) -> None:
    done = etl("export", "--oaid", A, "--as-of", "2026-10-01")
    assert done.rows[0] == {
        "oaid": A, "user_id": "an", "followed_at": "2026-09-30T19:00:00+00:00", "first_seen_at": "2026-09-30T19:00:00+00:00",
    }  # fmt: skip


@pytest.mark.usefixtures("told")
def test_a_date_time_is_that_moment(etl: Callable[..., Done]) -> None:
    for moment in ("2026-10-05T13:59:59+07:00", "2026-10-05T07:00:00Z"):
        assert etl("export", "--as-of", moment).users == followers(datetime.fromisoformat(moment))


@pytest.mark.parametrize("setting", ["ETL_TIMEZONE=UTC", "ETL_DAY_BEGINS=20:00"])
@pytest.mark.usefixtures("told")
def test_a_date_is_the_day_on_record_whatever_is_set_now(
    setting: str, etl: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second reading of B is the 6th's on record; in UTC it was begun on the 5th."""
    monkeypatch.setenv(*setting.split("="))
    assert (B, "an") in etl("export", "--as-of", "2026-10-05").users
    assert (B, "an") not in etl("export", "--as-of", "2026-10-06").users


@pytest.mark.usefixtures("told")
def test_one_oa_can_be_named_twice_and_is_exported_once(etl: Callable[..., Done]) -> None:
    done = etl("export", "--oaid", B, "--oaid", B)
    assert [row["user_id"] for row in done.rows] == ["hoa"]


# -- the change log --------------------------------------------------------------------------------


@pytest.mark.usefixtures("told")
def test_the_change_log_is_every_change_user_by_user(etl: Callable[..., Done]) -> None:
    expected = {
        (oaid, defused(user), change, each.at.isoformat(), HISTORY.index(each) + 1)
        for oaid, oa in EXPECTED.items()
        for index, each in enumerate(oa.applied)
        for change, who in {
            "baseline": oa.baseline, "followed": oa.followed, "refollowed": oa.refollowed, "unfollowed": oa.gone,
        }.items()
        for user in who(index)
    }  # fmt: skip
    rows = etl("export", "--changes").rows
    found = [
        (row["oaid"], row["user_id"], row["change"], row["changed_at"], int(row["snapshot_id"]))
        for row in rows
    ]
    assert set(found) == expected
    assert len(found) == len(expected)
    assert list(rows[0]) == ["oaid", "user_id", "snapshot_id", "change", "changed_at"]


@pytest.mark.usefixtures("told")
def test_the_change_log_until_a_date_adds_up_to_who_followed_then(etl: Callable[..., Done]) -> None:
    following: dict[tuple[str, str], bool] = {}
    for row in etl("export", "--changes", "--as-of", "2026-10-05").rows:
        following[row["oaid"], row["user_id"]] = row["change"] != "unfollowed"
    assert {who for who, there in following.items() if there} == followers(end_of("2026-10-05"))


# -- forms -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [[], ["--changes"]])
@pytest.mark.usefixtures("told")
def test_the_three_forms_say_the_same(
    changes: list[str], etl: Callable[..., Done], tmp_path: Path
) -> None:
    rows = [
        json.loads(line) for line in etl("export", *changes, "--format", "jsonl").out.splitlines()
    ]
    assert {row["user_id"] for row in rows} >= {"an", "@hoa"}
    assert (
        etl("export", *changes, "--format", "parquet", "-o", str(tmp_path / "x.parquet")).code == 0
    )
    table = pyarrow.parquet.read_table(tmp_path / "x.parquet")
    assert [
        {name: shown(value) for name, value in row.items()} for row in table.to_pylist()
    ] == rows
    assert str(table.schema.field("user_id").type) == "string"
    assert {str(each.type) for each in table.schema if each.name.endswith("_at")} == {
        "timestamp[us, tz=UTC]"
    }
    as_csv = etl("export", *changes).rows
    assert as_csv == [{name: defused(str(value)) for name, value in row.items()} for row in rows]


def shown(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


@pytest.mark.usefixtures("told_sqlite")
def test_a_user_id_cannot_become_a_formula(etl: Callable[..., Done]) -> None:
    assert (A, "'=1+1") in etl("export", "--as-of", "2026-10-02").users


def test_an_oa_that_nobody_follows_is_a_header_alone(
    sqlite_url: str, etl: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = connect_engine(sqlite_url)
    upgrade(engine)
    write_history(engine, [Reading(A, "2026-10-01 02:00", "complete")], {A: ""})
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    done = etl("export")
    assert (done.code, done.out) == (0, "oaid,user_id,followed_at,first_seen_at\n")


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--as-of", "2026-13-01"], "is neither a date such as 2026-11-01"),
        (["--as-of", "yesterday"], "is neither a date"),
        (["--as-of", ""], "is neither a date"),
        (["--as-of", "20261001"], "is neither a date"),
        (["--as-of", "2026-10-05T14:00:00"], "nor a date-time with its zone"),
        (["--as-of", "2026-10-11"], "is in the future"),
        (["--as-of", "2026-10-11T00:00:00+07:00"], "is in the future"),
        (["--as-of", "9999-12-31"], "is in the future"),
        (["--as-of", "0001-01-01T00:00:00+07:00"], "is neither a date"),
        (
            ["--as-of", "2026-09-30"],
            f"that day lies before the first snapshot of OA {A}, taken on 2026-10-01",
        ),
        (
            ["--as-of", "2026-09-30T12:00:00Z"],
            f"that moment lies before the first snapshot of OA {A}, taken at 2026-09-30T19:00:00+00:00",
        ),
        (
            ["--as-of", "2026-10-02", "--oaid", A, "--oaid", B],
            f"that day lies before the first snapshot of OA {B}",
        ),
        (["--oaid", "123"], f"OA '123' is not in the database (there: {A}, {B})"),
        (["--format", "parquet"], "--format parquet needs -o FILE"),
        (["-o", "missing/followers.csv"], "-o missing/followers.csv: No such file or directory"),
        (["-o", "."], "-o .: Is a directory"),
        (["-o", "/dev/full"], "-o /dev/full: No space left on device"),
    ],
)
@pytest.mark.usefixtures("told_sqlite")
def test_a_wrong_argument_is_told_and_leaves_no_file(
    arguments: list[str], words: str, etl: Callable[..., Done], tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    done = etl(
        "export",
        *([] if "-o" in arguments or "parquet" in arguments else ["-o", "followers.csv"]),
        *arguments,
    )
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert "Traceback" not in done.err
    assert sorted(tmp_path.iterdir()) == before


def test_a_database_without_any_oa_is_told(
    db_url: str, etl: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade(connect_engine(db_url))
    monkeypatch.setenv("DATABASE_URL", db_url)
    done = etl("export")
    assert (done.code, done.out) == (2, "")
    assert "no OA is in the database yet: run `etl sync` first" in done.err


def test_an_oa_of_which_no_run_succeeded_is_told(
    db_url: str, etl: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = connect_engine(db_url)
    upgrade(engine)
    write_history(
        engine,
        [*HISTORY, Reading(C, "2026-10-07 02:00", "failed", reason="refused: code 101")],
        NAMES | {C: ""},
    )
    monkeypatch.setenv("DATABASE_URL", db_url)
    assert (done := etl("export", "--oaid", C)).code == 2
    assert f"OA {C} has no complete or partial snapshot yet" in done.err
    everybody = etl("export")
    assert everybody.code == 0
    assert everybody.users == followers(end_of("2026-10-09"))


@pytest.mark.usefixtures("told_sqlite")
def test_parquet_without_pyarrow_names_the_extra(
    etl: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = etl("export", "--format", "parquet", "-o", "x.parquet")
    assert done.code == 78
    assert "pip install '.[parquet]'" in done.err
    assert not Path("x.parquet").exists()


# -- many rows -------------------------------------------------------------------------------------


def long_history(url: str, monkeypatch: pytest.MonkeyPatch, *, users: int) -> None:
    """A history with three changes for each user, made by the benchmark's own script."""
    size = [
        "--days",
        "200",
        "--users",
        str(users),
        "--changes",
        str(3 * users),
        "--until",
        "2026-10-01",
    ]
    subprocess.run([sys.executable, BENCHMARK, url, *size], check=True, stdout=subprocess.DEVNULL)
    monkeypatch.setenv("DATABASE_URL", url)


def test_the_history_that_benchmarks_make_agrees_with_itself(
    db_url: str, etl: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    long_history(db_url, monkeypatch, users=2_000)
    assert etl("verify").code == 0
    changes = etl("export", "--changes").rows
    assert len(changes) == 6_000
    assert {row["change"] for row in changes} == {
        "baseline",
        "followed",
        "refollowed",
        "unfollowed",
    }
    assert etl("export").out == etl("export", "--as-of", "2026-10-02").out


def test_memory_does_not_grow_with_the_rows(db_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    long_history(db_url, monkeypatch, users=50_000)
    few = peak_megabytes("export", "--changes", "--as-of", "2026-03-20", "-o", "few.csv")
    many = peak_megabytes("export", "--changes", "-o", "many.csv")
    assert Path("many.csv").read_bytes().count(b"\n") == 150_001
    assert many - few < 15, "150,000 rows at once take twice that"


def peak_megabytes(*arguments: str) -> float:
    """The most memory that the program ever held, as Linux counts it."""
    script = "import atexit, sys; from etl.cli import main; atexit.register(lambda: print(open('/proc/self/status').read())); main()"
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], check=True, capture_output=True, text=True
    )
    return next(
        int(line.split()[1]) / 1024 for line in done.stdout.splitlines() if line.startswith("VmHWM")
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_the_old_file_and_no_other(
    number: signal.Signals,
    code: int,
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    long_history(sqlite_url, monkeypatch, users=50_000)
    target = tmp_path / "out" / "changes.jsonl"
    target.parent.mkdir()
    target.write_text("old\n")
    command = [
        sys.executable,
        "-m",
        "etl",
        "export",
        "--changes",
        "--format",
        "jsonl",
        "-o",
        str(target),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as export:
        assert export.stderr is not None
        while not any(each.stat().st_size for each in target.parent.glob(".*.part")):
            assert export.poll() is None, export.stderr.read()
            time.sleep(0.001)
        export.send_signal(number)
        told = export.stderr.read()
    assert export.returncode == code, told
    assert f"stopped by {number.name}" in told
    assert [each.name for each in target.parent.iterdir()] == ["changes.jsonl"]
    assert target.read_text() == "old\n"


def test_a_reader_that_has_seen_enough_ends_it_quietly(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_history(sqlite_url, monkeypatch, users=10_000)
    with subprocess.Popen(
        [sys.executable, "-m", "etl", "export", "--changes"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as export:
        assert export.stdout is not None
        assert export.stderr is not None
        assert export.stdout.readline() == "oaid,user_id,snapshot_id,change,changed_at\n"
        export.stdout.close()
        assert export.stderr.read() == ""
    assert export.returncode == 128 + signal.SIGPIPE


@pytest.mark.usefixtures("told_sqlite")
def test_a_file_that_is_replaced_keeps_its_permissions(
    etl: Callable[..., Done], tmp_path: Path
) -> None:
    target = tmp_path / "followers.csv"
    target.touch(mode=0o600)
    assert etl("export", "-o", str(target)).out == ""
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert target.read_text() == etl("export").out
