"""Another tool's tables are not ours, and ours are not gone because nobody sees them."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

import pytest
from commandline import Finished, etl
from revisions import downgrade
from sqlalchemy import inspect, text

from etl.db.catalogue import (
    EMPTY,
    OURS,
    OWN_VERSION_TABLE,
    UNKNOWN,
    VERSION_TABLE,
    Catalogue,
    revision,
)
from etl.db.engine import connect_engine, reading, writing
from etl.db.schema import HEAD, current_revision, upgrade
from etl.errors import UnfitDatabaseError
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

READERS = ("status", "history", "verify", "report", "export")


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(40, max_page=20) as simulator:
        yield simulator


def execute(url: str, *statements: str) -> None:
    with writing(connect_engine(url)) as connection:
        for statement in statements:
            connection.execute(text(statement))


def tables(url: str) -> set[str]:
    with reading(connect_engine(url)) as connection:
        if connection.dialect.name == "sqlite":
            return set(inspect(connection).get_table_names())
        names = (
            "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname !~ '^pg_|^inf'"
        )
        return set(connection.execute(text(names)).scalars())


def run(url: str, sim: Simulator, *arguments: str) -> Finished:
    return etl(*arguments, **sim.environment, ESMS_RATE="0", DATABASE_URL=url)


# -- another tool's revision -----------------------------------------------------------------------

TABLE = "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"
THEIRS = {
    "numeric": [TABLE, "INSERT INTO alembic_version VALUES ('0002')"],
    "ours by chance": ["CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)", f"INSERT INTO alembic_version VALUES ('{HEAD}')"],
    "two branches": [TABLE, "INSERT INTO alembic_version VALUES ('0001'), ('3f2a9c01b7de')"],
    "not Alembic's": ["CREATE TABLE alembic_version (number INTEGER)", "INSERT INTO alembic_version VALUES (7)"],
}  # fmt: skip


@pytest.mark.parametrize("theirs", THEIRS)
def test_another_tools_revision_is_left_alone_and_ours_is_kept_beside_it(
    theirs: str, db_url: str, sim: Simulator
) -> None:
    execute(db_url, *THEIRS[theirs])
    with reading(connect_engine(db_url)) as connection:
        before = connection.execute(text("SELECT * FROM alembic_version")).all()
    for reader in READERS:
        refused = run(db_url, sim, reader)
        assert refused.returncode == 78
        assert "the database is empty" in refused.stderr
    assert len(tables(db_url)) == 1
    assert run(db_url, sim, "doctor").returncode == 0
    assert len(tables(db_url)) == 1
    for arguments in (["sync"], ["db", "check"], ["db", "upgrade"], ["doctor"], ["sync"], *([r] for r in READERS)):  # fmt: skip
        done = run(db_url, sim, *arguments)
        assert done.returncode == 0, (arguments, done.stderr)
    with reading(connect_engine(db_url)) as connection:
        assert connection.execute(text("SELECT * FROM alembic_version")).all() == before
    assert current_revision(connect_engine(db_url)) == HEAD


def test_a_database_is_copied_beside_another_tools_revision(
    sqlite_url: str, postgresql_url: str, sim: Simulator
) -> None:
    run(sqlite_url, sim, "sync")
    execute(postgresql_url, *THEIRS["numeric"])
    assert run(sqlite_url, sim, "db", "copy", "--to", postgresql_url).returncode == 0
    assert run(postgresql_url, sim, "verify").returncode == 0
    with reading(connect_engine(postgresql_url)) as connection:
        assert connection.execute(text("SELECT * FROM alembic_version")).all() == [("0002",)]


def test_our_revision_is_upgraded_and_taken_back_beside_another_tools(db_url: str) -> None:
    execute(db_url, *THEIRS["numeric"])
    engine = connect_engine(db_url)
    upgrade(engine, "0003")
    assert current_revision(engine) == "0003"
    upgrade(engine)
    assert current_revision(engine) == HEAD
    downgrade(engine, "base")
    assert current_revision(engine) == EMPTY
    with reading(engine) as connection:
        assert connection.execute(text("SELECT * FROM alembic_version")).all() == [("0002",)]


def test_a_revision_that_the_role_may_not_read_is_another_tools(
    postgresql_url: str, role: str, sim: Simulator
) -> None:
    execute(postgresql_url, *THEIRS["numeric"], f'GRANT ALL ON SCHEMA public TO "{role}"')
    assert run(as_role(postgresql_url, role), sim, "sync").returncode == 0


def test_two_revisions_beside_our_tables_are_named(db_url: str, sim: Simulator) -> None:
    upgrade(connect_engine(db_url))
    execute(db_url, "INSERT INTO alembic_version VALUES ('1975ea83b712')")
    for arguments in (["sync"], ["status"], ["db", "check"], ["db", "upgrade"], ["doctor"]):
        refused = run(db_url, sim, *arguments)
        assert refused.returncode == 78, arguments
        assert f"holds 2 revisions ({HEAD}, 1975ea83b712)" in refused.stderr + refused.stdout
    assert run(f"{db_url}", sim, "db", "copy", "--to", "sqlite:///copy.db").returncode == 78


def test_tables_of_which_only_some_are_named_as_ours_are_not_ours(
    db_url: str, sim: Simulator
) -> None:
    execute(db_url, "CREATE TABLE followers (id INTEGER)", *THEIRS["numeric"])
    before = tables(db_url)
    for arguments in (["sync"], ["status"], ["db", "check"], ["db", "upgrade"]):
        refused = run(db_url, sim, *arguments)
        assert refused.returncode == 78, arguments
        assert "are not ours" in refused.stderr
    assert tables(db_url) == before


# -- tables that are there, and not seen -----------------------------------------------------------


@pytest.fixture
def role(postgresql_url: str) -> Iterator[str]:
    """A role that may log in, and no more; nobody else may use the schema public."""
    name = f"etl {uuid.uuid4().hex[:8]}"  # quoted, because somebody's is
    execute(
        postgresql_url, f'CREATE ROLE "{name}" LOGIN', "REVOKE ALL ON SCHEMA public FROM public"
    )
    yield name
    execute(postgresql_url, f'DROP OWNED BY "{name}" CASCADE', f'DROP ROLE "{name}"')


def as_role(url: str, role: str) -> str:
    return url.replace("//postgres:", f"//{role.replace(' ', '%20')}:")


def with_path(url: str, path: str) -> str:
    return f"{url}&options=-csearch_path%3D{path}"


def refused_everywhere(url: str, sim: Simulator, words: str) -> None:
    for arguments in (["sync"], ["sync", "--dry-run"], *([r] for r in READERS), ["db", "check"], ["doctor"]):  # fmt: skip
        refused = run(url, sim, *arguments)
        assert refused.returncode == 78, (arguments, refused)
        assert words in (refused.stderr + refused.stdout).replace('\\"', '"'), arguments


def test_a_role_without_usage_on_the_schema_is_told_so(
    postgresql_url: str, role: str, sim: Simulator
) -> None:
    run(postgresql_url, sim, "sync")
    refused_everywhere(
        as_role(postgresql_url, role),
        sim,
        f'("$user", public) is there and may be used by the role {role}; there are such tables in public',
    )


def test_a_search_path_that_leads_nowhere_is_told(postgresql_url: str, sim: Simulator) -> None:
    words = "search_path names (typo) is there"
    refused_everywhere(with_path(postgresql_url, "typo"), sim, words)
    run(postgresql_url, sim, "sync")
    before = tables(postgresql_url)
    refused_everywhere(with_path(postgresql_url, "typo"), sim, words)
    assert run(with_path(postgresql_url, "typo"), sim, "db", "upgrade").returncode == 78
    assert tables(postgresql_url) == before


def test_no_second_baseline_is_begun_beside_tables_in_another_schema(
    postgresql_url: str, sim: Simulator
) -> None:
    run(postgresql_url, sim, "sync")
    execute(postgresql_url, "CREATE SCHEMA other")
    before = tables(postgresql_url)
    elsewhere = with_path(postgresql_url, "other")
    for arguments in (["sync"], *([r] for r in READERS), ["db", "check"], ["doctor"]):
        refused = run(elsewhere, sim, *arguments)
        assert refused.returncode == 78, arguments
        assert "there are such tables in public" in refused.stderr + refused.stdout
    assert tables(postgresql_url) == before
    # Asked for by name, it is done.
    assert run(elsewhere, sim, "db", "upgrade").returncode == 0
    assert run(elsewhere, sim, "sync").returncode == 0
    assert "other.followers" in tables(postgresql_url)


def test_a_schema_that_comes_first_in_the_path_later_does_not_hide_our_tables(
    postgresql_url: str, sim: Simulator
) -> None:
    upgrade(connect_engine(postgresql_url), "0003")
    execute(postgresql_url, "CREATE SCHEMA postgres")  # "$user" comes before public
    assert run(postgresql_url, sim, "db", "check").returncode == 78
    assert run(postgresql_url, sim, "db", "upgrade").returncode == 0
    assert run(postgresql_url, sim, "sync").returncode == 0
    assert {name for name in tables(postgresql_url) if name.startswith("postgres.")} == set()


def test_the_doctor_tries_what_the_first_sync_would_need(
    postgresql_url: str, role: str, sim: Simulator
) -> None:
    execute(postgresql_url, f'GRANT USAGE ON SCHEMA public TO "{role}"')
    url = as_role(postgresql_url, role)
    done = run(url, sim, "doctor", "--json")
    steps = {step["step"]: step for step in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == run(url, sim, "sync").returncode == 69
    assert "permission denied for schema public" in steps["database: writable"]["told"]
    execute(postgresql_url, f'GRANT CREATE ON SCHEMA public TO "{role}"')
    assert run(url, sim, "doctor").returncode == 0
    assert tables(postgresql_url) == set()
    assert run(url, sim, "sync").returncode == 0


# -- what is concluded -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Catalogue(frozenset(), schema="main"), EMPTY),
        (Catalogue(frozenset(), {VERSION_TABLE: ()}, "main"), EMPTY),
        (Catalogue(frozenset(), {VERSION_TABLE: ("0005",)}, "main"), EMPTY),
        (Catalogue(OURS, {VERSION_TABLE: ("0004",)}, "main"), "0004"),
        (Catalogue(OURS, {VERSION_TABLE: ("x",), OWN_VERSION_TABLE: ("0004",)}, "main"), "0004"),
        (Catalogue(OURS, {}, "main"), UNKNOWN),
        (Catalogue(OURS, {VERSION_TABLE: ()}, "main"), UNKNOWN),
        (Catalogue(OURS - {"snapshots"}, {VERSION_TABLE: ("0004",)}, "main"), UNKNOWN),
    ],
)
def test_a_revision_counts_only_where_our_tables_are(found: Catalogue, expected: str) -> None:
    assert revision(found) == expected


def test_two_revisions_are_not_guessed_from() -> None:
    with pytest.raises(UnfitDatabaseError, match="2 revisions"):
        revision(Catalogue(OURS, {VERSION_TABLE: ("0001", "0002")}, "main"))
