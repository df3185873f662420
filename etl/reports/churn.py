"""Database -> ChurnReport: ask, in one transaction an OA, and hand the rows to the figures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from etl.db.analysis import analysing
from etl.errors import UsageError
from etl.model import APPLIED, Status, day_of
from etl.reports import queries
from etl.reports.figures import AccountReport, ChurnReport, LeftOut, account_report
from etl.reports.periods import By, chosen_span

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date, datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import Engine

    from etl.model import Account

RECENT = 20
"""How many of the most recent unfollows a report names."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a report is asked for.

    Without `since` and `until`: from the first snapshot to the last run.

    `users`: whether to name those who left last.
    """

    by: By = By.WEEK
    since: date | None = None
    until: date | None = None
    users: bool = True

    def __post_init__(self) -> None:
        if self.since is not None and self.until is not None and self.since > self.until:
            raise UsageError(f"the first day {self.since} lies after the last day {self.until}")


def churn_report(
    engine: Engine,
    accounts: Sequence[Account],
    question: Question,
    *,
    now: datetime,
    zone: ZoneInfo,
    day_begins: timedelta = timedelta(),
    strict: bool = False,
    show: Callable[[str, int, int], None] | None = None,
) -> ChurnReport:
    """The figures of some OAs.

    Args:
        engine: the database.
        accounts: the OAs, in the order in which to report.
        question: what is asked.
        now: when (UTC); tells how long nothing was read.
        zone: ETL_TIMEZONE.
        day_begins: ETL_DAY_BEGINS, as what passes between midnight and then.
        strict: whether an OA without anything to report is an error even where others have
            something.
        show: is told of each OA: what, how many, of how many.

    Raises:
        UsageError: there is no OA, or none has anything to report in the time asked for.
        DatabaseUnreachableError: the database is gone or refuses us.
    """
    if not accounts:
        raise UsageError("no OA is in the database yet: run `etl sync` first")
    today = day_of(now, zone, day_begins)
    with analysing(engine) as connection:
        newest = queries.newest_day(connection, [account.oaid for account in accounts]) or today
    until = newest if question.until is None else min(question.until, max(newest, today))
    reports: list[AccountReport] = []
    left_out: list[LeftOut] = []
    refusal = UsageError("there is nothing to report")
    for number, account in enumerate(accounts, 1):
        if show is not None:
            show("OAs", number, len(accounts))
        try:
            reports.append(_account(engine, account, question, today=today, until=until))
        except UsageError as nothing:
            if strict or len(accounts) == 1:
                raise
            left_out.append(LeftOut(account.name or account.oaid, str(nothing)))
            refusal = nothing
    if not reports:
        raise refusal
    return ChurnReport(question.by, now, zone.key, tuple(reports), tuple(left_out), question.users)


def _account(
    engine: Engine, account: Account, question: Question, *, today: date, until: date
) -> AccountReport:
    with analysing(engine) as connection:
        runs = queries.runs(connection, account.oaid)
        span = chosen_span(
            runs, account.oaid, since=question.since, until=question.until, today=today
        )
        applied = [run for run in runs if run.status in APPLIED and run.taken_on <= span.last]
        whole_days = [run.taken_on for run in applied if run.status == Status.COMPLETE]
        last_id = max(run.id or 0 for run in applied)
        inside = [run for run in reversed(applied) if run.taken_on in span]
        stays = (
            queries.stay_counts(
                connection,
                account.oaid,
                first=span.first,
                seen_until=max(whole_days),
                first_id=min((run.id or 0 for run in inside), default=last_id + 1),
                last_id=last_id,
            )
            if whole_days
            else []
        )
        limit = RECENT if question.users else 0
        lost = queries.last_unfollows(connection, account.oaid, inside, limit=limit)
    return account_report(
        account,
        span,
        question.by,
        runs=runs,
        stays=stays,
        lost=lost,
        today=today,
        until=until,
    )
