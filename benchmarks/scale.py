"""How cost grows: with the size of the list, and with what changed.

Pages of 5,000, no latency, measured as in run.py.

python benchmarks/scale.py [--database postgresql] [--rounds 3] [--largest 1000000]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from run import CELLS, OAID, Databases, Figures, Server, measure, postgresql

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
CHANGES = (0, 20, 200, 2_000, 20_000)
"""Users who came or left, of 100,000."""

LARGE = CELLS[-1]


def sync(server: Server, databases: Databases, url: str, figures: Figures) -> None:
    """One `etl sync`, measured."""
    environment = {
        "PATH": os.environ["PATH"], "DATABASE_URL": url, "ESMS_API_KEY": "k", "ESMS_SECRET_KEY": "s", "ESMS_OAIDS": OAID,
        "ESMS_BASE_URL": f"http://127.0.0.1:{server.port}", "ESMS_RATE": "0", "ESMS_PAGE_SIZE": str(LARGE.page_size),
    }  # fmt: skip
    databases.settle(url)
    server.asked()
    before = databases.wal(url)
    measure([sys.executable, "-m", "etl", "sync"], environment, figures)
    figures.requests.append(server.asked())
    if before is not None:
        figures.wal.append((databases.wal(url) or 0) - before)


def by_size(server: Server, databases: Databases, rounds: int, largest: int) -> None:
    """A first sync, and a second one that finds nothing changed, of ever longer lists."""
    print(
        "| followers | first, s | CPU, s | µs CPU a follower | WAL, kB | unchanged, s | CPU, s | peak MB | WAL, kB |"
    )
    print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for size in (each for each in SIZES if each <= largest):
        first, again = Figures(), Figures()
        for _ in range(rounds):
            server.set(replace(LARGE, followers=size), changed=0)
            url = databases.new()
            sync(server, databases, url, first)
            sync(server, databases, url, again)
            databases.drop(url)
        cpu = statistics.median(first.cpu)
        print(
            f"| {size:,} | {statistics.median(first.wall):.2f} | {cpu:.2f} | {cpu / size * 1e6:.1f} | {_wal(first)} "
            f"| {statistics.median(again.wall):.2f} | {statistics.median(again.cpu):.2f} | {max(first.peak + again.peak):.0f} "
            f"| {_wal(again)} |",
            flush=True,
        )


def by_change(server: Server, databases: Databases, rounds: int) -> None:
    """A second sync of 100,000, of whom ever more came or left."""
    print("\n| changed of 100,000 | s | CPU, s | WAL, kB | bytes a change |")
    print("|--:|--:|--:|--:|--:|")
    for changes in CHANGES:
        figures = Figures()
        for _ in range(rounds):
            server.set(replace(LARGE, followers=100_000), changed=0)
            url = databases.new()
            sync(server, databases, url, Figures())
            server.set(replace(LARGE, followers=100_000), changed=changes / 100_000)
            sync(server, databases, url, figures)
            databases.drop(url)
        each = f"{statistics.median(figures.wal) / changes:,.0f}" if figures.wal and changes else ""
        print(
            f"| {changes:,} | {statistics.median(figures.wall):.2f} | {statistics.median(figures.cpu):.2f} | {_wal(figures)} "
            f"| {each} |",
            flush=True,
        )


def _wal(figures: Figures) -> str:
    return f"{statistics.median(figures.wal) / 1000:,.0f}" if figures.wal else ""


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--largest", type=int, default=SIZES[-1])
    asked = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="b"))
    server = Server()
    try:
        with postgresql(home) if asked.database == "postgresql" else nullcontext("") as server_url:
            databases = Databases(asked.database, home, server_url)
            by_size(server, databases, asked.rounds, asked.largest)
            by_change(server, databases, asked.rounds)
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
