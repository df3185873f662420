"""`etl report` as an operator meets it: four formats, two languages, files that are whole or not
there."""

from __future__ import annotations

import csv
import json
import os
import re
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from html import unescape
from importlib import util
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from commandline import Finished
from commandline import etl as run
from histories import Expected, Reading, write_history
from terminal import etl_on_terminal

from etl import errors
from etl.cli.listing import breadth
from etl.db.engine import connect_engine
from etl.db.schema import upgrade
from etl.model import Reason
from etl.reports.counting import Period
from etl.reports.records import CSV_COLUMNS
from etl.texts import Lang, Texts

if TYPE_CHECKING:
    from collections.abc import Iterator

A, B, C = "4097311281936189049", "4097311281936189050", "4097311281936189051"
NAMES = {A: "<script>alert(1)</script>", B: '=HYPERLINK("http://x.example","win")'}
FORMATS = ("table", "csv", "json", "html")


def users(names: str) -> frozenset[str]:
    return frozenset(names.split())


HISTORY = [
    Reading(A, "2026-09-30 02:00", "complete", users("an bao chi dung")),
    Reading(B, "2026-09-30 03:00", "complete", users("an hoa")),
    Reading(A, "2026-10-01 02:00", "complete", users("an bao chi dung giang hai")),
    Reading(A, "2026-10-02 02:00", "complete", users("an bao chi giang <b>&")),
    Reading(A, "2026-10-03 02:00", "failed", reason="unreachable: no answer"),
    Reading(A, "2026-10-05 02:00", "partial", users("an khanh"), "total_gap"),
    Reading(A, "2026-10-07 02:00", "complete", users("an bao chi dung khanh <b>&")),
    Reading(A, "2026-10-08 02:00", "held", reason="mass_unfollow"),
    Reading(B, "2026-10-08 03:00", "complete", users("hoa kim")),
    Reading(A, "2026-10-09 02:00", "complete", users("an bao chi khanh")),
]
EXPECTED = Expected(HISTORY, A)


@pytest.fixture(autouse=True)
def _the_tenth_of_october() -> Iterator[None]:
    with time_machine.travel(datetime(2026, 10, 10, 5, tzinfo=UTC), tick=False):
        yield


