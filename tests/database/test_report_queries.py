"""The report's figures against the same figures counted by hand, from sets of users, on both
databases."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest
from histories import ZONE, Expected, Reading, write_history

from etl.db.analysis import analysing
from etl.db.engine import connect_engine
from etl.model import Account, Change
from etl.reports import queries
from etl.reports.churn import Question, churn_report
from etl.reports.periods import By, Span, month_number
from etl.reports.survival import kaplan_meier

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.reports.counting import Period
    from etl.reports.figures import AccountReport

A, B = "4097311281936189049", "4097311281936189050"
NAMES = {A: "Bubble tea", B: "Noodles"}
NOW = datetime(2027, 1, 1, tzinfo=UTC)


def history(oaid: str, seed: int, runs: int = 90) -> list[Reading]:
    """Three months of a small, restless OA: some return, some days have two runs or none, and some
    runs are not believed."""
    rng = random.Random(seed)
    everybody = [f"user-{number:02}" for number in range(60)]
    follow = set(everybody[:15])
    day, readings = date(2026, 9, 12), []
    for number in range(runs):
        day += timedelta(days=rng.choice([0, 1, 1, 1, 1, 1, 1, 2, 4]))
        follow ^= set(rng.sample(everybody, rng.randrange(4)))
        status = (
            rng.choice(["complete"] * 7 + ["partial", "held", "failed"]) if number else "partial"
        )
        # A partial reading misses some who follow.
        seen = frozenset(user for user in follow if status == "complete" or rng.random() < 0.8)
        local = f"{day} {number // 6 % 24:02}:{number % 6 * 10:02}"
        readings.append(
            Reading(oaid, local, status, seen if status in {"complete", "partial"} else frozenset())
        )
    return sorted(readings, key=lambda each: each.local)


HISTORY = history(A, seed=11) + history(B, seed=12)
FIRST, LAST = (pick(each.day for each in HISTORY if each.oaid == A) for pick in (min, max))
SPANS = [
    Span(FIRST, LAST),
    Span(date(2026, 10, 5), date(2026, 11, 9)),
    Span(date(2026, 10, 1), date(2026, 10, 31)),
    Span(date(2026, 11, 1), LAST),
    Span(FIRST, date(2026, 9, 20)),
]


class ByHand:
    """What is right for one span, from the readings up to its end."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.expected = Expected([each for each in HISTORY if each.day <= span.last], A)

    def indexes(self, span: Span) -> list[int]:
        return [index for index, each in enumerate(self.expected.applied) if each.day in span]

    def complete(self, span: Span) -> bool:
        return any(
            self.expected.applied[index].status == "complete" for index in self.indexes(span)
        )

    @property
    def seen_until(self) -> date:
        return max(each.day for each in self.expected.applied if each.status == "complete")

    def first_follows(self) -> dict[str, date]:
        """Who first followed in the span, and when."""
        return {
            user: self.expected.applied[index].day
            for index in self.indexes(self.span)
            for user in self.expected.followed(index)
        }

    def stays(self) -> Counter[queries.StayCount]:
        found: Counter[queries.StayCount] = Counter()
        new, before = self.first_follows(), ""
        for stay in self.expected.stays():
            kind = (
                Change.BASELINE
                if stay.baseline
                else Change.REFOLLOWED
                if stay.user == before
                else Change.FOLLOWED
            )
            before = stay.user
            if stay.end is not None and stay.end.day < self.span.first:
                continue
            end = stay.end.day if stay.end else max(self.seen_until, stay.first.day)
            cohort = month_number(new[stay.user]) if stay.user in new else None
            at_start = stay.user in self.there_at_start
            ended = month_number(stay.end.day) if stay.end else None
            found[
                queries.StayCount(
                    kind,
                    cohort,
                    month_number(stay.first.day),
                    ended,
                    (end - stay.first.day).days,
                    0,
                    at_start,
                )
            ] += 1
        return found

    @property
    def there_at_start(self) -> frozenset[str]:
        """Who followed when the span began, and its baseline."""
        inside = self.indexes(self.span)
        found = self.expected.before(inside[0])
        return found.union(*(self.expected.baseline(index) for index in inside))

    def months(self, users: frozenset[str], first: int) -> list[int | None]:
        """How many of them followed at the end of each month from one on; None where it was not
        read whole."""
        following: list[int | None] = []
        for month in range(first, month_number(self.span.last) + 1):
            there = [
                index
                for index, each in enumerate(self.expected.applied)
                if month_number(each.day) == month
            ]
            after = date(month // 12 + (month % 12 == 11), (month + 1) % 12 + 1, 1)
            end = min(after - timedelta(days=1), self.span.last)
            whole = any(
                self.expected.applied[index].status == "complete"
                and (end - self.expected.applied[index].day).days <= 4
                for index in there
            )
            following.append(len(users & self.expected.after[there[-1]]) if whole else None)
        return following

    def whole_days(self) -> list[date]:
        return sorted({each.day for each in self.expected.applied if each.status == "complete"})

    def covered(self, span: Span) -> list[date]:
        """The days in which who was found to have left in a span, left: after a whole reading, up
        to one."""
        inside = [day for day in self.whole_days() if day in span]
        before = [day for day in self.whole_days() if day < span.first]
        if not inside:
            return []
        begin = before[-1] if before else inside[0]
        return [
            begin + timedelta(days=number) for number in range(1, (inside[-1] - begin).days + 1)
        ]

    def following_before(self, day: date) -> int:
        earlier = [index for index, each in enumerate(self.expected.applied) if each.day < day]
        return len(self.expected.after[earlier[-1]]) if earlier else 0

    def cohorts(self) -> list[tuple[int, int, list[int | None]]]:
        """Month, users, and how many of them followed at the end of each month since."""
        found = []
        new = self.first_follows()
        months = sorted({month_number(each) for each in new.values()})
        for cohort in months:
            users = {user for user, when in new.items() if month_number(when) == cohort}
            following = self.months(frozenset(users), cohort)
            found.append((cohort, len(users), following))
        return found


class Counts(NamedTuple):
    """A period's counts."""

    following_start: int
    baseline: int
    followed: int | None
    refollowed: int | None
    unfollowed: int | None
    following_end: int | None


def counts_by_hand(hand: ByHand, span: Span) -> Counts:
    expected, inside = hand.expected, hand.indexes(span)
    start = len([index for index, each in enumerate(expected.applied) if each.day < span.first])
    following = len(expected.before(start))
    if not inside:
        return Counts(following, 0, None, None, None, None)
    return Counts(
        following,
        sum(len(expected.baseline(index)) for index in inside),
        sum(len(expected.followed(index)) for index in inside),
        sum(len(expected.refollowed(index)) for index in inside),
        sum(len(expected.gone(index)) for index in inside) if hand.complete(span) else None,
        len(expected.after[inside[-1]]),
    )


def counts_of(period: Period) -> Counts:
    return Counts(*(getattr(period, name) for name in Counts._fields))


@pytest.fixture(scope="module")
def told(shared_url: str) -> Engine:
    """Both histories in one database: what is told of A must not depend on B."""
    engine = connect_engine(shared_url)
    write_history(engine, HISTORY, NAMES)
    return engine


def report(engine: Engine, span: Span, by: By = By.WEEK) -> AccountReport:
    question = Question(by, span.first, span.last)
    return churn_report(engine, [Account(A, NAMES[A])], question, now=NOW, zone=ZONE).accounts[0]


@pytest.mark.parametrize("span", SPANS, ids=lambda span: f"{span.first}-{span.last}")
def test_stays_are_those_that_counting_users_one_by_one_finds(told: Engine, span: Span) -> None:
    hand = ByHand(span)
    last_id = HISTORY.index(hand.expected.applied[-1]) + 1
    first_id = HISTORY.index(hand.expected.applied[hand.indexes(span)[0]]) + 1
    with analysing(told) as connection:
        asked = queries.Asked(A, span.first, hand.seen_until, first_id, last_id)
        counted = queries.stay_counts(connection, [asked])[A]
    assert Counter({each._replace(users=0): each.users for each in counted}) == hand.stays()
    assert len(counted) == len(hand.stays()), "each kind of stay is one row"


@pytest.mark.parametrize("by", list(By))
@pytest.mark.parametrize("span", SPANS, ids=lambda span: f"{span.first}-{span.last}")
def test_every_period_counts_what_the_sets_of_users_say(told: Engine, span: Span, by: By) -> None:
    hand = ByHand(span)
    figures = report(told, span, by)
    for period in (*figures.periods, *figures.bars, figures.total):
        expected = counts_by_hand(hand, Span(period.first, period.last))
        assert counts_of(period) == expected
        base = expected.following_start + expected.baseline
        if period.churn_rate is not None:
            assert period.churn_rate == pytest.approx((expected.unfollowed or 0) / base)


@pytest.mark.parametrize("by", list(By))
@pytest.mark.parametrize("span", SPANS, ids=lambda span: f"{span.first}-{span.last}")
def test_a_rate_by_follower_days_is_who_left_by_who_was_there_each_covered_day(
    told: Engine, span: Span, by: By
) -> None:
    hand = ByHand(span)
    figures = report(told, span, by)
    windows = [each for each in (figures.last_30_days, figures.before_30_days) if each]
    for period in (*figures.periods, *figures.bars, figures.total, *windows):
        inside = Span(period.first, period.last)
        covered = hand.covered(inside)
        assert period.days_whole == len([day for day in hand.whole_days() if day in inside])
        assert period.covers == (Span(covered[0], covered[-1]) if covered else None)
        at_risk = sum(hand.following_before(day) for day in covered)
        assert (period.follower_days or 0) == at_risk
        left = sum(
            len(hand.expected.gone(index))
            for index in hand.indexes(inside)
            if hand.expected.applied[index].day in covered
        )
        if at_risk:
            assert period.churn_per_30_days == pytest.approx(30 * left / at_risk)
        else:
            assert period.churn_per_30_days is None


@pytest.mark.parametrize("span", SPANS, ids=lambda span: f"{span.first}-{span.last}")
def test_of_those_there_at_the_start_so_many_are_left_each_month(told: Engine, span: Span) -> None:
    hand = ByHand(span)
    users = hand.there_at_start
    figures = report(told, span)
    assert figures.there_at_start is not None
    assert figures.there_at_start.users == len(users)
    months = hand.months(users, month_number(span.first))
    assert list(figures.there_at_start.following) == months
    gone = len(users - hand.expected.after[-1])
    assert figures.left_share == pytest.approx(gone / len(users))


@pytest.mark.parametrize("span", SPANS, ids=lambda span: f"{span.first}-{span.last}")
def test_the_last_30_days_and_the_30_before_are_counted_beyond_the_span(
    told: Engine, span: Span
) -> None:
    hand = ByHand(span)
    figures = report(told, span)
    last, before = figures.last_30_days, figures.before_30_days
    assert last.first == max(span.last - timedelta(days=29), FIRST)
    assert (last.last, counts_of(last)) == (span.last, counts_by_hand(hand, last.span))
    assert (before is None) == (last.days < 30 or last.first == FIRST)
    if before is not None:
        assert before.last == last.first - timedelta(days=1)
        assert before.first == max(before.last - timedelta(days=29), FIRST)
        assert counts_of(before) == counts_by_hand(hand, before.span)


@pytest.mark.parametrize("span", SPANS, ids=lambda span: f"{span.first}-{span.last}")
def test_cohorts_are_the_sets_of_who_first_followed(told: Engine, span: Span) -> None:
    found = [
        (month_number(each.month), each.users, list(each.following))
        for each in report(told, span).cohorts
    ]
    assert found == ByHand(span).cohorts()


@pytest.mark.parametrize("span", SPANS, ids=lambda span: f"{span.first}-{span.last}")
def test_survival_is_that_of_each_new_users_first_stay(told: Engine, span: Span) -> None:
    hand = ByHand(span)
    new = hand.first_follows()
    first: dict[str, tuple[int, bool, int]] = {}
    for stay in hand.expected.stays():
        if stay.user in new and stay.user not in first:
            end = stay.end.day if stay.end else max(hand.seen_until, stay.first.day)
            first[stay.user] = ((end - stay.first.day).days, stay.end is not None, 1)
    assert report(told, span).survival == kaplan_meier(first.values())


@pytest.mark.parametrize("span", SPANS, ids=lambda span: f"{span.first}-{span.last}")
def test_the_most_recent_unfollows_are_the_last_ones_of_the_span(told: Engine, span: Span) -> None:
    hand = ByHand(span)
    expected = [
        (user, hand.expected.applied[index].at)
        for index in reversed(hand.indexes(span))
        for user in sorted(hand.expected.gone(index))
    ][:20]
    recent = report(told, span).recent
    assert [(each.user_id, each.unfollowed_at) for each in recent] == expected
    ended = {(stay.user, stay.end.at): stay for stay in hand.expected.stays() if stay.end}
    for each in recent:
        stay = ended[each.user_id, each.unfollowed_at]
        assert each.followed_at == (None if stay.baseline else stay.first.at)


@pytest.mark.parametrize("span", SPANS, ids=lambda span: f"{span.first}-{span.last}")
def test_the_figures_agree_with_each_other(told: Engine, span: Span) -> None:
    figures = report(told, span, By.DAY)
    total = figures.total
    assert (
        total.followed == sum(cohort.users for cohort in figures.cohorts) == figures.survival.users
    )
    assert sum(each.followed or 0 for each in figures.periods) == total.followed
    assert sum(each.unfollowed or 0 for each in figures.periods) == total.unfollowed
    left = sum(each.left for each in figures.stays.lengths) + figures.stays.baseline_left
    assert left == total.unfollowed
    follow = sum(each.follow for each in figures.stays.lengths) + figures.stays.baseline_follow
    assert follow == total.following_end


def test_the_history_is_worth_counting() -> None:
    """Else the tests above could pass on nothing."""
    hand = ByHand(SPANS[0])
    kinds = Counter(key.kind for key in hand.stays().elements())
    assert min(kinds[Change.BASELINE], kinds[Change.FOLLOWED], kinds[Change.REFOLLOWED]) > 10
    assert {each.status for each in HISTORY} == {"complete", "partial", "held", "failed"}
    assert len(hand.cohorts()) >= 4
