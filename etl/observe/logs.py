"""Logs: lines for people on a terminal, JSON lines otherwise (ETL_LOG_FORMAT), always on stderr: stdout is data.

Levels that an alert can be built on: `info` all is well, a retry that may yet help among it;
`warning` something was put off; `error` a person should look. No secret, and User_Ids at debug
level only.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO, cast

from etl.model import Status, plain

# structlog.dev would import rich's tracebacks, which we never print: 70 ms, a tenth of a small
# sync. A None makes it do without.
_rich = sys.modules.get("rich")
sys.modules["rich"] = None  # type: ignore[assignment]  # what `import` takes for "not installed"
import structlog  # noqa: E402 - see above

del sys.modules["rich"]
if _rich is not None:
    sys.modules["rich"] = _rich

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from etl.errors import EtlError
    from etl.model import Snapshot

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_LEVEL_OF = {Status.COMPLETE: "info", Status.PARTIAL: "warning", Status.BUSY: "warning"}
"""By what became of the OA; whatever is not named is an error."""


_ADVICE: dict[str, dict[str, str]] = {
    Status.HELD: {
        "hint": "Nothing was changed. If the loss is true: etl sync --oaid … --allow-mass-unfollow (docs/operations.md)."
    },
    Status.PARTIAL: {
        "hint": "Nobody was marked as unfollowed. What the reason asks for is in docs/operations.md."
    },
}
"""What to do about what is no error: nothing failed, and yet somebody may have to act."""


class Log(Protocol):
    """The program's logger: an event, and its fields."""

    def debug(self, event: str, **fields: object) -> None:
        """For whoever looks for a fault."""

    def info(self, event: str, **fields: object) -> None:
        """All is well."""

    def warning(self, event: str, **fields: object) -> None:
        """Something was put off."""

    def error(self, event: str, **fields: object) -> None:
        """A person should look."""


def configure_logging(form: str, level: str) -> bool:
    """Set the program's one logger up; tells whether people read it.

    Args:
        form: auto (people on a terminal, JSON otherwise), console or json.
        level: debug, info, warning or error; nothing below it is written.
    """
    given: TextIO | None = sys.stderr
    if given is None:  # closed by whoever started us (2>&-)
        _silence()
    people = form == "console" or (form == "auto" and sys.stderr.isatty())
    last = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if people else _json
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=not people),
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=_Stderr,
        cache_logger_on_first_use=False,
    )
    return people


def logger() -> Log:
    """The program's logger."""
    return cast("Log", structlog.get_logger())


def closing_event(
    log: Log,
    snapshot: Snapshot,
    *,
    duration_s: float,
    exit_code: int,
    error: EtlError | None = None,
) -> None:
    """The one line an OA's sync ends with: the snapshot's fields, how long it took, and what to do if it went wrong."""
    fields = {name: plain(value) for name, value in snapshot.row().items() if value is not None}
    advice = _advice(error) if error is not None else _ADVICE.get(snapshot.status, {})
    getattr(log, _LEVEL_OF.get(snapshot.status, "error"))(
        "sync", **fields, duration_s=duration_s, exit_code=exit_code, **advice
    )


def failure_event(log: Log, error: EtlError) -> None:
    """A run that ended before, between or after its OAs: no closing line of theirs tells why."""
    log.error(
        "run failed", reason=f"{error.reason}: {error}", exit_code=error.exit_code, **_advice(error)
    )


def retry_event(
    log: Log,
    *,
    oaid: str,
    offset: int | None,
    attempt: int,
    wait_s: float,
    reason: str,
) -> None:
    """One more try is about to be waited for. No warning yet: cron would mail every hiccup that the next try cures."""
    log.info(
        "retry", oaid=oaid, offset=offset, attempt=attempt, wait_s=round(wait_s, 3), reason=reason
    )


def _advice(error: EtlError) -> dict[str, str]:
    """What to do about it; of a fault of ours also the way to it, as places: no message and no value, they may be secrets."""
    advice = {"hint": error.hint} if error.hint else {}
    if error.reason == "fault" and error.__cause__ is not None:
        frames = traceback.extract_tb(error.__cause__.__traceback__)
        advice["trace"] = " > ".join(
            f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames
        )
    return advice


def _json(_: object, __: str, event: MutableMapping[str, Any]) -> str:
    return json.dumps(event, default=str, ensure_ascii=False)


class _Stderr:
    """Where lines go. A full disk or a reader that has gone silences the log; it never ends a sync."""

    def __init__(self, *_: object) -> None:
        pass

    def msg(self, line: str) -> None:
        try:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            _silence()

    debug = info = warning = error = msg


def _silence() -> None:
    """From here on stderr takes everything: what a full disk left in its buffer would spoil the exit code in the end."""
    sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
