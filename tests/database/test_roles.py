"""The roles that docs/postgresql.md creates: what each may do, and how it ends where it may not."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commandline import etl
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from etl.db.engine import connect_engine, reading
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from commandline import Finished

DOCUMENT = (Path(__file__).parents[2] / "docs" / "postgresql.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"```sql\n-- ([^\n]*)\n(.*?)```", DOCUMENT, re.DOTALL))
ROLES = ("etl_owner", "analyst", "etl")


class Team:
    """A server on which the document was followed. Roles belong to a whole server, so each test has
    its own names for them."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._suffix = uuid.uuid4().hex[:8]
        self.database = f"followers_{self._suffix}"

    def url(self, role: str) -> str:
        """DATABASE_URL for one of the document's roles, or for `postgres`."""
        return self._server.replace(
            "//postgres:@/postgres?", f"//{self.name(role)}@/{self.database}?"
        )

    def name(self, role: str) -> str:
        """What a role of the document is called here."""
        return f"{role}_{self._suffix}" if role in ROLES else role

    def run(self, title: str, *, inside: bool = True) -> None:
        """Run a block of the document as a superuser."""
        script = re.sub(r"--.*", "", BLOCKS[title])
        script = re.sub(r"\b(etl_owner|etl|analyst)\b", rf"\1_{self._suffix}", script)
        script = re.sub(r"\b(DATABASE) followers\b", rf"\1 {self.database}", script)
        self.execute(script, self.url("postgres") if inside else self._server)

    def execute(self, script: str, url: str) -> None:
        with (
            connect_engine(url)
            .execution_options(isolation_level="AUTOCOMMIT")
            .connect() as connection
        ):
            for statement in filter(None, map(str.strip, script.split(";"))):
                connection.execute(text(statement))

    def clear(self) -> None:
        """Leave the server as it was."""
        self.execute(f"DROP DATABASE {self.database} WITH (FORCE)", self._server)
        for role in ROLES:
            self.execute(f"DROP ROLE {role}_{self._suffix}", self._server)


@pytest.fixture
def team(postgresql_server: str) -> Iterator[Team]:
    team = Team(postgresql_server)
    team.run("in any database", inside=False)
    yield team
    team.clear()


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(40, max_page=20) as simulator:
        yield simulator


def as_role(team: Team, role: str, sim: Simulator, *arguments: str) -> Finished:
    return etl(*arguments, **sim.environment, ESMS_RATE="0", DATABASE_URL=team.url(role))


def follow_the_document(team: Team, sim: Simulator) -> None:
    """Roles, tables, and a first sync: each by whom the document says."""
    team.run("in followers")
    assert as_role(team, "etl_owner", sim, "db", "upgrade").returncode == 0
    done = as_role(team, "etl", sim, "sync", "--json")
    assert (done.returncode, json.loads(done.stdout)["seen"]) == (0, 40)


def stand(team: Team) -> list[tuple[str, int]]:
    with reading(connect_engine(team.url("postgres"))) as connection:
        tables = ("followers", "follower_changes", "snapshots", "forgotten", "official_accounts")
        return [
            (name, connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one())
            for name in tables
        ]


