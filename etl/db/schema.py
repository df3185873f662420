"""Whether the database has the tables that this program was written for, and how it gets them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from etl.db.engine import reading, translated, writing
from etl.errors import DatabaseBehindError, DatabaseUnreachableError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Engine

HEAD = "0005"
"""The newest revision in `migrations/versions` (a test compares). Known by heart: Alembic takes half a second to import."""

EMPTY = "empty"

UNKNOWN = "unknown"
"""Tables named as ours, and no word of the revision they are at."""


def migrations_directory() -> Path:
    """Where the revisions are: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def current_revision(engine: Engine) -> str:
    """The revision that the database says it is at; EMPTY where there is none of our tables.

    Raises:
        DatabaseUnreachableError: the database cannot be read.
    """
    with reading(engine) as connection:
        tables = set(inspect(connection).get_table_names())
        if "alembic_version" in tables:
            revision = connection.execute(
                text("SELECT version_num FROM alembic_version")
            ).scalar_one_or_none()
            if revision is not None:
                return str(revision)
        return (
            EMPTY
            if not tables & {"official_accounts", "snapshots", "followers", "follower_changes"}
            else UNKNOWN
        )


def require_current(engine: Engine) -> None:
    """Refuse a database that this program was not written for.

    Raises:
        DatabaseBehindError: it is empty, behind, or newer than this program.
        DatabaseUnreachableError: the database cannot be read.
    """
    revision = current_revision(engine)
    if revision == HEAD:
        return
    if revision == EMPTY:
        raise _behind(
            "the database is empty",
            "The first `etl sync` fills it; `etl db upgrade` creates its tables.",
        )
    if not revision.isdigit():
        raise _behind(
            f"the database's tables are not ours (their revision: {revision})",
            "Set DATABASE_URL to a database of etl's own; if it is a restored backup, its table alembic_version is missing.",
        )
    if revision.isdigit() and int(revision) > int(HEAD):
        raise _behind(
            f"the database is at revision {revision}, newer than this program ({HEAD})",
            "Upgrade etl: pip install -U follower-etl",
        )
    raise _behind(
        f"the database is at revision {revision}, behind this program ({HEAD})",
        DatabaseBehindError.hint,
    )


def create_or_require_current(engine: Engine) -> None:
    """Create the tables in an empty database; refuse one that is behind or newer.

    Raises:
        DatabaseBehindError: it is behind, or newer than this program.
        DatabaseUnreachableError: the database cannot be read or written.
    """
    if current_revision(engine) != EMPTY:
        require_current(engine)
        return
    try:
        upgrade(engine)
    except DatabaseUnreachableError:
        # Two first runs at once: the other one created the tables while we tried to.
        if current_revision(engine) != HEAD:
            raise


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the database to a revision, in one transaction.

    Raises:
        DatabaseBehindError: it is newer than this program, or not ours.
        DatabaseUnreachableError: the database cannot be read or written.
    """
    from alembic import command  # noqa: PLC0415 - half a second of a start-up

    current = current_revision(engine)
    if current != EMPTY and (not current.isdigit() or int(current) > int(HEAD)):
        require_current(engine)
    with translated(), writing(engine) as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take the database back to an older revision, `base` for none of our tables, in one transaction.

    Raises:
        DatabaseUnreachableError: the database cannot be read or written.
    """
    from alembic import command  # noqa: PLC0415 - half a second of a start-up

    with translated(), writing(engine) as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def _config() -> Config:
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(migrations_directory()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _behind(message: str, hint: str) -> DatabaseBehindError:
    error = DatabaseBehindError(message)
    error.hint = hint
    return error
