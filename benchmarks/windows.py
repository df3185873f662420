"""OAs beyond the ceiling, read by windows of days: are the numbers right, and what do they cost?

    python benchmarks/windows.py nights [--runs 36] [--seed 1] [--only TEXT]
                                                                  belief.py's worlds, over HTTP
    python benchmarks/windows.py open [--nights 2000] [--seed 1]  what nobody documents, in process
    python benchmarks/windows.py cost [--rounds 3] [--database postgresql]
                                                                  requests, CPU, memory, rows
                                                                  written

`nights`: 2,003 followers of whom one listing shows 500, both meanings of a day, four nights a run.
`open`: the worlds of tests/windowworld.py: every kind of bound, a refused future, undated users, a
date that is not ours; leaves, arrivals, returns, acts and midnight between any two answers. Both
exit with 1 where anybody was marked who followed throughout. `cost` runs `etl sync` as a process of
its own against server.py, in turns with the same followers read by GetFollowers alone.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parent))

import belief
from run import OAID, Cell, Databases, Figures, Server, measure, postgresql
from sqlalchemy import select, text
from windowworld import Nights, WindowWorld
from world import changed

from etl.db.engine import connect_engine, reading, writing
from etl.db.schema import upgrade
from etl.db.tables import snapshots
from etl.esms.client import EsmsClient
from etl.simulator import Simulator, WindowRules
from etl.sync.account import sync_oa
from etl.sync.run import Run

NIGHTS = 4
"""In a row, of one OA."""

NOTES_WRITES = {
    "sqlite": [
        "CREATE TABLE written (n INTEGER)",
        *(
            f"CREATE TRIGGER {table}_{event} AFTER {event} ON {table} "
            "BEGIN INSERT INTO written VALUES (1); END"
            for table in ("followers", "follower_changes")
            for event in ("INSERT", "UPDATE", "DELETE")
        ),
    ],
    "postgresql": [
        "CREATE TABLE written (n integer)",
        (
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql "
            "AS 'BEGIN INSERT INTO written VALUES (1); RETURN NULL; END'"
        ),
        *(
            f"CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION note()"
            for table in ("followers", "follower_changes")
        ),
    ],
}
"""Statements that let a database note each row of a follower that is written from now on."""

RATES = {
    "interact": (0, 0.02, 0.2, 1),
    "leave": (0, 0.01, 0.1),
    "arrive": (0, 0.01, 0.1),
    "come_back": (0, 0.01),
    "midnight": (0, 0.002),
}


def nights(given: argparse.Namespace) -> bool:
    """Nights of belief.py's worlds; whether nobody was marked falsely."""
    print(
        "| while the list is read | a day means | nights | with false unfollows | complete | marked |"
    )
    print("|---|---|--:|--:|--:|--:|")
    right = True
    for world in belief.WORLDS:
        # Those of an OA of 30,000 are beyond the ceiling by themselves.
        if given.only not in world.name or world.max_offset is not None:
            continue
        for semantics in ("last", "any"):
            verdicts: Counter[str] = Counter()
            false = marked = 0
            for seed in range(given.seed, given.seed + given.runs):
                for verdict, gone, wrong in _nights_of(world, semantics, seed):
                    verdicts[verdict] += 1
                    marked += gone
                    false += bool(wrong)
            whole = verdicts["complete"] / verdicts.total()
            print(
                f"| {world.name} | {semantics} | {verdicts.total()} | {false} | {whole:.0%} | {marked:,} |",
                flush=True,
            )
            print(f"  {dict(verdicts)}", file=sys.stderr, flush=True)
            right = right and not false
    return right


def _nights_of(world: belief.World, semantics: str, seed: int) -> list[tuple[str, int, int]]:
    """Some nights of one OA: their verdict, how many were marked, and how many of those falsely."""
    rules = WindowRules(semantics=semantics, reach=500, spread_days=200)
    found = []
    with (
        Simulator(2_003, order=world.order, seed=seed, max_offset=450, windows=rules) as sim,
        tempfile.TemporaryDirectory() as directory,
    ):
        engine = connect_engine(f"sqlite:///{directory}/etl.db")
        upgrade(engine)
        for number in range(NIGHTS + 1):
            sim.mark()
            with EsmsClient(belief.settings_of(sim)) as esms:
                run = Run(
                    esms,
                    engine,
                    belief.LIMITS,
                    ZoneInfo("UTC"),
                    clock=lambda: sim.interactions().now,
                )
                snapshot = sync_oa(run, sim.default).snapshot
            if number:
                gone = changed(engine, snapshot.id, "unfollowed")
                verdict = str(snapshot.status if snapshot.status != "partial" else snapshot.reason)
                found.append((verdict, len(gone), len(gone & sim.followed_throughout())))
            sim.calm()
            sim.midnight()
            sim.unfollow()  # so that somebody is missing every night
            world.happens(sim, seed + number)
        engine.dispose()
    return found


