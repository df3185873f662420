"""Opening the database for a command that does without eSMS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.db.accounts import chosen_accounts
from etl.db.engine import connect_engine
from etl.db.schema import require_current
from etl.errors import UsageError
from etl.settings import database_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.model import Account
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


def accounts_in(engine: Engine, oaid: list[str] | None) -> list[Account]:
    """The OAs that `--oaid` names, or all that are in the database.

    Raises:
        UsageError: one of them is not in the database.
    """
    try:
        return chosen_accounts(engine, oaid or [])
    except UsageError as error:
        raise UsageError(f"--oaid: {error}") from error
