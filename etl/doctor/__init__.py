"""The doctor: what works, what does not and what to do; then what eSMS leaves undocumented.

It changes nothing: no snapshot, no database, no row that stays. What decides takes values and gives
a `Step`; what asks decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.doctor.database import of_database
from etl.doctor.esms import of_esms
from etl.doctor.machine import timer
from etl.doctor.notified import notifying
from etl.doctor.step import State, Step, failed
from etl.errors import SettingsError
from etl.settings import missing_oaids, sync_settings
from etl.texts import phrase

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.settings import Settings

__all__ = ["State", "Step", "examine"]


def examine(chosen: Sequence[str]) -> Iterator[Step]:
    """Look at everything, one step after the other; go on after a failed one where sense remains.

    Args:
        chosen: the OAs to look at; ESMS_OAIDS where it is empty.
    """
    step, settings = _settings(chosen)
    yield step
    yield from of_database(settings)
    if settings is not None:
        yield from notifying(settings)
    yield from timer()
    yield from of_esms(settings, chosen)


def _settings(chosen: Sequence[str]) -> tuple[Step, Settings | None]:
    what = phrase("doctor.what.settings")
    try:
        settings = sync_settings()
    except SettingsError as error:
        return failed(what, error), None
    if not chosen and not settings.esms_oaids:
        return failed(what, missing_oaids()), settings
    oaids = ", ".join(settings.esms_oaids)
    found = phrase("doctor.settings", oaids=oaids) if oaids else phrase("doctor.settings_no_oas")
    return Step(what, State.OK, found), settings
