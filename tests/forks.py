"""Several `etl` commands from one interpreter, each in a fork: imports are made once.

For scripts that tests start; a child ends as the process of `etl` does.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from pathlib import Path

from etl.cli import app

IMPORTED = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import forks"
"""The first line of such a script."""


def prepare() -> None:
    """Load what commands need."""
    for name in ("sync", "status", "history", "report", "export", "verify", "doctor", "db", "undo"):
        import_module(f"etl.cli.{name}")
    import_module("etl.runs")
    gc.freeze()  # or each fork ends with a search for garbage in all that it shares with us


def run(command: list[str], *streams: int) -> int:
    """Run a command, whose stdout and stderr are these where they are given; its exit code."""
    child = os.fork()
    if not child:
        for target, stream in enumerate(streams, 1):
            os.dup2(stream, target)
        sys.argv = ["etl", *command]
        app.main()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
