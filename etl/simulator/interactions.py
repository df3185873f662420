"""QueryListUID of the simulated eSMS: users by the days on which they acted.

There is a knob for everything that nobody documents (`WindowRules`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.simulator.followers import Followers

DAY = timedelta(days=1)

KEPT_LISTINGS = 8
"""Listings kept while nothing moves: the pages of one window are asked for one after the other."""

KNOBS = {
    "semantics": ("last", "any"),
    "bounds": ("inclusive", "from_excluded", "to_excluded", "both_excluded"),
    "future": ("served", "refused", "empty"),
    "refuse_by": ("162", "empty"),
    "total_name": ("Total", "Tatal"),
}
"""What the knobs that are words may be."""


@dataclass(frozen=True, slots=True)
class WindowRules:
    """How QueryListUID answers, in all that nobody documents. The defaults are the likely reading.

    Attributes:
        served: 100 where it is; else the code (799, …) or the HTTP status (404) of every answer.
        semantics: last: a user is listed by the latest interaction; any: by each of them.
        bounds: which of FromDate and ToDate are included.
        single_days_whole: whether a window of one day is served whole, whatever the bounds.
        to_hour: the hour at which ToDate ends; None for midnight.
        future: what a ToDate after today brings.
        oldest: an earlier FromDate is refused; None where any is taken.
        reach: users that one listing reaches at most.
        refuse_by: what a larger Offset brings: code 162, or an empty page.
        clamp: whether Total never exceeds `reach`.
        ignore_offset: whether every Offset is answered as 0.
        zone_hours: the zone of days, in hours east of UTC.
        following_interacts, leaving_interacts: whether these are interactions.
        undated: the share of followers who have no day until they act.
        spread_days: over how many days back those who follow at first have acted last.
        replicas: how many servers (1 or 2) answer in turn, each in an order of its own.
        total_name: how the member is spelt.
        hidden: the share of users whom Total counts and no listing shows.
        blank, stale, other: the share of answers that name nobody; that are of the moment of
            `Interactions.freeze` (the first question, where it was not called); that answer the
            question before.
    """

    served: str = "100"
    semantics: str = "last"
    bounds: str = "inclusive"
    single_days_whole: bool = False
    to_hour: int | None = None
    future: str = "served"
    oldest: date | None = None
    reach: int = 10_000
    refuse_by: str = "162"
    clamp: bool = False
    ignore_offset: bool = False
    zone_hours: int = 7
    following_interacts: bool = True
    leaving_interacts: bool = False
    undated: float = 0.0
    spread_days: int = 400
    replicas: int = 1
    total_name: str = "Total"
    hidden: float = 0.0
    blank: float = 0.0
    stale: float = 0.0
    other: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no server is meant by."""
        for name, known in KNOBS.items():
            if (given := getattr(self, name)) not in known:
                raise ValueError(f"{name}={given}: it is one of {', '.join(known)}")

    @property
    def zone(self) -> timezone:
        """The zone of days."""
        return timezone(timedelta(hours=self.zone_hours))


@dataclass(frozen=True, slots=True)
class Question:
    """A window, as it was asked for: both days included, and IsFollower (1, 0 or nothing)."""

    first: date
    last: date
    follower: str


@dataclass(frozen=True, slots=True)
class _World:
    """Who follows, who left, and when they acted: all moments, and the latest as a timestamp."""

    here: list[str]
    gone: list[str]
    acts: dict[str, list[datetime]]
    latest: dict[str, float]


