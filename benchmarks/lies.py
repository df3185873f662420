"""The categories of the soak: what the list and its server do in the nights of a world.

A category is a generator: it gets a world and yields the lies of one night after the other. Between
two nights the harness lets a day pass; what a night needs from the day before, it remembers itself.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

from liar import HONEST, Lies, World, the_truth, whole_pages

from etl.errors import BadRequestError, OffsetRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from etl.model import Page


@dataclass(frozen=True)
class Category:
    """One row of the table.

    Attributes:
        name: of the row, and for --only.
        nights: the lies, night after night.
        most_false: the share of syncs that may mark somebody falsely; 0 where none may.
        least_complete: the share of nights that must be complete; None where nothing is asked.
        sizes: users of a world, from and to.
        pages: users a page, from and to.
        orders: of the list, one of these.
        after: the quiet nights that end a world; an honest server by default.
        patience: how many of these it may take until the list is right.
        day: the most that leave or arrive between two nights; None: a twenty-fifth.
        honest_first: the share of worlds whose very first night is an honest one.
        weight: its share of the syncs, beside the others'.
    """

    name: str
    nights: Callable[[World], Iterator[Lies]]
    most_false: float = 0
    least_complete: float | None = None
    sizes: tuple[int, int] = (60, 600)
    pages: tuple[int, int] = (5, 50)
    orders: tuple[str, ...] = ("newest", "oldest", "anywhere")
    after: Callable[[World], Lies] = lambda world: HONEST  # noqa: ARG005 - most need no world
    patience: int = 1
    day: int | None = None
    honest_first: float = 0.85
    weight: float = 1

    def world(self, seed: str) -> World:
        """The world of a seed, always the same."""
        rng = Random(seed)
        least, most = self.sizes
        size = round(least * (most / least) ** rng.random())
        return World(rng, size, rng.randint(*self.pages), rng.choice(self.orders))


# What moves while the list is read.


def moves(rate: float) -> Callable[[World], None]:
    """So many leaves and arrivals before each request, and a quarter as many returns."""

    def before(world: World) -> None:
        if world.rng.random() < rate:
            world.leave()
        if world.rng.random() < rate:
            world.arrive()
        if world.rng.random() < rate / 4:
            world.come_back()

    return before


def some_moves(world: World) -> Callable[[World], None]:
    """None, few or many, drawn for a night."""
    return moves(world.rng.choice((0, 0, 0.01, 0.01, 0.1)))


def in_bulk(world: World) -> None:
    """Now and then many leave or arrive at once, neighbours or not."""
    draw = world.rng.random()
    if draw < 0.02:
        place = world.rng.randrange(len(world.users) + 1)
        for _ in range(world.rng.randint(2, 12)):
            world.leave(place if draw < 0.01 else None)
    elif draw < 0.04:
        for _ in range(world.rng.randint(2, 12)):
            world.arrive()
    elif draw < 0.05:
        world.come_back()


def acting(rate: float) -> Callable[[World], None]:
    """Somebody moves to the head before so many of the requests; few leave or arrive."""
    few = moves(rate / 10)

    def before(world: World) -> None:
        if world.rng.random() < rate:
            world.act()
        few(world)

    return before


def some_nights(world: World, least: int = 2, most: int = 6) -> range:
    """So many nights."""
    return range(world.rng.randint(least, most))


def honest(rate: float) -> Callable[[World], Iterator[Lies]]:
    """Only the list moves."""

    def nights(world: World) -> Iterator[Lies]:
        for _ in some_nights(world):
            yield Lies(before=moves(rate))

    return nights


def any_moves(world: World) -> Iterator[Lies]:
    """Blocks come and go, and pages may be some requests old, but no older than the run."""
    for _ in some_nights(world):
        lag = world.rng.choice((0, 0, 5, 30))
        states: deque[list[str]] = deque(maxlen=lag + 1)

        def before(world: World, states: deque[list[str]] = states) -> None:
            in_bulk(world)
            states.append(list(world.users))

        def shows(world: World, states: deque[list[str]] = states) -> Sequence[str]:
            return world.rng.choice(states)

        yield Lies(before=before, shows=shows, counts=_those_shown)


def by_activity(world: World) -> Iterator[Lies]:
    """The list is ordered by the last activity."""
    for _ in some_nights(world):
        for _ in range(world.rng.randint(0, len(world.users))):
            world.act()
        yield Lies(before=acting(world.rng.choice((0.01, 0.05, 0.2, 0.5))))


def shuffled(world: World) -> Iterator[Lies]:
    """Each request finds another order."""

    def cuts(world: World, shown: Sequence[str], offset: int) -> Sequence[str]:
        return world.rng.sample(shown, max(0, min(world.page, len(shown) - offset)))

    for _ in some_nights(world, 2, 3):
        yield Lies(cuts=cuts)


# What Total says.


def _those_shown(world: World, shown: Sequence[str]) -> int:  # noqa: ARG001 - a count asks for both
    return len(shown)


def wrong_total(
    draw: Callable[[World], Callable[[World, Sequence[str]], int]], *, ragged: bool = False
) -> Callable[[World], Iterator[Lies]]:
    """Total is wrong in one way, from some night on."""

    def nights(world: World) -> Iterator[Lies]:
        counts = draw(world)
        cuts = cut(0.5) if ragged and world.rng.random() < 0.5 else whole_pages
        for _ in some_nights(world, 0, 2):
            yield Lies(before=some_moves(world))
        for _ in some_nights(world):
            yield Lies(before=some_moves(world), counts=counts, cuts=cuts)

    return nights


def off_by(least: int, most: int) -> Callable[[World], Callable[[World, Sequence[str]], int]]:
    """Total is off by the same number always."""

    def draw(world: World) -> Callable[[World, Sequence[str]], int]:
        off = world.rng.randint(least, most)
        return lambda world, shown: max(0, the_truth(world, shown) + off)

    return draw


def clamped(world: World) -> Callable[[World, Sequence[str]], int]:
    """Total never exceeds a number, while the list does."""
    most = world.rng.randint(world.size // 3, world.size + 5)
    return lambda world, shown: min(most, the_truth(world, shown))


def stale(world: World) -> Callable[[World, Sequence[str]], int]:
    """Total is some requests old, perhaps a night."""
    old: deque[int] = deque(maxlen=world.rng.choice((3, 20, 100)))

    def counts(world: World, shown: Sequence[str]) -> int:
        old.append(the_truth(world, shown))
        return old[0]

    return counts


def jumping(world: World) -> Callable[[World, Sequence[str]], int]:
    """Total is another number at each request."""
    most = world.rng.choice((1, 3, 10, 40))
    return lambda world, shown: max(0, the_truth(world, shown) + world.rng.randint(-most, most))


def frozen(world: World) -> Callable[[World, Sequence[str]], int]:
    """Total is what it once was."""
    once = len(world.users)
    return lambda world, shown: once  # noqa: ARG005 - whatever it is now


def zero(world: World) -> Callable[[World, Sequence[str]], int]:
    """Total is 0, always or now and then."""
    share = world.rng.choice((0.02, 0.2, 1))
    return lambda world, shown: 0 if world.rng.random() < share else the_truth(world, shown)


# How pages are cut.


def cut(least: float) -> Callable[[World, Sequence[str], int], Sequence[str]]:
    """Pages have a random length, at least this share of what was asked for, at least one."""

    def cuts(world: World, shown: Sequence[str], offset: int) -> Sequence[str]:
        length = world.rng.randint(max(1, int(world.page * least)), world.page)
        return shown[offset : offset + length]

    return cuts


def ragged(least: float) -> Callable[[World], Iterator[Lies]]:
    """Pages vary in length."""

    def nights(world: World) -> Iterator[Lies]:
        for _ in some_nights(world):
            yield Lies(before=some_moves(world), cuts=cut(least))

    return nights


def filtered(world: World, *, past: bool = False) -> Iterator[Lies]:
    """Users of some kind are dropped from pages that were cut before, while Total counts them."""
    kind = world.rng.choice((10, 30, 100))

    def is_filtered(user: str) -> bool:
        return int(user[1:]) % kind == 1

    for _ in some_nights(world):
        end = world.rng.randint(1, len(world.users)) if past else None

        def cuts(
            world: World, shown: Sequence[str], offset: int, end: int | None = end
        ) -> Sequence[str]:
            if end is not None and offset >= end:
                return ()
            return [u for u in shown[offset : offset + world.page] if not is_filtered(u)]

        before = moves(world.rng.choice((0, 0.01)))
        for _ in some_nights(world, 1, 3):
            yield Lies(before=before, cuts=cuts)
        yield Lies(before=before)  # seven nights in a row are a standing gap


def filtered_and_nobody_past_an_offset(world: World) -> Iterator[Lies]:
    """The same, and no page beyond some offset shows anybody."""
    return filtered(world, past=True)


# Answers that are wrong.


def _short(world: World, page: Page) -> Page:
    return replace(page, users=page.users[: world.rng.randint(0, len(page.users))])


def _empty(world: World, page: Page) -> Page:  # noqa: ARG001 - a fault gets both
    return replace(page, users=())


def _nobody(world: World, page: Page) -> Page:  # noqa: ARG001
    return replace(page, users=(), total=0)


def _doubled(world: World, page: Page) -> Page:
    """One of its users stands twice on the page, another not at all."""
    users = list(page.users)
    if len(users) > 1:
        users[world.rng.randrange(len(users))] = world.rng.choice(users)
    return replace(page, users=tuple(users))


def _other(world: World, page: Page) -> Page:
    """The page of another offset."""
    offset = world.rng.randint(0, len(world.users))
    return replace(page, users=tuple(world.users[offset : offset + world.page]))


def _refused(world: World, page: Page) -> Page:  # noqa: ARG001
    raise OffsetRefusedError(page.offset)


def _cached() -> Callable[[World, Page], Page]:
    """The answer that was given before to the same question of this run.

    An older one is another subject: a page is assumed to be no older than the run.
    """
    answers: dict[tuple[int, int], Page] = {}
    return lambda world, page: answers.setdefault((world.run, page.offset), page)


FAULTS = (_short, _empty, _nobody, _doubled, _other, _refused)


def _fault(world: World) -> Callable[[World, Page], Page]:
    kind = world.rng.randrange(len(FAULTS) + 1)
    return FAULTS[kind] if kind < len(FAULTS) else _cached()


def now_and_then(world: World, share: float) -> Callable[[World, Page], Page]:
    """Two kinds of faults, in so many answers."""
    kinds = [_fault(world) for _ in range(2)]

    def answers(world: World, page: Page) -> Page:
        return world.rng.choice(kinds)(world, page) if world.rng.random() < share else page

    return answers


def rare_faults(world: World) -> Iterator[Lies]:
    """An answer in thirty to a hundred is wrong."""
    for _ in some_nights(world):
        yield Lies(
            before=some_moves(world), answers=now_and_then(world, world.rng.uniform(0.01, 0.03))
        )


def lasting_faults(world: World) -> Iterator[Lies]:
    """Wrong answers over a stretch of the list, or from one request to another, for some nights."""
    for _ in some_nights(world, 1, 4):
        kind, low = _fault(world), world.rng.randint(0, len(world.users))
        high = low + world.rng.randint(1, max(1, len(world.users) // 3))
        by_offset = world.rng.random() < 0.5

        def answers(
            world: World,
            page: Page,
            kind: Callable[[World, Page], Page] = kind,
            low: int = low,
            high: int = high,
            by_offset: bool = by_offset,  # noqa: FBT001 - bound for this night
        ) -> Page:
            where = page.offset if by_offset else world.requests
            return kind(world, page) if low <= where < high else page

        for _ in some_nights(world, 1, 3):
            yield Lies(before=some_moves(world), answers=answers)


def faults_and_totals(world: World) -> Iterator[Lies]:
    """Wrong answers, while Total is wrong, too."""
    totals = (off_by(-20, 20), clamped, stale, jumping, frozen, zero)
    for _ in some_nights(world):
        counts = world.rng.choice(totals)(world)
        answers = now_and_then(world, world.rng.uniform(0.01, 0.1))
        yield Lies(before=some_moves(world), counts=counts, answers=answers)


def holes(rate: float) -> Callable[[World], Iterator[Lies]]:
    """A stretch of the list is shown to nobody, for some nights."""

    def nights(world: World) -> Iterator[Lies]:
        for _ in some_nights(world, 1, 3):
            low = world.rng.randint(0, len(world.users))
            high = low + world.rng.randint(1, max(1, len(world.users) // 5))

            def shows(world: World, low: int = low, high: int = high) -> Sequence[str]:
                return world.users[:low] + world.users[high:]

            for _ in some_nights(world, 1, 3):
                yield Lies(before=moves(rate), shows=shows)

    return nights


# What part of the list is shown.


def two_backends(other: Callable[[World], Lies]) -> Callable[[World], Iterator[Lies]]:
    """One of two backends is another one: in turn, at random, or as the connection has it."""

    def nights(world: World) -> Iterator[Lies]:
        for _ in some_nights(world):
            lies, how = other(world), world.rng.choice(("random", "turn", "connection"))
            share = world.rng.choice((0.1, 0.5))
            fated = Random(world.rng.random())

            def astray(
                world: World, how: str = how, share: float = share, fated: Random = fated
            ) -> bool:
                if how == "turn":
                    return world.requests % 2 == 1
                if how == "connection":
                    return (world.connection + int(share * 10)) % 2 == 1
                return fated.random() < share

            yield _one_of(astray, Lies(before=some_moves(world)), lies)

    return nights


def _one_of(astray: Callable[[World], bool], good: Lies, bad: Lies) -> Lies:
    """The answers of a request come from one backend, all of them."""
    serving = good

    def before(world: World) -> None:
        nonlocal serving
        good.before(world)
        bad.before(world)
        serving = bad if astray(world) else good

    def shows(world: World) -> Sequence[str]:
        return serving.shows(world)

    def counts(world: World, shown: Sequence[str]) -> int:
        return serving.counts(world, shown)

    def cuts(world: World, shown: Sequence[str], offset: int) -> Sequence[str]:
        return serving.cuts(world, shown, offset)

    def answers(world: World, page: Page) -> Page:
        return serving.answers(world, page)

    return Lies(before, shows, counts, cuts, answers)


def empty_backend(world: World) -> Lies:  # noqa: ARG001 - a backend gets its world
    """Nobody, and Total 0."""
    return Lies(answers=_nobody)


def lagging_backend(world: World) -> Lies:
    """It shows the list as it was so many requests ago, perhaps before the run, and counts that."""
    states: deque[list[str]] = deque([list(world.users)], maxlen=world.rng.choice((5, 30, 200)))
    for _ in range(world.rng.randint(0, 6)):
        states.append(list(world.users))
        world.leave()
        world.arrive()

    def before(world: World) -> None:
        states.append(list(world.users))

    return Lies(before=before, shows=lambda world: states[0], counts=_those_shown)  # noqa: ARG005


def lacking_backend(world: World) -> Lies:
    """It lacks some users, and does not count them."""
    lacking = set(world.rng.sample(world.users, min(len(world.users), world.rng.randint(1, 10))))
    return Lies(
        shows=lambda world: [user for user in world.users if user not in lacking],
        counts=_those_shown,
    )


def outage(
    most: int,
    nights: Sequence[int],
    *,
    rate: float = 0.01,
    bulk: bool = False,
    others: bool = False,
) -> Callable[[World], Iterator[Lies]]:
    """Users are not shown while Total counts them.

    The same ones for so many nights, or others each night.
    """

    def outages(world: World) -> Iterator[Lies]:
        before = in_bulk if bulk else moves(rate)
        yield Lies(before=before)
        hidden: set[str] = set()
        for night in range(world.rng.choice(nights)):
            if others or not night:
                count = min(len(world.users), world.rng.randint(1, most))
                first = world.rng.randint(0, len(world.users) - count)
                block = world.users[first : first + count]
                hidden = set(
                    block if world.rng.random() < 0.5 else world.rng.sample(world.users, count)
                )

            def shows(world: World, hidden: set[str] = hidden) -> Sequence[str]:
                return [user for user in world.users if user not in hidden]

            yield Lies(before=before, shows=shows)

    return outages


def covered(world: World) -> Iterator[Lies]:
    """As many as the standing gap counts are not shown, others each time: counting cannot tell."""
    hidden = set(world.rng.sample(world.users, world.rng.randint(1, 5)))
    for _ in some_nights(world):

        def shows(world: World, hidden: set[str] = hidden) -> Sequence[str]:
            return [user for user in world.users if user not in hidden]

        yield Lies(shows=shows)
        hidden = set(world.rng.sample(world.users, world.rng.randint(1, 5)))


def window(
    draw: Callable[[World], int], *, clamp: bool = True
) -> Callable[[World], Iterator[Lies]]:
    """Only so many users can be listed; Total is clamped to that, or true."""

    def nights(world: World) -> Iterator[Lies]:
        most = draw(world)
        way = world.rng.choice(("cut", "refuse", "empty"))

        def counts(world: World, shown: Sequence[str]) -> int:
            return min(most, the_truth(world, shown)) if clamp else the_truth(world, shown)

        def answers(world: World, page: Page) -> Page:
            if way == "cut":
                return replace(page, users=page.users[: max(0, most - page.offset)])
            if page.offset <= most - world.page:
                return page
            return _refused(world, page) if way == "refuse" and page.offset else _empty(world, page)

        for _ in some_nights(world, 3, 6):
            yield Lies(before=some_moves(world), counts=counts, answers=answers)

    return nights


def odd(world: World) -> int:
    """A limit of no round size, near what there is."""
    most = world.rng.randint(world.size * 2 // 3, world.size + 10)
    return most if most % 1_000 else most + 1


def refused_offsets(world: World) -> Iterator[Lies]:
    """Nothing beyond some offset is served, in some nights."""
    end = world.rng.randint(1, len(world.users))
    documented = world.rng.random() < 0.7

    def answers(world: World, page: Page) -> Page:  # noqa: ARG001 - a fault gets both
        if page.offset <= end:
            return page
        raise OffsetRefusedError(page.offset) if documented else BadRequestError("HTTP 400")

    for _ in some_nights(world):
        lies = Lies(before=some_moves(world))
        yield replace(lies, answers=answers) if world.rng.random() < 0.8 else lies


def over_a_little(world: World) -> Lies:
    """A Total that counts some who are gone for ever: a new standing gap."""
    off = world.size % 5 + 1
    return Lies(counts=lambda world, shown: the_truth(world, shown) + off)


def quiet_and_over(world: World) -> Iterator[Lies]:
    """Honest nights before a standing gap begins."""
    for _ in some_nights(world, 1, 3):
        yield HONEST


def three_nights_in_four(lies: Callable[[World], Lies]) -> Callable[[World], Iterator[Lies]]:
    """Nights of these lies, one in four of them honest, while a little moves."""

    def nights(world: World) -> Iterator[Lies]:
        for _ in some_nights(world):
            before = moves(world.rng.choice((0, 0, 0.005, 0.01)))
            told = lies(world) if world.rng.random() < 0.75 else HONEST
            yield replace(told, before=before)

    return nights


def places_left_out(world: World) -> Lies:
    """Whoever stands at the end of every fourth page is not shown: now this one, now that one."""
    step = world.page * 4

    def shows(world: World) -> Sequence[str]:
        return [user for place, user in enumerate(world.users, 1) if place % step]

    return Lies(shows=shows)


def others_in_every_second_answer(world: World) -> Lies:
    """Two replicas answer in turn; each lacks users of its own, and both count everybody."""
    lacking = [set(world.rng.sample(world.users, 4)) for _ in range(2)]

    def shows(world: World) -> Sequence[str]:
        return [user for user in world.users if user not in lacking[world.requests % 2]]

    return Lies(shows=shows)


def turned_round(world: World) -> Lies:
    """In every second look the list begins with its end, and a few are left out of it always."""
    lacking = set(world.rng.sample(world.users, world.rng.randint(0, 4)))

    def shows(world: World) -> Sequence[str]:
        turned = world.users[::-1] if world.connection % 2 else world.users
        return [user for user in turned if user not in lacking]

    return Lies(shows=shows)


def some_twice(world: World) -> Lies:
    """Some stand in the list twice, as many others not at all: it is as long as Total says."""
    chosen = world.rng.sample(world.users, 2 * world.rng.randint(1, 5))
    lacking, twice = set(chosen[::2]), set(chosen[1::2])

    def shows(world: World) -> Sequence[str]:
        here = [user for user in world.users if user not in lacking]
        return [user for each in here for user in ([each, each] if each in twice else [each])]

    return Lies(shows=shows)


def ceiling_that_moves(world: World) -> Lies:
    """The offset from which on it refuses is another one after some requests."""
    most = len(world.users)

    def answers(world: World, page: Page) -> Page:
        nonlocal most
        if world.rng.random() < 0.1:
            most = world.rng.randint(len(world.users) // 2, len(world.users) + world.page)
        if page.offset and page.offset >= most:
            raise OffsetRefusedError(page.offset)
        return page

    return Lies(answers=answers)


CATEGORIES = (
    Category("honest, nothing in the run", honest(0), least_complete=1),
    Category("honest, 1 move in 100 pages", honest(0.01), least_complete=0.98, weight=2),
    Category("honest, 1 move in 10 pages", honest(0.1)),
    Category("honest, 1 move in 2 pages", honest(0.5), weight=0.5),
    Category(
        "honest, 10,003 followers, 1 move in 1,000 pages",
        honest(0.001),
        least_complete=1,
        sizes=(10_003, 10_003),
        pages=(50, 50),
        day=3,
        weight=0.1,
    ),
    Category("any moves, blocks, pages stale in the run", any_moves),
    Category("ordered by activity", by_activity, orders=("newest",)),
    Category("Total over", wrong_total(off_by(1, 60))),
    Category("Total under", wrong_total(off_by(-60, -1), ragged=True)),
    Category("Total clamped at random", wrong_total(clamped)),
    Category("Total stale", wrong_total(stale)),
    Category("Total jumping", wrong_total(jumping)),
    Category("Total frozen", wrong_total(frozen)),
    Category("Total zero", wrong_total(zero)),
    Category("pages of half to whole length", ragged(0.5)),
    Category("pages cut at random", ragged(0)),
    Category("one of two backends empty", two_backends(empty_backend)),
    Category("filtered", filtered, honest_first=1),
    Category(
        "filtered, and nobody past an offset", filtered_and_nobody_past_an_offset, honest_first=1
    ),
    Category("faults, rare", rare_faults),
    Category("faults, lasting", lasting_faults),
    Category("faults, with a wrong Total", faults_and_totals),
    Category("holes", holes(0), honest_first=1),
    Category("holes, 1 move in 100 pages", holes(0.01), most_false=0.0025, honest_first=1),
    Category(
        "window of 1,000, Total clamped",
        window(lambda world: 1_000),  # noqa: ARG005 - the same in every world
        sizes=(1_003, 1_400),
        pages=(50, 50),
        day=30,
    ),
    Category(
        "window of 2,000 or 3,000, Total clamped",
        window(lambda world: world.size // 1_000 * 1_000),
        sizes=(2_003, 3_400),
        pages=(50, 50),
        day=30,
        weight=0.5,
    ),
    Category("window of odd size, Total clamped", window(odd), most_false=0.147, day=30),
    Category("window, true Total", window(odd, clamp=False), most_false=0.001),
    Category("1-10 hidden, 1 or 2 nights", outage(10, (1, 2)), most_false=0.0015),
    Category("1-10 hidden, 3 or 6 nights", outage(10, (3, 6)), most_false=0.0037),
    Category(
        "1-40 hidden, 1 or 2 nights, bulk moves", outage(40, (1, 2), bulk=True), most_false=0.0015
    ),
    Category("1-40 hidden, 6 nights, bulk moves", outage(40, (6,), bulk=True), most_false=0.0037),
    Category("1-40 hidden, 8 nights, bulk moves", outage(40, (8,), bulk=True), most_false=0.053),
    Category("others hidden each night", outage(40, (2, 4), others=True), most_false=0.0015),
    Category(
        "1-10 hidden, 1 or 2 nights, 1 move in 10 pages",
        outage(10, (1, 2), rate=0.1),
        most_false=0.05,
    ),
    Category(
        "others hidden each night from the first on, as many",
        covered,
        most_false=0.5,
        honest_first=0,
    ),
    Category("offsets refused", refused_offsets),
    Category("shuffled at each request", shuffled, weight=0.5),
    Category(
        "older than the run: lagging replica", two_backends(lagging_backend), most_false=0.031
    ),
    Category(
        "older than the run: replica that lacks users",
        two_backends(lacking_backend),
        most_false=0.047,
    ),
    Category("some places are left out", three_nights_in_four(places_left_out), honest_first=1),
    Category(
        "others left out of every second answer",
        three_nights_in_four(others_in_every_second_answer),
        honest_first=1,
    ),
    Category(
        "every second look turned round",
        three_nights_in_four(turned_round),
        # Somebody who was read has left, and somebody arrived, in both looks: no gap shows it.
        most_false=0.003,
        honest_first=1,
    ),
    Category("some stand there twice", three_nights_in_four(some_twice), honest_first=1),
    Category("a ceiling that moves", three_nights_in_four(ceiling_that_moves), honest_first=1),
    Category("a new standing gap", quiet_and_over, after=over_a_little, patience=7),
)

assert all(one.name != other.name for one, other in pairwise(CATEGORIES))
