"""Dates, times and ages as options take them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from etl.errors import UsageError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def date_of(option: str, given: str | None) -> date | None:
    """A date such as 2026-11-01.

    Raises:
        UsageError: it is none.
    """
    if given is None:
        return None
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise UsageError(f"{option} {given!r} is no date such as 2026-11-01") from None


def moment_of(option: str, given: str | None) -> datetime | None:
    """A date and time with its zone.

    Raises:
        UsageError: it is none, or has no zone.
    """
    if given is None:
        return None
    try:
        return _zoned(given)
    except (ValueError, OverflowError):
        example = "2026-10-15T23:40:00+07:00"
        raise UsageError(f"{option} {given!r} is no time with its zone such as {example}") from None


def point_in_time(text: str, *, zone: ZoneInfo, now: datetime) -> date:
    """The day that a text names, or the moment (a datetime in UTC) where it names its own zone.

    Args:
        text: `2026-11-01`, or `2026-11-01T09:00:00+07:00`.
        zone: ETL_TIMEZONE.
        now: the reader's clock (UTC).

    Raises:
        UsageError: it is neither, or lies after the present day in `zone`.
    """
    try:
        asked = date.fromisoformat(text) if len(text) == len("2026-11-01") else _zoned(text)
        day = asked.astimezone(zone).date() if isinstance(asked, datetime) else asked
    except (ValueError, OverflowError):
        example = "a date such as 2026-11-01, nor a date-time with its zone such as 2026-11-01T09:00:00+07:00"
        raise UsageError(f"{text!r} is neither {example}") from None
    if day > now.astimezone(zone).date():
        raise UsageError(f"{text} is in the future; leave the moment out for who follows now")
    return asked


def age_of(option: str, given: str | None) -> timedelta | None:
    """An age such as 26h, above 0.

    Raises:
        UsageError: it is none.
    """
    if given is None:
        return None
    refusal = UsageError(f"{option} {given!r} is no age such as 90m, 26h or 2d")
    try:
        age = timedelta(**{_UNITS.get(given[-1:], ""): float(given[:-1])})
    except (TypeError, ValueError, OverflowError):
        raise refusal from None
    if age <= timedelta():
        raise refusal
    return age


def _zoned(text: str) -> datetime:
    """The moment, in UTC, of a date and time with its zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no zone")
    return moment.astimezone(UTC)
