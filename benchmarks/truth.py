"""Does a sync ever mark somebody who follows? A soak of worlds in which the server is wrong.

python benchmarks/truth.py [--syncs 40000] [--seed 1] [--jobs 2] [--only CATEGORY ...] [--world N]

Each world is an OA over several nights, in process: a list that moves, a server that may be wrong
about it (`liar.py`, `lies.py`), the program's own sweep, guard and decision, and what a database
keeps between two nights. Who followed throughout a run is counted by the world itself. Exits with 1
where a category marked more people falsely than it may.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field, fields
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parent))
from liar import HONEST, InTurn, RunawayError
from lies import CATEGORIES, Category

from etl.db.snapshots import GAPS, WITH_GAP, Before, kept_gap
from etl.errors import EtlError
from etl.model import Gaps, Source, Status
from etl.sync import sweep as sweeping
from etl.sync.decide import Difference, Limits, decide
from etl.sync.guard import ROUND
from etl.sync.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable

    from liar import Lies, World

BATCH = 10
"""Worlds that a process works through before it reports."""


@dataclass
class Memory:
    """What the database keeps of the OA from one night to the next.

    Attributes:
        following: the User_Ids.
        settled: whether there was a complete snapshot.
        complete: the gap of each complete snapshot and how many it marked, newest first.
        recent: the gaps of the newest snapshots, newest first.
    """

    following: set[str] = field(default_factory=set)
    settled: bool = False
    complete: list[tuple[int | None, int]] = field(default_factory=list)
    recent: list[int | None] = field(default_factory=list)

    def before(self, *, held: int | None = None) -> Before:
        """It as the program reads it."""
        gaps = Gaps(kept_gap(self.complete), tuple(self.recent[:GAPS]))
        settled = frozenset([Source.FOLLOWERS]) if self.settled else frozenset()
        return Before(len(self.following), settled, held, gaps=((Source.FOLLOWERS, gaps),))


@dataclass
class Night:
    """What one sync did.

    Attributes:
        status: of its snapshot.
        reason: of a partial or held one.
        false: how many it marked who followed throughout.
        requests: how many it asked.
        plain: how many plain paging would have asked.
    """

    status: Status
    reason: str | None
    false: int
    requests: int
    plain: int


def sync(world: World, memory: Memory, lies: Lies, *, believed: bool = False) -> Night:
    """One night, by the program's own rules; `believed`: an operator lets a held loss through."""
    world.begin_run(lies)
    plain = max(1, math.ceil(len(world.users) / world.page))
    limits = Limits(
        sweeping.SweepLimits(concurrency=world.rng.choice((1, 2, 4, 8))),
        max_unfollow_share=1 if believed else 0.2,
        unfollow_floor=20,
    )
    before = memory.before()
    # Answers come in an order of the world's seed, not in that of threads.
    in_turn = patch.object(sweeping, "Workers", partial(InTurn, world.rng))
    with in_turn, Spool(expected=before.following) as spool:
        try:
            swept = sweeping.sweep(
                world.fetch,
                spool,
                add_known=lambda: spool.add_known([list(memory.following)]),
                limits=limits.sweep,
                gaps=before.gaps_of(Source.FOLLOWERS),
                renew=world.renew,
            )
        except EtlError as error:
            return Night(Status.FAILED, error.reason, 0, world.requests, plain)
        arrived = {user for chunk in spool.arrived() for user in chunk}
        gone = {user for chunk in spool.gone() for user in chunk}
    decision = decide(before, swept, Difference(len(arrived), 0, len(gone)), limits)
    if decision.status in WITH_GAP:
        memory.recent.insert(0, swept.gap)
    if decision.status in (Status.COMPLETE, Status.PARTIAL):
        memory.following |= arrived
    marked: set[str] = set()
    if decision.status is Status.COMPLETE:
        marked = gone
        memory.following -= gone
        memory.settled = True
        memory.complete.insert(0, (swept.gap, len(gone)))
    false = len(marked & world.throughout)
    return Night(decision.status, decision.reason, false, world.requests, plain)


