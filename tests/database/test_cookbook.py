"""Every query of docs/sql-cookbook.md runs on both databases, and answers what counting by hand
answers."""

from __future__ import annotations

import re
from calendar import monthrange
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from cookbook import COOKBOOK, answer, recipes
from histories import ZONE, Expected, Reading, write_history

from etl.db.engine import reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

A, B, C = "4097311281936189049", "4097311281936189050", "4097311281936189051"
NAMES = {A: "Bubble tea", B: "Noodles", C: "Never read"}
MAI = "1234567890123456789"


def users(names: str) -> frozenset[str]:
    return frozenset(names.replace("mai", MAI).split())


HISTORY = [
    Reading(A, "2026-09-27 02:00", "partial", users("an mai bao"), "torn"),
    Reading(A, "2026-09-28 02:00", "complete", users("an mai bao chi dung")),
    Reading(B, "2026-09-28 03:00", "complete", users("an hoa")),
    Reading(A, "2026-09-29 02:00", "complete", users("an mai bao chi dung giang")),
    Reading(A, "2026-09-30 02:00", "complete", users("an mai bao chi giang hai")),
    Reading(A, "2026-10-01 00:30", "failed", reason="unreachable: no answer"),
    Reading(A, "2026-10-02 02:00", "partial", users("an mai khanh son"), "total_gap"),
    Reading(A, "2026-10-04 02:00", "complete", users("an mai bao chi hai khanh")),
    Reading(B, "2026-10-05 03:00", "complete", users("an hoa kim")),
    Reading(A, "2026-10-10 02:00", "complete", users("an mai bao chi dung hai khanh lan")),
    Reading(A, "2026-10-11 02:00", "held", reason="mass_unfollow"),
    Reading(A, "2026-10-12 02:00", "complete", users("an bao chi hai khanh lan minh")),
    Reading(A, "2026-10-12 14:00", "complete", users("an mai bao chi dung hai khanh lan minh")),
    Reading(B, "2026-10-12 15:00", "complete", users("hoa kim")),
    Reading(A, "2026-10-16 00:30", "complete", users("an bao chi dung hai lan minh nam")),
    Reading(A, "2026-10-20 02:00", "partial", users("an bao oanh"), "total_gap"),
    Reading(A, "2026-10-20 14:00", "complete", users("an mai bao chi hai lan nam oanh")),
    Reading(A, "2026-10-31 02:00", "complete", users("an bao chi hai lan oanh")),
    Reading(A, "2026-11-01 02:00", "failed", reason="unreachable: no answer"),
    Reading(A, "2026-11-02 02:00", "complete", users("an bao chi hai lan oanh phuc")),
    Reading(C, "2026-11-02 03:00", "failed", reason="refused: code 101"),
    Reading(A, "2026-11-03 02:00", "undone"),
    Reading(A, "2026-11-10 02:00", "complete", users("an mai bao hai lan phuc quang")),
    Reading(B, "2026-11-10 03:00", "complete", users("an hoa kim")),
    Reading(A, "2026-11-12 02:00", "complete", users("an mai bao hai lan oanh phuc")),
    Reading(A, "2026-11-14 02:00", "partial", users("an tam"), "torn"),
]
EXPECTED = {oaid: Expected(HISTORY, oaid) for oaid in (A, B)}
STAYS = [stay for expected in EXPECTED.values() for stay in expected.stays()]


class Day:
    """One OA's day, counted by hand."""

    def __init__(self, expected: Expected, day: date) -> None:
        indexes = [index for index, each in enumerate(expected.applied) if each.day == day]
        self.oaid, self.day = expected.oaid, day
        self.start, self.end = len(expected.before(indexes[0])), len(expected.after[indexes[-1]])
        self.known = any(expected.applied[index].status == "complete" for index in indexes)
        self.baseline = sum(len(expected.baseline(index)) for index in indexes)
        self.followed = sum(len(expected.followed(index)) for index in indexes)
        self.refollowed = sum(len(expected.refollowed(index)) for index in indexes)
        self.gone = sum(len(expected.gone(index)) for index in indexes)
        self.net = self.followed + self.refollowed - self.gone
        whole = [each for each in expected.applied[: indexes[0]] if each.status == "complete"]
        self.since = whole[-1].at if whole else None
        self.day_before = whole[-1].day if whole else None
        self.at = expected.applied[indexes[0]].at


def days_of(expected: Expected) -> list[Day]:
    """An OA's days; a net that nobody can know yet is that of the next day with a whole reading."""
    found = [Day(expected, day) for day in sorted({each.day for each in expected.applied})]
    for day, following in pairwise(found):
        if not day.known:
            following.net += day.net
    return found


DAYS = [day for expected in EXPECTED.values() for day in days_of(expected)]


def months(oaid: str) -> list[str]:
    return sorted({f"{day.day:%Y-%m}" for day in DAYS if day.oaid == oaid})


def in_month(oaid: str, month: str) -> list[Day]:
    return [day for day in DAYS if day.oaid == oaid and f"{day.day:%Y-%m}" == month]