@pytest.fixture
def told(db_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The history above, on both databases, in DATABASE_URL."""
    _tell(db_url, monkeypatch)


@pytest.fixture
def told_sqlite(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, for what has nothing to do with the database."""
    _tell(sqlite_url, monkeypatch)


def _tell(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = connect_engine(url)
    upgrade(engine)
    write_history(engine, HISTORY, NAMES)
    monkeypatch.setenv("DATABASE_URL", url)


def report(*arguments: str) -> Finished:
    return run("report", *arguments)


def good(*arguments: str) -> str:
    done = report(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@cache
def whole(output: str) -> str:
    """The report of the history above; drawn once, as it is the same for all who told it."""
    return good("--format", output)


def periods(*arguments: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(good("--format", "csv", *arguments))))


# -- four formats, the same figures ----------------------------------------------------------------


@pytest.mark.usefixtures("told")
def test_csv_is_a_row_an_oa_and_period_and_empty_where_nobody_could_see() -> None:
    rows = {row["first"]: row for row in periods("--by", "day", "--oaid", A)}
    assert len(rows) == 10
    assert rows["2026-10-01"] == {
        "oaid": A, "name": NAMES[A], "first": "2026-10-01", "last": "2026-10-01", "following_start": "4", "baseline": "0",
        "followed": "2", "refollowed": "0", "unfollowed": "0", "net": "2", "following_end": "6", "churn_rate": "0.0",
        "growth_rate": "0.5", "complete": "1", "partial": "0", "observed_since": "2026-09-29T19:00:00+00:00", "whole": "True", "days": "1",
        "days_whole": "1", "bounded": "True", "covers_first": "2026-10-01", "covers_last": "2026-10-01", "follower_days": "4",
        "churn_per_30_days": "0.0",
    }  # fmt: skip
    assert [
        rows["2026-10-02"][name] for name in ("followed", "unfollowed", "net", "churn_rate")
    ] == ["1", "2", "-1", str(2 / 6)]
    assert [rows["2026-10-03"][name] for name in ("followed", "unfollowed", "following_end")] == [
        "",
        "",
        "",
    ]
    assert [rows["2026-10-05"][name] for name in ("followed", "unfollowed", "following_end")] == [
        "1",
        "",
        "6",
    ]
    assert [rows["2026-10-07"][name] for name in ("refollowed", "unfollowed")] == ["1", "1"]


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("by", ["day", "week", "month"])
def test_json_holds_every_figure_and_csv_and_table_agree_with_it(by: str) -> None:
    lines = [json.loads(line) for line in good("--format", "json", "--by", by).splitlines()]
    assert [line["oaid"] for line in lines] == [A, B]
    table = good("--by", by)
    rows = periods("--by", by)
    assert [row["oaid"] for row in rows] == [
        line["oaid"] for line in lines for _ in line["periods"]
    ]
    for row, period in zip(rows, [each for line in lines for each in line["periods"]], strict=True):
        assert set(period) == {field.name for field in fields(Period)}
        assert {name: row[name] for name in period if name in CSV_COLUMNS} == {
            name: "" if value is None else str(value)
            for name, value in period.items()
            if name in CSV_COLUMNS
        }
    for line in lines:
        total = line["total"]
        assert re.search(
            rf"^  Total +.*{total['followed']} +{total['refollowed']} +{total['unfollowed']} ",
            table,
            re.MULTILINE,
        )


@pytest.mark.usefixtures("told_sqlite")
def test_the_page_shows_the_periods_that_csv_holds() -> None:
    page = good("--format", "html", "--by", "day", "--oaid", A)
    shown = rows_of(page, "oa-1-periods")
    assert len(shown) == 12, "a header, ten days, the total"
    for cells, row in zip(shown[1:-1], periods("--by", "day", "--oaid", A), strict=True):
        names = (
            "following_start",
            "baseline",
            "followed",
            "refollowed",
            "unfollowed",
            "following_end",
        )
        assert [cells[index] for index in (2, 3, 4, 5, 6, 8)] == [
            row[name] or "–" for name in names
        ]


def rows_of(page: str, table: str) -> list[list[str]]:
    """The cells of a table of the page."""
    found = re.search(rf'<table id="{table}">.*?</table>', page, re.DOTALL)
    assert found
    rows = re.findall(r"<tr.*?</tr>", found[0], re.DOTALL)
    return [
        [unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)]
        for row in rows
    ]


@pytest.mark.usefixtures("told_sqlite")
def test_the_table_states_the_definitions_beside_the_numbers() -> None:
    table = good()
    for words in (
        "Churn = left in the period ÷ followers at its start",
        "counts as new and as left",
        "of those whom a reading saw at least once",
        "Who comes and leaves between two readings is in no figure.",
    ):
        assert words in " ".join(table.split())
    assert "Nights without data" in table
    assert re.search(r"failed +3 Oct 2026 +3 Oct 2026 +1\n +eSMS did not answer\n", table)
    assert re.search(
        r"held, to be confirmed +8 Oct 2026 +8 Oct 2026 +1\n +far more followers than usual were "
        r"missing from the list, 70 would have been marked as having left\n",
        table,
    )
    assert re.search(r"no run +4 Oct 2026 +4 Oct 2026 +–\n", table)


@pytest.mark.usefixtures("told_sqlite")
def test_the_most_recent_unfollows_come_first() -> None:
    rows = [
        line.split() for line in good("--oaid", A).partition("Who left last")[2].splitlines()[3:]
    ]
    gone = [
        user
        for index in reversed(range(len(EXPECTED.applied)))
        for user in sorted(EXPECTED.gone(index))
    ]
    assert [row[0] for row in rows[: len(gone)]] == gone


# -- time and language -----------------------------------------------------------------------------


@pytest.mark.usefixtures("told")
def test_since_and_until_are_both_included() -> None:
    days = [
        row["first"]
        for row in periods(
            "--by", "day", "--oaid", A, "--since", "2026-10-02", "--until", "2026-10-05"
        )
    ]
    assert days == ["2026-10-02", "2026-10-03", "2026-10-04", "2026-10-05"]


@pytest.mark.usefixtures("told_sqlite")
def test_what_came_after_a_span_is_not_known_in_its_report() -> None:
    line = json.loads(good("--format", "json", "--oaid", A, "--until", "2026-10-02"))
    assert line["total"]["following_end"] == len(EXPECTED.after[2])
    assert {user["user_id"] for user in line["recent"]} == set(EXPECTED.gone(2))


@pytest.mark.usefixtures("told_sqlite")
@pytest.mark.parametrize("output", ["table", "html"])
def test_vietnamese_is_vietnamese(output: str) -> None:
    told_in_vietnamese = unescape(good("--lang", "vi", "--format", output))
    for name in ("title", "unfollowed", "churn_rate", "cohorts", "survival", "unseen"):
        english, vietnamese = (Texts(lang)(f"report.{name}") for lang in Lang)
        assert vietnamese.casefold() in told_in_vietnamese.casefold()
        assert english not in told_in_vietnamese
    assert "09/10/2026" in told_in_vietnamese
    if output == "html":
        assert '<html lang="vi">' in told_in_vietnamese


@pytest.mark.usefixtures("told_sqlite")
@pytest.mark.parametrize(
    ("zone", "lang", "words"),
    [
        ("Asia/Ho_Chi_Minh", "vi", "Ngày được tính theo giờ Việt Nam."),
        ("Europe/Berlin", "vi", "Ngày được tính theo múi giờ Europe/Berlin."),
        ("Europe/Berlin", "en", "Days are days in Europe/Berlin."),
    ],
)
def test_a_zone_is_called_as_readers_call_it(
    zone: str, lang: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETL_TIMEZONE", zone)
    assert words in good("--lang", lang)


@pytest.mark.usefixtures("told_sqlite")
def test_the_language_is_that_of_etl_lang_where_no_option_names_one() -> None:
    assert run("report", ETL_LANG="vi").stdout == good("--lang", "vi")
    assert run("report", "--lang", "en", ETL_LANG="vi").stdout == good()
    assert '<html lang="vi"' in run("report", "--format", "html", ETL_LANG="vi").stdout
    assert run("report", "--format", "json", ETL_LANG="vi").stdout == good("--format", "json")


@pytest.mark.usefixtures("told_sqlite")
@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("lang", ["en", "vi"])
def test_on_a_terminal_no_line_is_too_wide_and_no_word_or_number_is_cut(
    columns: int, lang: str
) -> None:
    url = os.environ["DATABASE_URL"]
    seen = etl_on_terminal(columns, "report", cwd=Path(), DATABASE_URL=url, ETL_LANG=lang)
    assert [line for line in seen if breadth(line) > columns] == []
    shown = [word for line in seen for word in line.split() if not set(word) <= set("─━═=")]
    with time_machine.travel(time_machine.escape_hatch.datetime.datetime.now(UTC)):  # its clock
        whole = set(good("--lang", lang).split())
    assert [
        word for word in shown if word not in whole and not re.match(r"\d+/\d+|\d:|OAs", word)
    ] == []
    for name in NAMES.values():
        assert set(name.split()) <= set(shown)


def test_every_reason_on_record_has_a_sentence() -> None:
    """Those of snapshots, and of every error that a run can end with."""
    ended = {
        kind.reason
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.EtlError)
    }
    of_commands = {
        "settings",
        "usage",
        "database_behind",
        "database_unfit",
        "contradiction",
        "busy",
    }
    needed = {*Reason, *ended} - of_commands
    assert [reason for reason in sorted(needed) if not Texts().has(f"reason.{reason}")] == []


# -- what others wrote is data ---------------------------------------------------------------------


@pytest.mark.usefixtures("told_sqlite")
def test_names_and_users_are_escaped_in_the_page() -> None:
    page = whole("html")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<b>" not in page
    assert any(cells[0] == "<b>&" for cells in rows_of(page, "oa-1-recent"))


@pytest.mark.usefixtures("told_sqlite")
def test_a_name_cannot_become_a_formula_in_a_spreadsheet() -> None:
    names = {row["oaid"]: row["name"] for row in periods()}
    assert names[B] == f"'{NAMES[B]}"
    assert not [
        row
        for row in csv.reader(StringIO(good("--format", "csv")))
        for cell in row
        if cell[:1] in {"=", "@", "+"}
    ]


@pytest.mark.usefixtures("told_sqlite")
def test_a_loss_stays_a_number_in_csv() -> None:
    assert "-1" in [row["net"] for row in periods("--by", "day")]


def test_a_name_cannot_steer_a_terminal(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = connect_engine(sqlite_url)
    upgrade(engine)
    write_history(engine, [each for each in HISTORY if each.oaid == A], {A: "\x1b[2Jgone"})
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    table = good()
    assert "\x1b" not in table
    assert "\N{REPLACEMENT CHARACTER}[2Jgone" in table


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("told_sqlite")
@pytest.mark.parametrize("output", FORMATS)
def test_a_file_holds_what_stdout_would(output: str) -> None:
    shown = whole(output)
    assert good("--format", output, "-o", "report.out") == ""
    assert Path("report.out").read_bytes() == shown.encode()
    assert not list(Path().glob(".*")), "nothing is left beside it"


@pytest.mark.usefixtures("told_sqlite")
def test_a_page_is_one_small_file_of_its_own() -> None:
    page = whole("html")
    assert len(page.encode()) < 2_000_000
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#|data:)""", page)
    assert "url(" not in page
    assert "@import" not in page
    assert page.count('role="img"') == page.count("<title id=") == page.count("<desc id=") > 0


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("told_sqlite")
@pytest.mark.parametrize("output", ["csv", "html"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--oaid", "99"], "--oaid: OA '99' is not in the database"),
        (
            ["--since", "2026-10-05", "--until", "2026-10-04"],
            "the first day 2026-10-05 lies after the last day 2026-10-04",
        ),
        (["--until", "2026-09-29"], "the last day 2026-09-29 lies before the first snapshot of OA"),
        (["--since", "2026-10-11"], "the first day 2026-10-11 lies after the last snapshot of OA"),
        (["--since", "11/10/2026"], "--since '11/10/2026' is no date such as 2026-11-01"),
        (["--by", "year"], "--by"),
        (["--lang", "fr"], "--lang"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_told_and_writes_nothing(
    arguments: list[str], words: str, output: str
) -> None:
    Path("report.out").write_text("yesterday's")
    done = report(*arguments, "--format", output, "-o", "report.out")
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert Path("report.out").read_text() == "yesterday's"
    assert not list(Path().glob(".*"))


@pytest.mark.parametrize("output", FORMATS)
@pytest.mark.parametrize("place", ["missing/report.out", "."])
def test_a_file_that_cannot_be_written_is_told_before_a_database_is_looked_for(
    output: str, place: str
) -> None:
    before = sorted(Path().iterdir())
    done = report("--format", output, "-o", place)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"etl: -o {place}: ")
    assert sorted(Path().iterdir()) == before


def test_an_empty_database_has_no_report(db_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade(connect_engine(db_url))
    monkeypatch.setenv("DATABASE_URL", db_url)
    done = report("--format", "html", "-o", "report.html")
    assert (done.returncode, done.stderr) == (
        2,
        "etl: no OA is in the database yet: run `etl sync` first\n",
    )
    assert not Path("report.html").exists()


def test_an_oa_that_was_never_read_is_left_out_and_said_so(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = connect_engine(sqlite_url)
    upgrade(engine)
    write_history(
        engine,
        [*HISTORY, Reading(C, "2026-10-09 04:00", "failed", reason="refused: code 101")],
        {**NAMES, C: "Never read"},
    )
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    done = report("--format", "csv")
    assert done.returncode == 0
    assert f"etl: left out: OA {C} has no complete or partial snapshot yet" in done.stderr
    assert {row["oaid"] for row in csv.DictReader(StringIO(done.stdout))} == {A, B}
    assert report("--oaid", C).returncode == 2


@pytest.mark.usefixtures("told_sqlite")
def test_without_the_extra_a_page_is_refused_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def found(name: str, *arguments: Any) -> Any:
        return None if name in {"altair", "vl_convert"} else find_spec(name, *arguments)

    find_spec = util.find_spec
    monkeypatch.setattr(util, "find_spec", found)
    done = report("--format", "html", "-o", "report.html")
    assert done.returncode == 78
    assert "pip install '.[report]'" in done.stderr
    assert not Path("report.html").exists()
