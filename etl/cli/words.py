"""In which language, and in which time zone, this process speaks to people."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from etl.model import VIETNAM
from etl.texts import Texts, language

if TYPE_CHECKING:
    from etl.settings import DatabaseSettings

_spoken: list[Texts] = []


def speak(settings: DatabaseSettings) -> Texts:
    """From here on in the language (ETL_LANG) and the zone (ETL_TIMEZONE) of the settings."""
    _spoken[:] = [Texts(language(settings.etl_lang, os.environ), settings.timezone)]
    return _spoken[0]


def words() -> Texts:
    """The texts to speak with; before settings were read, by ETL_LANG and the locale alone."""
    if _spoken:
        return _spoken[0]
    # An error is said before settings are read, or of them: only then this is loaded for it.
    from etl.settings.sources import given  # noqa: PLC0415 - as said above

    setting = given({"etl_lang"}, []).get("etl_lang", "")
    return Texts(language(setting, os.environ), ZoneInfo(VIETNAM))
