"""An OA of any size in memory, by days of interaction: what moves, moves between any two
answers."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

from etl.db.snapshots import kept_gap
from etl.errors import FaultError, OffsetRefusedError
from etl.model import Gaps, Page, Source, Sweep, ignore
from etl.sync.read import read_list
from etl.sync.spool import Spool
from etl.sync.sweep import SweepLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.model import Window

DAY = timedelta(days=1)


@dataclass
class WindowWorld:
    """Users, their days, and a server that lists at most `reach` of them at once.

    `ahead` is by how many days the server's date, `today`, is ahead of ours. `before` happens just
    before the n-th answer, counted from 1. A shuffled list has another order in every answer.

    QueryListUID does not list the `hidden`; which Totals count them, `hidden_counted` says:
    "everywhere", "in_all_days" (only in the Total of all days), "by_followers" (GetFollowers only).
    """

    count: int
    seed: int
    reach: int = 60
    size: int = 10
    semantics: str = "last"
    bounds: str = "inclusive"
    single_days_whole: bool = False
    future: bool = True
    future_is_empty: bool = False
    undated: float = 0.0
    spread: int = 60
    rates: dict[str, float] = field(default_factory=dict)
    today: date = date(2026, 11, 20)
    ahead: int = 0
    ignores_offset: bool = False
    shuffled: bool = False
    before: dict[int, Callable[[], object]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    hidden_counted: str = "everywhere"

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.here: list[str] = []
        self.gone: list[str] = []
        self.days: dict[str, list[date]] = {}
        self.throughout: set[str] = set()
        self.asked = self.asked_by_days = 0
        self.born = 0
        for _ in range(self.count):
            self.arrive(
                dated=self.rng.random() >= self.undated, age=self.rng.randrange(self.spread)
            )
        self.quiet = False

    @property
    def our_today(self) -> date:
        """The date by our clock."""
        return self.today - self.ahead * DAY

    def arrive(self, *, dated: bool = True, age: int = 0) -> None:
        self.born += 1
        user = f"u{self.born}"
        self.here.insert(self.rng.randrange(len(self.here) + 1), user)
        self.days[user] = [self.today - age * DAY] if dated else []

    def leave(self) -> None:
        if self.here:
            user = self.here.pop(self.rng.randrange(len(self.here)))
            self.gone.append(user)
            self.throughout.discard(user)

    def come_back(self) -> None:
        if self.gone:
            user = self.gone.pop(self.rng.randrange(len(self.gone)))
            self.here.insert(self.rng.randrange(len(self.here) + 1), user)
            self.days[user].append(self.today)

    def interact(self) -> None:
        if self.here:
            self.days[self.rng.choice(self.here)].append(self.today)

    def act_and_leave(self) -> None:
        """One acts and another leaves: in the Totals one may make up for the other."""
        self.interact()
        self.leave()

    def midnight(self) -> None:
        self.today += DAY

    def move(self) -> None:
        self.asked += 1
        self.before.pop(self.asked, lambda: None)()
        if self.quiet:
            return
        for verb, rate in self.rates.items():
            for _ in range(int(rate) + (self.rng.random() < rate % 1)):
                getattr(self, verb)()

    def page(self, offset: int) -> Page:
        self.move()
        if offset + self.size > self.reach:
            raise OffsetRefusedError(offset)
        return Page(offset, tuple(self.here[offset : offset + self.size]), len(self.here))

    def users_between(self, window: Window, offset: int, *, count: int = 50) -> Page:
        self.move()
        self.asked_by_days += 1
        if window.last > self.today and not self.future:
            raise FaultError("eSMS answered code 161")
        if window.last > self.today and self.future_is_empty:
            return Page(offset, (), 0)
        if offset + self.size > self.reach:
            raise OffsetRefusedError(offset)
        counted = listed = self._listed(window)
        if self.hidden:
            listed = [user for user in listed if user not in self.hidden]
            counted = counted if self._counts_hidden(window) else listed
        if self.shuffled:
            self.rng.shuffle(listed)
        offset_served = 0 if self.ignores_offset else offset
        taken = listed[offset_served : offset_served + min(count, self.size)]
        return Page(offset, tuple(taken), len(counted))

    def _counts_hidden(self, window: Window) -> bool:
        all_days = window.days > 3_000
        return self.hidden_counted == "everywhere" or (
            self.hidden_counted == "in_all_days" and all_days
        )

    def _listed(self, window: Window) -> list[str]:
        """Who has a day within a window, by the server's rules."""
        first, last = window.first, window.last
        if not (self.single_days_whole and first == last):
            first += DAY * (self.bounds in {"from_excluded", "both_excluded"})
            last -= DAY * (self.bounds in {"to_excluded", "both_excluded"})
        latest = self.semantics == "last"
        return [
            user
            for user in self.here
            if any(
                first <= day <= last
                for day in (self.days[user][-1:] if latest else self.days[user])
            )
        ]


@dataclass
class Nights:
    """Several nights of one world, with what a database keeps between them."""

    world: WindowWorld
    known: set[str] = field(default_factory=set)
    complete: tuple[tuple[int | None, int], ...] = ()
    gaps: tuple[int | None, ...] = ()
    last: Source | None = None

    def night(self) -> tuple[Sweep, set[str]]:
        """Read the list once; gives the sweep, and who would be marked though they followed
        throughout."""
        world = self.world
        world.throughout = set(world.here)
        with Spool(expected=len(self.known)) as spool:
            swept = read_list(
                world.page,
                world.users_between,
                spool,
                add_known=lambda: spool.add_known([list(self.known)]),
                limits=SweepLimits(concurrency=1),
                gaps=lambda _: Gaps(kept_gap(self.complete), self.gaps),
                last_source=self.last,
                renew=lambda: None,
                today=lambda: world.our_today,
                on_page=ignore,
            )
            seen = {user for chunk in spool.users() for user in chunk}
        marked = self.known - seen if swept.complete else set()
        self.known = (self.known | seen) - marked
        if swept.source is Source.WINDOWS:
            if swept.complete:
                self.complete = ((swept.gap, len(marked)), *self.complete)
            self.gaps = (swept.gap, *self.gaps)[:6]
        self.last = swept.source
        return swept, marked & world.throughout
