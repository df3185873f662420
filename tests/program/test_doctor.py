"""`etl doctor` tells what is wrong, what to do about it, and what eSMS leaves undocumented; and
changes nothing."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from commandline import etl
from daily import Days, dump
from rawserver import RawServer, always, reply
from revisions import downgrade
from sqlalchemy import text

from etl.db.engine import connect_engine, writing
from etl.db.schema import upgrade
from etl.doctor import State, Step, examine
from etl.doctor.database import clock
from etl.doctor.get_followers import End, ceiling, counting, listing, order, page_length
from etl.esms import reach
from etl.model import Page
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

CERTIFICATE = """
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgdh5RzyFBsQrvDnZz
bb8+8unlyA20mLqVe3o3V4cljDqhRANCAASaZBnU80aN+eQPhbGBkSPCnlE10E9U
RREUACNrTtVfeAU8b5y97d9S5QtzkedKlAIoSdH/KwJ3d8qPjYcZyJ/y
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBjjCCATSgAwIBAgIUfab/DKPAAjw+BYmuaKDOw+pouVowCgYIKoZIzj0EAwIw
EzERMA8GA1UEAwwIbG9vcGJhY2swIBcNMjYxMTIzMTMxNDAzWhgPMjEyNjEwMzAx
MzE0MDNaMBMxETAPBgNVBAMMCGxvb3BiYWNrMFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEmmQZ1PNGjfnkD4WxgZEjwp5RNdBPVEURFAAja07VX3gFPG+cve3fUuUL
c5HnSpQCKEnR/ysCd3fKj42HGcif8qNkMGIwHQYDVR0OBBYEFI4+bZkDuPHDaQ5W
77HfRgi5Von9MB8GA1UdIwQYMBaAFI4+bZkDuPHDaQ5W77HfRgi5Von9MA8GA1Ud
EwEB/wQFMAMBAf8wDwYDVR0RBAgwBocEfwAAATAKBggqhkjOPQQDAgNIADBFAiEA
vaQZ9zWwF7VgtmJXyibf/QAn/1EJDS8V9FWVEnA0egsCICOzVLRWWN47upUWSp5K
PIHJ9cJW/xUP5rumVAV50222
-----END CERTIFICATE-----
"""
"""Of 127.0.0.1, signed by itself, valid until 2126; with its key. It opens nothing."""

CERTIFICATE_ENDS = datetime.fromtimestamp(4949039643, UTC)


def doctor(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch, *chosen: str, **settings: str
) -> dict[str, Step]:
    """What the doctor says, by step; the OA's number left out of the names."""
    for name, value in (sim.environment | {"ESMS_RATE": "0"} | settings).items():
        monkeypatch.setenv(name, value)
    return {step.name.replace(f"OA {sim.default}: ", ""): step for step in examine(chosen)}


def states(steps: dict[str, Step]) -> dict[str, str]:
    return {name: str(step.state) for name, step in steps.items() if step.state is not State.OK}


