"""Whether this machine runs a sync by itself."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from etl.doctor.step import State, Step
from etl.texts import phrase

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSTEMD = Path("/run/systemd/system")
"""There where systemd runs the machine (sd_booted(3))."""

TIMERS = ("etl-sync.timer", "etl-sync@*.timer")

SECONDS = 10.0


def timer() -> Iterator[Step]:
    """The timer of deploy/; no step if systemd does not run here, or does not answer."""
    if not SYSTEMD.is_dir():
        return
    command = ["systemctl", "list-unit-files", "--no-legend", "--no-pager", *TIMERS]
    try:
        told = subprocess.run(  # noqa: S603 - no word of it comes from outside
            command, capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return
    yield enabled([line.split()[:2] for line in told.stdout.splitlines() if line.strip()])


def enabled(units: list[list[str]]) -> Step:
    """Whether one of the timers (name, state) is enabled."""
    what = phrase("doctor.what.timer")
    on = [unit for unit, state in units if state.startswith(("enabled", "static"))]
    if on:
        return Step(what, State.OK, phrase("doctor.timer.ok", timers=", ".join(on)))
    if units:
        found = phrase("doctor.timer.off", timer=units[0][0])
        return Step(what, State.WARN, found, f"systemctl enable --now {units[0][0]}")
    return Step(what, State.SKIPPED, phrase("doctor.timer.none"))
