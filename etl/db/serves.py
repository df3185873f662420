"""Whether what we connect to can serve: PostgreSQL 14 or newer, SQLite with our SQL.

Asked once, at connecting: from then on nobody has to think of others.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.db.words import driver_words
from etl.errors import UnfitDatabaseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg import Connection

OLDEST_POSTGRESQL = 14
OLDEST_SQLITE = (3, 35)
"""Since then it can drop a column, which a migration does."""

_FITTING = re.compile(r"(PostgreSQL|EnterpriseDB) ")

_MISWRITTEN = re.compile(
    r"invalid [\w. ]*(value|port|integer|option)|invalid when|could not match \d+|definition of service|service file|"
    r"bad value for|(certificate|key) file .* does not exist|is not supported|requires SSL"
)
"""What libpq says of what stands in the URL before it asks any server."""


@dataclass(slots=True)
class Once:
    """Whether the server of an engine was asked what it is."""

    done: bool = False


def connect_postgresql(given: Mapping[str, Any], once: Once, *event: Any) -> Connection:  # noqa: ANN401 - SQLAlchemy's own types
    """Connect as libpq understands DATABASE_URL, and see that a PostgreSQL answers.

    Args:
        given: what DATABASE_URL says (address.py).
        once: of the engine.
        event: what SQLAlchemy gives to "do_connect": dialect, record, arguments, named arguments.

    Raises:
        UnfitDatabaseError: it does not, or is too old, or the URL asks for what cannot be.
    """
    import psycopg  # noqa: PLC0415 - nobody who uses SQLite needs it

    dialect, _, _, ours = event
    wanted = {name: each for name, each in ours.items() if name not in _PLACE} | dict(given)
    if "connect_timeout" not in given and "PGCONNECT_TIMEOUT" in os.environ:
        del wanted["connect_timeout"]
    wanted["client_encoding"] = "utf8"
    try:
        connection: Connection = dialect.connect(**wanted)
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
        if error.sqlstate is None and _MISWRITTEN.search(words := driver_words(error)):
            raise UnfitDatabaseError(
                f"the connection cannot be made as DATABASE_URL asks for it: {words}",
                hint="Correct DATABASE_URL, or the PG… variables and files that libpq reads besides it.",
            ) from None
        raise
    if not once.done:
        try:
            require_postgresql(*_told(connection))
        except UnfitDatabaseError:
            connection.close()
            raise
        once.done = True
    return connection


_PLACE = {"host", "port", "user", "password", "dbname"}


def _told(connection: Connection) -> tuple[str, int]:
    connection.autocommit = True
    row = connection.execute("select pg_catalog.version()").fetchone()
    connection.autocommit = False
    return str(row[0] if row else ""), connection.info.server_version


def require_postgresql(told: str, number: int) -> None:
    """Refuse a server by its `version()` and by the number it gives to libpq (140005 for 14.5).

    Raises:
        UnfitDatabaseError: it is no PostgreSQL, or an older one.
    """
    if not _FITTING.match(told):
        raise UnfitDatabaseError(
            f"the server is no PostgreSQL (it says: {told[:60]})",
            hint=f"Set DATABASE_URL to a PostgreSQL of {OLDEST_POSTGRESQL} or newer, or to sqlite:///FILE. "
            "What only speaks its protocol lacks what a sync relies on.",
        )
    if number < OLDEST_POSTGRESQL * 10_000:
        raise UnfitDatabaseError(
            f"the server is too old ({' '.join(told.split()[:2])})",
            hint=f"Set DATABASE_URL to a PostgreSQL of {OLDEST_POSTGRESQL} or newer.",
        )


def require_sqlite(version: tuple[int, ...]) -> None:
    """Refuse a SQLite library that does not know our SQL.

    Raises:
        UnfitDatabaseError: it is too old.
    """
    if version < OLDEST_SQLITE:
        raise UnfitDatabaseError(
            f"this Python's SQLite is too old ({'.'.join(map(str, version))})",
            hint=f"Take a Python with SQLite {'.'.join(map(str, OLDEST_SQLITE))} or newer, or use PostgreSQL.",
        )
