"""How fresh our picture of an OA is: what `etl status` tells people and monitoring."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from etl.db.engine import reading
from etl.db.snapshots import latest
from etl.db.tables import snapshots
from etl.model import APPLIED, Status

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Engine

    from etl.model import Account


OK = "ok"

CLOCK_SLACK = 300.0
"""Seconds by which a snapshot may lie ahead of our clock: the machine that made it need not be this one."""


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """One OA. Times are UTC, ages in seconds; the trends are net changes; None where nothing is known."""

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
    since: dict[str, int] = field(default_factory=dict)
    """The runs after the last complete snapshot, by what became of them."""
    too_old: bool = False
    verdict: str = OK

    def row(self) -> list[Any]:
        """For a table."""
        since = ", ".join(f"{count} {status}" for status, count in self.since.items())
        if self.since and self.last_reason:
            since += f" (last: {self.last_reason})"
        age = _hours(self.age_s) if self.age_s is not None else None
        return [
            self.oaid, self.name, self.following, self.last_complete_at, age,
            _signed(self.net_7_days), _signed(self.net_30_days), since or None,
        ]  # fmt: skip


def account_status(
    engine: Engine, account: Account, *, now: datetime, max_age: timedelta | None
) -> AccountStatus:
    """Look at one OA. `max_age` decides `too_old`; without it, nothing is. `now` is the reader's clock, in UTC.

    Raises:
        DatabaseUnreachableError: the database cannot be read.
    """
    oaid = account.oaid
    with reading(engine) as connection:
        newest = latest(connection, oaid)
        complete = latest(connection, oaid, (Status.COMPLETE,))
        applied = latest(connection, oaid, APPLIED)
        since = _since(connection, oaid, complete[0].id if complete else 0)
        net_7, net_30 = (_net(connection, oaid, now - timedelta(days=days)) for days in (7, 30))
    finished = complete[0].finished_at or complete[0].taken_at if complete else None
    age = (now - finished).total_seconds() if finished else None
    verdict = _verdict(age, max_age.total_seconds()) if max_age is not None else OK
    return AccountStatus(
        oaid=oaid,
        name=account.name,
        following=applied[0].counts.following if applied and applied[0].counts else None,
        last_complete_id=complete[0].id if complete else None,
        last_complete_at=finished,
        age_s=round(age, 1) if age is not None else None,
        last_status=newest[0].status if newest else None,
        last_reason=newest[0].reason if newest else None,
        net_7_days=net_7,
        net_30_days=net_30,
        since=since,
        too_old=verdict != OK,
        verdict=verdict,
    )


def _verdict(age: float | None, limit: float) -> str:
    """What is wrong with an age (seconds), if anything is."""
    if age is None:
        return "never read whole"
    if age < -CLOCK_SLACK:
        # A clock that was ahead once would keep us content until it is reached.
        return f"last read whole {_hours(-age)} from now: check this machine's clock"
    return f"last read whole {_hours(age)} ago, more than {_hours(limit)}" if age > limit else OK


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h"


def _since(connection: Connection, oaid: str, last_complete: int | None) -> dict[str, int]:
    """The runs after the last complete one, counted by status."""
    statement = (
        select(snapshots.c.status, func.count())
        .where(snapshots.c.oaid == oaid, snapshots.c.id > (last_complete or 0))
        .group_by(snapshots.c.status)
        .order_by(snapshots.c.status)
    )
    return {str(status): int(count) for status, count in connection.execute(statement)}


def _net(connection: Connection, oaid: str, since: datetime) -> int | None:
    """Wins less losses of the applied snapshots since then; the baseline is no win."""
    net = func.sum(snapshots.c.followed + snapshots.c.refollowed - snapshots.c.unfollowed)
    statement = select(net).where(
        snapshots.c.oaid == oaid, snapshots.c.status.in_(APPLIED), snapshots.c.taken_at >= since
    )
    value = connection.execute(statement).scalar_one()
    return int(value) if value is not None else None


def _signed(value: int | None) -> str | None:
    return f"{value:+d}" if value is not None else None
