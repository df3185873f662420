"""Report, export, views, README and cookbook mean the same day, whenever a night's reading began
and whatever zone a session has."""

from __future__ import annotations

import csv
import json
import random
from datetime import date, datetime, timedelta
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from commandline import etl
from cookbook import answer, ask, readme_queries
from histories import Expected, Reading, write_history
from sqlalchemy import text

from etl.db.engine import connect_engine, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

A, B = "4097311281936189049", "4097311281936189050"
FIRST, LAST = date(2026, 9, 14), date(2026, 11, 30)
FOUR = timedelta(hours=4)

ZONES = ("UTC", "America/Sao_Paulo", "Pacific/Auckland")
"""Of sessions; none of them is that of the OAs."""


def moment_of(day: date, rng: random.Random) -> datetime:
    """When a night's reading begins: before midnight, or after it, or at any hour before four."""
    minutes = rng.choice(
        [23 * 60 + 40, 24 * 60 + 47, 27 * 60 + 17, rng.randrange(20 * 60, 28 * 60)]
    )
    jitter = timedelta(seconds=rng.uniform(0, 1_199))
    begun = datetime(day.year, day.month, day.day) + timedelta(minutes=minutes) + jitter  # noqa: DTZ001 - a local time, by design
    return min(begun, datetime(day.year, day.month, day.day) + timedelta(hours=27, minutes=59))  # noqa: DTZ001 - as above


def nights(oaid: str, seed: int) -> Iterator[Reading]:
    """A reading a night; many of them after midnight, a few partial or failed, none of a month's
    last two or first two."""
    rng = random.Random(seed)
    following = {f"{oaid[-1]}-{number}" for number in range(60)}
    away: set[str] = set()
    for number in range((LAST - FIRST).days + 1):
        day = FIRST + timedelta(days=number)
        arrivals = {f"{oaid[-1]}-{day:%m%d}-{each}" for each in range(rng.randrange(0, 5))}
        leaving = set(rng.sample(sorted(following), rng.randrange(0, 4)))
        back = set(rng.sample(sorted(away), min(len(away), rng.randrange(0, 3))))
        following = (following - leaving) | arrivals | back
        away = (away | leaving) - back
        safe = day.day <= 2 or (day + timedelta(days=2)).month != day.month or number < 2
        status = "complete" if safe else rng.choice(["complete"] * 8 + ["partial", "failed"])
        seen = frozenset(following) if status != "failed" else frozenset()
        reason = {"complete": None, "partial": "torn", "failed": "unreachable: no answer"}[status]
        yield Reading(oaid, str(moment_of(day, rng)), status, seen, reason, FOUR)


HISTORY = sorted(
    [*nights(A, 1), *nights(B, 2)], key=lambda each: (each.at, each.oaid)
)  # as their runs were
EXPECTED = {oaid: Expected(HISTORY, oaid) for oaid in (A, B)}


@pytest.fixture(scope="module")
def url(shared_url: str) -> str:
    write_history(connect_engine(shared_url), HISTORY, {A: "Bubble tea", B: "Noodles"})
    return shared_url


def sessions(url: str) -> Iterator[Any]:
    """A connection in each time zone that a session might have; SQLite knows none."""
    engine = connect_engine(url)
    for zone in ZONES if engine.dialect.name == "postgresql" else ZONES[:1]:
        with reading(engine) as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text(f"SET LOCAL TIME ZONE '{zone}'"))
            yield connection


def reports(url: str, *arguments: str) -> dict[str, Any]:
    """What `etl report` says of each OA."""
    done = etl("report", "--format", "json", *arguments, DATABASE_URL=url)
    assert done.returncode == 0, done.stderr
    return {line["oaid"]: line for line in map(json.loads, done.stdout.splitlines())}


def days_in(found: Any) -> date:
    return found if isinstance(found, date) else date.fromisoformat(found)


def test_most_readings_begin_on_another_date_than_that_of_their_day() -> None:
    """Or this module would try nothing."""
    after_midnight = [
        each for each in HISTORY if datetime.fromisoformat(each.local).date() != each.day
    ]
    assert len(after_midnight) > len(HISTORY) / 3
    assert {each.day for each in HISTORY if each.oaid == A} == {
        FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)
    }


def test_who_left_in_november_is_whom_the_report_counts(url: str) -> None:
    """The README's query against the report's month and the sets themselves."""
    (query,) = (sql for comment, sql in readme_queries().items() if "left in November" in comment)
    told = reports(url, "--by", "month", "--since", "2026-11-01", "--until", "2026-11-30")
    expected = {
        (oaid, user, oa.applied[index].day)
        for oaid, oa in EXPECTED.items()
        for index, each in enumerate(oa.applied)
        if each.day.month == 11
        for user in oa.gone(index)
    }
    for connection in sessions(url):
        found = [(oaid, user, days_in(day)) for oaid, user, day in ask(connection, query)]
        assert set(found) == expected
        for oaid, report in told.items():
            assert report["total"]["unfollowed"] == sum(row[0] == oaid for row in found)


