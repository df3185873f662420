"""Alembic's entry: runs on the connection that `etl db upgrade` hands over, or on DATABASE_URL when
called by `alembic`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import context

from etl.db.catalogue import read_catalogue
from etl.db.engine import connect_engine
from etl.db.tables import metadata
from etl.settings import database_settings

if TYPE_CHECKING:
    from sqlalchemy import Connection


def run(connection: Connection, version_table: str) -> None:
    """Migrate in one transaction: both databases have transactional DDL, so a failed upgrade leaves
    nothing behind."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        version_table=version_table,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    context.configure(
        dialect_name=context.get_x_argument(as_dictionary=True).get("dialect", "postgresql"),
        literal_binds=True,
    )
    with context.begin_transaction():
        context.run_migrations()
elif (given := context.config.attributes.get("connection")) is not None:
    run(given, context.config.attributes["version_table"])
else:
    with connect_engine(database_settings().database_url).begin() as own:
        run(own, read_catalogue(own).version_table)
