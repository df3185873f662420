"""Opening the database for a command that does without eSMS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.db.engine import connect_engine
from etl.db.schema import require_current
from etl.settings import database_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.settings import DatabaseSettings


def open_database() -> tuple[DatabaseSettings, Engine]:
    """The settings and the database of a command that does without eSMS; never makes a database.

    Raises:
        SettingsError, NoDatabaseError, DatabaseBehindError: naming what to change.
    """
    settings = database_settings()
    engine = connect_engine(settings.database_url, create=False)
    require_current(engine)
    return settings, engine
