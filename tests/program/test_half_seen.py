"""Fourteen months of which half of the nights are missing, read in part, held or failed: every
figure of every rendering, on both databases, against a recount from sets of users."""

from __future__ import annotations

import csv
import json
import re
from datetime import UTC, date, datetime
from html import unescape
from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import time_machine
from commandline import etl
from halfseen import DAILY, HISTORY, NAMES
from histories import write_history
from recount import recounted
from shown import covers, day, days, label, number, percent, sentences, span, survival_at, tables

from etl.db.engine import connect_engine

if TYPE_CHECKING:
    from recount import Figures

NOW = datetime(2026, 11, 25, 5, tzinfo=UTC)


class Renderings(NamedTuple):
    """What `etl report --by month` makes of one database: of one OA, and at last of two."""

    json: str
    csv: str
    table: str
    html: str
    vietnamese: str
    both: str


@pytest.fixture(scope="module")
def made(shared_url: str) -> Renderings:
    write_history(connect_engine(shared_url), HISTORY, NAMES)
    outputs = []
    with time_machine.travel(NOW, tick=False):
        one = ("json", "csv", "table", "html", "table --lang vi")
        for arguments in [*(f"{each} --oaid {DAILY}" for each in one), "table"]:
            options = ["--by", "month", "--format", *arguments.split()]
            done = etl("report", *options, DATABASE_URL=shared_url)
            assert (done.returncode, done.stderr) == (0, "")
            outputs.append(done.stdout)
    return Renderings(*outputs)


@pytest.fixture(scope="module")
def right() -> Figures:
    """What is to be found, in the words of JSON."""
    figures: Figures = json.loads(
        json.dumps(recounted(HISTORY, DAILY, "month", date(2026, 11, 25)), default=_plain)
    )
    return figures


def _plain(value: date | datetime) -> str:
    return value.isoformat()


# -- how it is read off ----------------------------------------------------------------------------


def cells_of(page: str, table: str) -> list[list[str]]:
    found = re.search(rf'<table id="oa-1-{table}".*?</table>', page, re.DOTALL)
    assert found, table
    rows = re.findall(r"<tr.*?</tr>", found[0], re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows[1:]]
    return [[unescape(cell) for cell in row] for row in cells]


