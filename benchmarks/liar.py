"""A list that moves and a server that may be wrong about it, in process, with a truth of its own.

It shares nothing with `etl.simulator` but the idea: one cannot hide a mistake of the other.

    world = World(Random(1), size=100, page=10, order="newest")
    world.lies = Lies(counts=lambda world, shown: 0)      # Total is always 0
    world.fetch(20)                                       # -> Page(20, ten users, 0)
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etl.model import Page
from etl.sync.look import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from random import Random

    from etl.sync.chain import Answer

MOST_REQUESTS = 9_000
"""Of one sync. More: the list or its Total grows as fast as it is read, and the world is
dropped."""


class RunawayError(Exception):
    """A sync passed MOST_REQUESTS."""


def nothing(world: World) -> None:
    """Nothing moves."""


def everybody(world: World) -> Sequence[str]:
    """The list as it is now."""
    return world.users


def the_truth(world: World, shown: Sequence[str]) -> int:  # noqa: ARG001 - what is shown may be less
    """As many as follow now."""
    return len(world.users)


def whole_pages(world: World, shown: Sequence[str], offset: int) -> Sequence[str]:
    """As many as were asked for."""
    return shown[offset : offset + world.page]


def as_it_is(world: World, page: Page) -> Page:  # noqa: ARG001 - a fault may want to know the world
    """The good answer."""
    return page


@dataclass(frozen=True)
class Lies:
    """How the server answers in one night.

    The defaults are an honest one, and a list that keeps still.

    Attributes:
        before: what happens before a request is answered.
        shows: the list from which pages are cut.
        counts: the Total, given the list shown.
        cuts: the users of a page, given the list shown and the offset.
        answers: the answer instead of the good one; may raise an error of the client.
    """

    before: Callable[[World], None] = nothing
    shows: Callable[[World], Sequence[str]] = everybody
    counts: Callable[[World, Sequence[str]], int] = the_truth
    cuts: Callable[[World, Sequence[str], int], Sequence[str]] = whole_pages
    answers: Callable[[World, Page], Page] = as_it_is


HONEST = Lies()


@dataclass
class World:
    """One OA, its followers and its server.

    Attributes:
        rng: of this world alone: the same seed gives the same world.
        page: users a page.
        order: where arrivals stand: "newest" (first), "oldest" (first), "anywhere".
        users: who follows now, in the order of the list.
        throughout: who has followed since the run began.
        connection: changes with each look after the first.
        run: how many runs have begun.
        requests: of this run.
    """

    rng: Random
    size: int
    page: int
    order: str
    users: list[str] = field(default_factory=list)
    throughout: set[str] = field(default_factory=set)
    departed: list[str] = field(default_factory=list)
    lies: Lies = HONEST
    connection: int = 0
    run: int = 0
    requests: int = 0
    _named: int = 0

    def __post_init__(self) -> None:
        for _ in range(self.size):
            self.arrive()

    def begin_run(self, lies: Lies) -> None:
        """From here on whoever leaves has not followed throughout."""
        self.lies, self.requests, self.run = lies, 0, self.run + 1
        self.throughout = set(self.users)

    def renew(self) -> None:
        """Ask over new connections."""
        self.connection += 1

    def fetch(self, offset: int) -> Page:
        """The answer to one request."""
        self.requests += 1
        if self.requests > MOST_REQUESTS:
            raise RunawayError
        self.lies.before(self)
        shown = self.lies.shows(self)
        users = self.lies.cuts(self, shown, offset)
        return self.lies.answers(self, Page(offset, tuple(users), self.lies.counts(self, shown)))

    def arrive(self, user: str | None = None) -> None:
        """Somebody follows: a new user, or one who had left."""
        if user is None:
            self._named += 1
            user = f"u{self._named}"
        places = {"newest": 0, "oldest": len(self.users)}
        place = places.get(self.order)
        self.users.insert(self.rng.randint(0, len(self.users)) if place is None else place, user)

    def leave(self, place: int | None = None) -> None:
        """Somebody unfollows."""
        if self.users:
            where = self.rng.randrange(len(self.users)) if place is None else place
            user = self.users.pop(min(where, len(self.users) - 1))
            self.throughout.discard(user)
            self.departed.append(user)

    def come_back(self) -> None:
        """Somebody who had left follows again."""
        if self.departed:
            self.arrive(self.departed.pop(self.rng.randrange(len(self.departed))))

    def act(self) -> None:
        """Somebody does something: in a list ordered by activity they move to its head."""
        if self.users:
            self.users.insert(0, self.users.pop(self.rng.randrange(len(self.users))))

    def day(self, most: int | None = None) -> None:
        """Between two nights: a few leave, arrive and return; in one of five days nobody does."""
        if self.rng.random() < 0.2:
            return
        most = max(2, len(self.users) // 25) if most is None else most
        for move in (self.leave, self.arrive):
            for _ in range(self.rng.randint(0, most)):
                move()
        for _ in range(self.rng.randint(0, max(1, most // 4))):
            self.come_back()


class InTurn(Workers):
    """Pages asked for ahead, answered in an order that the world's seed decides.

    Threads would answer in another one each time, and a seed would repeat nothing.
    """

    def __init__(self, rng: Random, fetch: Callable[[int], Page], concurrency: int) -> None:
        self._rng = rng
        self._fetch = fetch
        self.concurrency = concurrency
        self._waiting: list[_Later] = []
        self._told: list[int] = []

    def __exit__(self, *error: object) -> None:
        self._waiting.clear()

    def submit(self, offset: int) -> Future[Answer]:
        """Ask for a page some time before its answer is wanted."""
        later = _Later(self, offset)
        self._waiting.append(later)
        return later

    def ask(self, offset: int) -> Answer:
        """Ask for a page now; some of those asked for before may be answered first."""
        for later in self._some():
            self.answer(later)
        return super().ask(offset)

    def answer(self, later: _Later) -> None:
        """Answer one that waits."""
        self._waiting.remove(later)
        try:
            later.set_result(super().ask(later.offset))
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is wanted
            later.set_exception(error)

    def until(self, wanted: _Later) -> None:
        """Answer in a random order until the one that is wanted has its answer."""
        while not wanted.done():
            self.answer(self._rng.choice(self._waiting))

    def _some(self) -> Iterable[_Later]:
        waiting = [later for later in self._waiting if not later.cancelled()]
        return self._rng.sample(waiting, self._rng.randint(0, len(waiting)))


class _Later(Future["Answer"]):
    def __init__(self, workers: InTurn, offset: int) -> None:
        super().__init__()
        self.offset = offset
        self._workers = workers

    def result(self, timeout: float | None = None) -> Answer:
        self._workers.until(self)
        return super().result(timeout)

    def cancel(self) -> bool:
        if not self.done():
            self._workers.answer(self)  # it may be on its way; nobody waits for it
        return False
