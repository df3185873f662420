"""Which day a reading closes."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from etl.model import day_of

FOUR = timedelta(hours=4)


@pytest.mark.parametrize(
    ("local", "day"),
    [
        ("2026-11-01 23:40", "2026-11-01"),
        ("2026-11-02 00:00", "2026-11-01"),
        ("2026-11-02 03:17", "2026-11-01"),
        ("2026-11-02 03:59:59.999999", "2026-11-01"),
        ("2026-11-02 04:00", "2026-11-02"),
        ("2026-11-02 12:00", "2026-11-02"),
        ("2027-01-01 01:00", "2026-12-31"),
    ],
)
@pytest.mark.parametrize("zone", ["Asia/Ho_Chi_Minh", "America/Sao_Paulo", "Europe/Berlin"])
def test_a_reading_before_the_day_begins_closes_the_day_before(
    local: str, day: str, zone: str
) -> None:
    moment = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone))
    assert day_of(moment, ZoneInfo(zone), FOUR) == date.fromisoformat(day)


@pytest.mark.parametrize("changed", ["2026-03-29", "2026-10-25"])
def test_a_day_begins_by_the_clock_on_the_wall_where_the_clocks_change_too(changed: str) -> None:
    """In Berlin that night has 23 or 25 hours; four hours after midnight it is 5 or 3 o'clock."""
    berlin = ZoneInfo("Europe/Berlin")
    before = datetime.fromisoformat(f"{changed} 03:59").replace(tzinfo=berlin)
    after = datetime.fromisoformat(f"{changed} 04:00").replace(tzinfo=berlin)
    assert day_of(before, berlin, FOUR) == date.fromisoformat(changed) - timedelta(days=1)
    assert day_of(after, berlin, FOUR) == date.fromisoformat(changed)


def test_a_day_that_begins_at_midnight_is_that_of_the_calendar() -> None:
    zone = ZoneInfo("Asia/Ho_Chi_Minh")
    moment = datetime(2026, 11, 2, tzinfo=zone)
    assert day_of(moment, zone, timedelta()) == date(2026, 11, 2)
    assert day_of(moment - timedelta(microseconds=1), zone, timedelta()) == date(2026, 11, 1)
