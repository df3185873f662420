"""ChurnReport -> terminal, CSV, JSON."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING

from etl.model import plain
from etl.reports.csv_cells import defused
from etl.reports.language import DEFINITIONS, NOTHING, Words
from etl.reports.periods import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.reports.figures import AccountReport, ChurnReport, Period
    from etl.reports.gaps import Unseen

CSV_COLUMNS = (
    "oaid", "name", "first", "last", "following_start", "baseline", "followed", "refollowed", "unfollowed", "net",
    "following_end", "churn_rate", "growth_rate", "complete", "partial", "observed_since",
)  # fmt: skip
"""One row an OA and period. An empty cell could not be seen; rates are shares (0.05 is 5 %)."""

MILESTONES = (1, 7, 14, 30, 60, 90, 180, 365, 730, 1095)
"""The days of the survival curve that tables tell."""

WIDTH = 110
"""Of the definitions, in characters."""


# --- for programs
# ----------------------------------------------------------------------------------------------------


def as_csv(report: ChurnReport) -> str:
    """The periods; everything else is in the JSON."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for account in report.accounts:
        for period in account.periods:
            row = {"oaid": account.oaid, "name": account.name, **asdict(period)}
            writer.writerow([defused(plain(row[column])) for column in CSV_COLUMNS])
    return out.getvalue()


def as_json(report: ChurnReport) -> str:
    """Every figure: one object a line for each OA."""
    lines = []
    for account in report.accounts:
        values = {
            "by": report.by,
            "made_at": report.made_at,
            "timezone": report.timezone,
            **asdict(account),
        }
        for cohort, told in zip(account.cohorts, values["cohorts"], strict=True):
            told["retention"] = cohort.retention
        values["survival"]["median"] = account.survival.median
        lines.append(json.dumps(values, default=plain, ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines)


# --- for people
# ------------------------------------------------------------------------------------------------------


def as_table(report: ChurnReport, words: Words) -> str:
    """Aligned columns, with the definitions beside the numbers."""
    blocks = [words("title").upper(), words("days_in", zone=report.timezone)]
    for account in report.accounts:
        blocks += _account(account, report, words)
    blocks += [f"{words('left_out')}: {why}" for why in report.left_out]
    return "\n\n".join(blocks) + "\n"


def _account(account: AccountReport, report: ChurnReport, words: Words) -> Iterator[str]:
    name = _printable(f"{account.name} ({account.oaid})" if account.name else account.oaid)
    yield f"{name}\n{'=' * len(name)}\n{headline(account, words)}\n{read_whole(account, words)}"
    yield section(
        f"{words('periods')} ({words(f'by_{report.by}')})",
        period_table(account, report, words),
        *(words(each) for each in DEFINITIONS),
    )
    if account.cohorts:
        notes = [words("def_cohort"), *([words("so_far")] if account.last_month_open else [])]
        yield section(words("cohorts"), cohort_table(account, words), *notes)
    if account.survival.users:
        yield section(
            words("survival"),
            survival_table(account, words),
            median(account, words),
            words("def_survival"),
            words("def_interval"),
        )
    yield section(words("stays"), stay_table(account, words), words("def_stays"))
    recent = recent_table(account, words)
    yield (
        section(words("recent"), recent)
        if len(recent) > 1
        else f"{words('recent')}\n{words('no_recent')}"
    )
    if account.unseen:
        yield section(words("unseen"), unseen_table(account.unseen, words), words("def_gap"))
    else:
        yield f"{words('unseen')}\n{words('all_seen')}"


def headline(account: AccountReport, words: Words) -> str:
    """What a busy reader takes away."""
    total = account.total
    following, day = words.number(total.following_end), words.day(account.span.last)
    if total.unfollowed is None or total.followed is None or total.refollowed is None:
        return words("headline_unseen", day=day, following=following)
    return words(
        "headline",
        day=day,
        following=following,
        net=words.number(total.net, sign=True),
        won=words.number(total.followed + total.refollowed),
        lost=words.number(total.unfollowed),
    )


def read_whole(account: AccountReport, words: Words) -> str:
    """On how many of the days."""
    if account.last_complete_at is None:
        return words("never_whole")
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
    """A header, the periods, the total; the baseline only where there is one."""
    columns = [
        "following_start",
        "baseline",
        "followed",
        "refollowed",
        "unfollowed",
        "net",
        "following_end",
    ]
    if not account.total.baseline:
        columns.remove("baseline")
    header = [words("period"), *map(words, columns), words("churn_rate"), words("growth_rate")]

    def row(label: str, period: Period) -> list[str]:
        counts = (words.number(getattr(period, column), sign=column == "net") for column in columns)
        return [
            label,
            *counts,
            words.percent(period.churn_rate),
            words.percent(period.growth_rate, sign=True),
        ]

    rows = [
        row(words.span(Span(period.first, period.last), report.by), period)
        for period in account.periods
    ]
    return [header, *rows, row(words("total"), account.total)]


def cohort_table(account: AccountReport, words: Words) -> list[list[str]]:
    """A row a month of first follows, a column a month since."""
    months = max(len(cohort.following) for cohort in account.cohorts)
    header = [words("cohort"), words("users"), *map(str, range(months))]
    rows = [
        [
            words.month(cohort.month),
            words.number(cohort.users),
            *(words.percent(share, digits=0) for share in cohort.retention),
        ]
        for cohort in account.cohorts
    ]
    return [header, *([*row, *[""] * (len(header) - len(row))] for row in rows)]


def survival_table(account: AccountReport, words: Words) -> list[list[str]]:
    """The curve on some days."""
    rows = [[words("day"), words("still"), words("band"), words("at_risk")]]
    survival = account.survival
    for day in MILESTONES:
        point = survival.at(day)
        if point is not None:
            band = (
                f"{words.percent(point.low)} – {words.percent(point.high)}"
                if point.low is not None
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
        reason = [each.reason] if each.reason else []
        if each.held_back is not None:
            reason.append(words("held_back", count=words.number(each.held_back)))
        last = words("lasting") if each.last is None else words.day(each.last)
        runs = words.number(each.runs) if each.runs else NOTHING
        rows.append(
            [words(each.kind), words.day(each.first), last, runs, ", ".join(reason) or NOTHING]
        )
    return rows


def section(title: str, table: Sequence[Sequence[str]], *notes: str) -> str:
    """A title, a table below it, and what is to be known of its numbers."""
    return "\n".join([title, *_aligned(table), *(textwrap.fill(note, WIDTH) for note in notes)])


def _aligned(table: Sequence[Sequence[str]]) -> Iterator[str]:
    """The first column to the left, the others to the right."""
    cells = [[_printable(cell) for cell in row] for row in table]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        first, *others = (
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(["  " + first, *others]).rstrip()


def _printable(text: str) -> str:
    """Without what could steer a terminal: an OA's name is data."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
