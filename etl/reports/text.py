"""ChurnReport -> the sentences and tables that the terminal and the page share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.reports.counting import WINDOW
from etl.reports.gaps import GAP
from etl.reports.periods import By
from etl.texts import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.reports.counting import Period
    from etl.reports.figures import AccountReport, ChurnReport, Cohort
    from etl.reports.gaps import Unseen
    from etl.reports.language import Words

MILESTONES = (1, 7, 14, 30, 60, 90, 180, 365, 730, 1095)
"""The days of the survival curve that tables tell."""

COMPARED = ("following_end", "followed", "refollowed", "unfollowed", "net")
"""What OAs are compared by."""


def headline(account: AccountReport, words: Words) -> str:
    """What a busy reader takes away."""
    total = account.total
    last_day = account.curve[-1].day if account.curve else account.span.last
    followers, day = words.followers(total.following_end), words.day(last_day)
    if account.last_complete_at is not None and account.first_night:
        return words("first_night", day=day, followers=followers)
    if total.unfollowed is None or total.followed is None or total.refollowed is None:
        return words("headline_unseen", day=day, following=words.number(total.following_end))
    return words(
        "headline",
        day=day,
        followers=followers,
        net=words.number(total.net, sign=True),
        first=words.day(account.span.first),
        won=words.number(total.followed + total.refollowed),
        lost=words.number(total.unfollowed),
    )


def standing(account: AccountReport, words: Words) -> list[str]:
    """On how many of the days the list was read whole; if on none, how much was read."""
    if account.last_complete_at is not None:
        return [read_whole(account, words)]
    sentences = [words("never_whole")]
    if account.last_seen is not None and account.last_total:
        sentences.append(
            words(
                "part_read",
                seen=words.number(account.last_seen),
                total=words.number(account.last_total),
                share=words.percent(account.last_seen / account.last_total, digits=0),
            )
        )
    return [" ".join(sentences)]


def overall(account: AccountReport, words: Words) -> list[str]:
    """The rates of the whole time: by follower-days, and of those there at the start."""
    total, sentences = account.total, []
    if total.churn_per_30_days is not None:
        sentences.append(words("overall", rate=words.percent(total.churn_per_30_days)))
    if account.left_share is not None and total.bounded:
        users = words.number(total.following_start + total.baseline)
        share = words.percent(account.left_share)
        sentences.append(words("overall_start", users=users, share=share))
    return [" ".join(sentences)] if sentences else []


def compared(report: ChurnReport, words: Words) -> str:
    """The caption of the comparison: one window for all."""
    return words("compared", days=WINDOW, day=words.day(report.accounts[0].last_30_days.last))


def comparison_table(report: ChurnReport, words: Words) -> list[list[str]]:
    """A row an OA: the same 30 days of each."""
    columns = ("following", *COMPARED[1:])
    header = [words("account"), words("churn_rate"), *map(words, columns), words("coverage")]
    rows = [
        [
            account.label,
            window_churn(account.last_30_days, words),
            *_counts(account.last_30_days, COMPARED, words),
            coverage(account.last_30_days, words),
        ]
        for account in report.accounts
    ]
    return [header, *rows]


def comparison_total(windows: Sequence[Period], words: Words) -> list[str]:
    """The sums of `COMPARED`.

    Nothing where one of them is not known, as a sum of others would pass for it.
    """
    sums = []
    for column in COMPARED:
        counts = [each.known(column) for each in windows]
        told = [count for count in counts if count is not None]
        whole = sum(told) if len(told) == len(counts) else None
        sums.append(words.number(whole, sign=column == "net"))
    return sums


def window_churn(window: Period, words: Words) -> str:
    """Its churn where it is a whole window; since when it was read where it is shorter."""
    if window.days < WINDOW:
        return f"{NOTHING}, {words('since_day', day=words.day(window.first))}"
    return words.percent(window.churn_rate)


def window_table(account: AccountReport, words: Words) -> list[list[str]]:
    """The last 30 days beside the 30 before."""
    columns = ("followed", "refollowed", "unfollowed", "net", "following_end")
    header = [words("period"), words("churn_rate"), *map(words, columns), words("coverage")]
    windows = [account.last_30_days]
    if account.before_30_days is not None:
        windows.append(account.before_30_days)
    return [
        header,
        *(
            [
                words.span(each.span, By.DAY),
                words.percent(each.churn_rate if each.days == WINDOW else None),
                *_counts(each, columns, words),
                coverage(each, words),
            ]
            for each in windows
        ),
    ]


def coverage(period: Period, words: Words) -> str:
    """How many of its nights were read whole; what was found covers other days where it says so."""
    nights = f"{period.days_whole}/{period.days}"
    if period.bounded or period.covers is None:
        return nights
    return f"{nights}, {words('covers', span=words.span(period.covers, By.DAY))}"


def _counts(period: Period, columns: Sequence[str], words: Words) -> Iterator[str]:
    return (words.number(period.known(column), sign=column == "net") for column in columns)


def read_whole(account: AccountReport, words: Words) -> str:
    """On how many of the days."""
    return words(
        "read_whole",
        seen=account.days_seen,
        days=account.span.days,
        last=words.moment(account.last_complete_at),
    )


def median(account: AccountReport, words: Words) -> str:
    """When half have left, or that they have not."""
    survival = account.survival
    if survival.median is None:
        return words("no_median", days=words.days(survival.last))
    return words("median", days=words.days(survival.median))


def period_table(account: AccountReport, report: ChurnReport, words: Words) -> list[list[str]]:
    """A header, the periods, the total; the baseline only where there is one.

    The total has no rates: periods of different lengths are not compared (`overall`).
    """
    columns = ["baseline"] if account.total.baseline else []
    columns += ["followed", "refollowed", "unfollowed", "net", "following_end"]
    header = [
        words("period"),
        words("churn_rate"),
        words("following_start"),
        *map(words, columns),
        words("growth_rate"),
        words("coverage"),
    ]

    def row(label: str, period: Period, churn: str, growth: str) -> list[str]:
        start = words.number(period.following_start)
        counts = _counts(period, columns, words)
        return [label, churn, start, *counts, growth, coverage(period, words)]

    rows = [
        row(
            words.span(period.span, report.by),
            period,
            words.percent(period.churn_rate),
            words.percent(period.growth_rate, sign=True),
        )
        for period in account.periods
    ]
    return [header, *rows, row(words("total"), account.total, "", "")]


def cohort_table(account: AccountReport, words: Words) -> list[list[str]]:
    """Those there at the start, then a row a month of first follows; a column a month since."""
    start = [] if account.there_at_start is None else [account.there_at_start]
    months = max(len(cohort.following) for cohort in (*start, *account.cohorts))
    header = [words("cohort"), words("users"), *map(str, range(months))]
    rows = [
        [
            cohort_label(cohort, account, words),
            words.number(cohort.users),
            *(words.percent(share, digits=0) for share in cohort.retention),
        ]
        for cohort in (*start, *account.cohorts)
    ]
    return [header, *([*row, *[""] * (len(header) - len(row))] for row in rows)]


def cohort_label(cohort: Cohort, account: AccountReport, words: Words) -> str:
    """Its month, or that they were there at the start."""
    return words("at_start") if cohort is account.there_at_start else words.month(cohort.month)


def cohort_notes(account: AccountReport, words: Words) -> list[str]:
    """What is to be known of the table of cohorts."""
    return [words("def_cohort"), *([words("so_far")] if account.last_month_open else [])]


def unseen_notes(account: AccountReport) -> list[str]:
    """The definition of a gap, where there is one."""
    return ["def_gap"] if any(each.kind == GAP for each in account.unseen) else []


def survival_table(account: AccountReport, words: Words) -> list[list[str]]:
    """The curve on some days."""
    rows = [[words("day"), words("still"), words("band"), words("at_risk")]]
    survival = account.survival
    for day in MILESTONES:
        point = survival.at(day)
        if point is not None:
            band = (
                f"{words.percent(point.low)} – {words.percent(point.high)}"
                if point.low is not None and point.low < 1
                else NOTHING
            )
            rows.append(
                [
                    words.number(day),
                    words.percent(point.survival),
                    band,
                    words.number(survival.seen(day)),
                ]
            )
    return rows


def stay_table(account: AccountReport, words: Words) -> list[list[str]]:
    """The classes of length, their medians, and the baseline."""
    stays = account.stays
    rows = [[words("stays"), words("left"), words("follow")]]
    for length in stays.lengths:
        first = words.number(length.first)
        label = (
            words("stay_more", first=first)
            if length.last is None
            else words("stay_days", first=first, last=length.last)
        )
        rows.append([label, words.number(length.left), words.number(length.follow)])
    medians = (stays.median_left, stays.median_follow)
    rows.append(
        [words("stay_median"), *(NOTHING if days is None else words.days(days) for days in medians)]
    )
    rows.append(
        [
            words("stay_unknown"),
            words.number(stays.baseline_left),
            words.number(stays.baseline_follow),
        ]
    )
    return rows


def recent_table(account: AccountReport, words: Words) -> list[list[str]]:
    """The users who left last."""
    rows = [[words("user"), words("unfollowed_at"), words("followed_at"), words("length")]]
    for user in account.recent:
        since = words("before_us") if user.followed_at is None else words.moment(user.followed_at)
        length = NOTHING if user.days is None else words.days(user.days)
        rows.append([user.user_id, words.moment(user.unfollowed_at), since, length])
    return rows


def unseen_table(unseen: Sequence[Unseen], words: Words) -> list[list[str]]:
    """Runs that were not believed, and days without one."""
    rows = [[words("kind"), words("since"), words("until"), words("runs"), words("reason")]]
    for each in unseen:
        sentence = words.reason(each.reason)
        reason = [sentence] if sentence else []
        if each.held_back is not None:
            reason.append(words("held_back", count=words.number(each.held_back)))
        last = words("lasting") if each.last is None else words.day(each.last)
        runs = words.number(each.runs) if each.runs else NOTHING
        rows.append(
            [words(each.kind), words.day(each.first), last, runs, ", ".join(reason) or NOTHING]
        )
    return rows
