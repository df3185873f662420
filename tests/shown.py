"""Figures as people are shown them: a recount (`recount.py`) in the English words of the report."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recount import Figures

REASONS = {
    "torn": "the list changed faster than it could be read",
    "unreachable": "eSMS did not answer",
    "mass_unfollow": "far more followers than usual were missing from the list",
}


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
