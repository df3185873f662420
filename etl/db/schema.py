"""Whether the database has the tables that this program was written for, and how it gets them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from etl.db.catalogue import EMPTY, read_catalogue, require_all_seen, revision
from etl.db.engine import reading, translated, writing
from etl.errors import DatabaseBehindError, DatabaseUnreachableError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection, Engine

    from etl.db.catalogue import Catalogue

HEAD = "0005"
"""The newest revision in `migrations/versions` (a test compares). Written here: Alembic takes
half a second to import."""


def migrations_directory() -> Path:
    """Where the revisions are: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def current_revision(engine: Engine) -> str:
    """The revision that the database says it is at; EMPTY where there is none of our tables.

    Raises:
        UnfitDatabaseError: our tables cannot be seen, or more than one revision is there.
        DatabaseUnreachableError: the database cannot be read.
    """
    return revision(_catalogue(engine))


def _catalogue(engine: Engine) -> Catalogue:
    with reading(engine) as connection:
        return read_catalogue(connection)


def require_current(engine: Engine) -> None:
    """Refuse a database that this program was not written for.

    Raises:
        DatabaseBehindError: it is empty, behind, or newer than this program.
        UnfitDatabaseError: our tables cannot be seen, or more than one revision is there.
        DatabaseUnreachableError: the database cannot be read.
    """
    _require_head(_catalogue(engine))


def _require_head(found: Catalogue) -> None:
    at = revision(found)
    if at == HEAD:
        return
    if at == EMPTY:
        require_all_seen(found)
        raise DatabaseBehindError(
            "the database is empty",
            hint="The first `etl sync` fills it; `etl db upgrade` creates its tables.",
        )
    if not at.isdigit():
        raise DatabaseBehindError(
            f"the database's tables are not ours (their revision: {at})",
            hint="Set DATABASE_URL to a database of etl's own; if it is a restored backup, its table alembic_version is missing.",
        )
    if int(at) > int(HEAD):
        raise DatabaseBehindError(
            f"the database is at revision {at}, newer than this program ({HEAD})",
            hint="Upgrade etl to the version that made it newer (docs/operations.md#upgrading).",
        )
    raise DatabaseBehindError(f"the database is at revision {at}, behind this program ({HEAD})")


def create_or_require_current(engine: Engine) -> None:
    """Create the tables in an empty database; refuse one that is behind or newer.

    Raises:
        DatabaseBehindError: it is behind, or newer than this program.
        UnfitDatabaseError: our tables cannot be seen, or more than one revision is there.
        DatabaseUnreachableError: the database cannot be read or written.
    """
    found = _catalogue(engine)
    if revision(found) != EMPTY:
        _require_head(found)
        return
    require_all_seen(found)
    try:
        upgrade(engine)
    except DatabaseUnreachableError:
        # Two first runs at once: the other one created the tables while we tried to.
        if current_revision(engine) != HEAD:
            raise


def upgrade(engine: Engine, to: str = "head") -> None:
    """Bring the database to a revision, in one transaction.

    Raises:
        DatabaseBehindError: it is newer than this program, or not ours.
        UnfitDatabaseError: our tables cannot be seen, or more than one revision is there.
        DatabaseUnreachableError: the database cannot be read or written.
    """
    with translated(), writing(engine) as connection:
        upgrade_on(connection, to)


def upgrade_on(connection: Connection, to: str = "head") -> None:
    """As `upgrade`, in a transaction of the caller's."""
    from alembic import command  # noqa: PLC0415 - half a second of a start-up

    found = read_catalogue(connection)
    at = revision(found)
    if at != EMPTY and (not at.isdigit() or int(at) > int(HEAD)):
        _require_head(found)
    command.upgrade(alembic_config(connection, found), to)


def alembic_config(connection: Connection, found: Catalogue) -> Config:
    """Alembic's settings, for the schema where our tables are, or will be."""
    from alembic.config import Config  # noqa: PLC0415 - as above

    if found.schema != found.creates_in:
        # Our tables are in a schema that search_path names later: what is new belongs there, too.
        place = connection.dialect.identifier_preparer.quote_identifier(found.schema or "")
        connection.execute(text(f"SET LOCAL search_path TO {place}"))
    config = Config()
    config.attributes["connection"] = connection
    config.attributes["version_table"] = found.version_table
    config.set_main_option("script_location", str(migrations_directory()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