def open_points(given: argparse.Namespace) -> bool:
    """Nights under whatever nobody documents; whether nobody was marked falsely."""
    rng = random.Random(given.seed)
    verdicts: Counter[str] = Counter()
    false = 0
    while verdicts.total() < given.nights:
        several = Nights(_world(rng))
        for _ in range(NIGHTS):
            swept, wrong = several.night()
            false += bool(wrong)
            verdicts[f"{swept.source}: {swept.reason or 'complete'}"] += 1
            several.world.midnight()
    print(f"{verdicts.total():,} nights, {false} with false unfollows")
    for verdict, count in verdicts.most_common():
        print(f"  {count / verdicts.total():6.1%}  {verdict}")
    return not false


def _world(rng: random.Random) -> WindowWorld:
    return WindowWorld(
        rng.randrange(100, 700),
        rng.randrange(2**32),
        reach=rng.choice([60, 100, 200]),
        size=rng.choice([10, 20]),
        semantics=rng.choice(["last", "any"]),
        bounds=rng.choice(["inclusive", "from_excluded", "to_excluded", "both_excluded"]),
        single_days_whole=rng.random() < 0.5,
        future=rng.random() < 0.7,
        undated=rng.choice([0, 0, 0, 0.05]),
        ahead=rng.choice([0, 0, 0, 1, -1]),
        spread=rng.choice([10, 30, 120]),
        rates={name: rng.choice(rates) for name, rates in RATES.items()},
    )


def cost(given: argparse.Namespace) -> bool:
    """What a quiet night costs, beside the same list read by GetFollowers; True."""
    server = Server()
    home = Path(tempfile.mkdtemp(prefix="b"))
    try:
        with postgresql(home) as server_url:
            for kind in given.database or ["sqlite", "postgresql"]:
                _cost_on(Databases(kind, home, server_url), server, given.rounds)
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)
    return True


def _cost_on(databases: Databases, server: Server, rounds: int) -> None:
    print(f"\n**{databases.kind}**\n")
    print(
        "| followers | read by | requests | × followers ÷ 48 | CPU, s | µs CPU a follower "
        "| peak MB | follower rows written |"
    )
    print("|--:|---|--:|--:|--:|--:|--:|--:|")
    for followers in (10_500, 50_000, 200_000):
        figures = {"GetFollowers": Figures(), "windows": Figures()}
        written = dict.fromkeys(figures, 0)
        for _ in range(rounds):
            for source, taken in figures.items():
                written[source] += _quiet_night(server, databases, followers, source, taken)
        for source, taken in figures.items():
            requests, cpu = statistics.median(taken.requests), statistics.median(taken.cpu)
            print(
                f"| {followers:,} | {source} | {requests:,.0f} | {requests / (followers / 48):.2f} "
                f"| {cpu:.2f} | {cpu / followers * 1e6:.1f} | {max(taken.peak):.0f} "
                f"| {written[source]} |",
                flush=True,
            )


def _quiet_night(
    server: Server, databases: Databases, followers: int, source: str, taken: Figures
) -> int:
    """The second sync of a list that did not change, measured; gives the follower rows written."""
    server.set(Cell("", "", followers, 50), changed=0, reach=10_000 if source == "windows" else 0)
    url = databases.new()
    environment = {
        "PATH": os.environ["PATH"], "DATABASE_URL": url, "ESMS_API_KEY": "k", "ESMS_SECRET_KEY": "s",
        "ESMS_OAIDS": OAID, "ESMS_BASE_URL": f"http://127.0.0.1:{server.port}", "ESMS_RATE": "0",
        "ETL_LOG_FORMAT": "json",
    }  # fmt: skip
    command = [sys.executable, "-m", "etl", "sync"]
    measure(command, environment, Figures())
    engine = connect_engine(url)
    with writing(engine) as connection:
        for statement in NOTES_WRITES[databases.kind]:
            connection.exec_driver_sql(statement)
    databases.settle(url)
    server.asked()
    measure(command, environment, taken)
    taken.requests.append(server.asked())
    with reading(engine) as connection:
        rows = connection.execute(text("SELECT count(*) FROM written")).scalar_one()
        newest = select(snapshots.c.source).order_by(snapshots.c.id.desc()).limit(1)
        assert connection.scalar(newest) == ("windows" if source == "windows" else "followers")
    engine.dispose()
    databases.drop(url)
    return int(rows)


def main() -> int:
    """Print a table; 1 where somebody was marked falsely."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = {"nights": nights, "open": open_points, "cost": cost}
    parser.add_argument("part", choices=list(parts))
    parser.add_argument("--only", default="", help="only the worlds whose name has this in it")
    parser.add_argument("--runs", type=int, default=36)
    parser.add_argument("--nights", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--database", action="append", choices=["sqlite", "postgresql"], help="default: both"
    )
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    return 0 if parts[given.part](given) else 1


if __name__ == "__main__":
    sys.exit(main())
