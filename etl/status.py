"""How fresh our picture of an OA is: what `etl status` tells people and monitoring."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from etl.db.engine import reading
from etl.db.standing import Standing, standings
from etl.model import OUT_OF_REACH

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Engine

    from etl.model import Account


OK = "ok"

TRENDS = (timedelta(days=7), timedelta(days=30))

NEAR = timedelta(days=2)
"""How far a whole reading may be from an end of a trend: of daily readings, one may have failed."""

CLOCK_SLACK = 300.0
"""Seconds by which a snapshot may lie ahead of our clock: the machine that made it need not be this
one."""


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """One OA. Times are UTC, ages in seconds; None where nothing is known.

    The trends are what was won less what was lost between two whole readings: the last one, and one
    7 or 30 days ago. None unless both are near. `last_seen` of `last_total` followers were found by
    the last applied snapshot; `at_ceiling` says that eSMS showed no more of them, or may have.
    """

    oaid: str
    name: str
    following: int | None
    last_complete_id: int | None
    last_complete_at: datetime | None
    age_s: float | None
    last_status: str | None
    last_reason: str | None
    net_7_days: int | None
    net_30_days: int | None
    last_seen: int | None = None
    last_total: int | None = None
    at_ceiling: bool = False
    since: dict[str, int] = field(default_factory=dict)
    """The runs after the last complete snapshot, by what became of them."""
    too_old: bool = False
    verdict: str = OK


def account_states(
    engine: Engine, accounts: Sequence[Account], *, now: datetime, max_age: timedelta | None
) -> list[AccountStatus]:
    """Look at some OAs.

    `max_age` decides `too_old`; without it, nothing is. `now` is the reader's clock, in UTC.

    Raises:
        DatabaseUnreachableError: the database cannot be read.
    """
    with reading(engine) as connection:
        found = standings(
            connection,
            [account.oaid for account in accounts],
            trends_since=[now - length for length in TRENDS],
        )
    return [
        _state(account, found.get(account.oaid, Standing()), now=now, max_age=max_age)
        for account in accounts
    ]


def _state(
    account: Account, standing: Standing, *, now: datetime, max_age: timedelta | None
) -> AccountStatus:
    finished = standing.complete_at
    age = (now - finished).total_seconds() if finished else None
    verdict = _verdict(age, max_age.total_seconds()) if max_age is not None else OK
    net_7, net_30 = _nets(standing, now)
    return AccountStatus(
        oaid=account.oaid,
        name=account.name,
        following=standing.following,
        last_complete_id=standing.complete_id,
        last_complete_at=finished,
        age_s=round(age, 1) if age is not None else None,
        last_status=standing.last_status,
        last_reason=standing.last_reason,
        net_7_days=net_7,
        net_30_days=net_30,
        last_seen=standing.seen,
        last_total=standing.total,
        at_ceiling=standing.partial_because in OUT_OF_REACH,
        since=standing.since,
        too_old=verdict != OK,
        verdict=verdict,
    )


def _nets(standing: Standing, now: datetime) -> list[int | None]:
    """The trends that whole readings bound near both ends; None for what was not observed."""
    if not standing.trends or standing.complete_taken_at is None:
        return [None for _ in TRENDS]
    seen_until_now = abs(now - standing.complete_taken_at) <= NEAR
    return [
        trend.net
        if trend is not None and seen_until_now and now - length - trend.began_at <= NEAR
        else None
        for length, trend in zip(TRENDS, standing.trends, strict=True)
    ]


def _verdict(age: float | None, limit: float) -> str:
    """What is wrong with an age (seconds), if anything is."""
    if age is None:
        return "never read whole"
    if age < -CLOCK_SLACK:
        # A clock that was ahead once would keep us content until it is reached.
        return f"last read whole {in_hours(-age)} from now: check this machine's clock"
    return (
        f"last read whole {in_hours(age)} ago, more than {in_hours(limit)}" if age > limit else OK
    )


def in_hours(seconds: float) -> str:
    """A length of time, as messages in English have it."""
    return f"{seconds / 3600:.1f} h"
