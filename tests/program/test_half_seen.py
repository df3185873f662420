"""Fourteen months of which half of the nights are missing, read in part, held or failed: every
figure of every rendering, on both databases, against a recount from sets of users."""

from __future__ import annotations

import csv
import json
import re
from datetime import UTC, date, datetime, timedelta
from html import unescape
from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import time_machine
from commandline import etl
from halfseen import DAILY, HISTORY, NAMES
from recount import recounted
from told import tell

from etl.db.engine import connect_engine

if TYPE_CHECKING:
    from recount import Figures

NOW = datetime(2026, 11, 25, 5, tzinfo=UTC)

REASONS = {
    "torn": "the list changed faster than it could be read",
    "unreachable": "eSMS did not answer",
    "mass_unfollow": "far more followers than usual were missing from the list",
}


class Renderings(NamedTuple):
    """What `etl report --by month` makes of one database."""

    json: str
    csv: str
    table: str
    html: str
    vietnamese: str


@pytest.fixture(scope="module")
def made(shared_url: str) -> Renderings:
    tell(connect_engine(shared_url), HISTORY, NAMES)
    outputs = []
    with time_machine.travel(NOW, tick=False):
        for output in ("json", "csv", "table", "html", "table --lang vi"):
            format_ = ["--format", *output.split()]
            done = etl(
                "report", "--oaid", DAILY, "--by", "month", *format_, DATABASE_URL=shared_url
            )
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


# --- how people are shown it
# --------------------------------------------------------------------------------------------------


def number(value: int | None, *, sign: bool = False) -> str:
    if value is None:
        return "–"
    return (f"{value:+,}" if sign and value else f"{value:,}").replace("-", "−")


def percent(value: float | None, digits: int = 1, *, sign: bool = False) -> str:
    if value is None:
        return "–"
    return f"{100 * value:{'+' if sign and value else ''}.{digits}f}%".replace("-", "−")


def day(value: str | None) -> str:
    return f"{date.fromisoformat(value):%-d %b %Y}" if value else "–"


def moment(value: str) -> str:
    local = datetime.fromisoformat(value) + timedelta(hours=7)
    return f"{local:%-d %b %Y %H:%M}"


def span(first: str, last: str) -> str:
    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    if begin == end:
        return day(last)
    form = "%-d" if (begin.year, begin.month) == (end.year, end.month) else "%-d %b"
    return f"{begin:{form if begin.year == end.year else '%-d %b %Y'}} – {day(last)}"


def label(period: Figures) -> str:
    if period["whole"]:
        return f"{date.fromisoformat(period['first']):%b %Y}"
    return span(period["first"], period["last"])


def covers(period: Figures) -> list[str]:
    if period["bounded"] or period["covers_first"] is None:
        return []
    return [f"covers {span(period['covers_first'], period['covers_last'])}"]


def period_row(period: Figures, name: str = "") -> list[str]:
    counts = ("following_start", "baseline", "followed", "refollowed", "unfollowed")
    return [
        name or label(period), "" if name else percent(period["churn_rate"]),
        *(number(period[each]) for each in counts),
        number(period["net"], sign=True), number(period["following_end"]),
        "" if name else percent(period["growth_rate"], sign=True),
        ", ".join([f"{period['days_whole']}/{period['days']}", *covers(period)]),
    ]  # fmt: skip


def cohort_row(cohort: Figures, name: str = "") -> list[str]:
    month = f"{date.fromisoformat(cohort['month']):%b %Y}"
    shares = [percent(share, 0) for share in cohort["retention"]]
    return [name or month, number(cohort["users"]), *shares]


def survival_at(survival: Figures, length: int) -> Figures:
    before = [each for each in survival["points"] if each["day"] <= length]
    if before:
        return dict(before[-1])
    there = sum(count for days, count in survival["lengths"] if days >= length)
    return {"survival": 1.0, "low": 0.025 ** (1 / there), "high": 1.0}


def survival_row(survival: Figures, length: int) -> list[str]:
    point = survival_at(survival, length)
    there = sum(count for days, count in survival["lengths"] if days >= length)
    band = f"{percent(point['low'])} – {percent(point['high'])}"
    return [number(length), percent(point["survival"]), band, number(there)]


def days(count: int | None) -> str:
    return "–" if count is None else "1 day" if count == 1 else f"{count} days"


def stay_rows(stays: Figures) -> list[list[str]]:
    rows = []
    for each in stays["lengths"]:
        last = each["last"]
        name = (
            f"{each['first']} days and more" if last is None else f"{each['first']} to {last} days"
        )
        rows.append([name, number(each["left"]), number(each["follow"])])
    return [
        *rows,
        ["Median", days(stays["median_left"]), days(stays["median_follow"])],
        ["Not known (already there)", number(stays["baseline_left"]), number(stays["baseline_follow"])],
    ]  # fmt: skip


def recent_row(user: Figures) -> list[str]:
    since = moment(user["followed_at"]) if user["followed_at"] else "before the first reading"
    return [user["user_id"], moment(user["unfollowed_at"]), since, days(user["days"])]


def unseen_row(stretch: Figures) -> list[str]:
    kinds = {"gap": "no run", "partial": "read in part", "held": "held, to be confirmed"}
    why = [REASONS[stretch["reason"]]] if stretch["reason"] else []
    if stretch["held_back"]:
        why.append(f"{stretch['held_back']} would have been marked as having left")
    return [
        kinds.get(stretch["kind"], str(stretch["kind"])), day(stretch["first"]),
        day(stretch["last"]) if stretch["last"] else "goes on", number(stretch["runs"] or None),
        ", ".join(why) or "–",
    ]  # fmt: skip


def tables(right: Figures) -> dict[str, list[list[str]]]:
    """The rows of every table that terminal and page share."""
    lengths = [
        each for each in (1, 7, 14, 30, 60, 90, 180, 365) if each <= right["survival"]["last"]
    ]
    return {
        "periods": [*map(period_row, right["periods"]), period_row(right["total"], "Total")],
        "cohorts": [
            cohort_row(right["there_at_start"], "Already there"),
            *map(cohort_row, right["cohorts"]),
        ],
        "survival": [survival_row(right["survival"], each) for each in lengths],
        "stays": stay_rows(right["stays"]),
        "recent": [*map(recent_row, right["recent"])],
        "unseen": [*map(unseen_row, right["unseen"])],
    }  # fmt: skip


def sentences(right: Figures) -> list[str]:
    total, at_start = right["total"], right["there_at_start"]
    won, left = number(total["followed"] + total["refollowed"]), number(total["unfollowed"])
    last, first = day(right["curve"][-1]["day"]), day(total["first"])
    net = f"{number(total['net'], sign=True)} since {first}: {won} new or returned, {left} left"
    nights = f"{right['days_seen']} of {total['days']} days"
    return [
        f"{number(total['following_end'])} followers on {last} ({net}).",
        f"The whole list was read on {nights}, last on {moment(right['last_complete_at'])}.",
        f"{percent(total['churn_per_30_days'])} of the followers left per 30 days",
        f"Of the {number(at_start['users'])} there at the start, {percent(right['left_share'])} had left",
        f"Half of them have left after {days(right['survival']['median'])}.",
    ]


# --- how it is read off
# --------------------------------------------------------------------------------------------------


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


# --- the tests
# --------------------------------------------------------------------------------------------------


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
