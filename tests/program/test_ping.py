"""ETL_PING_URL: what a healthchecks-style service is told of a run; no trouble with it reaches the
run."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from commandline import HURRY, Finished, etl

from etl.observe import ping
from etl.simulator import API_KEY, SECRET_KEY, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FAST = HURRY | {"ESMS_MAX_ATTEMPTS": "2"}
UUID = "5f2c9a4e-secret"


@dataclass
class PingService:
    """Somebody who keeps pings: what came, and what is answered."""

    status: int = 200
    behaviour: str = "answer"
    pings: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{UUID}"

    @property
    def signals(self) -> list[str]:
        """The paths that were asked for, after the secret part."""
        assert all(path.startswith(f"/{UUID}") for path, _ in self.pings)
        return [path.removeprefix(f"/{UUID}") for path, _ in self.pings]


@pytest.fixture
def service() -> Iterator[PingService]:
    with hearing() as service:
        yield service


@contextmanager
def hearing() -> Iterator[PingService]:
    service = PingService()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            service.pings.append(
                (self.path, self.rfile.read(int(self.headers["Content-Length"])).decode())
            )
            if service.behaviour == "hang":
                service.over.wait()
                return
            if service.behaviour == "drip":
                self.drip()
                return
            self.send_response(service.status)
            if service.status in {301, 302, 307, 308}:
                self.send_header("Location", f"http://127.0.0.1:{service.port}/elsewhere")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"OK")

        def drip(self) -> None:
            """A header that never ends, a byte at a time."""
            for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 10_000:
                try:
                    self.wfile.write(bytes([byte]))
                except OSError:
                    return
                if service.over.wait(0.02):
                    return

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server gives
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        service.port = server.server_port
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        thread.start()
        yield service
        service.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(60) as simulator:
        yield simulator


@pytest.fixture
def run(sim: Simulator, service: PingService, sqlite_url: str) -> Callable[..., Finished]:
    def sync(*arguments: str, **settings: str) -> Finished:
        given = (
            sim.environment
            | FAST
            | {"DATABASE_URL": sqlite_url, "ETL_PING_URL": service.url}
            | settings
        )
        return etl("sync", *arguments, **given)

    return sync


def warnings(done: Finished) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    return [line for line in lines if line["event"] == "ping failed"]


def test_a_run_that_is_complete_pings_on_start_and_on_success_with_its_summary(
    run: Callable[..., Finished], service: PingService
) -> None:
    assert run().returncode == 0
    assert service.signals == ["/start", ""]
    first, oa = service.pings[1][1].splitlines()
    assert first == "etl sync: exit code 0"
    assert oa.startswith("OA 4097311281936189049: complete in ")
    assert (
        "following 60, baseline 60, followed 0, refollowed 0, unfollowed 0, seen 60, total 60, requests 2, retries 0"
        in oa
    )


def refused(sim: Simulator) -> None:
    sim.fault_rate("code:101", 1)


def held(sim: Simulator) -> None:
    for _ in range(40):
        sim.unfollow()


def cut_short(sim: Simulator) -> None:
    sim.max_offset = 0


@pytest.mark.parametrize(
    ("trouble", "code", "words"),
    [
        (refused, 77, "failed (refused)"),
        (held, 65, "held (mass_unfollow)"),
        (cut_short, 75, "partial (ceiling)"),
    ],
)
def test_whatever_is_not_exit_code_0_is_a_failure_and_says_why(
    run: Callable[..., Finished],
    sim: Simulator,
    service: PingService,
    trouble: Callable[[Simulator], None],
    code: int,
    words: str,
) -> None:
    run()
    service.pings.clear()
    trouble(sim)
    assert run().returncode == code
    assert service.signals == ["/start", "/fail"]
    first, oa = service.pings[1][1].splitlines()
    assert first == f"etl sync: exit code {code}"
    assert words in oa


def test_a_run_that_fails_before_its_first_oa_is_a_failure_too(
    run: Callable[..., Finished], sim: Simulator, service: PingService
) -> None:
    sim.account_code = "143"
    done = run(ESMS_OAIDS="all")
    assert (done.returncode, service.signals) == (77, ["/start", "/fail"])
    assert service.pings[1][1] == "etl sync: exit code 77 (refused)\n"
    (line,) = done.stderr.splitlines()
    assert {name: json.loads(line)[name] for name in ("event", "level", "exit_code")} == {
        "event": "run failed", "level": "error", "exit_code": 77,
    }  # fmt: skip


def test_a_database_that_cannot_be_reached_is_told_without_its_address(
    run: Callable[..., Finished], service: PingService
) -> None:
    assert run(DATABASE_URL="postgresql://me:hunter2@127.0.0.1:1/x").returncode == 69
    assert service.signals == ["/start", "/fail"]
    assert service.pings[1][1] == "etl sync: exit code 69 (database)\n"


def test_a_dry_run_pings_nobody(run: Callable[..., Finished], service: PingService) -> None:
    assert run("--dry-run").returncode == 0
    assert service.pings == []


def test_a_body_holds_neither_keys_nor_user_ids(
    run: Callable[..., Finished], sim: Simulator, service: PingService
) -> None:
    run()
    sim.fault_rate("broken_json", 1)
    run(ETL_LOG_LEVEL="debug")
    told = "".join(body for _, body in service.pings)
    for secret in (API_KEY, SECRET_KEY, *sim.users()):
        assert secret not in told


@pytest.mark.parametrize("status", [301, 302, 307, 308, 404, 500])
def test_an_answer_other_than_2xx_is_a_warning_and_a_redirect_is_not_followed(
    run: Callable[..., Finished], service: PingService, status: int
) -> None:
    service.status = status
    done = run()
    assert done.returncode == 0
    assert [(line["ping"], line["reason"], line["level"]) for line in warnings(done)] == [
        ("start", f"HTTP {status}", "warning"), ("success", f"HTTP {status}", "warning"),
    ]  # fmt: skip
    assert service.signals == ["/start", ""]


@pytest.mark.parametrize("behaviour", ["hang", "drip"])
def test_a_service_that_hangs_or_drips_is_not_waited_for(
    run: Callable[..., Finished],
    service: PingService,
    behaviour: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ping, "_ANSWER", 0.3)
    service.behaviour = behaviour
    done = run()
    assert not service.over.is_set(), "it would have gone on"
    assert done.returncode == 0
    assert [line["ping"] for line in warnings(done)] == ["start", "success"]


def test_a_name_that_takes_for_ever_to_resolve_is_not_waited_for(
    run: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No time-out of a socket bounds that."""
    monkeypatch.setattr(ping, "LONGEST", 0.2)
    resolved, real = threading.Event(), socket.getaddrinfo

    def slow(host: Any, *arguments: Any, **options: Any) -> Any:
        if host == "slow.invalid":
            resolved.wait()
            raise socket.gaierror
        return real(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    try:
        done = run(ETL_PING_URL="https://slow.invalid/x")
        assert not resolved.is_set()
    finally:
        resolved.set()
    assert done.returncode == 0
    assert [line["reason"] for line in warnings(done)] == ["no answer within 0.2 s"] * 2


@pytest.mark.parametrize(
    "url",
    [
        f"http://127.0.0.1:1/{UUID}", f"https://no-such-host.invalid/{UUID}", f"http://[::1/{UUID}", f"http:///{UUID}",
        f"http://127.0.0.1:99999/{UUID}", f"http://me:{UUID}@127.0.0.1:1/{UUID}?key={UUID}", f"https://127.0.0.1:1/{UUID}\ud7ff",
    ],
)  # fmt: skip
def test_a_url_that_leads_nowhere_is_a_warning_that_tells_nothing_of_it(
    run: Callable[..., Finished], url: str
) -> None:
    done = run(ETL_PING_URL=url, ETL_LOG_LEVEL="debug")
    if done.returncode == 78:
        assert "ETL_PING_URL" in done.stderr
    else:
        assert done.returncode == 0
        assert [line["ping"] for line in warnings(done)] == ["start", "success"]
    assert UUID not in done.stderr


def test_a_query_stays_behind_the_signal(
    run: Callable[..., Finished], service: PingService
) -> None:
    run(ETL_PING_URL=f"{service.url}/?create=1")
    assert service.signals == ["/start?create=1", "/?create=1"]


def test_a_run_that_is_stopped_pings_its_failure(
    sim: Simulator, service: PingService, sqlite_url: str
) -> None:
    sim.latency = 1
    environment = (
        os.environ | sim.environment | {"DATABASE_URL": sqlite_url, "ETL_PING_URL": service.url}
    )
    with subprocess.Popen(
        [sys.executable, "-m", "etl", "sync"], env=environment, stderr=subprocess.PIPE
    ) as process:
        while "/start" not in service.signals or not sim.requests:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 143
    assert service.signals == ["/start", "/fail"]
    assert service.pings[1][1].startswith(
        "etl sync: exit code 143\nOA 4097311281936189049: failed (interrupted)"
    )
