"""What stands in a database under the names that we use, and what may be concluded from it.

Other tools keep tables named as ours, and a revision in a table `alembic_version` too; and a role
may be unable to see our tables though they are there. Neither is an empty database.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from etl.errors import UnfitDatabaseError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from sqlalchemy import Connection

OURS = frozenset({"official_accounts", "snapshots", "followers", "follower_changes"})
"""The tables of the first revision: where all four are, they are taken for ours."""

EMPTY = "empty"

UNKNOWN = "unknown"
"""Tables named as ours, and no word of the revision they are at."""

VERSION_TABLE = "alembic_version"

OWN_VERSION_TABLE = "etl_alembic_version"
"""Where our revision is kept beside another tool's `alembic_version`."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What was found.

    Attributes:
        tables: those of `OURS` that our statements would meet.
        versions: of each version table that is there, the revisions in it.
        schema: where our tables are, or would be created; None where there is no such place.
        creates_in: where the server would create tables.
        hidden: other schemas with all our tables, which our statements would not meet.
        search_path, role: what the server says; empty on SQLite.
    """

    tables: frozenset[str]
    versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    schema: str | None = None
    creates_in: str | None = None
    hidden: tuple[str, ...] = ()
    search_path: str = ""
    role: str = ""

    @property
    def complete(self) -> bool:
        """Whether all four tables of ours are there."""
        return self.tables == OURS

    @property
    def version_table(self) -> str:
        """Which table holds our revision, or will: the usual one, unless it is another tool's."""
        others = not self.tables and bool(self.versions.get(VERSION_TABLE))
        return OWN_VERSION_TABLE if OWN_VERSION_TABLE in self.versions or others else VERSION_TABLE


def revision(found: Catalogue) -> str:
    """Conclude the revision; EMPTY where no table of ours is, UNKNOWN where nothing says it.

    Raises:
        UnfitDatabaseError: there may be tables of ours that we cannot see, or more than one
            revision.
    """
    if found.schema is None:
        raise UnfitDatabaseError(
            f"no schema that the database's search_path names ({found.search_path or 'none'}) is there and "
            f"may be used by the role {found.role}{_though(found)}",
            hint="Grant the role USAGE on the schema of etl's tables, or set its search_path to it "
            "(ALTER ROLE … SET search_path = …).",
        )
    if not found.tables:
        return EMPTY
    revisions = found.versions.get(found.version_table, ())
    if len(revisions) > 1:
        raise UnfitDatabaseError(
            f"the table {found.version_table} holds {len(revisions)} revisions ({', '.join(revisions)}), "
            "and only one can be that of etl's tables",
            hint="Another tool keeps its own there, too. Give etl a database of its own (etl db copy), "
            "or delete the row that is not etl's.",
        )
    return revisions[0] if revisions and found.complete else UNKNOWN


def require_all_seen(found: Catalogue) -> None:
    """Refuse to take a database for empty where tables of ours stand out of sight.

    Raises:
        UnfitDatabaseError: they do.
    """
    if not found.tables and found.hidden:
        raise UnfitDatabaseError(
            f"the database holds no table of etl where the role {found.role} looks "
            f"(search_path: {found.search_path}){_though(found)}",
            hint="Set the role's search_path to that schema, and grant it USAGE there; "
            "`etl db upgrade` makes new tables beside those, if that is what you want.",
        )


def _though(found: Catalogue) -> str:
    return f"; there are such tables in {', '.join(found.hidden)}" if found.hidden else ""


# Whatever the role may see, the catalogue lists all tables.
_TABLES = text("""
    SELECT n.nspname AS schema, c.relname AS name, pg_table_is_visible(c.oid) AS visible,
           has_table_privilege(c.oid, 'SELECT') AS readable
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname NOT LIKE 'pg\\_temp%'
      AND c.relname = ANY(:names) ORDER BY n.nspname""")

_PLACE = text("SELECT current_schema(), current_setting('search_path'), current_user")


def read_catalogue(connection: Connection) -> Catalogue:
    """Read the catalogue of the database."""
    if connection.dialect.name == "sqlite":
        names = frozenset(inspect(connection).get_table_names())
        return Catalogue(OURS & names, _versions(connection, names, names), "main", "main")
    rows = connection.execute(_TABLES, {"names": [*OURS, VERSION_TABLE, OWN_VERSION_TABLE]}).all()
    current, search_path, role = connection.execute(_PLACE).one()
    visible = {row.name: row.schema for row in rows if row.visible}
    readable = {row.name for row in rows if row.visible and row.readable}
    unseen: dict[str, set[str]] = {}
    for row in rows:
        if not row.visible:
            unseen.setdefault(row.schema, set()).add(row.name)
    return Catalogue(
        OURS & visible.keys(),
        _versions(connection, visible.keys(), readable),
        visible.get("snapshots", current),
        current,
        tuple(schema for schema, names in unseen.items() if names >= OURS),
        search_path,
        role,
    )


def _versions(
    connection: Connection, names: AbstractSet[str], readable: AbstractSet[str]
) -> dict[str, tuple[str, ...]]:
    """What is in the version tables; of one that is another tool's, only whether anything is."""
    if OWN_VERSION_TABLE in names:
        return {OWN_VERSION_TABLE: _revisions(connection, OWN_VERSION_TABLE)}
    if VERSION_TABLE not in names:
        return {}
    if OURS & names:
        return {VERSION_TABLE: _revisions(connection, VERSION_TABLE)}
    if VERSION_TABLE not in readable:
        return {VERSION_TABLE: (UNKNOWN,)}
    anything = connection.execute(text(f"SELECT 1 FROM {VERSION_TABLE} LIMIT 1")).first()
    return {VERSION_TABLE: (UNKNOWN,) if anything else ()}


def _revisions(connection: Connection, table: str) -> tuple[str, ...]:
    return tuple(connection.execute(text(f"SELECT version_num FROM {table} ORDER BY 1")).scalars())
