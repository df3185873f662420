"""Memory stays flat, however many follow: so many users are held at once, and not more."""

from __future__ import annotations

from bisect import bisect_left
from datetime import date
from typing import TYPE_CHECKING, ClassVar, Self

import pytest

from etl.errors import OffsetRefusedError
from etl.model import Gaps, Page, Source, ignore
from etl.sync.read import read_list
from etl.sync.spool import Spool
from etl.sync.sweep import SweepLimits

if TYPE_CHECKING:
    from etl.model import Window

TODAY = date(2026, 11, 20)
REACH = 10_000
DAYS = 900


class User(str):
    """A User_Id that counts how many of its kind are in memory."""

    __slots__ = ()
    held: ClassVar[int] = 0
    most: ClassVar[int] = 0

    def __new__(cls, user: str) -> Self:
        User.held += 1
        User.most = max(User.most, User.held)
        return super().__new__(cls, user)

    def __del__(self) -> None:
        User.held -= 1


class StillWorld:
    """So many users, as many on each day, of whom nobody moves; they are made when they are asked
    for."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked = 0

    def age(self, place: int) -> int:
        return place * DAYS // self.count

    def slice(self, first: int, last: int, offset: int, count: int) -> Page:
        self.asked += 1
        if offset + 50 > REACH:
            raise OffsetRefusedError(offset)
        places = range(first + offset, min(last, first + offset + count))
        return Page(offset, tuple(User(f"{place:019}") for place in places), last - first)

    def page(self, offset: int) -> Page:
        return self.slice(0, self.count, offset, 50)

    def users_between(self, window: Window, offset: int, *, count: int = 50) -> Page:
        newest, oldest = (TODAY - window.last).days, (TODAY - window.first).days
        places = range(self.count)
        first = bisect_left(places, newest, key=self.age)
        last = bisect_left(places, oldest + 1, key=self.age)
        return self.slice(first, last, offset, count)


def most_held(count: int) -> int:
    """How many users are in memory at once while so many are read by windows."""
    world = StillWorld(count)
    User.most = 0
    with Spool(expected=count) as spool:
        swept = read_list(
            world.page,
            world.users_between,
            spool,
            add_known=lambda: spool.add_known([]),
            limits=SweepLimits(concurrency=1),
            gaps=lambda _: Gaps(),
            last_source=Source.WINDOWS,
            renew=lambda: None,
            today=lambda: TODAY,
            on_page=ignore,
        )
        assert (swept.source, swept.seen, swept.reason) == (Source.WINDOWS, count, None)
    assert world.asked <= 1.15 * count / 48
    return User.most


@pytest.mark.parametrize("count", [60_000, 200_000])
def test_no_more_users_are_held_than_one_window_has_and_some_pages(count: int) -> None:
    assert most_held(count) < REACH + 1_000
