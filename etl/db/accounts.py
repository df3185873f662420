"""The OAs that the database knows, and their names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import func, select, update

from etl.db.encoding import storable
from etl.db.engine import reading, writing
from etl.db.tables import official_accounts, snapshots
from etl.errors import UsageError
from etl.model import Account, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Engine


def known_accounts(engine: Engine) -> list[Account]:
    """Every OA that was ever synced, by OAID.

    The name is empty where GetListZOA was never asked.
    """
    with reading(engine) as connection:
        oas = official_accounts.c
        rows = connection.execute(select(oas.oaid, oas.name, oas.retired_at).order_by(oas.oaid))
        return [Account(row.oaid, row.name or "", row.retired_at is not None) for row in rows]


def watched_accounts(engine: Engine, configured: Sequence[str]) -> list[Account]:
    """The OAs that somebody waits for, by OAID: none that is retired.

    Args:
        engine: the database.
        configured: OAIDs; one that is not in the database was never read, and is waited for all
            the more. Empty: all that are in the database.
    """
    known = {account.oaid: account for account in known_accounts(engine)}
    watched = [known.get(oaid, Account(oaid, "")) for oaid in sorted(configured or known)]
    return [account for account in watched if not account.retired]


def chosen_accounts(engine: Engine, chosen: Sequence[str]) -> list[Account]:
    """The OAs that were named on the command line, in their order and each once; else all.

    Raises:
        UsageError: one of them is not in the database.
    """
    known = {account.oaid: account for account in known_accounts(engine)}
    if not chosen:
        return list(known.values())
    for oaid in chosen:
        if oaid not in known:
            there = ", ".join(known) or "none yet: run `etl sync` first"
            raise UsageError(f"OA {oaid!r} is not in the database (there: {there})")
    return [known[oaid] for oaid in dict.fromkeys(chosen)]


def retire(engine: Engine, oaid: str, at: datetime | None) -> None:
    """Leave an OA out of every run and listing from a moment on, or (None) take it back in.

    Raises:
        UsageError: it is not in the database.
    """
    chosen_accounts(engine, [oaid])
    with writing(engine) as connection:
        connection.execute(
            update(official_accounts).where(official_accounts.c.oaid == oaid).values(retired_at=at)
        )


def last_read(connection: Connection) -> dict[str, datetime]:
    """When the last run that read an OA whole began, by OAID."""
    rows = connection.execute(
        select(snapshots.c.oaid, func.max(snapshots.c.taken_at))
        .where(snapshots.c.status == Status.COMPLETE)
        .group_by(snapshots.c.oaid)
    )
    return dict(rows.all())


def name_accounts(engine: Engine, accounts: Iterable[Account], *, add: bool = True) -> None:
    """Write the names that GetListZOA gives; `add` registers OAs that are not in the database yet.

    Writes only what changed.
    """
    known = {account.oaid: account.name for account in known_accounts(engine)}
    each = {account.oaid: account for account in accounts}.values()  # eSMS may list one twice
    changed = [
        account
        for account in each
        if known.get(account.oaid, None if add else account.name) != account.name
    ]
    if not changed:
        return
    with writing(engine) as connection:
        for account in changed:
            if account.oaid in known:
                connection.execute(
                    update(official_accounts)
                    .where(official_accounts.c.oaid == account.oaid)
                    .values(name=storable(connection, account.name))
                )
            else:
                connection.execute(
                    official_accounts.insert().values(
                        oaid=account.oaid,
                        name=storable(connection, account.name),
                        created_at=datetime.now(UTC),
                    )
                )
