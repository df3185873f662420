"""Which OAs a run reads, in what order, and what they are called."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from etl.db.accounts import known_accounts, last_read, name_accounts
from etl.db.engine import limited, reading, time_limit_of
from etl.errors import (
    DatabaseUnreachableError,
    EtlError,
    InterruptedRunError,
    OutOfTimeError,
    SettingsError,
)
from etl.model import Account
from etl.settings import ALL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Engine

    from etl.esms.client import EsmsClient
    from etl.settings import Settings

NAMES_SECONDS = 5.0
"""How long eSMS, and then the database, are waited for where it is about names only."""

DATABASE_SECONDS = 60.0
"""How long the database may take over one question that is no OA's."""


@dataclass(frozen=True, slots=True)
class Roster:
    """The OAs of a run, each once, longest unread first; and the names of OAs, by OAID."""

    oaids: list[str]
    names: Mapping[str, str]


def in_time(engine: Engine, seconds: float = DATABASE_SECONDS) -> Engine:
    """The same database, for a question that is no OA's."""
    return limited(engine, time_limit_of(engine).at_most(seconds))


def roster(
    settings: Settings,
    chosen: Sequence[str],
    esms: EsmsClient,
    engine: Engine | None,
    *,
    unless_since: datetime | None = None,
) -> Roster:
    """Ask eSMS and the database which OAs are to be read.

    Args:
        settings: ESMS_OAIDS, and the names that were set.
        chosen: the OAs that were named; all that are set up where none was.
        esms: asked for the OAs of the account once a run; of no weight where only their names are
            needed.
        engine: the database; None where there is none yet.
        unless_since: leave out OAs that were read whole by a run that began then or later.

    Raises:
        SettingsError: the account has no OA, or none but retired ones are set up.
        EtlError: which OAs there are is for eSMS to say, and it does not; or the database fails.
    """
    everybody = not chosen and settings.esms_oaids == (ALL,)
    accounts = _listed(settings, esms, needed=everybody)
    known = known_accounts(in_time(engine)) if engine is not None else []
    named = [each.oaid for each in accounts] if everybody else list(chosen or settings.esms_oaids)
    if not named:
        raise SettingsError(
            ["ESMS_OAIDS is `all`, but eSMS names no OA for this account (see `etl accounts`)"]
        )
    retired = {each.oaid for each in known if each.retired} - set(chosen)
    oaids = [oaid for oaid in dict.fromkeys(named) if oaid not in retired]
    if not oaids:
        raise SettingsError(
            [f"ESMS_OAIDS names retired OAs only: etl accounts --restore {named[0]}"]
        )
    names = {each.oaid: each.name for each in (*known, *accounts) if each.name}
    return Roster(
        _stalest_first(engine, oaids, unless_since) if engine is not None else oaids,
        names | settings.names_of_oas,
    )


def keep_names(engine: Engine, names: Mapping[str, str]) -> None:
    """Store the names of the OAs that are in the database.

    No run fails because a name cannot be stored.
    """
    with suppress(DatabaseUnreachableError, OutOfTimeError):
        soon = in_time(engine, NAMES_SECONDS)
        name_accounts(soon, [Account(*each) for each in names.items()], add=False)


def _listed(settings: Settings, esms: EsmsClient, *, needed: bool) -> list[Account]:
    if needed:
        return esms.accounts()
    try:
        return esms.accounts(seconds=min(NAMES_SECONDS, settings.esms_timeout))
    except InterruptedRunError:
        raise
    except EtlError:
        return []


def _stalest_first(engine: Engine, oaids: list[str], unless_since: datetime | None) -> list[str]:
    """Whoever was never read is first."""
    with reading(in_time(engine)) as connection:
        read = last_read(connection)
    never = datetime.min.replace(tzinfo=UTC)
    return [
        oaid
        for oaid in sorted(oaids, key=lambda oaid: read.get(oaid, never))
        if unless_since is None or read.get(oaid, never) < unless_since
    ]