def lines_of(text: str, heading: str) -> list[list[str]]:
    """The rows of a table of the terminal; what stands below a row is the end of its last cell."""
    found = re.search(rf"^{re.escape(heading)}.*?(?=\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, heading
    rows: list[list[str]] = []
    for line in found[0].split("──\n", 1)[1].splitlines():
        if line.startswith("      "):
            rows[-1].append(line.strip())
        elif line.startswith("  ") and not line.startswith("  ─"):
            rows.append(re.split(r" {2,}", line.strip()))
    return rows


def tips(page: str, chart: str) -> list[str]:
    """What one reads over the marks of a chart."""
    found = re.search(rf"<svg[^>]*oa-1-{chart}-wide.*?</svg>", page, re.DOTALL)
    assert found, chart
    return [unescape(each) for each in re.findall(r"<title>(.*?)</title>", found[0])]


def same(found: Any, expected: Any, where: str = "") -> None:
    """Equal, fractions to 12 digits; what the recount does not know of is not looked at."""
    if isinstance(expected, dict):
        for name, value in expected.items():
            same(found[name], value, f"{where}.{name}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for at, (one, other) in enumerate(zip(found, expected, strict=True)):
            same(one, other, f"{where}[{at}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-12), where
    else:
        assert found == expected, where


# -- the tests -------------------------------------------------------------------------------------


def test_half_of_the_nights_tell_nothing_in_each_of_four_ways(right: Figures) -> None:
    """Or this module would try little."""
    assert 0.4 < right["days_seen"] / right["total"]["days"] < 0.6
    assert {each["kind"] for each in right["unseen"]} == {"gap", "partial", "held", "failed"}
    for figure in (right["periods"], right["cohorts"]):
        assert len(figure) == 15
    rates = [each["churn_rate"] for each in right["periods"]]
    assert min(rates.count(None), len(rates) - rates.count(None)) > 1
    assert None in right["there_at_start"]["following"]


def test_json_is_the_recount(made: Renderings, right: Figures) -> None:
    (line,) = made.json.splitlines()
    found = json.loads(line)
    same(found, right)
    unknown = {"made_at", "timezone", "name"}
    assert found.keys() == right.keys() | unknown
    for name in ("periods", "cohorts", "curve", "recent", "unseen"):
        assert found[name][0].keys() == right[name][0].keys()
    for name in ("survival", "stays", "total"):
        assert found[name].keys() == right[name].keys()


def test_csv_is_the_recount(made: Renderings, right: Figures) -> None:
    rows = list(csv.DictReader(StringIO(made.csv)))
    assert len(rows) == len(right["periods"])
    for row, period in zip(rows, right["periods"], strict=True):
        assert row.keys() == {"oaid", "name", *period}
        for name, value in period.items():
            if isinstance(value, float):
                assert float(row[name]) == pytest.approx(value), name
            else:
                assert row[name] == ("" if value is None else str(value)), name


def test_the_table_of_the_terminal_is_the_recount(made: Renderings, right: Figures) -> None:
    headings = {
        "periods": "Figures by month", "cohorts": "Retention: ", "survival": "How long new followers",
        "stays": "Time as a follower", "recent": "Who left last", "unseen": "Nights without data",
    }  # fmt: skip
    for name, rows in tables(right).items():
        told = [[cell for cell in row if cell] for row in rows]
        if name == "periods":  # what it covers stands below a row
            told = [[*row[:-1], *row[-1].split(", ")] for row in told]
        if name == "unseen":  # why, too
            told = [row[:-1] if row[-1] == "–" else row for row in told]
        assert lines_of(made.table, headings[name]) == told
    windows = [right["last_30_days"], right["before_30_days"]]
    names = ("followed", "refollowed", "unfollowed", "net", "following_end")
    assert lines_of(made.table, "The 30 days to") == [
        [
            span(each["first"], each["last"]), percent(each["churn_rate"]),
            *(number(each[name], sign=name == "net") for name in names),
            f"{each['days_whole']}/{each['days']}", *covers(each),
        ]
        for each in windows
    ]  # fmt: skip
    unfolded = " ".join(made.table.split())
    assert [each for each in sentences(right) if each not in unfolded] == []


def test_two_oas_are_compared_by_the_recount_of_the_same_days(made: Renderings) -> None:
    windows = {
        name: json.loads(
            json.dumps(
                recounted(HISTORY, oaid, "month", NOW.date())["last_30_days"], default=_plain
            )
        )
        for oaid, name in NAMES.items()
    }
    assert len({(each["first"], each["last"]) for each in windows.values()}) == 1
    names = ("following_end", "followed", "refollowed", "unfollowed", "net")
    sums = [sum(each[name] for each in windows.values()) for name in names]
    assert lines_of(made.both, "OAs compared: the 30 days to") == [
        *(
            [
                name, percent(each["churn_rate"]),
                *(number(each[of], sign=of == "net") for of in names),
                f"{each['days_whole']}/{each['days']}", *covers(each),
            ]
            for name, each in windows.items()
        ),
        ["Total", *(number(each, sign=of == "net") for each, of in zip(sums, names, strict=True))],
    ]  # fmt: skip


def test_the_table_in_vietnamese_has_the_same_numbers(made: Renderings, right: Figures) -> None:
    headings = {
        "periods": "Số liệu theo tháng", "cohorts": "Người mới có ở lại không?",
        "survival": "Người mới ở lại bao lâu", "stays": "Thời gian quan tâm",
    }  # fmt: skip
    swapped = str.maketrans(",.", ".,")
    for name, rows in tables(right).items():
        if name in headings:
            numbers = [[cell.translate(swapped) for cell in row if _numeric(cell)] for row in rows]
            told = lines_of(made.vietnamese, headings[name])
            assert [[cell for cell in row if _numeric(cell)] for row in told] == [
                [cell for cell in row if _numeric(cell)] for row in numbers
            ]


def _numeric(cell: str) -> bool:
    return bool(re.fullmatch(r"[+−]?[\d.,]+%?( – [\d.,]+%)?|–", cell))


def test_the_tables_and_tiles_of_the_page_are_the_recount(made: Renderings, right: Figures) -> None:
    for name, rows in tables(right).items():
        width = max(map(len, rows))
        assert cells_of(made.html, name) == [[*row, *[""] * (width - len(row))] for row in rows]
    kinds = {True: "whole", False: "in part"}
    assert cells_of(made.html, "curve-table") == [
        [day(each["day"]), number(each["following"]), kinds[each["complete"]]]
        for each in reversed(right["curve"])
    ]
    tiles = re.findall(
        r'<div><dt>(.*?)</dt><dd>(.*?)</dd>(?:<dd class="before">(.*?)</dd>)?', made.html
    )
    last, before = right["last_30_days"], right["before_30_days"]
    counts = {"New": "followed", "Returned": "refollowed", "Left": "unfollowed", "Net": "net"}
    then = f"{number(before['following_end'])} on {day(before['last'])}"
    assert tiles[0] == ("Followers", number(last["following_end"]), then)
    assert tiles[1][:2] == ("Churn", percent(last["churn_rate"]))
    assert tiles[1][2].startswith(percent(before["churn_rate"]))
    assert tiles[2:] == [
        (
            name, number(last[each], sign=each == "net"),
            f"{number(before[each], sign=each == 'net')} in the 30 days before",
        )
        for name, each in counts.items()
    ]  # fmt: skip
    text = unescape(made.html)
    nights = [
        ", ".join([f"{each['days_whole']}/{each['days']}", *covers(each)])
        for each in (last, before)
    ]
    assert f">Nights read: {nights[0]} · {nights[1]} in the 30 days before<" in text
    assert [each for each in sentences(right) if each not in text] == []


def test_what_the_charts_say_is_the_recount(made: Renderings, right: Figures) -> None:
    points = {f"{day(each['day'])}: {number(each['following'])}" for each in right["curve"]}
    gaps = {f"{span(each['first'], each['last'])}: no data" for each in right["curve_gaps"]}
    curve = tips(made.html, "curve")
    assert set(curve) <= points | gaps
    assert gaps <= set(curve)
    strip = re.search(r"<svg[^>]*oa-1-curve-wide.*?</svg>", made.html, re.DOTALL)
    assert strip
    assert strip[0].count('fill="#858177"') == len(gaps), "where edges would hide the line"
    whole = [each for each in right["curve"] if each["complete"]]
    assert f"{day(whole[-1]['day'])}: {number(whole[-1]['following'])}" in curve

    counts = {"New": "followed", "Returned": "refollowed", "Left": "unfollowed", "Net": "net"}
    bars = {
        f"{label(each)}: "
        + ", ".join(f"{name} {number(each[of], sign=of == 'net')}" for name, of in counts.items())
        + "".join(f" ({covered})" for covered in covers(each))
        for each in right["periods"]
    }
    assert set(tips(made.html, "wins")) == bars

    cells = {
        f"{begin}: {number(count)} of {number(cohort['users'])} ({percent(share)}) followed at the end of "
        f"{_month_after(cohort['month'], since)}"
        for cohort in (right["there_at_start"], *right["cohorts"])
        for begin in [
            "There at the start" if cohort is right["there_at_start"]
            else f"First followed in {_month_after(cohort['month'], 0)}"
        ]
        for since, (count, share) in enumerate(
            zip(cohort["following"], cohort["retention"], strict=True)
        )
        if count is not None
    }  # fmt: skip
    assert set(tips(made.html, "cohorts")) == cells
    for cohort in right["cohorts"]:
        row = f"{_month_after(cohort['month'], 0)} · {number(cohort['users'])}"
        assert made.html.count(f">{row}<") == 2, "each row has its name, in the wide and the narrow"

    survival = [each for each in tips(made.html, "survival") if each.startswith("After ")]
    assert len(survival) > 50
    for each in survival:
        length = int(each.split()[1])
        point = survival_at(right["survival"], length)
        low, high = percent(point["low"]), percent(point["high"])
        told = f"After {days(length)}: {percent(point['survival'])} still follow ({low} to {high})"
        assert each == told


def _month_after(month: str, count: int) -> str:
    begin = date.fromisoformat(month)
    number = begin.year * 12 + begin.month - 1 + count
    return f"{date(number // 12, number % 12 + 1, 1):%b %Y}"
