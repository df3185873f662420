"""Whether those who are notified of a run can be: no sync fails if they cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.doctor.step import State, Step
from etl.observe.metrics import try_writing
from etl.observe.ping import try_pinging
from etl.texts import phrase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.settings import Settings


def notifying(settings: Settings) -> Iterator[Step]:
    """The metrics file and the ping, where they are set."""
    if (path := settings.etl_metrics_file) is not None:
        what = phrase("doctor.what.metrics")
        try:
            try_writing(path)
            yield Step(what, State.OK, phrase("doctor.metrics.ok", path=path))
        except OSError as error:
            found = phrase("doctor.metrics.no", path=path, why=error.strerror or error)
            yield Step(what, State.WARN, found, phrase("doctor.metrics.todo"))
    if settings.etl_ping_url is not None:
        what = phrase("doctor.what.ping")
        trouble = try_pinging(settings.etl_ping_url)
        if trouble is None:
            yield Step(what, State.OK, phrase("doctor.ping.ok"))
        else:
            found = phrase("doctor.ping.no", why=trouble)
            yield Step(what, State.WARN, found, phrase("doctor.ping.todo"))