def test_growth_and_churn_by_month_are_the_reports(url: str) -> None:
    told = reports(url, "--by", "month")
    names = ("following_start", "baseline", "followed", "refollowed", "unfollowed", "following_end")
    growth = [
        (oaid, period["first"][:7], *(period[name] for name in names))
        for oaid, report in told.items()
        for period in report["periods"]
    ]
    churn = [
        (oaid, period["first"][:7], 100 * period["churn_rate"])
        for oaid, report in told.items()
        for period in report["periods"]
    ]
    for connection in sessions(url):
        assert answer(connection, "Growth by month") == growth
        rates = answer(connection, "Churn rate by month")
        for (oaid, month, _, rate), right in zip(rates, churn, strict=True):
            assert (oaid, month) == right[:2]
            assert float(rate) == pytest.approx(right[2])


def test_the_daily_view_is_the_report_by_day(url: str) -> None:
    names = ("following_start", "baseline", "followed", "refollowed", "unfollowed", "following_end")
    days = {
        (oaid, period["first"]): tuple(period[name] for name in names)
        for oaid, report in reports(url, "--by", "day").items()
        for period in report["periods"]
        if period["followed"] is not None  # something was read
    }
    columns = ", ".join(names)
    for connection in sessions(url):
        found = ask(connection, f"SELECT oaid, day, {columns} FROM daily_follower_churn")
        assert {(oaid, str(day)): tuple(row) for oaid, day, *row in found} == days


def test_a_days_churn_is_the_reports_and_after_a_gap_the_gaps(url: str) -> None:
    """The report gives no rate to a day whose losses are those of several; the view says since when
    they are."""
    rates = {
        (oaid, period["first"]): period["churn_rate"]
        for oaid, report in reports(url, "--by", "day").items()
        for period in report["periods"]
        if period["followed"] is not None
    }
    for connection in sessions(url):
        found = ask(
            connection, "SELECT oaid, day, churn_rate, observed_since FROM daily_follower_churn"
        )
        for oaid, day, rate, since in found:
            told = rates[oaid, str(day)]
            assert told is None or rate == pytest.approx(told)
            assert since is not None or rate is told is None
        assert sum(rate is not None for rate in rates.values()) > len(rates) / 2


def test_who_followed_on_a_date_is_what_export_and_report_say(url: str) -> None:
    done = etl("export", "--as-of", "2026-10-15", DATABASE_URL=url)
    exported = {(row["oaid"], row["user_id"]) for row in csv.DictReader(StringIO(done.stdout))}
    expected = {
        (oaid, user)
        for oaid, oa in EXPECTED.items()
        for user in oa.before(sum(each.day <= date(2026, 10, 15) for each in oa.applied))
    }
    assert exported == expected
    told = reports(url, "--until", "2026-10-15")
    for connection in sessions(url):
        who = answer(connection, "Who followed on a date")
        assert {(oaid, user) for oaid, user, _ in who} == expected
        assert len(who) == len(expected)
        for oaid, _, following in answer(connection, "How many followed on a date"):
            assert following == told[oaid]["total"]["following_end"]
            assert following == sum(each == oaid for each, _ in expected)


def test_retention_by_cohort_is_the_reports(url: str) -> None:
    expected = [
        (oaid, cohort["month"][:7], cohort["users"], following)
        for oaid, report in reports(url, "--by", "month").items()
        for cohort in report["cohorts"]
        for following in cohort["following"]
    ]
    for connection in sessions(url):
        found = answer(connection, "Retention by cohort")
        assert [(row[0], row[1], row[3], row[4]) for row in found] == expected


def test_who_was_lost_within_seven_days_does_not_hang_on_the_minute_of_a_reading(url: str) -> None:
    week = timedelta(days=7)
    right = []
    for oaid, expected in EXPECTED.items():
        last = max(each.day for each in expected.applied if each.status == "complete")
        stays = [
            stay for stay in expected.stays() if not stay.baseline and last - stay.first.day >= week
        ]
        lost = [stay for stay in stays if stay.end and stay.end.day - stay.first.day <= week]
        right.append((oaid, len(stays), len(lost)))
    assert all(lost for _, _, lost in right)
    for connection in sessions(url):
        assert answer(connection, "Lost within 7 days of following") == right


def test_accounts_are_compared_by_the_reports_rate(url: str) -> None:
    told = reports(url, "--since", "2026-10-01", "--until", "2026-10-31")
    names = ("followed", "refollowed", "unfollowed")
    for connection in sessions(url):
        compared = answer(connection, "Accounts compared")
        for oaid, _, following, *counts, rate in compared:
            assert counts == [told[oaid]["total"][name] for name in names]
            assert float(rate) == pytest.approx(100 * told[oaid]["total"]["churn_per_30_days"])
            assert following == len(EXPECTED[oaid].after[-1])
        assert len(compared) == len(told)


@pytest.mark.parametrize(
    "heading",
    ["Net by weekday", "Days we could not see", "Accounts compared", "Flapping users", "How long a gap each day closes",
     "Who left since a date, and between which moments", "Runs that could not be believed"],
)  # fmt: skip
def test_a_session_in_another_zone_gets_the_same_answer(heading: str, url: str) -> None:
    answers = [answer(connection, heading) for connection in sessions(url)]
    assert answers[0]
    assert all(each == answers[0] for each in answers)
