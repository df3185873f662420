"""One thing that the doctor looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from etl.errors import EtlError

if TYPE_CHECKING:
    from collections.abc import Callable


class State(StrEnum):
    """How a step went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was looked at: how it went, what was found, and what to do. `exit_code` is 0 unless it failed."""

    name: str
    state: State
    told: str
    advice: str = ""
    exit_code: int = 0


def failed(name: str, error: EtlError) -> Step:
    """The step that an error ended."""
    return Step(name, State.FAIL, str(error), error.hint, error.exit_code)


def tried(name: str, attempt: Callable[[], object], told: str) -> Step:
    """What became of an attempt; `told` where nothing did."""
    try:
        attempt()
    except EtlError as error:
        return failed(name, error)
    return Step(name, State.OK, told)
