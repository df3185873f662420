"""Two weeks around each change of the clocks in Berlin, read at any hour of the night: what takes a
date means the same day everywhere."""

from __future__ import annotations

import csv
import json
import random
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from commandline import etl
from cookbook import COOKBOOK, ask, recipes
from histories import Expected, Reading, write_history

from etl.db.engine import connect_engine, reading
from etl.model import day_of

if TYPE_CHECKING:
    from collections.abc import Iterator

A = "4097311281936189049"
BERLIN, FOUR = ZoneInfo("Europe/Berlin"), timedelta(hours=4)
CHANGES = (date(2026, 3, 29), date(2026, 10, 25))
"""Sundays: the hour from 2 to 3 is missing on the first, and passes twice on the second."""


def nights() -> Iterator[Reading]:
    """A reading a night, from half past nine to four, and two in the hours that are missing or
    doubled."""
    rng = random.Random(5)
    following = {f"u{number}" for number in range(40)}
    number = 40
    for change in CHANGES:
        for day in (change + timedelta(days=each) for each in range(-8, 8)):
            begin = datetime(day.year, day.month, day.day, 21, 30, tzinfo=BERLIN).astimezone(UTC)
            moments = [begin + timedelta(seconds=rng.uniform(0, 5.4 * 3600))]
            if day + timedelta(days=1) == change:
                moments = [begin + timedelta(hours=each) for each in (3.2, 4, 4.9, 5.4)]
            for moment in moments:
                following -= set(rng.sample(sorted(following), rng.randrange(3)))
                following |= {f"u{each}" for each in range(number, number + rng.randrange(4))}
                number += 3
                local = moment.astimezone(BERLIN).isoformat(" ")
                yield Reading(A, local, "complete", frozenset(following), begins=FOUR)


HISTORY = list(nights())
EXPECTED = Expected(HISTORY, A)
DAYS = sorted({each.day for each in HISTORY})


@pytest.fixture(scope="module")
def url(shared_url: str) -> str:
    write_history(connect_engine(shared_url), HISTORY, {A: "Bubble tea"})
    return shared_url


def in_berlin(url: str, *arguments: str) -> str:
    with time_machine.travel(datetime(2026, 11, 3, 5, tzinfo=UTC), tick=False):
        done = etl(*arguments, DATABASE_URL=url, ETL_TIMEZONE="Europe/Berlin")
    assert done.returncode == 0, done.stderr
    return done.stdout


def on(day: date) -> list[int]:
    return [at for at, each in enumerate(EXPECTED.applied) if each.day == day]


def followed_on(day: date) -> frozenset[str]:
    return EXPECTED.before(sum(each.day <= day for each in EXPECTED.applied))


def test_a_sync_would_have_dated_each_reading_so() -> None:
    assert [day_of(each.at, BERLIN, FOUR) for each in HISTORY] == [each.day for each in HISTORY]
    for change in CHANGES:
        assert len(on(change - timedelta(days=1))) == 4
    doubled = [each.local[11:16] for each in HISTORY if each.local.startswith("2026-10-25 02:")]
    assert len(doubled) >= 2
    after_midnight = [each for each in HISTORY if not each.local.startswith(str(each.day))]
    assert len(after_midnight) > len(HISTORY) / 3


def test_report_and_view_count_each_day_alike(url: str) -> None:
    told = json.loads(in_berlin(url, "report", "--by", "day", "--format", "json"))["periods"]
    expected = {
        str(day): (
            sum(len(EXPECTED.followed(at)) for at in on(day)),
            sum(len(EXPECTED.gone(at)) for at in on(day)),
            len(EXPECTED.after[on(day)[-1]]),
        )
        for day in DAYS
    }
    names = ("followed", "unfollowed", "following_end")
    days = {each["first"]: tuple(each[name] for name in names) for each in told if each["complete"]}
    assert days == expected
    with reading(connect_engine(url)) as connection:
        rows = ask(connection, f"SELECT day, {', '.join(names)} FROM daily_follower_churn")
    assert {str(day): tuple(counts) for day, *counts in rows} == expected


@pytest.mark.parametrize("day", [each + timedelta(days=at) for each in CHANGES for at in (-1, 0)])
def test_as_of_until_since_and_the_cookbook_mean_that_day(url: str, day: date) -> None:
    exported = csv.DictReader(StringIO(in_berlin(url, "export", "--as-of", str(day))))
    assert {row["user_id"] for row in exported} == followed_on(day)
    span = ("--since", str(day), "--until", str(day), "--format", "json")
    total = json.loads(in_berlin(url, "report", *span))["total"]
    assert total["following_end"] == len(followed_on(day))
    assert total["unfollowed"] == sum(len(EXPECTED.gone(at)) for at in on(day))
    with reading(connect_engine(url)) as connection:
        for heading, column in (("Who followed on a date", 1), ("How many followed on a date", 2)):
            found = _of_day(connection, heading, day)
            told: Any = {row[column] for row in found}
            assert told == (followed_on(day) if column == 1 else {len(followed_on(day))})


def _of_day(connection: Any, heading: str, day: date) -> list[tuple[Any, ...]]:
    """The recipe's answer for another day than that of the cookbook."""
    recipe = recipes()[heading]
    sql = recipe.get("") or recipe[connection.dialect.name]
    assert "'2026-10-15'" in sql, COOKBOOK
    return ask(connection, sql.replace("2026-10-15", str(day)))
