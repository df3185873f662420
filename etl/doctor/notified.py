"""Who is notified of a run. Neither of them makes a sync fail: without a word from here, nobody would miss them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.doctor.step import State, Step
from etl.observe.metrics import try_writing
from etl.observe.ping import try_pinging

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.settings import Settings


def notifying(settings: Settings) -> Iterator[Step]:
    """The metrics file and the ping, where they are set."""
    if (path := settings.etl_metrics_file) is not None:
        try:
            try_writing(path)
            yield Step("metrics", State.OK, f"{path} can be written")
        except OSError as error:
            told = f"{path} cannot be written: {error.strerror or error}"
            advice = "Check ETL_METRICS_FILE, and that its directory lets this user write."
            yield Step("metrics", State.WARN, told, advice)
    if settings.etl_ping_url is not None:
        trouble = try_pinging(settings.etl_ping_url)
        if trouble is None:
            yield Step("ping", State.OK, "ETL_PING_URL answers")
        else:
            told = f"ETL_PING_URL does not take a ping: {trouble}"
            yield Step("ping", State.WARN, told, "Check it, and the way out of this network.")