def test_the_syncing_role_does_all_that_an_operator_does_but_migrations(
    team: Team, sim: Simulator
) -> None:
    follow_the_document(team, sim)
    leaver = sim.unfollow()
    sim.follow()
    assert as_role(team, "etl", sim, "sync").returncode == 0
    for arguments in (
        ["doctor"], ["status"], ["verify"], ["report"], ["forget", leaver, "--yes"], ["undo", "2", "--yes"], ["sync"], ["verify"],
    ):  # fmt: skip
        done = as_role(team, "etl", sim, *arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    with pytest.raises(ProgrammingError, match="permission denied for schema public"):
        team.execute("CREATE TABLE public.mine (id int)", team.url("etl"))


def test_whoever_may_only_read_has_every_command_that_only_reads(
    team: Team, sim: Simulator
) -> None:
    follow_the_document(team, sim)
    for command in (
        "status", "history", "verify", "report", "report --format json", "export",
        "export --changes", "db check",
    ):  # fmt: skip
        done = as_role(team, "analyst", sim, *command.split())
        assert done.returncode == 0, (command, done)


@pytest.mark.parametrize(
    "arguments",
    [["sync"], ["undo", "1", "--yes"], ["forget", "1", "--yes"], ["db", "upgrade"]],
    ids=" ".join,
)
def test_whoever_may_only_read_changes_nothing(
    team: Team, sim: Simulator, arguments: list[str]
) -> None:
    follow_the_document(team, sim)
    team.execute(
        "INSERT INTO followers SELECT oaid, '1', now(), now() FROM official_accounts",
        team.url("postgres"),
    )
    before = stand(team)
    if arguments == ["db", "upgrade"]:  # there is nothing to do, and that may be said to anybody
        assert as_role(team, "analyst", sim, *arguments).returncode == 0
    else:
        done = as_role(team, "analyst", sim, *arguments)
        assert done.returncode == 69, done
        assert "permission denied" in done.stderr
        assert "Traceback" not in done.stderr
    assert stand(team) == before


def test_a_preview_needs_no_right_to_write(team: Team, sim: Simulator) -> None:
    follow_the_document(team, sim)
    sim.follow()
    done = as_role(team, "analyst", sim, "sync", "--dry-run", "--json")
    assert (done.returncode, json.loads(done.stdout)["followed"]) == (0, 1), done


def test_a_role_that_lacks_one_right_is_told_which_and_changes_nothing(
    team: Team, sim: Simulator
) -> None:
    follow_the_document(team, sim)
    sim.follow()
    team.execute(f"REVOKE INSERT ON follower_changes FROM {team.name('etl')}", team.url("postgres"))
    before = dict(stand(team))
    done = as_role(team, "etl", sim, "sync")
    assert done.returncode == 69
    assert "permission denied for table follower_changes" in done.stderr
    assert {**before, "snapshots": 2} == dict(stand(team)), (
        "the failed run is on record, nothing else"
    )
    examined = as_role(team, "etl", sim, "doctor")
    assert "permission denied for table follower_changes" in examined.stdout + examined.stderr
    assert examined.returncode != 0


def test_tables_that_were_there_before_the_roles_are_granted_as_well(
    team: Team, sim: Simulator
) -> None:
    team.run("in followers")
    owner = as_role(team, "etl_owner", sim, "sync")
    assert owner.returncode == 0, owner
    for role in ("etl", "analyst"):
        team.execute(
            f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {team.name(role)}",
            team.url("postgres"),
        )
    assert as_role(team, "analyst", sim, "status").returncode == 69
    team.run("of what is there already")
    assert as_role(team, "analyst", sim, "status").returncode == 0
    assert as_role(team, "etl", sim, "sync").returncode == 0


def test_numbers_can_be_read_without_user_ids(team: Team, sim: Simulator) -> None:
    follow_the_document(team, sim)
    team.run("for those who need no User_Ids, instead of all that analyst may read")
    with reading(connect_engine(team.url("analyst"))) as connection:
        (day,) = connection.execute(text("SELECT following_end FROM daily_follower_churn"))
        assert day.following_end == 40
        assert connection.execute(text("SELECT count(*) FROM snapshots")).scalar_one() == 1
    assert "permission denied" in as_role(team, "analyst", sim, "export").stderr


def test_a_schema_of_ones_own_holds_everything(team: Team, sim: Simulator) -> None:
    team.run("in followers")
    for role in ROLES:
        team.execute(
            f"ALTER ROLE {team.name(role)} SET search_path = followers", team.url("postgres")
        )
    team.execute(
        f"CREATE SCHEMA followers AUTHORIZATION {team.name('etl_owner')}", team.url("postgres")
    )
    assert as_role(team, "etl_owner", sim, "sync").returncode == 0
    assert as_role(team, "etl_owner", sim, "verify").returncode == 0
    with reading(connect_engine(team.url("postgres"))) as connection:
        schemas = text(
            "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename IN ('followers', 'alembic_version')"
        )
        assert list(connection.scalars(schemas)) == ["followers"]
