"""Nights of OAs beyond the ceiling, in process: who is marked though they followed throughout?

    python benchmarks/windows.py [--nights 2000] [--seed 1]

The worlds are those of tests/windowworld.py: both meanings of a day, every kind of bound, undated
users, a refused future; leaves, arrivals, returns and acts between any two answers. Exits 1 where
anybody was marked falsely. Then what a quiet night costs, in requests.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from windowworld import Nights, WindowWorld

BOUNDS = ("inclusive", "from_excluded", "to_excluded", "both_excluded")
RATES = {
    "interact": (0, 0.02, 0.2, 1),
    "leave": (0, 0.01, 0.1),
    "arrive": (0, 0.01, 0.1),
    "come_back": (0, 0.01),
    "midnight": (0, 0.002),
}


def world(rng: random.Random) -> WindowWorld:
    """One at random."""
    return WindowWorld(
        rng.randrange(100, 700),
        rng.randrange(2**32),
        reach=rng.choice([60, 100, 200]),
        size=rng.choice([10, 20]),
        semantics=rng.choice(["last", "any"]),
        bounds=rng.choice(BOUNDS),
        single_days_whole=rng.random() < 0.5,
        future=rng.random() < 0.7,
        undated=rng.choice([0, 0, 0, 0.05]),
        spread=rng.choice([10, 30, 120]),
        rates={name: rng.choice(rates) for name, rates in RATES.items()},
    )


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nights", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    verdicts: Counter[str] = Counter()
    false = nights = 0
    while nights < given.nights:
        several = Nights(world(rng))
        for _ in range(4):
            swept, wrong = several.night()
            nights += 1
            false += bool(wrong)
            verdicts[f"{swept.source}: {swept.reason or 'complete'}"] += 1
    print(f"{nights:,} nights, {false} with false unfollows")
    for verdict, count in verdicts.most_common():
        print(f"  {count / nights:6.1%}  {verdict}")
    print("\n| followers | requests of a quiet night | × followers ÷ 48 |\n|--:|--:|--:|")
    for followers in (10_500, 50_000):
        quiet = WindowWorld(followers, 1, reach=10_000, size=50, spread=900)
        several = Nights(quiet)
        several.night()
        quiet.asked = 0
        several.night()
        print(f"| {followers:,} | {quiet.asked:,} | {quiet.asked / (followers / 48):.2f} |")
    return 1 if false else 0


if __name__ == "__main__":
    sys.exit(main())
