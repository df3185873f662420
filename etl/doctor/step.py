"""One thing that the doctor looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from etl.errors import EtlError
from etl.texts import Phrase, phrase

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
    """One thing that was looked at.

    Attributes:
        what: was looked at.
        state: how it went.
        found: what is so; English where it comes from an error.
        todo: what to do, if anything.
        exit_code: 0 unless it failed.
    """

    what: Phrase
    state: State
    found: Phrase | str
    todo: Phrase | str = ""
    exit_code: int = 0

    @property
    def name(self) -> str:
        """What was looked at, for programs."""
        return str(self.what)

    @property
    def told(self) -> str:
        """What was found, for programs."""
        return str(self.found)

    @property
    def advice(self) -> str:
        """What to do, for programs."""
        return str(self.todo)


def failed(what: Phrase, error: EtlError) -> Step:
    """The step that an error ended."""
    return Step(what, State.FAIL, str(error), error.hint, error.exit_code)


def tried(what: Phrase, attempt: Callable[[], object], found: Phrase) -> Step:
    """What became of an attempt; `found` where nothing did."""
    try:
        attempt()
    except EtlError as error:
        return failed(what, error)
    return Step(what, State.OK, found)


def of_oa(oaid: str, what: Phrase) -> Phrase:
    """What was looked at of one OA."""
    return phrase("doctor.of_oa", oaid=oaid, what=what)
