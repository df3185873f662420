"""The figures of a report, from rows written by hand: no database, no clock."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from etl.errors import UsageError
from etl.model import NO_COUNTS, Account, Change, Counts, Snapshot, Status
from etl.reports.churn import Question
from etl.reports.figures import MOST_BARS, Cohort, account_report
from etl.reports.gaps import Unseen, unseen
from etl.reports.periods import By, Span, chosen_span, month_number, split, whole
from etl.reports.queries import LostUser, StayCount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.reports.counting import Period
    from etl.reports.figures import AccountReport

OA = Account("4097311281936189049", "Bubble tea")


def day(text: str) -> date:
    return date.fromisoformat(f"2026-{text}")


class Runs(list[Snapshot]):
    """The runs of an OA, in the order in which they are written down."""

    def run(
        self, on: date, status: str = "complete", *, reason: str | None = None, **counts: int
    ) -> Runs:
        """One run; of an applied one every count that is not given is 0, and who followed after it
        follows from them."""
        known = None
        if status in {"complete", "partial"}:
            before = next((each.counts.following for each in reversed(self) if each.counts), 0)
            of = {"baseline": 0, "followed": 0, "refollowed": 0, "unfollowed": 0, **counts}
            change = of["baseline"] + of["followed"] + of["refollowed"] - of["unfollowed"]
            known = Counts(**of, following=before + change)
        elif counts:
            known = Counts(**dataclasses.asdict(NO_COUNTS) | counts)
        taken_at = datetime.combine(on, time(2), UTC)
        self.append(
            Snapshot(
                len(self) + 1, OA.oaid, Status(status), taken_at, on, reason=reason, counts=known
            )
        )
        return self


def report(
    runs: Sequence[Snapshot],
    by: By = By.DAY,
    *,
    span: Span | None = None,
    stays: Sequence[StayCount] = (),
    lost: Sequence[LostUser] = (),
    today: date | None = None,
) -> AccountReport:
    span = span or Span(runs[0].taken_on, runs[-1].taken_on)
    return account_report(OA, span, by, runs=runs, stays=stays, lost=lost, today=today or span.last)


def told(period: Period, *names: str) -> tuple[Any, ...]:
    return tuple(getattr(period, name) for name in names)


# -- periods ---------------------------------------------------------------------------------------


def test_the_baseline_is_no_win_and_the_rates_are_shares_of_who_was_there_before() -> None:
    runs = (
        Runs()
        .run(day("10-01"), baseline=100)
        .run(day("10-02"), followed=10, refollowed=2, unfollowed=5)
    )
    total = report(runs).total
    assert told(total, "following_start", "baseline", "net", "following_end") == (0, 100, 7, 107)
    assert (total.churn_rate, total.growth_rate) == (0.05, 0.07)


def test_each_period_starts_where_the_one_before_it_ended() -> None:
    runs = (
        Runs()
        .run(day("10-01"), baseline=50)
        .run(day("10-06"), followed=9, unfollowed=4)
        .run(day("10-13"), unfollowed=11)
    )
    first, second, third = report(runs, By.WEEK).periods
    assert (first.following_end, second.following_start) == (50, 50)
    assert (second.following_end, third.following_start) == (55, 55)
    assert [each.whole for each in (first, second, third)] == [False, True, False]


def test_what_happens_twice_within_a_period_counts_twice() -> None:
    """Who follows and unfollows on one day, in two runs, is in both counts."""
    runs = (
        Runs()
        .run(day("10-01"), baseline=10)
        .run(day("10-02"), followed=3)
        .run(day("10-02"), unfollowed=3)
    )
    assert told(report(runs).periods[1], "followed", "unfollowed", "net", "churn_rate") == (
        3,
        3,
        0,
        0.3,
    )


def test_without_a_reading_of_the_whole_list_nobody_knows_who_left() -> None:
    runs = (
        Runs()
        .run(day("10-01"), baseline=10)
        .run(day("10-02"), "partial", reason="torn", followed=2)
        .run(day("10-03"))
    )
    partial = report(runs).periods[1]
    assert told(partial, "followed", "following_end", "partial") == (2, 12, 1)
    assert told(partial, "unfollowed", "net", "churn_rate", "growth_rate") == (
        None,
        None,
        None,
        None,
    )


def test_without_any_reading_nobody_knows_anything() -> None:
    runs = (
        Runs()
        .run(day("10-01"), baseline=10)
        .run(day("10-02"), "failed", reason="unreachable")
        .run(day("10-03"))
    )
    unknown = report(runs).periods[1]
    assert unknown.following_start == 10
    names = (
        "followed",
        "refollowed",
        "unfollowed",
        "net",
        "following_end",
        "churn_rate",
        "growth_rate",
    )
    assert told(unknown, *names) == (None,) * len(names)


def test_the_counts_of_runs_that_were_not_applied_enter_no_figure() -> None:
    runs = (
        Runs()
        .run(day("10-01"), baseline=100)
        .run(day("10-02"), "held", followed=7, unfollowed=70, reason="mass_unfollow")
    )
    runs.run(day("10-03"), "undone").run(day("10-04"), "running")
    assert told(report(runs).total, "followed", "unfollowed", "following_end") == (0, 0, 100)


def test_a_share_of_nobody_is_no_rate() -> None:
    runs = Runs().run(day("10-01")).run(day("10-02"), followed=5)
    assert told(report(runs).periods[1], "following_start", "churn_rate", "growth_rate") == (
        0,
        None,
        None,
    )


def test_the_first_reading_alone_has_nothing_to_compare_with() -> None:
    assert report(Runs().run(day("10-01"), baseline=40)).total.churn_rate is None


def test_a_period_tells_when_the_list_had_last_been_read_whole() -> None:
    runs = (
        Runs()
        .run(day("10-01"), baseline=10)
        .run(day("10-02"), "partial", reason="torn")
        .run(day("10-05"), unfollowed=1)
    )
    assert [each.observed_since for each in report(runs).periods if each.complete] == [
        None,
        datetime(2026, 10, 1, 2, tzinfo=UTC),
    ]


def test_where_periods_are_too_many_to_be_drawn_the_bars_are_longer_ones() -> None:
    runs = Runs()
    for number in range(MOST_BARS + 1):
        runs.run(day("01-01") + timedelta(days=number), followed=1)
    figures = report(runs, By.DAY)
    assert (len(figures.periods), figures.bars_by) == (MOST_BARS + 1, By.WEEK)
    assert sum(each.followed or 0 for each in figures.bars) == MOST_BARS + 1
    assert report(runs[:-1], By.DAY).bars_by is By.DAY


def test_weeks_begin_on_monday_and_months_on_the_first_and_the_ends_of_the_span_cut_them() -> None:
    span = Span(day("09-29"), day("11-02"))
    assert [each.first.weekday() for each in split(span, By.WEEK)][1:] == [0] * 5
    assert [(each.first, each.last) for each in split(span, By.MONTH)] == [
        (day("09-29"), day("09-30")),
        (day("10-01"), day("10-31")),
        (day("11-01"), day("11-02")),
    ]
    assert [whole(each, By.MONTH) for each in split(span, By.MONTH)] == [False, True, False]


@pytest.mark.parametrize("by", list(By))
def test_periods_cover_every_day_of_the_span_once(by: By) -> None:
    span = Span(date(2023, 12, 27), date(2024, 3, 2))
    days = [
        each.first + timedelta(days=number)
        for each in split(span, by)
        for number in range(each.days)
    ]
    assert days == [span.first + timedelta(days=number) for number in range(span.days)]


# -- what a rate rests on --------------------------------------------------------------------------


def weeks_alike(*nights: str) -> Runs:
    """Every night seven leave and seven arrive; each word tells of a week from Monday on what
    became of its nights."""
    runs = Runs().run(day("08-30"), baseline=700)
    left = 0
    for number, night in enumerate("".join(nights)):
        left += 7
        on = day("08-31") + timedelta(days=number)
        if night == "c":
            runs.run(on, followed=7, unfollowed=left)
            left = 0
        elif night == "p":
            runs.run(on, "partial", reason="torn", followed=7)
    return runs


def test_a_week_of_which_one_night_was_read_whole_has_no_rate_and_neither_has_the_next() -> None:
    """All weeks are alike: 49 of 700 leave. Any other rate than 7 % would be an artefact."""
    runs = weeks_alike("ccccccc", "ccccccc", "cpppppp", "ccccccc", "ccccccc")
    weeks = report(runs, By.WEEK).periods[1:]
    assert [each.churn_rate for each in weeks] == [0.07, 0.07, None, None, 0.07]
    assert [each.growth_rate for each in weeks] == [0, 0, None, None, 0]
    assert [each.days_whole for each in weeks] == [7, 7, 1, 7, 7]
    assert weeks[2].covers == Span(day("09-14"), day("09-14"))
    assert weeks[3].covers == Span(day("09-15"), day("09-27"))
    assert weeks[3].churn_per_30_days == pytest.approx(91 / weeks[3].follower_days * 30)  # type: ignore[operator]


def test_a_week_whose_last_night_is_missing_is_near_enough_and_one_without_two_is_not() -> None:
    one = report(weeks_alike("ccccccc", "cccccc-", "ccccccc"), By.WEEK).periods[2]
    two = report(weeks_alike("ccccccc", "ccccc--", "ccccccc"), By.WEEK).periods[2]
    assert (one.churn_rate, two.churn_rate) == (42 / 700, None)


def test_a_week_that_is_covered_by_as_many_days_but_ends_too_early_has_no_rate() -> None:
    """From Sunday to Friday: one day early at its start, two at its end."""
    week = report(weeks_alike("cccccc-", "ccccc--", "ccccccc"), By.WEEK).periods[2]
    assert week.covers == Span(day("09-06"), day("09-11"))
    assert week.churn_rate is None


def test_a_list_that_is_read_once_a_week_has_weekly_rates_but_no_daily_ones() -> None:
    runs = Runs().run(day("09-02"), baseline=100)
    for number in range(1, 5):
        runs.run(day("09-02") + timedelta(days=7 * number), unfollowed=7, followed=7)
    assert [each.churn_rate for each in report(runs, By.WEEK).periods][1:-1] == [0.07] * 3
    assert {each.churn_rate for each in report(runs, By.DAY).periods} == {None}


def test_two_histories_of_different_lengths_are_compared_over_the_same_days() -> None:
    """One loses a fifth of a percent a day over a year, the other 1 % a day for two weeks."""
    old, new = Runs().run(day("01-01"), baseline=1000), Runs().run(day("12-18"), baseline=1000)
    for number in range(1, 365):
        old.run(day("01-01") + timedelta(days=number), followed=2, unfollowed=2)
    for number in range(1, 14):
        new.run(day("12-18") + timedelta(days=number), followed=10, unfollowed=10)
    slow, fast = report(old).total, report(new).total
    assert slow.churn_per_30_days == pytest.approx(0.06)
    assert fast.churn_per_30_days == pytest.approx(0.3)
    window = report(old).last_30_days
    assert (window.days, window.churn_rate) == (30, 0.06)


def test_a_list_that_was_never_read_whole_has_no_survival_and_no_rate() -> None:
    runs = Runs().run(day("10-01"), "partial", reason="ceiling", baseline=540)
    runs.run(day("10-02"), "partial", reason="ceiling", followed=3)
    stays = [StayCount(Change.FOLLOWED, month_number(day("10-02")), 1, None, 0, 3)]
    figures = report(runs, stays=stays)
    assert (figures.survival.users, figures.cohorts, figures.left_share) == (0, (), None)
    assert {each.churn_rate for each in (*figures.periods, figures.total)} == {None}
    assert figures.total.churn_per_30_days is None
    assert figures.total.known("followed") is figures.total.known("refollowed") is None
    assert figures.total.known("baseline") == figures.total.baseline


def test_once_the_list_was_read_whole_nobody_new_is_nobody_new() -> None:
    runs = Runs().run(day("10-01"), baseline=9)
    runs.run(day("10-02"), "partial", reason="torn")
    first, second = report(runs, by=By.DAY).periods
    assert (first.known("followed"), second.known("followed")) == (0, 0)


def test_one_reading_is_a_first_night_and_two_are_none() -> None:
    runs = Runs().run(day("10-01"), baseline=9)
    assert report(runs).first_night
    assert not report(runs.run(day("10-02"))).first_night


# -- which days ------------------------------------------------------------------------------------


def chosen(since: str | None = None, until: str | None = None) -> Span:
    runs = (
        Runs()
        .run(day("10-01"), "failed")
        .run(day("10-03"), baseline=9)
        .run(day("10-08"))
        .run(day("10-09"), "failed")
    )
    limits = {"since": since and day(since), "until": until and day(until)}
    return chosen_span(runs, OA.oaid, today=day("10-12"), **limits)  # type: ignore[arg-type]


def test_without_dates_a_report_is_about_the_first_applied_snapshot_to_the_last_run() -> None:
    assert chosen() == Span(day("10-03"), day("10-09"))


def test_dates_beyond_what_was_read_are_taken_back_to_it_but_never_past_today() -> None:
    assert chosen("09-01", "10-05") == Span(day("10-03"), day("10-05"))
    assert chosen("10-08", "12-31") == Span(day("10-08"), day("10-12"))


@pytest.mark.parametrize(
    ("since", "until", "words"),
    [
        (None, "10-02", "the last day 2026-10-02 lies before the first snapshot"),
        ("10-10", None, "the first day 2026-10-10 lies after"),
    ],
)
def test_a_time_in_which_nothing_was_read_is_refused(
    since: str | None, until: str | None, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        chosen(since, until)


def test_an_oa_that_was_never_read_is_refused() -> None:
    with pytest.raises(UsageError, match="no complete or partial snapshot yet"):
        chosen_span(
            Runs().run(day("10-01"), "failed"), OA.oaid, since=None, until=None, today=day("10-02")
        )


def test_since_after_until_is_refused() -> None:
    with pytest.raises(
        UsageError, match="the first day 2026-10-02 lies after the last day 2026-10-01"
    ):
        Question(since=day("10-02"), until=day("10-01"))


# -- the curve -------------------------------------------------------------------------------------


def test_the_curve_has_one_point_a_day_the_last_of_the_day_and_breaks_where_no_list_was_read_whole() -> (
    None
):
    runs = (
        Runs()
        .run(day("10-01"), baseline=10)
        .run(day("10-01"), followed=1)
        .run(day("10-02"), followed=1)
    )
    runs.run(day("10-03"), "partial", reason="torn", followed=5).run(
        day("10-04"), unfollowed=2
    ).run(day("10-06"))
    figures = report(runs)
    assert [(each.day.day, each.following, each.complete) for each in figures.curve] == [
        (1, 11, True), (2, 12, True), (3, 17, False), (4, 15, True), (6, 15, True),
    ]  # fmt: skip
    assert figures.curve_gaps == (
        Span(day("10-03"), day("10-03")),
        Span(day("10-05"), day("10-05")),
    )
    assert figures.days_seen == 4


# -- cohorts, survival, time as a follower ---------------------------------------------------------

SEP, OCT, NOV = (month_number(day(f"{month}-01")) for month in ("09", "10", "11"))
THREE_MONTHS = [
    Snapshot(
        number,
        OA.oaid,
        Status.COMPLETE,
        datetime.combine(on, time(2), UTC),
        on,
        counts=NO_COUNTS,
    )
    for number, on in enumerate((day("09-10"), day("10-10"), day("11-10")), 1)
]


def test_a_cohort_counts_who_follows_at_the_end_of_each_month_also_after_a_return() -> None:
    stays = [
        StayCount(Change.FOLLOWED, SEP, SEP, None, 61, 5),
        StayCount(Change.FOLLOWED, SEP, SEP, OCT, 30, 3),
        StayCount(Change.REFOLLOWED, SEP, NOV, None, 0, 2),
        StayCount(Change.FOLLOWED, OCT, OCT, OCT, 3, 4),
    ]
    september, october = report(THREE_MONTHS, stays=stays).cohorts
    assert (september.users, september.following) == (8, (8, 5, 7))
    assert september.retention == (1.0, 5 / 8, 7 / 8)
    assert (october.users, october.following) == (4, (0, 0))


def test_the_baseline_and_who_followed_before_the_span_are_in_no_cohort_and_not_in_the_curve_of_survival() -> (
    None
):
    """Left-truncated: nobody knows since when the baseline follows, and of earlier arrivals only
    the survivors are left."""
    stays = [
        StayCount(Change.BASELINE, None, SEP, OCT, 30, 100),
        StayCount(Change.FOLLOWED, None, SEP, OCT, 30, 50),
        StayCount(Change.REFOLLOWED, None, OCT, NOV, 31, 25),
        StayCount(Change.FOLLOWED, OCT, OCT, NOV, 31, 1),
        StayCount(Change.FOLLOWED, OCT, OCT, None, 31, 3),
    ]
    figures = report(THREE_MONTHS, stays=stays)
    assert [(cohort.month.month, cohort.users) for cohort in figures.cohorts] == [(10, 4)]
    assert (figures.survival.users, figures.survival.left) == (4, 1)
    assert figures.survival.points[0].survival == 0.75


def test_a_return_is_no_second_experiment_of_survival() -> None:
    stays = [
        StayCount(Change.FOLLOWED, SEP, SEP, OCT, 30, 2),
        StayCount(Change.REFOLLOWED, SEP, OCT, None, 31, 2),
    ]
    assert report(THREE_MONTHS, stays=stays).survival.users == 2


def test_a_month_without_a_reading_of_the_whole_list_has_no_retention() -> None:
    runs = [THREE_MONTHS[0], THREE_MONTHS[2]]
    stays = [StayCount(Change.FOLLOWED, SEP, SEP, None, 61, 2)]
    assert report(runs, stays=stays).cohorts[0].following == (2, None, 2)


@pytest.mark.parametrize(("last_whole", "following"), [(25, None), (26, 2)])
def test_a_month_that_was_read_whole_only_before_its_last_days_has_no_retention(
    last_whole: int, following: int | None
) -> None:
    runs = [
        dataclasses.replace(
            THREE_MONTHS[0],
            id=number,
            taken_on=date(2026, 9, number),
            status=Status.COMPLETE if number <= last_whole else Status.PARTIAL,
        )
        for number in range(1, 31)
    ]
    stays = [StayCount(Change.FOLLOWED, SEP, SEP, None, 20, 2)]
    assert report(runs, stays=stays).cohorts[0].following == (following,)


def test_time_as_a_follower_is_told_in_classes_with_the_baseline_apart() -> None:
    stays = [
        StayCount(Change.FOLLOWED, SEP, SEP, SEP, 6, 2),
        StayCount(Change.FOLLOWED, SEP, SEP, OCT, 7, 1),
        StayCount(Change.REFOLLOWED, SEP, OCT, NOV, 29, 4),
        StayCount(Change.FOLLOWED, None, SEP, None, 400, 3),
        StayCount(Change.BASELINE, None, SEP, OCT, 10, 8),
        StayCount(Change.BASELINE, None, SEP, None, 60, 9),
    ]
    told_stays = report(THREE_MONTHS, stays=stays).stays
    assert {(each.first, each.last): (each.left, each.follow) for each in told_stays.lengths if each.left or each.follow} == {
        (0, 6): (2, 0), (7, 29): (5, 0), (365, None): (0, 3),
    }  # fmt: skip
    assert (told_stays.median_left, told_stays.median_follow) == (29, 400)
    assert (told_stays.baseline_left, told_stays.baseline_follow) == (8, 9)


def test_a_recent_unfollow_tells_how_long_it_was_unless_it_began_before_we_looked() -> None:
    lost = [LostUser("an", 3, 2, Change.FOLLOWED), LostUser("bao", 3, 1, Change.BASELINE)]
    known, unknown = report(THREE_MONTHS, lost=lost).recent
    assert (known.user_id, known.days) == ("an", 31)
    assert (unknown.followed_at, unknown.days) == (None, None)


# -- what we could not see -------------------------------------------------------------------------


def test_runs_in_a_row_that_ended_alike_are_one_stretch_with_the_word_of_their_reason() -> None:
    runs = (
        Runs()
        .run(day("10-01"), baseline=9)
        .run(day("10-02"), "failed", reason="unreachable: no answer from x")
    )
    runs.run(day("10-03"), "failed", reason="unreachable: other words").run(
        day("10-04"), "partial", reason="torn"
    )
    runs.run(day("10-05"), "held", reason="mass_unfollow", unfollowed=70).run(
        day("10-06"), "undone"
    ).run(day("10-07"))
    assert unseen(runs, Span(day("10-01"), day("10-07")), today=day("10-07")) == (
        Unseen("failed", day("10-02"), day("10-03"), 2, "unreachable"),
        Unseen("partial", day("10-04"), day("10-04"), 1, "torn"),
        Unseen("held", day("10-05"), day("10-05"), 1, "mass_unfollow", 70),
        Unseen("undone", day("10-06"), day("10-06"), 1, None),
    )


def test_a_gap_is_measured_by_the_usual_interval_between_runs() -> None:
    daily = Runs().run(day("10-01")).run(day("10-02")).run(day("10-03")).run(day("10-06"))
    weekly = Runs().run(day("10-01")).run(day("10-08")).run(day("10-15")).run(day("10-29"))
    assert unseen(daily, Span(day("10-01"), day("10-06")), today=day("10-06")) == (
        Unseen("gap", day("10-04"), day("10-05")),
    )
    assert unseen(weekly, Span(day("10-01"), day("10-29")), today=day("10-29")) == (
        Unseen("gap", day("10-16"), day("10-28")),
    )


def test_a_schedule_that_stopped_is_a_gap_that_lasts() -> None:
    runs = Runs().run(day("10-01")).run(day("10-02")).run(day("10-03"))
    assert unseen(runs, Span(day("10-01"), day("10-03")), today=day("10-20")) == (
        Unseen("gap", day("10-04"), None),
    )
    assert unseen(runs, Span(day("10-01"), day("10-02")), today=day("10-20")) == ()


def test_a_cohort_of_which_nobody_is_left_to_count_has_no_retention() -> None:
    """A clock that was set back dates an unfollow before the follow."""
    assert Cohort(date(2026, 11, 1), 0, (0, None)).retention == (None, None)
