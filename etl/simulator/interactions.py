"""QueryListUID of the simulated eSMS: users by the days on which they acted.

There is a knob for everything that nobody documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from etl.simulator.followers import Followers

DAY = timedelta(days=1)

BOUNDS = ("inclusive", "from_excluded", "to_excluded", "both_excluded")
SEMANTICS = ("last", "any")
FUTURES = ("served", "refused", "empty")


@dataclass
class WindowRules:
    """What nobody documents of QueryListUID.

    Attributes:
        served: None where it is; else the code (799, …) or the HTTP status (404) that is answered.
        semantics: last: a user is listed by the latest interaction; any: by each of them.
        bounds: which of FromDate and ToDate are included.
        single_days_whole: whether a window of one day is served whole, whatever the bounds.
        to_hour: the hour at which ToDate ends; None for midnight.
        future: what a ToDate after today brings.
        oldest: an earlier FromDate is refused; None where any is taken.
        reach: users that one listing reaches at most; a larger Offset is answered with 162.
        clamp: whether Total never exceeds the reach.
        zone_hours: the zone of days, in hours east of UTC.
        following_interacts, leaving_interacts: whether these are interactions.
        undated: every so manieth user has no day at all until they act; 0 for none.
        replicas: how many servers answer in turn, each in an order of its own.
        total_name: how the member is spelt.
    """

    served: str | None = None
    semantics: str = "last"
    bounds: str = "inclusive"
    single_days_whole: bool = False
    to_hour: int | None = None
    future: str = "served"
    oldest: date | None = None
    reach: int = 10_000
    clamp: bool = False
    zone_hours: int = 7
    following_interacts: bool = True
    leaving_interacts: bool = False
    undated: int = 0
    replicas: int = 1
    total_name: str = "Total"


class Interactions:
    """When the users of one OA acted. The clock is the world's own: `now` may be set."""

    def __init__(self, followers: Followers, rules: WindowRules, *, spread_days: int = 400) -> None:
        """Everybody acted on some day of the last `spread_days`, by their place in the list."""
        self.rules = rules
        self.now = datetime.now(UTC)
        self._followers = followers
        self._acts: dict[str, list[datetime]] = {}
        self._asked = 0
        for place, user in enumerate(followers.users):
            if not (rules.undated and place % rules.undated == 0):
                age = timedelta(days=place * 7919 % spread_days, seconds=place * 104_729 % 86_400)
                self._acts[user] = [self.now - age]

    def interact(self, user: str) -> None:
        """A user acts now."""
        self._acts.setdefault(user, []).append(self.now)

    def followed(self, user: str) -> None:
        """A user has begun to follow."""
        if self.rules.following_interacts:
            self.interact(user)

    def left(self, user: str) -> None:
        """A user has left."""
        if self.rules.leaving_interacts:
            self.interact(user)

    def midnight(self) -> None:
        """The next day begins."""
        self.now += DAY

    @property
    def today(self) -> date:
        """The date, in the zone of days."""
        return self.now.astimezone(self._zone).date()

    def listed(self, first: date, last: date, follower: str) -> list[str]:
        """Who acted between two days; `follower` as in the request: 1, 0 or nothing."""
        here: Iterable[str] = self._followers.users if follower != "0" else ()
        gone: Iterable[str] = self._followers.gone if follower != "1" else ()
        within = self._within(first, last)
        users = [user for user in (*here, *gone) if within(self._acts.get(user, []))]
        self._asked += 1
        if self.rules.replicas > 1 and self._asked % self.rules.replicas:
            users.sort(key=lambda user: user[::-1])
        return users

    def _within(self, first: date, last: date) -> Callable[[list[datetime]], bool]:
        rules = self.rules
        if not (rules.single_days_whole and first == last):
            first += DAY * (rules.bounds in {"from_excluded", "both_excluded"})
            last -= DAY * (rules.bounds in {"to_excluded", "both_excluded"})
        begins = datetime(first.year, first.month, first.day, tzinfo=self._zone)
        ends = datetime(last.year, last.month, last.day, tzinfo=self._zone) + DAY
        if rules.to_hour is not None:
            ends += timedelta(hours=rules.to_hour) - DAY

        def within(acts: list[datetime]) -> bool:
            chosen = acts[-1:] if rules.semantics == "last" else acts
            return any(begins <= each < ends for each in chosen)

        return within

    @property
    def _zone(self) -> timezone:
        return timezone(timedelta(hours=self.rules.zone_hours))
