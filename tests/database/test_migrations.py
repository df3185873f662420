"""The migrations build exactly what `etl/db/tables.py` declares, on both databases, and go back the
way they came."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from commandline import etl
from revisions import downgrade
from sqlalchemy import insert, inspect, text
from views import current_followers, daily_follower_churn, dated_changes, follow_periods
from world import contradictions, counted, rows, sync

from etl.db.catalogue import EMPTY
from etl.db.engine import reading, writing
from etl.db.schema import HEAD, current_revision, migrations_directory, require_current, upgrade
from etl.db.tables import NUMBERS, STORED, followers, metadata, snapshots
from etl.errors import DatabaseBehindError, DatabaseUnreachableError
from etl.model import Change, Status
from etl.simulator import Simulator

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

WHEN = datetime(2026, 11, 23, 2, tzinfo=UTC)

REVISIONS = ["0001", "0002", "0003", "0004", "0005"]

CATALOG = {
    # Whatever PostgreSQL knows of our tables: types, NULL or not, defaults, collations,
    # constraints, indexes, comments.
    "postgresql": """
        SELECT c.relname, a.attnum::text, a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull
               || coalesce(' default ' || replace(pg_get_expr(d.adbin, d.adrelid), current_schema() || '.', ''), '')
               || coalesce(' collate ' || l.collname, '') || coalesce(' -- ' || col_description(c.oid, a.attnum), '')
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema()
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        LEFT JOIN pg_collation l ON l.oid = a.attcollation
        WHERE c.relkind = 'r' AND c.relname <> 'alembic_version'
        UNION ALL SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = current_schema()::regnamespace AND conrelid::regclass::text <> 'alembic_version'
        UNION ALL SELECT tablename, indexname, replace(indexdef, current_schema() || '.', '') FROM pg_indexes
        WHERE schemaname = current_schema() AND tablename <> 'alembic_version'""",
    # SQLite keeps the very statements.
    "sqlite": """
        SELECT tbl_name, name, sql FROM sqlite_master WHERE type IN ('table', 'index')
        AND tbl_name NOT IN ('alembic_version', 'sqlite_sequence')""",
}


def catalog(connection: Connection) -> list[tuple[str, ...]]:
    """Everything that the database knows about its tables."""
    told = connection.execute(text(CATALOG[connection.dialect.name]))
    return sorted((table, name, *_parts(sql or "")) for table, name, sql in told)


def _parts(sql: str) -> list[str]:
    """A statement in its parts, without regard to white space and to the order of its
    constraints."""
    head, _, rest = " ".join(sql.split()).partition("(")
    body, _, tail = rest.rpartition(")")
    # A CHECK that came with a later column stands behind it; the tables declare all of them apart.
    apart = re.sub(r"(?<=[A-Z]) CONSTRAINT", ", CONSTRAINT", body)
    parts = [part.strip() for part in re.split(r",(?![^()]*\))", apart)]
    return [
        head.strip(),
        *sorted(parts, key=lambda part: part if part.startswith("CONSTRAINT") else ""),
        tail.strip(),
    ]


def test_the_migrations_build_exactly_what_the_tables_declare(db: Engine) -> None:
    with reading(db) as connection:
        migrated = catalog(connection)
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []
    downgrade(db, "base")
    with writing(db) as connection:
        metadata.create_all(connection)
        declared = catalog(connection)
    assert migrated == declared
    assert {table for table, *_ in migrated} >= set(metadata.tables)


@pytest.mark.parametrize(
    "view",
    [current_followers, follow_periods, daily_follower_churn, dated_changes],
    ids=lambda view: str(view.name),
)
def test_the_views_have_the_columns_that_statements_expect(view: Any, db: Engine) -> None:
    columns = [column["name"] for column in inspect(db).get_columns(view.name)]
    assert columns == [column.name for column in view.columns]
    with reading(db) as connection:
        assert connection.execute(view.select()).all() == []


def test_head_is_the_newest_migration_and_the_chain_has_one_end() -> None:
    scripts = ScriptDirectory(str(migrations_directory()))
    assert scripts.get_heads() == [HEAD]
    assert [script.revision for script in scripts.walk_revisions()] == REVISIONS[::-1]


def test_it_goes_down_to_nothing_and_up_again_step_by_step(db: Engine) -> None:
    with reading(db) as connection:
        whole = catalog(connection)
    for older in [*REVISIONS[-2::-1], "base"]:
        downgrade(db, older)
        assert current_revision(db) == (older if older != "base" else EMPTY)
    with reading(db) as connection:
        assert catalog(connection) == []
    for newer in REVISIONS:
        upgrade(db, newer)
        assert current_revision(db) == newer
    with reading(db) as connection:
        assert catalog(connection) == whole


def test_what_is_stored_stays_while_it_goes_down_to_the_tables_and_up_again(db: Engine) -> None:
    with Simulator(80) as sim:
        sync(sim, db)
        sim.unfollow()
        sync(sim, db)
        before = rows(db, sim.default)
        for older in REVISIONS[-2::-1]:
            downgrade(db, older)
            assert rows(db, sim.default) == before
        upgrade(db)
        assert rows(db, sim.default) == before
        assert contradictions(db) == []
        sim.follow()
        assert counted(sync(sim, db).snapshot).followed == 1


def test_an_older_database_keeps_its_rows_and_its_readers_when_the_daily_view_is_replaced(
    db: Engine,
) -> None:
    """Whoever may read the view still may, and what is built on it stays."""
    with Simulator(80) as sim:
        sync(sim, db)
        sim.unfollow()
        sync(sim, db)
        downgrade(db, "0004")
        with writing(db) as connection:
            old = connection.execute(text("SELECT * FROM daily_follower_churn")).mappings().all()
            connection.execute(
                text("CREATE VIEW mine AS SELECT day, net FROM daily_follower_churn")
            )
        upgrade(db)
        with reading(db) as connection:
            new = connection.execute(text("SELECT * FROM daily_follower_churn")).mappings().all()
            nets = connection.execute(text("SELECT net FROM mine")).scalars().all()
            days = connection.execute(text("SELECT day FROM dated_changes")).scalars().all()
        told = [{name: value for name, value in row.items() if name in old[0]} for row in new]
        same = [{**row} | {"churn_rate": None} for row in old]
        assert [row | {"churn_rate": None} for row in told] == same
        assert nets == [row["net"] for row in new] == [-1]
        assert set(days) == {row["day"] for row in new}
        assert len(days) == 81
        with writing(db) as connection:
            connection.execute(text("DROP VIEW mine"))


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_a_database_that_is_behind_is_refused_until_it_is_upgraded(
    revision: str, db: Engine, db_url: str
) -> None:
    downgrade(db, revision)
    with pytest.raises(DatabaseBehindError, match=f"{revision}, behind"):
        require_current(db)
    with Simulator(10) as sim:
        for command in ("sync", "status", "history", "verify", "report", "export"):
            done = etl(command, DATABASE_URL=db_url, **sim.environment)
            assert done.returncode == 78, command
            assert "etl db upgrade" in done.stderr
        assert sim.requests == [], "not one page is asked for"
        assert etl("db", "upgrade", DATABASE_URL=db_url).returncode == 0
        assert etl("sync", DATABASE_URL=db_url, **sim.environment).returncode == 0


def test_a_database_that_is_newer_is_refused(db: Engine, db_url: str) -> None:
    with writing(db) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))
    with Simulator(10) as sim:
        for command in ("sync", "status", "history", "verify"):
            done = etl(command, DATABASE_URL=db_url, **sim.environment)
            assert done.returncode == 78, command
            assert "newer than this program" in done.stderr
            assert "Upgrade etl to the version that made it newer" in done.stderr
        assert sim.requests == []


def test_an_upgrade_that_fails_half_way_leaves_nothing_behind(db: Engine) -> None:
    downgrade(db, "base")
    with writing(db) as connection:
        connection.execute(
            text("CREATE TABLE forgotten (mine INTEGER)")
        )  # what the last migration would create
    with pytest.raises(DatabaseUnreachableError):
        upgrade(db)
    with reading(db) as connection:
        assert {"followers", "snapshots"}.isdisjoint(inspect(connection).get_table_names())
        assert inspect(connection).get_view_names() == []


# -- what the tables refuse ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad", [{"status": "whatever"}, {"status": ""}, *({count: -1} for count in NUMBERS)], ids=str
)
def test_a_snapshot_of_an_unknown_status_or_a_negative_count_is_refused(
    bad: dict[str, Any], db: Engine
) -> None:
    good = {"oaid": "1", "status": Status.COMPLETE, "taken_at": WHEN, "taken_on": WHEN.date()}
    with writing(db) as connection:
        connection.execute(insert(snapshots).values(good))
    with pytest.raises(DatabaseUnreachableError), writing(db) as connection:
        connection.execute(insert(snapshots).values(good | bad))


@pytest.mark.parametrize("bad", [{"followed_at": None}, {"user_id": None}, {"oaid": None}], ids=str)
def test_a_follower_without_a_name_or_a_beginning_is_refused(
    bad: dict[str, Any], db: Engine
) -> None:
    good = {"oaid": "1", "user_id": "2", "first_seen_at": WHEN, "followed_at": WHEN}
    with pytest.raises(DatabaseUnreachableError), writing(db) as connection:
        connection.execute(insert(followers).values(good | bad))


@pytest.mark.parametrize("word", [*STORED, *Change], ids=str)
def test_the_words_of_the_model_are_those_that_the_tables_take(
    word: Status | Change, db: Engine
) -> None:
    with reading(db) as connection:
        told = " ".join(
            " ".join(row)
            for row in catalog(connection)
            if row[0] in {"snapshots", "follower_changes"}
        )
    assert f"'{word}'" in told


def test_a_snapshots_number_is_never_given_twice(db: Engine) -> None:
    given = []
    for _ in range(2):
        with writing(db) as connection:
            good = {
                "oaid": "1",
                "status": Status.COMPLETE,
                "taken_at": WHEN,
                "taken_on": WHEN.date(),
            }
            given.append(connection.execute(insert(snapshots).values(good)).inserted_primary_key)
            connection.execute(snapshots.delete())
    assert given[0] != given[1]


def test_identifiers_are_sorted_as_bytes(db: Engine) -> None:
    users = ["b", "B", "a", "_", "10", "9", "é"]
    with writing(db) as connection:
        for user in users:
            connection.execute(
                insert(followers).values(
                    oaid="1", user_id=user, first_seen_at=WHEN, followed_at=WHEN
                )
            )
        assert list(
            connection.scalars(text("SELECT user_id FROM followers ORDER BY user_id"))
        ) == sorted(users)
