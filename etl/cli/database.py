"""Opening the database for a command that does without eSMS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.cli.answer import Known
from etl.cli.words import speak
from etl.db.accounts import chosen_accounts, watched_accounts
from etl.db.engine import connect_engine, reading
from etl.db.schema import require_current
from etl.db.snapshots import applied, latest
from etl.errors import EtlError, UsageError
from etl.model import Status
from etl.settings import ALL, watch_settings

if TYPE_CHECKING:
    from pydantic import SecretStr
    from sqlalchemy import Engine

    from etl.model import Account, Snapshot
    from etl.settings import WatchSettings


def open_database() -> tuple[WatchSettings, Engine]:
    """The settings and the database of a command that does without eSMS; never makes a database.

    Raises:
        SettingsError, NoDatabaseError, DatabaseBehindError: naming what to change.
    """
    settings = watch_settings()
    speak(settings)
    engine = connect_engine(settings.database_url, create=False)
    require_current(engine)
    return settings, engine


def watched(
    settings: WatchSettings, engine: Engine, oaid: list[str] | None, *, everyone: bool
) -> list[Account]:
    """The OAs that `--oaid` names; otherwise those of ESMS_OAIDS, or all that are in the database.

    One of ESMS_OAIDS that was never read is among them, one that is retired is not; `everyone`
    (`--all`) is all that are in the database.

    Raises:
        UsageError: one that `--oaid` names is not in the database.
    """
    if oaid or everyone:
        return accounts_in(engine, oaid)
    return watched_accounts(engine, () if ALL in settings.esms_oaids else settings.esms_oaids)


def accounts_in(engine: Engine, oaid: list[str] | None) -> list[Account]:
    """The OAs that `--oaid` names, or all that are in the database.

    Raises:
        UsageError: one of them is not in the database.
    """
    try:
        return chosen_accounts(engine, oaid or [])
    except UsageError as error:
        raise UsageError(f"--oaid: {error}") from error


def known_of(url: SecretStr, snapshot: Snapshot) -> Known:
    """What the database knew of the OA of a snapshot before it.

    An empty `Known` if the database cannot be asked.
    """
    try:
        engine = connect_engine(url, create=False)
        with reading(engine) as connection:
            complete = latest(connection, snapshot.oaid, (Status.COMPLETE,), limit=2)
            others = [each for each in complete if each.id != snapshot.id]
            newest = applied(connection, snapshot.oaid, limit=2)
    except EtlError:
        return Known()
    before = next((each.counts for each in newest if each.id != snapshot.id), None)
    return Known(others[0] if others else None, before.following if before else 0)