@dataclass
class Tally:
    """What became of the worlds of one category, added up."""

    worlds: int = 0
    syncs: int = 0
    false_syncs: int = 0
    false_users: int = 0
    complete: int = 0
    requests: int = 0
    plain: int = 0
    quiet: int = 0
    """Worlds that came to their quiet end."""
    late: int = 0
    """Of these: not complete in the first quiet night (a new standing gap: the seventh)."""
    wrong: int = 0
    """Of these: complete, and not who follows."""
    dropped: int = 0
    """Worlds whose list or Total grew as fast as it was read."""
    seeds: list[str] = field(default_factory=list)
    """The first worlds that went wrong."""

    def add(self, other: Tally) -> None:
        """Add what became of other worlds."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def count(self, night: Night) -> None:
        """Count one sync."""
        self.syncs += 1
        self.false_syncs += bool(night.false)
        self.false_users += night.false
        self.complete += night.status is Status.COMPLETE
        self.requests += night.requests
        self.plain += night.plain

    def cells(self) -> str:
        """Its row of the table."""
        nights = max(1, self.syncs)
        return (
            f"{self.false_syncs} of {self.syncs:,} | {self.false_users} "
            f"| {100 * self.complete / nights:.1f} % | {self.requests / max(1, self.plain):.2f} "
            f"| {self.late} of {self.quiet:,} | {self.wrong} | {self.dropped}"
        )


def live(category: Category, seed: str, *, sync: Callable[..., Night] = sync) -> Tally:
    """All nights of one world, and its quiet end."""
    tally, world, memory = Tally(worlds=1), category.world(seed), Memory()
    try:
        if world.rng.random() < category.honest_first:
            sync(world, memory, HONEST)
        for lies in category.nights(world):
            _a_day(world, category)
            tally.count(sync(world, memory, lies))
        _end(category, world, memory, tally, sync)
    except RunawayError:
        tally.dropped += 1
    if tally.false_syncs or tally.late or tally.wrong:
        tally.seeds.append(seed)
    return tally


def _a_day(world: World, category: Category) -> None:
    """A day passes. A list that is about as long as a limit may be is another subject: it grows."""
    world.day(category.day)
    while len(world.users) > ROUND // 2 and (len(world.users) + 5) % ROUND <= 10:
        world.arrive()


def _end(
    category: Category, world: World, memory: Memory, tally: Tally, sync: Callable[..., Night]
) -> None:
    """Quiet nights: the list must be complete and right within the category's patience."""
    tally.quiet += 1
    for _ in range(category.patience):
        _a_day(world, category)
        night = sync(world, memory, category.after(world))
        if night.status is Status.HELD:
            night = sync(world, memory, category.after(world), believed=True)
        tally.false_users += night.false
        tally.false_syncs += bool(night.false)
        if night.status is Status.COMPLETE:
            tally.wrong += memory.following != set(world.users)
            return
    tally.late += 1


def live_some(category: str, seed: int, first: int) -> Tally:
    """A batch of worlds, in a process of its own."""
    chosen = next(each for each in CATEGORIES if each.name == category)
    tally = Tally()
    for number in range(first, first + BATCH):
        tally.add(live(chosen, f"{seed}/{category}/{number}"))
    tally.seeds = tally.seeds[:5]
    return tally


def soak(
    pool: ProcessPoolExecutor, category: Category, syncs: float, seed: int, jobs: int
) -> Tally:
    """Worlds of one category until they have made so many syncs."""
    tally, running = Tally(), set[Future[Tally]]()
    firsts = count(0, BATCH)
    while tally.syncs < syncs or running:
        while tally.syncs < syncs and len(running) < jobs:
            running.add(pool.submit(live_some, category.name, seed, next(firsts)))
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            tally.add(future.result())
    return tally


def verdict(category: Category, tally: Tally) -> str:
    """What is wrong with a category; nothing, where it is as it must be."""
    most = category.most_false * tally.syncs
    # A share that is allowed was measured itself: three standard deviations are chance.
    problems = []
    if tally.false_syncs > most + 3 * math.sqrt(most):
        problems.append("FALSE UNFOLLOWS")
    if (
        category.least_complete is not None
        and tally.complete < category.least_complete * tally.syncs
    ):
        problems.append("TOO FEW COMPLETE")
    if tally.late:
        problems.append("NOT COMPLETE ON A QUIET NIGHT")
    if tally.wrong:
        problems.append("WRONG AFTER A QUIET NIGHT")
    return ", ".join(problems)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--syncs", type=int, default=40_000, help="in all categories together")
    parser.add_argument("--seed", type=int, default=1, help="another one, other worlds")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--only", action="append", help="categories with this in their name")
    parser.add_argument("--world", type=int, help="with --only: this one world, night by night")
    options = parser.parse_args()
    wanted = options.only or [""]
    chosen = [each for each in CATEGORIES if any(part in each.name for part in wanted)]
    if not chosen:
        parser.error(f"no such category; there are: {'; '.join(each.name for each in CATEGORIES)}")
    if options.world is not None:
        return show(chosen[0], f"{options.seed}/{chosen[0].name}/{options.world}")
    share = options.syncs / sum(each.weight for each in chosen)
    print(
        "| the list and its server | false: syncs | users | complete | requests × plain | late | wrong | dropped |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|", flush=True)
    failed, syncs, started = False, 0, time.monotonic()
    with ProcessPoolExecutor(options.jobs) as pool:
        for category in chosen:
            tally = soak(pool, category, share * category.weight, options.seed, options.jobs)
            syncs += tally.syncs
            trouble = verdict(category, tally)
            failed = failed or bool(trouble)
            print(f"| {category.name} | {tally.cells()} |", flush=True)
            if trouble:
                print(f"{trouble}: {'; '.join(tally.seeds[:5])}", file=sys.stderr, flush=True)
    print(
        f"\n{syncs:,} syncs, {syncs / (time.monotonic() - started):.0f} a second", file=sys.stderr
    )
    return int(failed)


def show(category: Category, seed: str) -> int:
    """Print what happened in one world."""

    def printed(world: World, memory: Memory, lies: Lies, *, believed: bool = False) -> Night:
        followed = len(memory.following)
        night = sync(world, memory, lies, believed=believed)
        print(
            f"{len(world.users)} follow, {followed} known, page {world.page}, {world.order}: "
            f"{night.status} {night.reason or ''} false {night.false}, "
            f"gap {memory.recent[:1]} kept {kept_gap(memory.complete)}, {night.requests} requests"
        )
        return night

    tally = live(category, seed, sync=printed)
    print(tally.cells())
    return int(bool(tally.false_syncs))


if __name__ == "__main__":
    sys.exit(main())
