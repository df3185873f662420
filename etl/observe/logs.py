"""Logs: lines for people on a terminal, JSON lines otherwise (ETL_LOG_FORMAT), always on stderr: stdout is data.

Levels that an alert can be built on: `info` all is well, `warning` something was put off or tried again, `error` a person
should look. No secret, and User_Ids at debug level only.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from etl.model import BUSY, Status

# structlog.dev would import rich's tracebacks, which we never print: 70 ms, a tenth of a small sync. A None makes it do without.
_rich = sys.modules.get("rich")
sys.modules["rich"] = None  # type: ignore[assignment]  # what `import` takes for "not installed"
import structlog  # noqa: E402 - see above

del sys.modules["rich"]
if _rich is not None:
    sys.modules["rich"] = _rich

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from etl.model import Snapshot

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_LEVEL_OF = {Status.COMPLETE: "info", Status.PARTIAL: "warning", BUSY: "warning"}
"""By what became of the OA; whatever is not named is an error."""


def configure_logging(form: str, level: str) -> None:
    """Set the program's one logger up. `form`: auto (people on a terminal, JSON otherwise), console or json."""
    people = form == "console" or (form == "auto" and sys.stderr.isatty())
    last = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if people else _json
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=not people),
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def logger() -> Any:  # noqa: ANN401 - structlog's own lazy proxy
    """The program's logger."""
    return structlog.get_logger()


def closing_event(log: Any, snapshot: Snapshot, *, duration_s: float, exit_code: int) -> None:  # noqa: ANN401 - as above
    """The one line an OA's sync ends with: the snapshot's fields, and how long it took."""
    fields: dict[str, Any] = asdict(snapshot)
    fields["snapshot_id"] = fields.pop("id")
    told = {name: value for name, value in fields.items() if value is not None}
    getattr(log, _LEVEL_OF.get(snapshot.status, "error"))("sync", **told, duration_s=duration_s, exit_code=exit_code)


def retry_event(log: Any, *, oaid: str, offset: int | None, attempt: int, wait_s: float, reason: str) -> None:  # noqa: ANN401 - as above; the fields of one line
    """One more try is about to be waited for."""
    log.warning("retry", oaid=oaid, offset=offset, attempt=attempt, wait_s=round(wait_s, 3), reason=reason)


def _json(_: object, __: str, event: MutableMapping[str, Any]) -> str:
    import json

    return json.dumps(
        event,
        default=lambda value: value.isoformat() if hasattr(value, "isoformat") else str(value),
        ensure_ascii=False,
    )