def growth_by_month() -> list[tuple[Any, ...]]:
    return [
        (
            oaid, month, days[0].start, sum(day.baseline for day in days), sum(day.followed for day in days),
            sum(day.refollowed for day in days), sum(day.gone for day in days), days[-1].end,
        )
        for oaid in EXPECTED
        for month in months(oaid)
        for days in [in_month(oaid, month)]
    ]  # fmt: skip


def churn_rate_by_month() -> list[tuple[Any, ...]]:
    found = []
    for oaid in EXPECTED:
        for month in months(oaid):
            days = in_month(oaid, month)
            base = days[0].start + sum(day.baseline for day in days)
            comparable = base and any(day.known and day.since for day in days)
            rate = 100 * sum(day.gone for day in days) / base if comparable else None
            found.append((oaid, month, sum(day.known for day in days), rate))
    return found


def how_many_followed_on_a_date() -> list[tuple[Any, ...]]:
    before = {
        oaid: [each for each in expected.applied if each.day <= date(2026, 10, 15)]
        for oaid, expected in EXPECTED.items()
    }
    return [
        (oaid, before[oaid][-1].day, len(expected.after[len(before[oaid]) - 1]))
        for oaid, expected in EXPECTED.items()
    ]


def who_followed_on_a_date() -> list[tuple[Any, ...]]:
    end = datetime(2026, 10, 16, tzinfo=ZONE)
    began = {(stay.oaid, stay.user): stay.first.at for stay in STAYS if stay.first.at < end}
    return [
        (oaid, user, began[oaid, user])
        for oaid, expected in EXPECTED.items()
        for user in sorted(expected.at(end - timedelta(seconds=1)))
    ]


def the_best_and_the_worst_days() -> list[tuple[Any, ...]]:
    days = sorted((day for day in DAYS if day.known), key=lambda day: (-day.net, day.oaid, day.day))
    return [(day.oaid, day.day, day.net, day.since) for day in days]


def net_by_weekday() -> list[tuple[Any, ...]]:
    nets: dict[tuple[str, int], list[int]] = {}
    for day in DAYS:
        if day.known and day.day_before == day.day - timedelta(days=1):
            nets.setdefault((day.oaid, day.day.isoweekday()), []).append(day.net)
    return [
        (oaid, weekday, len(found), sum(found) / len(found))
        for (oaid, weekday), found in sorted(nets.items())
    ]


def lost_within_7_days_of_following() -> list[tuple[Any, ...]]:
    found = []
    week = timedelta(days=7)
    for oaid, expected in EXPECTED.items():
        last = [each for each in expected.applied if each.status == "complete"][-1].day
        old = [
            stay
            for stay in STAYS
            if stay.oaid == oaid and not stay.baseline and last - stay.first.day >= week
        ]
        lost = [stay for stay in old if stay.end and stay.end.day - stay.first.day <= week]
        found.append((oaid, len(old), len(lost)))
    return found


def who_left_since_a_date_and_between_which_moments() -> list[tuple[Any, ...]]:
    found = []
    for stay in STAYS:
        if stay.end is not None and stay.end.day >= date(2026, 10, 2):
            applied = EXPECTED[stay.oaid].applied
            surely = [
                each.at for each in applied[: applied.index(stay.end)] if each.status == "complete"
            ]
            found.append((stay.oaid, stay.user, max(surely[-1], stay.first.at), stay.end.at))
    return sorted(found, key=lambda row: (row[3], row[0], row[1]))


def returners() -> list[tuple[Any, ...]]:
    count = Counter((stay.oaid, stay.user) for stay in STAYS)
    return [
        (*who, stays, int(who[1] in EXPECTED[who[0]].after[-1]))
        for who, stays in sorted(count.items())
        if stays > 1
    ]


def flapping_users() -> list[tuple[Any, ...]]:
    october = datetime(2026, 10, 1, tzinfo=ZONE)
    count = Counter(
        (oaid, user)
        for oaid, expected in EXPECTED.items()
        for index, each in enumerate(expected.applied)
        if each.at >= october
        for user in expected.gone(index)
    )
    return sorted(
        ((*who, times) for who, times in count.items() if times >= 2),
        key=lambda row: (-row[2], row[:2]),
    )


def the_longest_staying_followers() -> list[tuple[Any, ...]]:
    now = [
        (stay.oaid, stay.user, stay.first.at, stay.baseline) for stay in STAYS if stay.end is None
    ]
    return sorted(now, key=lambda row: (row[2], row[:2]))[:10]


