"""The `etl` command in this very process: everything but the start-up of an interpreter."""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest import mock

from etl.cli import main
from etl.cli import words as language

if TYPE_CHECKING:
    from etl.simulator import Simulator

HURRY = {"ESMS_RATE": "5000", "ESMS_BACKOFF_BASE": "0"}
"""Settings under which nothing is waited for."""


@dataclass(frozen=True)
class Finished:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def etl(*arguments: str, **settings: str) -> Finished:
    """Run `etl` with these arguments and settings, as a shell would without a terminal."""
    language._spoken.clear()  # each process begins without
    out, err = io.StringIO(), io.StringIO()
    handlers = [
        (each, signal.getsignal(each)) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    ]
    try:
        with (
            mock.patch.object(sys, "argv", ["etl", *arguments]),
            mock.patch.object(sys, "stdin", io.StringIO()),
            mock.patch.dict(os.environ, settings),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            main()
    except SystemExit as end:
        return Finished(int(end.code or 0), out.getvalue(), err.getvalue())
    finally:
        for each, handler in handlers:
            signal.signal(each, handler)
    raise AssertionError("main() always exits")


class Operator:
    """Somebody who runs `etl` against one simulator and one database."""

    def __init__(self, sim: Simulator, url: str, **settings: str) -> None:
        self.sim, self.url, self._own = sim, url, settings

    @property
    def settings(self) -> dict[str, str]:
        """What every command is run with."""
        return self.sim.environment | HURRY | {"DATABASE_URL": self.url} | self._own

    def run(self, *arguments: str, **settings: str) -> Finished:
        """Run a command."""
        return etl(*arguments, **self.settings | settings)
