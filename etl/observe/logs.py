"""Logs, always on stderr: lines for people on a terminal, JSON lines otherwise.

ETL_LOG_FORMAT chooses; stdout is data.

Levels that an alert can be built on: `info` all is well, a retry that may yet help among it;
`warning` something was put off; `error` a person should look. No secret, and User_Ids at debug
level only.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from etl.errors import trace
from etl.model import Status, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import tzinfo

    from etl.errors import EtlError
    from etl.model import Retry
    from etl.sync.run import Outcome

LEVELS = ("debug", "info", "warning", "error")
"""From the least to the gravest."""

_LEVEL_OF = {Status.COMPLETE: "info", Status.PARTIAL: "warning", Status.BUSY: "warning"}
"""By what became of the OA; whatever is not named is an error."""


RECORD = "sync"
"""The event that closes each OA."""

_ADVICE: dict[str, dict[str, str]] = {
    Status.HELD: {
        "hint": "Nothing was changed. If the loss is true: etl sync --oaid … --allow-mass-unfollow (docs/operations.md)."
    },
    Status.PARTIAL: {
        "hint": "Nobody was marked as unfollowed. What the reason asks for is in docs/operations.md."
    },
}
"""What to do about what is no error: nothing failed, and yet somebody may have to act."""


class Log:
    """The program's logger: writes lines to stderr, each an event and its fields.

    A full disk or a reader that has gone silences it; it never ends a sync.
    """

    def __init__(self) -> None:
        self.levels: tuple[str, ...] = LEVELS
        self.records = True
        self.render: Callable[[str, str, Mapping[str, object]], str] = _json

    def debug(self, event: str, **fields: object) -> None:
        """For whoever looks for a fault."""
        self.write("debug", event, **fields)

    def info(self, event: str, **fields: object) -> None:
        """All is well."""
        self.write("info", event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something was put off."""
        self.write("warning", event, **fields)

    def error(self, event: str, **fields: object) -> None:
        """A person should look."""
        self.write("error", event, **fields)

    def write(self, level: str, event: str, /, **fields: object) -> None:
        """Write a line, unless its level is not written, or it is a record and they are not."""
        if level not in self.levels or (event == RECORD and not self.records):
            return
        try:
            line = self.render(level, event, fields)
        except Exception as error:  # noqa: BLE001 - a value that cannot be written costs a run nothing but the value
            line = self.render("error", event, {"unwritten": type(error).__name__})
        try:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            _silence()


def configure_logging(
    form: str, level: str, *, zone: tzinfo | None = None, records: bool = True
) -> bool:
    """Set the program's one logger up, and say whether people read it.

    Args:
        form: auto (people on a terminal, JSON otherwise), console or json.
        level: debug, info, warning or error; nothing below it is written.
        zone: of the times that people read; None for this machine's.
        records: whether people are shown the closing line of each OA, too.
    """
    given: TextIO | None = sys.stderr
    if given is None:  # closed by whoever started us (2>&-)
        _silence()
    colours = sys.stderr.isatty()
    people = form == "console" or (form == "auto" and colours)
    _LOGGER.levels = LEVELS[LEVELS.index(level) :]
    _LOGGER.records = records or not people
    _LOGGER.render = partial(_for_people, colours=colours, zone=zone) if people else _json
    return people


def logger() -> Log:
    """The program's logger."""
    return _LOGGER


def closing_event(log: Log, outcome: Outcome) -> None:
    """The one line that an OA's sync ends with.

    The snapshot's fields, how long it took, and what to do if it went wrong.
    """
    status, row = outcome.snapshot.status, outcome.snapshot.row()
    fields = {each: plain(value) for each, value in row.items() if value is not None}
    fields |= {"name": outcome.name} if outcome.name else {}
    fields |= {"duration_s": outcome.duration_s, "exit_code": outcome.exit_code}
    advice = _advice(outcome.error) if outcome.error is not None else _ADVICE.get(status, {})
    log.write(level_of(status), RECORD, **fields, **advice)


def level_of(status: Status) -> str:
    """The level of what became of an OA."""
    return _LEVEL_OF.get(status, "error")


def written(level: str) -> bool:
    """Whether the level is one that is written (ETL_LOG_LEVEL)."""
    return level in _LOGGER.levels


def failure_event(log: Log, error: EtlError) -> None:
    """A run that ended before, between or after its OAs: no closing line of theirs tells why."""
    log.error("run failed", reason=error.recorded, exit_code=error.exit_code, **_advice(error))


def retry_event(log: Log, retry: Retry) -> None:
    """One more try is about to be waited for.

    No warning yet: cron would mail every fault that the next try cures.
    """
    log.info("retry", **asdict(replace(retry, wait_s=round(retry.wait_s, 3))))


def _advice(error: EtlError) -> dict[str, str]:
    """What to do about it, and where it happened in the program, if that is of use."""
    advice = {"hint": error.hint, "trace": trace(error)}
    return {name: words for name, words in advice.items() if words}


def _json(level: str, event: str, fields: Mapping[str, object]) -> str:
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    line = {"timestamp": now, "level": level, "event": event, **fields}
    return json.dumps(line, default=str, ensure_ascii=False)


_COLOURS = {"debug": "32", "info": "32", "warning": "33", "error": "31"}


def _for_people(
    level: str,
    event: str,
    fields: Mapping[str, object],
    *,
    colours: bool,
    zone: tzinfo | None,
) -> str:
    def colour(text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colours else text

    now = datetime.now(UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")
    values = " ".join(
        f"{colour(name, '36')}={colour(_readable(value), '35')}" for name, value in fields.items()
    )
    mark = colour(f"{level:7}", _COLOURS[level])
    return f"{now} {mark} {colour(f'{event:11}', '1')} {values}".rstrip()


def _readable(value: object) -> str:
    """As it is, or in quotes where it would not be seen where it begins and ends."""
    text = str(value)
    return text if text.isprintable() and text and not set(text) & set(" ='\"") else repr(text)


_LOGGER = Log()


def _silence() -> None:
    """Send what is written on stderr to /dev/null from here on.

    What a full disk left in its buffer would spoil the exit code in the end.
    """
    sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
