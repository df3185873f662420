"""Dates, times and ages as options take them."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime, timedelta

from etl.errors import UsageError

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
    with suppress(ValueError):
        moment = datetime.fromisoformat(given)
        if moment.tzinfo is not None:
            return moment
    example = "2026-10-15T23:40:00+07:00"
    raise UsageError(f"{option} {given!r} is no time with its zone such as {example}")


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
