"""Can the numbers be believed? Plain paging and `etl sync` read the same moving lists.

Who was retired without having left?

    python benchmarks/belief.py [--runs 30] [--only TEXT]

The number of followers is no multiple of 1,000: that may be a limit, and nobody is marked under it.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from pydantic import SecretStr
from sqlalchemy import select

sys.path.insert(0, str(Path(__file__).parent))
import script

from etl.db.engine import connect_engine, reading
from etl.db.schema import upgrade
from etl.db.tables import follower_changes
from etl.esms.client import EsmsClient
from etl.model import Status
from etl.settings import EsmsSettings
from etl.simulator import API_KEY, SECRET_KEY, Simulator, WindowRules
from etl.sync.account import sync_oa
from etl.sync.decide import Limits
from etl.sync.run import Run
from etl.sync.sweep import SweepLimits

if TYPE_CHECKING:
    from collections.abc import Callable

FOLLOWERS = 2_003
LIMITS = Limits(SweepLimits())


@dataclass
class Tally:
    """What became of some runs."""

    false: list[int] = field(default_factory=list)
    """Per run, how many users were retired who followed throughout."""
    requests: int = 0
    doubted: int = 0
    """Runs that said they could not be believed (exit code above 0)."""

    def cells(self) -> str:
        """Its cells of the table."""
        wrong = sum(1 for each in self.false if each)
        return f"{wrong} of {len(self.false)} | {sum(self.false):,} | {self.doubted} | {self.requests / len(self.false):.0f}"


def one_leaves(sim: Simulator, seed: int) -> None:
    """One user leaves in the middle of the reading: the least that can happen."""
    sim.before_page(20, sim.unfollow, sim.users()[200 + seed % 1_000])


def moves(share: float) -> Callable[[Simulator, int], None]:
    """So many leaves, arrivals and returns before each page, on average."""
    return lambda sim, seed: sim.churn(leaves=share, arrivals=share, returns=share / 4, seed=seed)


def acts(sim: Simulator, seed: int) -> None:
    """Ordered by activity: one user in two pages acts and moves to the head; nobody leaves."""
    sim.churn(touches=0.5, seed=seed)


def bad_minute(sim: Simulator, seed: int) -> None:  # noqa: ARG001 - every world has a seed
    """The API answers every page with an empty list and a Total of 0."""
    sim.fault_rate("nobody", 1)


def cut_short(sim: Simulator, seed: int) -> None:
    """One page in twenty comes back with nobody on it."""
    sim.fault_rate("empty_page", 0.05, seed=seed)


def thirty_arrive_five_leave(sim: Simulator, seed: int) -> None:  # noqa: ARG001 - every world has a seed
    """Before the reading begins thirty arrive, and five of those who followed leave."""
    for _ in range(30):
        sim.follow()
    for user in sim.users()[100:600:100]:
        sim.unfollow(user)


@dataclass(frozen=True)
class World:
    """A row of the table: what happens to a list, and how the simulator serves it.

    `days`: whether QueryListUID is served, too.
    """

    name: str
    order: str
    happens: Callable[[Simulator, int], None]
    followers: int = FOLLOWERS
    max_offset: int | None = None
    clamp_total: bool = False
    days: bool = False


WORLDS = [
    World("one user leaves while the list is read", "oldest", one_leaves),
    World("1 leave and 1 arrival in 100 pages", "oldest", moves(0.01)),
    World("1 leave and 1 arrival in 10 pages", "oldest", moves(0.1)),
    World("a leave and an arrival with every other page", "newest", moves(0.5)),
    World("ordered by activity, 1 user in 2 pages acts", "activity", acts),
    World("1 page in 20 comes back empty", "oldest", cut_short),
    World("the API has a bad minute: nobody, Total 0", "oldest", bad_minute),
    World(
        "an OA of 30,000, of whom eSMS lists the newest 10,000; 30 arrive, 5 leave",
        "newest",
        thirty_arrive_five_leave,
        followers=30_003,
        max_offset=9_950,
        days=True,
    ),
    World(
        "the same, Total never exceeds 10,000, and no QueryListUID",
        "newest",
        thirty_arrive_five_leave,
        followers=30_003,
        max_offset=9_950,
        clamp_total=True,
    ),
]


def plain(sim: Simulator, directory: Path, mutate: Callable[[], None]) -> tuple[int, bool]:
    """The script that everyone writes: a sync of the quiet list, one of the moving list.

    False unfollows, and no doubt, ever.
    """
    file = directory / "script.db"
    script.main(sim.url, f"sqlite:///{file}", 50, (API_KEY, SECRET_KEY))
    mutate()
    script.main(sim.url, f"sqlite:///{file}", 50, (API_KEY, SECRET_KEY))
    with closing(sqlite3.connect(file)) as connection:
        retired = {
            row[0]
            for row in connection.execute(
                "SELECT user_id FROM simple_followers WHERE unfollowed_at IS NOT NULL"
            )
        }
    return len(retired & sim.followed_throughout()), False


def settings_of(sim: Simulator) -> EsmsSettings:
    """How to ask a simulator, in a hurry."""
    return EsmsSettings(
        esms_api_key=SecretStr(API_KEY),
        esms_secret_key=SecretStr(SECRET_KEY),
        esms_base_url=sim.url,
        esms_rate=0,
        esms_backoff_base=0,
    )


def ours(sim: Simulator, directory: Path, mutate: Callable[[], None]) -> tuple[int, bool]:
    """The same two syncs by `etl`."""
    engine = connect_engine(f"sqlite:///{directory}/etl.db")
    upgrade(engine)
    with EsmsClient(settings_of(sim)) as esms:
        run = Run(esms, engine, LIMITS, ZoneInfo("UTC"))
        sync_oa(run, sim.default)
        mutate()
        snapshot = sync_oa(run, sim.default).snapshot
    with reading(engine) as connection:
        log = follower_changes.c
        gone = select(log.user_id).where(log.snapshot_id == snapshot.id, log.change == "unfollowed")
        retired = set(connection.scalars(gone))
    engine.dispose()
    return len(retired & sim.followed_throughout()), snapshot.status != Status.COMPLETE


def tally(
    runs: int,
    world: World,
    sync: Callable[..., tuple[int, bool]],
) -> Tally:
    """So many runs of one program in one world."""
    found = Tally()
    for seed in range(runs):
        with (
            Simulator(
                world.followers,
                order=world.order,
                seed=seed,
                max_offset=world.max_offset,
                refuse_by="empty",
                clamp_total=world.clamp_total,
                windows=WindowRules() if world.days else None,
            ) as sim,
            tempfile.TemporaryDirectory() as directory,
        ):
            before = 0

            def mutate(sim: Simulator = sim, seed: int = seed) -> None:
                nonlocal before
                sim.mark()
                before = len(sim.requests)
                world.happens(sim, seed)

            false, doubted = sync(sim, Path(directory), mutate)
            found.false.append(false)
            found.doubted += doubted
            found.requests += len(sim.requests) - before
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=30, help="runs of each program in each world")
    parser.add_argument("--only", default="", help="only the worlds whose name has this in it")
    given = parser.parse_args()
    runs = given.runs
    print(
        f"{FOLLOWERS:,} followers, 50 a page, {runs} runs each; false: marked as unfollowed though they followed throughout\n"
    )
    print(
        "| while the list is read | program | runs with false unfollows | false unfollows | runs that said so | requests |"
    )
    print("|---|---|--:|--:|--:|--:|")
    for world in (each for each in WORLDS if given.only in each.name):
        for program, sync in (("plain paging", plain), ("**etl**", ours)):
            print(f"| {world.name} | {program} | {tally(runs, world, sync).cells()} |", flush=True)


if __name__ == "__main__":
    main()
