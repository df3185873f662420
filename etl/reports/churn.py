"""Database -> ChurnReport: ask, and hand the rows to the figures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

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

    from sqlalchemy import Connection, Engine

    from etl.model import Account, Snapshot
    from etl.reports.periods import Span

AT_ONCE = 100
"""OAs whose runs and stays are in memory at once; so many are asked for by each statement."""

RECENT = 20
"""How many of the most recent unfollows a report names."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a report is asked for.

    Without `since` it begins with the first snapshot, without `until` it ends with the last run.

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
        show: is told of each OA: what (a key of the texts), how many, of how many.

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
    for begin in range(0, len(accounts), AT_ONCE):
        some = accounts[begin : begin + AT_ONCE]
        with analysing(engine) as connection:
            parts, refusals = _parts(connection, some, question, today=today)
            stays = queries.stay_counts(connection, [part.asked for part in parts if part.asked])
            lost = queries.last_unfollows(
                connection,
                {part.account.oaid: part.losses for part in parts},
                limit=RECENT if question.users else 0,
            )
        for account, why in refusals:
            if strict or len(accounts) == 1:
                raise why
            left_out.append(LeftOut(account.name or account.oaid, str(why)))
            refusal = why
        for part in parts:
            oaid = part.account.oaid
            reports.append(
                account_report(
                    part.account,
                    part.span,
                    question.by,
                    runs=part.runs,
                    stays=stays.get(oaid, ()),
                    lost=lost[oaid],
                    today=today,
                    until=until,
                )
            )
        if show is not None:
            show("progress.oas", begin + len(some), len(accounts))
    if not reports:
        raise refusal
    return ChurnReport(question.by, now, zone.key, tuple(reports), tuple(left_out), question.users)


class _Part(NamedTuple):
    """An OA with what there is to report of it, before its changes are asked for.

    `asked` is None where its list was never read whole: nothing is known of anybody's stay.
    """

    account: Account
    span: Span
    runs: list[Snapshot]
    asked: queries.Asked | None
    losses: list[Snapshot]


def _parts(
    connection: Connection, accounts: Sequence[Account], question: Question, *, today: date
) -> tuple[list[_Part], list[tuple[Account, UsageError]]]:
    """The OAs with something to report, and why each other one has nothing."""
    parts, refusals = [], []
    runs = queries.runs(connection, [account.oaid for account in accounts])
    for account in accounts:
        try:
            parts.append(_part(account, runs[account.oaid], question, today=today))
        except UsageError as nothing:
            refusals.append((account, nothing))
    return parts, refusals


def _part(account: Account, runs: list[Snapshot], question: Question, *, today: date) -> _Part:
    span = chosen_span(runs, account.oaid, since=question.since, until=question.until, today=today)
    applied = [run for run in runs if run.status in APPLIED and run.taken_on <= span.last]
    whole_days = [run.taken_on for run in applied if run.status == Status.COMPLETE]
    last_id = max(run.id or 0 for run in applied)
    inside = [run for run in reversed(applied) if run.taken_on in span]
    first_id = min((run.id or 0 for run in inside), default=last_id + 1)
    asked = (
        queries.Asked(account.oaid, span.first, max(whole_days), first_id, last_id)
        if whole_days
        else None
    )
    return _Part(account, span, runs, asked, inside)