def month_end(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


def retention_by_cohort() -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for oaid, expected in EXPECTED.items():
        cohorts: dict[str, set[str]] = {}
        for index, each in enumerate(expected.applied):
            cohorts.setdefault(f"{each.day:%Y-%m}", set()).update(expected.followed(index))
        last = {
            f"{each.day:%Y-%m}": expected.after[index]
            for index, each in enumerate(expected.applied)
        }
        newest = max(each.day for each in HISTORY if each.oaid == oaid)
        whole = {
            f"{each.day:%Y-%m}"
            for each in expected.applied
            if each.status == "complete" and (min(month_end(each.day), newest) - each.day).days <= 4
        }
        found += [
            (oaid, cohort, month, len(members), len(members & there) if month in whole else None)
            for cohort, members in cohorts.items()
            for month, there in last.items()
            if members and month >= cohort
        ]
    return sorted(found)


def what_one_user_did() -> list[tuple[Any, ...]]:
    expected = EXPECTED[A]
    return [
        (HISTORY.index(each) + 1, each.day, change)
        for index, each in enumerate(expected.applied)
        for change, changed in expected.changes(index).items()
        if MAI in changed
    ]


def accounts_compared() -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for oaid, expected in EXPECTED.items():
        days = in_month(oaid, "2026-10")
        whole = [day.day for day in DAYS if day.oaid == oaid and day.known]
        since = max(day for day in whole if day < date(2026, 10, 1))
        until = max(day for day in whole if day < date(2026, 11, 1))
        follower_days = sum(
            len(
                expected.before(
                    sum(each.day < since + timedelta(days=number) for each in expected.applied)
                )
            )
            for number in range(1, (until - since).days + 1)
        )
        gone = sum(day.gone for day in days)
        arrivals = (sum(day.followed for day in days), sum(day.refollowed for day in days))
        rate = 100 * 30 * gone / follower_days
        found.append((oaid, NAMES[oaid], len(expected.after[-1]), *arrivals, gone, rate))
    return [*found, (C, NAMES[C], 0, None, None, None, None)]


def days_we_could_not_see() -> list[tuple[Any, ...]]:
    found = []
    for oaid in EXPECTED:
        there = {day.day: day for day in DAYS if day.oaid == oaid}
        for number in range(min(there).toordinal(), max(there).toordinal() + 1):
            day = date.fromordinal(number)
            if day not in there or not there[day].known:
                found.append((oaid, day, "partial" if day in there else "nothing"))
    return found


def runs_that_could_not_be_believed() -> list[tuple[Any, ...]]:
    runs: dict[tuple[str, str, str | None], list[date]] = {}
    for each in HISTORY:
        if each.status in {"partial", "held", "failed"}:
            runs.setdefault((each.oaid, each.status, each.reason), []).append(each.day)
    rows = [(*which, len(days), min(days), max(days)) for which, days in runs.items()]
    return sorted(rows, key=lambda row: (row[0], row[1], row[4], row[3]))


def how_long_a_gap_each_day_closes() -> list[tuple[Any, ...]]:
    return [
        (day.oaid, day.day, day.since, day.at, day.followed, day.refollowed, day.gone)
        for day in DAYS
        if day.known and day.since and day.at - day.since > timedelta(hours=36)
    ]


def by_hand(heading: str) -> Callable[[], list[tuple[Any, ...]]]:
    """The function above that counts what a heading asks for."""
    answer: Callable[[], list[tuple[Any, ...]]] = globals()[
        re.sub(r"\W+", "_", heading.replace("'", "").lower())
    ]
    return answer


@pytest.fixture
def told(db: Engine) -> Engine:
    write_history(db, HISTORY, NAMES)
    return db


def same(found: object, expected: object) -> bool:
    """Compare a database's value with ours: SQLite has text for times and days, PostgreSQL decimals
    for sums."""
    if isinstance(found, str) and isinstance(expected, datetime):
        return datetime.fromisoformat(found) == expected
    if isinstance(found, str) and isinstance(expected, date):
        return date.fromisoformat(found) == expected
    if isinstance(expected, float) and found is not None:
        return isinstance(found, Decimal | float) and abs(float(found) - expected) < 1e-9
    return found == expected


@pytest.mark.parametrize("heading", recipes())
def test_the_recipe_answers_what_counting_by_hand_answers(heading: str, told: Engine) -> None:
    with reading(told) as connection:
        found = answer(connection, heading)
    expected = by_hand(heading)()
    assert expected, "the history is too poor for this recipe"
    assert len(found) == len(expected), found
    for row, right in zip(found, expected, strict=True):
        assert len(row) == len(right)
        assert all(map(same, row, right)), (row, right)


def test_the_cookbook_has_a_dozen_recipes_and_each_runs_on_both_databases() -> None:
    assert len(recipes()) >= 12
    assert all(set(recipe) in ({""}, {"sqlite", "postgresql"}) for recipe in recipes().values())


def test_no_recipe_is_told_by_two_moments_that_a_zone_would_move() -> None:
    """The literals of the cookbook are midnights of Viet Nam, written as its preface says."""
    moments = re.findall(r"'(\d{4}-\d\d-\d\d \d\d[^']*)'", COOKBOOK.read_text())
    assert moments
    for moment in moments:
        local = datetime.fromisoformat(moment).astimezone(ZONE)
        assert (local.hour, local.minute, datetime.fromisoformat(moment).tzinfo) == (0, 0, UTC)
