"""A fleet: two workers on one PostgreSQL, one of them killed amid its jobs.

Is every OA complete once, and no account read by two at once?

python benchmarks/fleet.py [--accounts 50] [--oas 4] [--concurrency 2] [--latency 0.05]
[--pgbouncer]
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from firms import TAKE_OVER, firm_of, wait_until
from poolers import pgbouncer
from postgres import own_server


def main() -> int:
    """Run it once and print the figures; 1 where something is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=50)
    parser.add_argument("--oas", type=int, default=4)
    parser.add_argument("--concurrency", type=int, default=2)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--pgbouncer", action="store_true", help="through one, in transaction mode")
    given = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="etl-fleet-")))
        url = stack.enter_context(own_server()).get_uri()
        if given.pgbouncer:
            url = stack.enter_context(pgbouncer(url, connections=4))
        firm = stack.enter_context(
            firm_of(directory / "accounts", url, given.accounts, given.oas, latency=given.latency)
        )
        if firm.etl("fleet", "init").returncode:
            raise SystemExit("the tables could not be made")
        began = time.monotonic()
        first, second = (firm.worker(concurrency=given.concurrency) for _ in range(2))
        wait_until(
            lambda: first.log.read_text().count('"job started"') > given.concurrency, seconds=600
        )
        first.send(signal.SIGKILL)
        wait_until(firm.are_complete, seconds=3600)
        wall = time.monotonic() - began
        times = Counter(firm.complete_oas())
        twice = firm.read_by_two_at_once()
        taken = second.log.read_text().count('"job taken over"')
        sound = sorted(times) == firm.every_oa() and set(times.values()) == {1} and not twice
        print(
            f"accounts {given.accounts}, OAs {len(times)} complete once: {set(times.values()) == {1}}"
        )
        print(f"accounts read by two at once: {len(twice)}; jobs taken over: {taken}")
        print(
            f"wall {wall:.0f} s, of which up to {TAKE_OVER} s until the killed worker counts as silent"
        )
        print(f"snapshots: {dict(Counter(row[1] for row in firm.snapshots()))}")
        return 0 if sound else 1


if __name__ == "__main__":
    raise SystemExit(main())
