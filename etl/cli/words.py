"""In which language, and in which time zone, this process speaks to people."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from etl.model import VIETNAM
from etl.texts import Texts, language

if TYPE_CHECKING:
    from etl.errors import EtlError
    from etl.settings import DatabaseSettings

_spoken: list[Texts] = []


def speak(settings: DatabaseSettings) -> Texts:
    """From here on in the language (ETL_LANG) and the zone (ETL_TIMEZONE) of the settings."""
    _spoken[:] = [Texts(language(settings.etl_lang, os.environ), settings.timezone)]
    return _spoken[0]


def words() -> Texts:
    """The texts to speak with; before settings were read, by the environment alone."""
    if _spoken:
        return _spoken[0]
    return Texts(language(os.environ.get("ETL_LANG", ""), os.environ), ZoneInfo(VIETNAM))


def hint(error: EtlError) -> str:
    """What to do about an error, in our language."""
    key = f"hint.{error.reason}"
    texts = words()
    return texts(key) if texts.has(key) else error.hint
