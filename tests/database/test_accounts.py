"""The OAs that the database knows, and their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.db.accounts import known_accounts, name_accounts
from etl.model import Account

if TYPE_CHECKING:
    from sqlalchemy import Engine


def test_an_oa_that_esms_lists_twice_is_stored_once(db: Engine) -> None:
    name_accounts(db, [Account("1", "old"), Account("1", "new"), Account("2", "other")])
    assert known_accounts(db) == [Account("1", "new"), Account("2", "other")]