class Interactions:
    """When the users of one OA acted last. Not thread-safe: the simulator holds its lock."""

    def __init__(
        self,
        followers: Followers,
        rules: WindowRules,
        *,
        clock: Callable[[], datetime],
        seed: int = 1,
    ) -> None:
        """Everybody who follows acted on one of the last `spread_days`, but for the undated."""
        self.rules = rules
        self._clock = clock
        self._ahead = timedelta()
        self._followers = followers
        self._rng = random.Random(seed)
        self._moves = 0
        self._answers = 0
        self._listings: dict[tuple[Question, int, int], list[str]] = {}
        self._before: Question | None = None
        self._frozen: _World | None = None
        self._acts: dict[str, list[datetime]] = {}
        self._latest: dict[str, float] = {}
        for place, user in enumerate(followers.users):
            if self._rng.random() >= rules.undated:
                age = timedelta(
                    days=place * 7919 % rules.spread_days, seconds=place * 104_729 % 86_400
                )
                self.interacted(user, at=self.now - age)
        if rules.stale:
            self.freeze()

    @property
    def now(self) -> datetime:
        """The server's clock."""
        return self._clock() + self._ahead

    @property
    def today(self) -> date:
        """The server's date, in the zone of days."""
        return self.now.astimezone(self.rules.zone).date()

    def day(self, user: str) -> date | None:
        """The day of a user's last interaction, in the zone of days."""
        acts = self._acts.get(user)
        return max(acts).astimezone(self.rules.zone).date() if acts else None

    def midnight(self) -> None:
        """The next day begins."""
        tomorrow = self.today + DAY
        start = datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=self.rules.zone)
        self._ahead += start.astimezone(UTC) - self.now
        self._moves += 1

    def interacted(self, user: str, *, at: datetime | None = None) -> None:
        """A user acts now, or acted at a moment that is filed only now."""
        moment = at or self.now
        self._acts.setdefault(user, []).append(moment)
        self._latest[user] = max(self._latest.get(user, 0), moment.timestamp())
        self._moves += 1

    def followed(self, user: str) -> None:
        """A user has begun to follow."""
        self._moves += 1
        if self.rules.following_interacts:
            self.interacted(user)

    def left(self, user: str) -> None:
        """A user has left."""
        self._moves += 1
        if self.rules.leaving_interacts:
            self.interacted(user)

    def freeze(self) -> None:
        """Keep the world as it is now: `stale` answers tell of it from here on."""
        acts = {user: list(moments) for user, moments in self._acts.items()}
        followers = self._followers
        self._frozen = _World(followers.users, followers.gone, acts, dict(self._latest))

    def part(self, asked: Question, offset: int, count: int) -> tuple[list[str], int]:
        """What is answered to a question, right or wrong: some users, and the Total."""
        rules = self.rules
        before, self._before = self._before or asked, asked
        if rules.blank and self._rng.random() < rules.blank:
            return [], 0
        if rules.other and self._rng.random() < rules.other:
            asked = before
        stale = bool(rules.stale) and self._rng.random() < rules.stale
        listed = self._listed(asked, stale=stale)
        self._answers += 1
        if offset + count > rules.reach:
            count = max(0, rules.reach - offset)
        begin = 0 if rules.ignore_offset else offset
        users = listed[begin : begin + count]
        if rules.hidden:
            users = [user for user in users if not self._is_hidden(user)]
        return users, min(len(listed), rules.reach) if rules.clamp else len(listed)

    def _is_hidden(self, user: str) -> bool:
        return random.Random(user).random() < self.rules.hidden

    def _listed(self, asked: Question, *, stale: bool) -> list[str]:
        """Who acted in a window, in the order of the replica whose turn it is."""
        replica = self._answers % self.rules.replicas
        if stale and self._frozen is not None:
            return self._ordered(self._found(asked, self._frozen), replica)
        key = (asked, replica, self._moves)
        if key not in self._listings:
            followers = self._followers
            now = _World(followers.users, followers.gone, self._acts, self._latest)
            found = self._found(asked, now)
            while len(self._listings) >= KEPT_LISTINGS:
                del self._listings[next(iter(self._listings))]
            self._listings[key] = self._ordered(found, replica)
        return self._listings[key]

    @staticmethod
    def _ordered(users: list[str], replica: int) -> list[str]:
        return sorted(users, key=lambda user: user[::-1]) if replica else users

    def _found(self, asked: Question, world: _World) -> list[str]:
        here = world.here if asked.follower != "0" else []
        users = here + (world.gone if asked.follower != "1" else [])
        begins, ends = (moment.timestamp() for moment in self._moments(asked))
        if self.rules.semantics == "last":
            latest = world.latest
            return [user for user in users if begins <= latest.get(user, -1) < ends]
        acts = world.acts
        return [
            user
            for user in users
            if any(begins <= each.timestamp() < ends for each in acts.get(user, ()))
        ]

    def _moments(self, asked: Question) -> tuple[datetime, datetime]:
        """From when to when a window goes, by the rules."""
        rules, first, last = self.rules, asked.first, asked.last
        if not (rules.single_days_whole and first == last):
            first += DAY * (rules.bounds in {"from_excluded", "both_excluded"})
            last -= DAY * (rules.bounds in {"to_excluded", "both_excluded"})
        begins = datetime(first.year, first.month, first.day, tzinfo=rules.zone)
        ends = datetime(last.year, last.month, last.day, tzinfo=rules.zone) + DAY
        if rules.to_hour is not None:
            ends += timedelta(hours=rules.to_hour) - DAY
        return begins.astimezone(UTC), ends.astimezone(UTC)
