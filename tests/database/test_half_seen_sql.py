"""The cookbook and the views on fourteen months of which half of the nights are missing: what
counting by hand, as the report does, finds."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from commandline import etl
from cookbook import answer, ask, recipes
from halfseen import DAILY, HISTORY, NAMES, WEEKLY
from histories import write_history
from recount import recounted

from etl.db.engine import connect_engine, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recount import Figures
    from sqlalchemy import Connection

COUNTS = ("following_start", "baseline", "followed", "refollowed", "unfollowed", "following_end")


@pytest.fixture(scope="module")
def url(shared_url: str) -> str:
    write_history(connect_engine(shared_url), HISTORY, NAMES)
    return shared_url


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    with reading(connect_engine(url)) as opened:
        yield opened


@pytest.fixture(scope="module")
def right() -> dict[str, Figures]:
    """Each OA, counted by hand."""
    return {oaid: recounted(HISTORY, oaid, "month", date(2026, 11, 25)) for oaid in NAMES}


def test_the_report_of_a_list_that_is_read_once_a_week_is_the_recount(
    url: str, right: dict[str, Figures]
) -> None:
    """What is usual for it, and so near an end, is a week."""
    with time_machine.travel(datetime(2026, 11, 25, 5, tzinfo=UTC), tick=False):
        done = etl("report", "--by", "month", "--format", "json", DATABASE_URL=url)
    told = {line["oaid"]: line for line in map(json.loads, done.stdout.splitlines())}
    for oaid, figures in right.items():
        for name in ("cohorts", "there_at_start"):
            assert told[oaid][name] == json.loads(json.dumps(figures[name], default=str))
        for name in ("last_30_days", "before_30_days"):
            assert [told[oaid][name][each] for each in COUNTS] == [
                figures[name][each] for each in COUNTS
            ]
        for found, period in zip(told[oaid]["periods"], figures["periods"], strict=True):
            assert found["churn_rate"] == pytest.approx(period["churn_rate"])
            assert found["bounded"] == period["bounded"]
    rates = [each["churn_rate"] for each in right[WEEKLY]["periods"]]
    assert min(rates.count(None), len(rates) - rates.count(None)) > 2


@pytest.mark.parametrize(("oaid", "near"), [(DAILY, 4), (WEEKLY, 6)])
def test_retention_has_the_reports_cells_and_its_empty_ones(
    connection: Connection, right: dict[str, Figures], oaid: str, near: int
) -> None:
    """Of a list that is read every n days, n - 1 stands for the 4 of the recipe, as it says."""
    query = recipes()["Retention by cohort"][""]
    assert query.count("- 4") == 1
    found = ask(connection, query.replace("- 4", f"- {near}"))
    expected = [
        (oaid, f"{cohort['month']:%Y-%m}", cohort["users"], following)
        for cohort in right[oaid]["cohorts"]
        for following in cohort["following"]
    ]
    assert [(row[0], row[1], row[3], row[4]) for row in found if row[0] == oaid] == expected
    unknown = [row for row in expected if row[3] is None]
    assert 5 < len(unknown) < len(expected) / 2


def test_growth_by_month_has_the_reports_counts(
    connection: Connection, right: dict[str, Figures]
) -> None:
    assert answer(connection, "Growth by month") == [
        (oaid, f"{period['first']:%Y-%m}", *(period[name] for name in COUNTS))
        for oaid, figures in right.items()
        for period in figures["periods"]
    ]


def test_churn_by_month_is_the_reports_wherever_it_has_one(
    connection: Connection, right: dict[str, Figures]
) -> None:
    periods = [each for figures in right.values() for each in figures["periods"]]
    found = answer(connection, "Churn rate by month")
    for (_, _, nights, rate), period in zip(found, periods, strict=True):
        assert nights == period["days_whole"]
        if period["churn_rate"] is not None:
            assert float(rate) == pytest.approx(100 * period["churn_rate"])


def test_the_rate_by_follower_days_is_the_reports(
    connection: Connection, right: dict[str, Figures]
) -> None:
    october = {
        oaid: next(each for each in figures["periods"] if each["first"] == date(2026, 10, 1))
        for oaid, figures in right.items()
    }
    for oaid, _, _, *counts, rate in answer(connection, "Accounts compared"):
        assert counts == [october[oaid][name] for name in ("followed", "refollowed", "unfollowed")]
        assert float(rate) == pytest.approx(100 * october[oaid]["churn_per_30_days"])


def test_the_daily_view_adds_up_to_the_reports_total(
    connection: Connection, right: dict[str, Figures]
) -> None:
    sums = "sum(baseline), sum(followed), sum(refollowed), sum(unfollowed), sum(net), count(net)"
    rows = ask(connection, f"SELECT oaid, {sums} FROM daily_follower_churn GROUP BY oaid")
    for oaid, *found in rows:
        total = right[oaid]["total"]
        names = ("baseline", "followed", "refollowed", "unfollowed")
        assert found[:4] == [total[name] for name in names]
        assert found[5] == right[oaid]["days_seen"]
        after = _unread_since(oaid)
        assert found[4] == total["net"] - after
    assert len(rows) == len(NAMES)


def _unread_since(oaid: str) -> int:
    """Who was found by the partial readings after the last whole one: in no `net` yet."""
    figures = recounted(HISTORY, oaid, "day", date(2026, 11, 25))["periods"]
    last = max(at for at, each in enumerate(figures) if each["complete"])
    late: list[Any] = figures[last + 1 :]
    return sum((each["followed"] or 0) + (each["refollowed"] or 0) for each in late)
