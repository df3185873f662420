"""When a fleet syncs: once a day at a time of day in a zone, as cron lines in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo


def moments(at: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """The moments (UTC) at which it is `at` (23:40) in the zone, each day once, after a moment.

    A time of day that a change of the clocks leaves out is taken an hour later; of one that comes
    twice, the first.
    """
    clock = time.fromisoformat(at)
    day = after.astimezone(zone).date() - timedelta(days=1)
    while True:
        moment = datetime.combine(day, clock, zone).astimezone(UTC)
        if moment > after:
            yield moment
        day += timedelta(days=1)


def cron_lines(at: str, zone: ZoneInfo, now: datetime) -> list[str]:
    """Cron lines (UTC) that name all moments of the year to come.

    In a zone that changes its clocks they name other moments, too (`is_moment` tells).
    """
    year = (moment for moment, _ in zip(moments(at, zone, now), range(366), strict=False))
    return [
        f"{minute} {hour} * * *"
        for hour, minute in sorted({(moment.hour, moment.minute) for moment in year})
    ]


def is_moment(at: str, zone: ZoneInfo, moment: datetime) -> bool:
    """Whether a moment is one of those at which it is `at` in the zone."""
    return next(moments(at, zone, moment - timedelta(seconds=1))) == moment
