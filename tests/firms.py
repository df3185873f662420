"""A firm with many eSMS accounts, and workers of a fleet as processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import commandline
from sqlalchemy import text

from etl.db.engine import connect_engine, reading
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from commandline import Finished

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
TAKE_OVER = 9
"""Seconds of silence after which these workers take each other's jobs."""


FAST = "ESMS_RATE=0\nESMS_BACKOFF_BASE=0\nESMS_CONCURRENCY=1\n"


class Accounts:
    """The directory of a firm's eSMS accounts (ETL_ACCOUNTS_DIR)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, account: str, file: str, content: str) -> None:
        (self.directory / account).mkdir(parents=True, exist_ok=True)
        (self.directory / account / file).write_text(content)

    def write_account(
        self, name: str, sim: Simulator, oaids: Iterable[str], settings: str = FAST
    ) -> None:
        """Make an account: its keys as files, its OAs and settings in settings.env."""
        settings += f"ESMS_BASE_URL={sim.url}\nESMS_OAIDS={','.join(oaids)}\n"
        self.write(name, "settings.env", settings)
        for key in ("ESMS_API_KEY", "ESMS_SECRET_KEY"):
            self.write(name, key, sim.environment[key])


class Firm(Accounts):
    """So many eSMS accounts, each with a simulator, so many OAs and keys of its own; one
    database."""

    def __init__(
        self, directory: Path, url: str, stack: ExitStack, accounts: int, oas: int, **world: Any
    ) -> None:
        super().__init__(directory)
        self.url = url
        self.sims: dict[str, Simulator] = {}
        self.workers: list[Worker] = []
        self.oas = {
            f"a{at:02}": [f"{at + 1}{oa:02}" for oa in range(oas)] for at in range(accounts)
        }
        # Due a minute ago: whoever starts to work makes up for it at once.
        self.schedule = (datetime.now(ZONE) - timedelta(minutes=1)).strftime("%H:%M")
        for name, oaids in self.oas.items():
            sim = stack.enter_context(Simulator(oaid=oaids[0], followers=120, **world))
            for oaid in oaids[1:]:
                sim.add_account(oaid, "", followers=120)
            self.sims[name] = sim
            self.write_account(name, sim, oaids)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.url,
            "ETL_ACCOUNTS_DIR": str(self.directory),
            "ETL_FLEET_SCHEDULE": self.schedule,
            "ETL_LOG_FORMAT": "json",
        }

    def etl(self, *arguments: str) -> Finished:
        """Run a command, in this process."""
        return commandline.etl(*arguments, **self.environment)

    def worker(self, *, concurrency: int = 1, url: str | None = None) -> Worker:
        """One more worker, as a process that leads a group of its own."""
        log = self.directory.with_name(f"worker-{len(self.workers)}.log")
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "etl", "fleet", "work", "--concurrency", str(concurrency),
                 "--take-over", str(TAKE_OVER)],
                env=os.environ | self.environment | ({"DATABASE_URL": url} if url else {}),
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
            )  # fmt: skip
        self.workers.append(Worker(process, log))
        return self.workers[-1]

    def states(self) -> dict[str, dict[str, Any]]:
        """What `etl fleet status --json` says, by account."""
        done = self.etl("fleet", "status", "--json")
        assert done.returncode == 0, done.stderr
        return {line["account"]: line for line in map(json.loads, done.stdout.splitlines())}

    def are_complete(self) -> bool:
        return {each["state"] for each in self.states().values()} == {"complete"}

    def snapshots(self) -> list[tuple[Any, ...]]:
        with reading(connect_engine(self.url)) as connection:
            statement = (
                "SELECT oaid, status, taken_at, finished_at, reason FROM snapshots ORDER BY id"
            )
            return [tuple(row) for row in connection.execute(text(statement))]

    def complete_oas(self) -> list[str]:
        """The OAID of each complete snapshot."""
        return sorted(row[0] for row in self.snapshots() if row[1] == "complete")

    def every_oa(self) -> list[str]:
        return sorted(oaid for oaids in self.oas.values() for oaid in oaids)

    def read_by_two_at_once(self) -> list[str]:
        """The accounts of which two runs overlapped, by the times of their snapshots."""
        found = []
        for name, oaids in self.oas.items():
            runs = sorted(
                (row[2], row[3]) for row in self.snapshots() if row[0] in oaids and row[3]
                and "abandoned" not in (row[4] or "")
            )  # fmt: skip
            if any(later[0] < earlier[1] for earlier, later in pairwise(runs)):
                found.append(name)
        return found


@dataclass(frozen=True)
class Worker:
    """A worker's process, and what it wrote."""

    process: subprocess.Popen[bytes]
    log: Path

    def has_logged(self, event: str) -> bool:
        return f'"{event}"' in self.log.read_text()

    def send(self, signum: int) -> None:
        self.process.send_signal(signum)

    def end(self) -> int:
        """Stop it as a service manager does; its exit code."""
        self.process.terminate()
        return self.process.wait(30)


@contextmanager
def firm_of(directory: Path, url: str, accounts: int, oas: int, **world: Any) -> Iterator[Firm]:
    """A firm; its workers are gone on leaving."""
    with ExitStack() as stack:
        firm = Firm(directory, url, stack, accounts, oas, **world)
        try:
            yield firm
        finally:
            for worker in firm.workers:
                if worker.process.poll() is None:
                    worker.send(signal.SIGKILL)
                    worker.send(signal.SIGCONT)
                    worker.process.wait(10)


def wait_until(true: Callable[[], bool], *, seconds: float = 120) -> None:
    """Wait for it; a busy machine is given time."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it never came true"
        time.sleep(0.2)


def now() -> datetime:
    return datetime.now(UTC)