@pytest.fixture
def database(db: Engine, db_url: str, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """A database with our tables, set up as DATABASE_URL."""
    monkeypatch.setenv("DATABASE_URL", db_url)
    return db


def test_all_is_well_and_nothing_is_changed(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Simulator(followers=300) as sim:
        Days(sim, database).sync()
        before = dump(database)
        steps = doctor(sim, monkeypatch)
        assert states(steps) == {}
        assert len(steps) == (17 if database.dialect.name == "sqlite" else 18)
        assert dump(database) == before
        assert Days(sim, database).sync().id == 2  # no number was drawn, either


def test_a_name_that_would_steer_the_terminal_is_shown_without_that(sqlite_url: str) -> None:
    with Simulator(followers=30) as sim:
        sim.add_account("111", "Hoa \u202eMai", 3)
        done = etl("doctor", **sim.environment, DATABASE_URL=sqlite_url)
    assert "Hoa \N{REPLACEMENT CHARACTER}Mai" in done.stdout
    assert "\u202e" not in done.stdout


def test_few_requests_are_enough_for_a_long_list(monkeypatch: pytest.MonkeyPatch) -> None:
    with Simulator(followers=12_000) as sim:
        doctor(sim, monkeypatch)
        assert len(sim.requests) == 7


# -- what eSMS leaves undocumented -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("world", "expected", "told"),
    [
        (
            {"max_page": 20},
            {"page length": "warn"},
            ("page length", "got 20 of Total 300", "ESMS_PAGE_SIZE=20"),
        ),
        ({"count_field": "Limit"}, {}, ("Count or Limit", "Limit counts, alone", "")),
        ({"count_field": "Count"}, {}, ("Count or Limit", "Count counts, alone", "")),
        (
            {"count_field": "Size"},
            {"Count or Limit": "warn"},
            ("Count or Limit", "neither", "a sync follows"),
        ),
        (
            {"overcount": 3},
            {"Total": "warn"},
            ("Total", "says 303, but 300 can be listed", "within ETL_TOTAL_TOLERANCE"),
        ),
        (
            {"max_offset": 60},
            {"Total": "skipped", "ceiling": "warn", "windows: served": "warn"},
            ("ceiling", "only 110 of Total 300 can be read: eSMS refuses", "partial (ceiling)"),
        ),
        (
            {"max_offset": 60, "refuse_by": "empty"},
            {"Total": "skipped", "ceiling": "warn", "windows: served": "warn"},
            (
                "ceiling",
                "only 110 of Total 300 can be read: eSMS answers with empty pages",
                "partial (ceiling)",
            ),
        ),
        (
            {"followers": 12_000, "max_offset": 9_950},
            {"Total": "skipped", "ceiling": "warn", "windows: served": "warn"},
            ("ceiling", "only 10000 of Total 12000 can be read", "partial (ceiling)"),
        ),
        (
            {"followers": 12_000, "max_offset": 9_950, "clamp_total": True},
            {"ceiling": "warn", "windows: served": "warn"},
            (
                "ceiling",
                "Total is 10000, just what the documented ceiling",
                "follower count that Zalo shows",
            ),
        ),
        ({"followers": 12_000}, {}, ("ceiling", "offset 11999 is served", "")),
        (
            {"followers": 1_200, "overcount": 2},
            {"Total": "warn"},
            ("Total", "says 1202, but 1200 can be listed", "within"),
        ),
        ({"followers": 1}, {"the rest": "skipped"}, ("the rest", "too few followers", "")),
        ({"followers": 0}, {"the rest": "skipped"}, ("page length", "got 0 of Total 0", "")),
    ],
)
def test_the_doctor_learns_how_this_esms_behaves(
    world: dict[str, Any],
    expected: dict[str, str],
    told: tuple[str, str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Simulator(**{"followers": 300, **world}) as sim:
        steps = doctor(sim, monkeypatch)
    name, words, advice = told
    assert states(steps) == {"database: reachable": "warn", **expected}
    assert words in steps[name].told
    assert advice in steps[name].advice
    assert sum(step.exit_code for step in steps.values()) == 0


def test_hidden_followers_are_found_out_by_reading_a_short_list_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Simulator(followers=300) as sim:
        sim.followers().hidden = set(sim.users()[100:120])
        steps = doctor(sim, monkeypatch)
    assert steps["Total"].told == "says 300, but 280 can be listed"
    assert "total_gap" in steps["Total"].advice


def test_an_order_that_changes_between_two_readings_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Simulator(followers=300, order="activity") as sim:
        sim.before_page(2, lambda: sim.touch(sim.users()[30]))
        steps = doctor(sim, monkeypatch)
    assert states(steps)["order"] == "warn"


def page(*users: str, total: int = 10) -> Page:
    return Page(0, users, total)


def test_somebody_who_leaves_between_two_readings_has_changed_no_order() -> None:
    assert order("", page("a", "b", "c"), page("b", "c", "d")).state is State.OK
    assert order("", page("a", "b", "c"), page("c", "b", "d")).state is State.WARN
    assert order("", page("a", "b"), page("c", "d")).state is State.WARN


def test_values_at_the_edges_are_judged() -> None:
    assert (
        page_length("", 2, page("a", "b", "c")).told
        == "asked for 2, got 3: ESMS_PAGE_SIZE is ignored"
    )
    assert page_length("", 50, page()).state is State.WARN
    assert counting("", 1, None, page("a")).told == "Limit counts, alone"
    assert listing("", End(total=10, reach=10, refused=False, beyond=2), 0.005).state is State.WARN
    assert ceiling("", End(total=10, reach=9, refused=False), 0.005).state is State.OK
    assert ceiling("", End(total=10, reach=9, refused=True), 0.005).state is State.WARN
    assert clock(4.9).state is clock(-4.9).state is State.OK
    assert clock(5.1).told == "5.1 s ahead of this machine's"
    assert clock(-60).state is State.WARN


# -- what goes wrong -------------------------------------------------------------------------------


def test_wrong_keys_are_told_with_what_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    with Simulator(followers=300) as sim:
        steps = doctor(sim, monkeypatch, ESMS_API_KEY="wrong")
    keys = steps["eSMS: keys"]
    assert (keys.state, keys.exit_code) == (State.FAIL, 77)
    assert "ESMS_API_KEY and ESMS_SECRET_KEY" in keys.advice
    assert list(steps)[-1] == "eSMS: keys"


def test_an_inactive_oa_does_not_keep_the_others_from_being_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Simulator(followers=300) as sim:
        sim.add_account("2", "Another", 60)
        sim.inactive.add("2")
        steps = doctor(sim, monkeypatch, "2", sim.default)
    assert states(steps) == {"database: reachable": "warn", "OA 2: page length": "FAIL"}
    assert (steps["OA 2: page length"].exit_code, steps["ceiling"].state) == (77, State.OK)


def test_an_oa_that_is_not_registered_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with Simulator(followers=300) as sim:
        steps = doctor(sim, monkeypatch, "3", "3")
    assert [step.exit_code for name, step in steps.items() if name.startswith("OA 3")] == [77, 77]


def test_all_the_oas_of_the_account_are_looked_at_where_the_setting_is_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Simulator(followers=300) as sim:
        sim.add_account("2", "Another", 60)
        steps = doctor(sim, monkeypatch, ESMS_OAIDS="all")
    assert (steps["OA 2: registered"].state, steps["registered"].state) == (State.OK, State.OK)


def test_a_server_that_is_down_is_told_and_the_database_is_looked_at_all_the_same(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    del database
    with Simulator(followers=300) as sim:
        pass
    steps = doctor(sim, monkeypatch)
    assert states(steps) == {"eSMS: connection": "FAIL", "eSMS: keys": "skipped"}
    assert steps["eSMS: connection"].exit_code == 69


def test_a_name_that_does_not_resolve_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with Simulator(followers=3) as sim:
        steps = doctor(sim, monkeypatch, ESMS_BASE_URL="https://esms.invalid/json")
    assert (steps["eSMS: name"].state, steps["eSMS: name"].exit_code) == (State.FAIL, 69)
    assert "esms.invalid" in steps["eSMS: name"].told


def test_a_fault_in_the_middle_is_told_and_ends_the_oas_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Simulator(followers=300) as sim:
        sim.fault_at(2, "http_503", times=99)
        steps = doctor(sim, monkeypatch, ESMS_BACKOFF_BASE="0")
    assert (steps["the rest"].state, steps["the rest"].exit_code) == (State.FAIL, 69)


def test_all_problems_of_the_settings_are_told_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Simulator(followers=300) as sim:
        steps = doctor(sim, monkeypatch, ETL_MAX_LOOKS="0", ETL_UNFOLLOW_FLOOR="x")
    assert steps["settings"].exit_code == 78
    assert "ETL_MAX_LOOKS" in steps["settings"].told
    assert "ETL_UNFOLLOW_FLOOR" in steps["settings"].told
    assert steps["eSMS: keys"].state is State.OK


def test_missing_keys_leave_the_database_to_be_looked_at(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    del database
    with Simulator(followers=3) as sim:
        steps = doctor(sim, monkeypatch, ESMS_API_KEY="", ESMS_OAIDS="")
    assert steps["settings"].exit_code == 78
    assert steps["database: writable"].state is State.OK
    assert steps["eSMS"].state is State.SKIPPED


def test_missing_oas_are_a_failure_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    with Simulator(followers=3) as sim:
        steps = doctor(sim, monkeypatch, ESMS_OAIDS="")
    assert "ESMS_OAIDS" in steps["settings"].told
    assert steps["eSMS: keys"].state is State.OK


# -- the database ----------------------------------------------------------------------------------


def test_a_database_that_is_behind_is_told_with_the_command_that_upgrades_it(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    downgrade(database, "0001")
    with Simulator(followers=3) as sim:
        steps = doctor(sim, monkeypatch)
    assert (steps["database: tables"].exit_code, steps["database: writable"].state) == (
        78,
        State.SKIPPED,
    )
    assert "etl db upgrade" in steps["database: tables"].advice


def test_a_missing_sqlite_file_is_only_a_warning_and_is_not_created(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Simulator(followers=3) as sim:
        steps = doctor(sim, monkeypatch)
    assert states(steps)["database: reachable"] == "warn"
    assert list(Path().iterdir()) == []


def test_a_missing_directory_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with Simulator(followers=3) as sim:
        steps = doctor(sim, monkeypatch, DATABASE_URL="sqlite:///nowhere/followers.db")
    assert steps["database: reachable"].exit_code == 69


def test_an_empty_database_is_only_a_warning(db_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if db_url.startswith("sqlite"):
        Path(db_url.removeprefix("sqlite:///")).touch()
    with Simulator(followers=3) as sim:
        steps = doctor(sim, monkeypatch, DATABASE_URL=db_url)
    assert states(steps) == {"database: tables": "warn"}
    assert "created" in steps["database: writable"].told


def test_a_role_that_may_only_read_is_told(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = connect_engine(postgresql_url)
    upgrade(engine)
    with writing(engine) as connection:
        connection.execute(text("DROP ROLE IF EXISTS doctors_reader"))
        connection.execute(text("CREATE ROLE doctors_reader LOGIN"))
        connection.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO doctors_reader"))
    url = engine.url.set(username="doctors_reader", drivername="postgresql").render_as_string(
        hide_password=False
    )
    with Simulator(followers=3) as sim:
        steps = doctor(sim, monkeypatch, DATABASE_URL=url)
    with writing(engine) as connection:
        connection.execute(text("DROP OWNED BY doctors_reader"))
        connection.execute(text("DROP ROLE doctors_reader"))
    assert (steps["database: tables"].state, steps["database: writable"].exit_code) == (
        State.OK,
        69,
    )
    assert "permission denied" in steps["database: writable"].told


def test_a_sqlite_file_that_cannot_be_written_is_told(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = connect_engine(sqlite_url)
    upgrade(engine)
    with writing(engine) as connection:
        connection.execute(
            text(
                "CREATE TRIGGER full BEFORE INSERT ON official_accounts BEGIN SELECT RAISE(ABORT, 'full'); END"
            )
        )
    with Simulator(followers=3) as sim:
        steps = doctor(sim, monkeypatch, DATABASE_URL=sqlite_url)
    assert steps["database: writable"].exit_code == 69


def test_a_password_is_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with Simulator(followers=3) as sim:
        steps = doctor(
            sim, monkeypatch, DATABASE_URL="postgresql://etl:hunter2@127.0.0.1:1/x?password=hunter2"
        )
    assert steps["database: reachable"].exit_code == 69
    assert "hunter2" not in repr(steps)
    assert sim.environment["ESMS_SECRET_KEY"] not in repr(steps)


# -- TLS -------------------------------------------------------------------------------------------


@contextmanager
def tls_server(directory: Path) -> Iterator[str]:
    """Shakes hands, and hangs up."""
    pem = directory / "loopback.pem"
    pem.write_text(CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    try:
                        context.wrap_socket(connection, server_side=True).close()
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/json"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_certificate_that_nobody_vouches_for_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Simulator(followers=3) as sim, tls_server(tmp_path) as url:
        steps = doctor(sim, monkeypatch, ESMS_BASE_URL=url)
    assert (steps["eSMS: connection"].exit_code, steps["eSMS: keys"].state) == (76, State.SKIPPED)
    assert "self-signed" in steps["eSMS: connection"].told


@pytest.mark.parametrize(("days", "state"), [(15, State.OK), (13, State.WARN)])
def test_a_certificate_that_ends_soon_is_told(
    days: int, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "loopback.pem"))
    now = CERTIFICATE_ENDS.timestamp() - days * 86_400 - 60
    with Simulator(followers=3) as sim, tls_server(tmp_path) as url, time_machine.travel(now):
        steps = doctor(sim, monkeypatch, ESMS_BASE_URL=url, ESMS_MAX_ATTEMPTS="1")
    assert steps["eSMS: connection"].state is state
    assert f"valid for {days} days" in steps["eSMS: connection"].told


# -- the command -----------------------------------------------------------------------------------


# -- what stands between, and who is notified ------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value"),
    [("REQUESTS_CA_BUNDLE", "/gone.pem"), ("HTTPS_PROXY", "socks5://me:the-password@x:1080")],
)
def test_a_proxy_or_a_bundle_that_leads_nowhere_is_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with Simulator(followers=3) as sim:
        given = {variable: value, "ESMS_BASE_URL": "https://rest.esms.test/json"}
        step = doctor(sim, monkeypatch, **given)["eSMS: way"]
    assert (step.state, step.exit_code) == (State.FAIL, 78)
    assert variable in step.told
    assert "the-password" not in step.told


@pytest.mark.parametrize(("listening", "state"), [(True, State.OK), (False, State.FAIL)])
def test_a_proxy_is_named_with_whether_it_answers(
    monkeypatch: pytest.MonkeyPatch, *, listening: bool, state: State
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Simulator(followers=3) as sim, RawServer(always(reply(b"", status="407 x"))) as proxy:
        where = proxy.address if listening else "127.0.0.1:1"
        given = {"HTTPS_PROXY": f"http://me:the-password@{where}"}
        steps = doctor(sim, monkeypatch, **given, ESMS_BASE_URL="https://rest.esms.test/json")
    assert steps["eSMS: proxy"].state is state
    assert f"the proxy {where} that HTTPS_PROXY names" in steps["eSMS: proxy"].told
    keys = steps["eSMS: keys"]
    assert (keys.state, "407" in keys.told) == (
        (State.FAIL if listening else State.SKIPPED),
        listening,
    )
    assert "the-password" not in repr(steps)


def test_an_address_that_does_not_answer_is_told_though_another_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reach, "SILENT_SECONDS", 0.5)
    with Simulator(followers=3) as sim:
        real, port = socket.getaddrinfo, sim.url.split(":")[2].split("/")[0]

        def resolve(host: Any, *rest: Any, **options: Any) -> Any:
            if host == "localhost":
                return [
                    *real("127.0.0.9", int(port), type=socket.SOCK_STREAM),
                    *real("127.0.0.1", int(port), type=socket.SOCK_STREAM),
                ]
            return real(host, *rest, **options)

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        steps = doctor(sim, monkeypatch, ESMS_BASE_URL=sim.url.replace("127.0.0.1", "localhost"))
    assert steps["eSMS: addresses"].state is State.WARN
    assert steps["eSMS: addresses"].told.startswith("127.0.0.9 did not answer")
    assert steps["eSMS: keys"].state is State.OK


@pytest.mark.parametrize(
    ("file", "state"), [("etl.prom", State.OK), ("gone/etl.prom", State.WARN), (".", State.WARN)]
)
def test_a_metrics_file_that_cannot_be_written_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str, state: State
) -> None:
    with Simulator(followers=3) as sim:
        step = doctor(sim, monkeypatch, ETL_METRICS_FILE=str(tmp_path / file))["metrics"]
    assert step.state is state
    assert not (tmp_path / "etl.prom").exists()


@pytest.mark.parametrize(
    ("status", "state"), [("200 OK", State.OK), ("404 x", State.WARN), ("", State.WARN)]
)
def test_a_ping_that_does_not_arrive_is_a_warning_that_tells_nothing_of_its_url(
    monkeypatch: pytest.MonkeyPatch, status: str, state: State
) -> None:
    def behave(raw: RawServer, connection: socket.socket) -> None:
        raw.received.append(connection.recv(65_536))
        connection.sendall(reply(b"", status=status))

    with Simulator(followers=3) as sim, RawServer(behave) as service:
        url = f"http://{service.address if status else '127.0.0.1:1'}/the-uuid"
        step = doctor(sim, monkeypatch, ETL_PING_URL=url)["ping"]
    assert step.state is state
    assert "the-uuid" not in step.told
    if status:
        assert service.received[0].startswith(b"POST /the-uuid/log ")


def test_the_command_prints_a_line_a_step_and_exits_with_the_gravest_failure() -> None:
    with Simulator(followers=300) as sim:
        good = etl("doctor", **sim.environment)
        bad = etl(
            "doctor",
            "--json",
            **sim.environment
            | {"ESMS_SECRET_KEY": "wrong", "DATABASE_URL": "sqlite:///no/where.db"},
        )
    assert good.returncode == 0
    assert (
        "warn     database: reachable: there is no database file followers.db, yet" in good.stdout
    )
    assert "         → The first `etl sync` creates it" in good.stdout
    assert "ok       OA 4097311281936189049: order: two readings in a row keep it" in good.stdout
    assert bad.returncode == 77
    lines = [json.loads(line) for line in bad.stdout.splitlines()]
    assert [line["step"] for line in lines if line["state"] == "FAIL"] == [
        "database: reachable",
        "eSMS: keys",
    ]
    assert all(set(line) == {"step", "state", "told", "advice"} for line in lines)
