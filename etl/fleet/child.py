"""`etl` as the process of a job; it stops if its worker is gone, or has been paused.

The worker writes a byte to our stdin every few seconds. Where none comes, the worker is dead, or
will wake up too late: its jobs are taken over by another, and nobody may go on with them here.

    python -m etl.fleet.child SECONDS ARGUMENTS…       `etl ARGUMENTS…`, for as long as bytes come
"""

from __future__ import annotations

import os
import runpy
import select
import signal
import sys
import threading

ENDING_SECONDS = 10.0
"""How long a run may take to give its leases back after SIGTERM."""


def watch(stdin: int, seconds: float, ended: threading.Event) -> None:
    """Stop this process once no byte has come for so many seconds, or none can come any more."""
    while select.select([stdin], [], [], seconds)[0]:
        if not os.read(stdin, 64):
            break
    os.kill(os.getpid(), signal.SIGTERM)
    if not ended.wait(ENDING_SECONDS):
        os.kill(os.getpid(), signal.SIGKILL)


def run() -> None:
    """Run `etl` under watch."""
    seconds = float(sys.argv.pop(1))
    ended = threading.Event()
    # The run itself must not read what the worker writes.
    stdin = os.dup(0)
    nobody = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nobody, 0)
    os.close(nobody)
    threading.Thread(target=watch, args=(stdin, seconds, ended), daemon=True).start()
    try:
        runpy.run_module("etl", run_name="__main__")
    finally:
        ended.set()


if __name__ == "__main__":
    run()
