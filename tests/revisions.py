"""Older revisions of the tables, for tests of databases that are behind. The program itself goes up
only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import command

from etl.db.catalogue import read_catalogue
from etl.db.engine import writing
from etl.db.schema import alembic_config

if TYPE_CHECKING:
    from sqlalchemy import Engine


def downgrade(engine: Engine, to: str) -> None:
    """Take the database back to an older revision, `base` for none of our tables, in one
    transaction."""
    with writing(engine) as connection:
        command.downgrade(alembic_config(connection, read_catalogue(connection)), to)
