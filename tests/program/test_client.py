"""The client against a real server: what it tries again, what it gives up at once, and where the
keys never go."""

from __future__ import annotations

import gzip
import json
import ssl
import subprocess
import time
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import requests
from rawserver import ANSWER, RawServer, always, reply

from etl.errors import (
    EsmsUnavailableError,
    EtlError,
    FaultError,
    ImpossibleAnswerError,
    InterruptedRunError,
    MalformedAnswerError,
    OffsetRefusedError,
    OutOfTimeError,
    RefusedError,
    ThrottledError,
    UndocumentedCodeError,
    UnknownAccountError,
)
from etl.esms.answer import largest_page
from etl.esms.client import EsmsClient
from etl.esms.pace import Pace
from etl.model import Account, Page, Retry
from etl.settings import EsmsSettings
from etl.simulator import Simulator
from etl.simulator.faults import FAULTS

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

OAID = "4097311281936189049"
API_KEY, SECRET_KEY = "an-api-key", "a-secret-key"


def settings(url: str, **given: Any) -> EsmsSettings:
    hurried = {"esms_rate": 0, "esms_backoff_base": 0, "esms_max_attempts": 3, "esms_timeout": 20}
    keys = {"esms_api_key": API_KEY, "esms_secret_key": SECRET_KEY}
    return EsmsSettings.model_validate({"esms_base_url": url, **keys, **hurried, **given})


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(followers=120) as simulator:
        yield simulator


@contextmanager
def client_of(
    sim: Simulator, *, deadline: float | None = None, **given: Any
) -> Iterator[EsmsClient]:
    environment = {
        name.lower(): value for name, value in sim.environment.items() if name != "ESMS_OAIDS"
    }
    with EsmsClient(settings(sim.url, **{**environment, **given}), deadline=deadline) as esms:
        yield esms


# -- one call, one value ---------------------------------------------------------------------------


def test_a_page_is_a_slice_of_the_list_with_its_total(sim: Simulator) -> None:
    with client_of(sim) as esms:
        assert esms.page(OAID, 100) == Page(100, tuple(sim.users()[100:]), 120)
        assert esms.page(OAID, 120) == Page(120, (), 120)
        assert (esms.requests_of(OAID), esms.retries_of(OAID)) == (2, 0)
        assert esms.requests_of("another") == 0


@pytest.mark.parametrize("count_field", ["Count", "Limit", "both"])
def test_the_page_size_arrives_by_whichever_name_the_server_reads(count_field: str) -> None:
    with (
        Simulator(followers=120, count_field=count_field) as sim,
        client_of(sim, esms_page_size=30) as esms,
    ):
        assert len(esms.page(OAID, 0).users) == 30


@pytest.mark.parametrize(
    ("count", "limit", "served"), [(7, None, 7), (None, 9, 9), (None, None, 50)]
)
def test_one_of_the_two_names_can_be_left_out(
    sim: Simulator, count: int | None, limit: int | None, served: int
) -> None:
    with client_of(sim) as esms:
        assert len(esms.page_of(OAID, 0, count=count, limit=limit).users) == served


@pytest.mark.parametrize("form", ["total_as_text", "integer_ids"])
def test_the_other_documented_forms_give_the_same_page(form: str) -> None:
    options: dict[str, Any] = {form: True}
    with Simulator(followers=["101", "102"], **options) as sim, client_of(sim) as esms:
        assert esms.page(OAID, 0) == Page(0, ("101", "102"), 2)


def test_the_accounts_come_with_their_names(sim: Simulator) -> None:
    sim.add_account("42", "Hệ thống")
    with client_of(sim) as esms:
        assert esms.accounts() == [Account(OAID, "Simulated OA"), Account("42", "Hệ thống")]


# -- faults ----------------------------------------------------------------------------------------

TRIED_AGAIN: dict[str, type[EtlError]] = {
    "http_500": EsmsUnavailableError,
    "http_503": EsmsUnavailableError,
    "http_429": ThrottledError,
    "broken_json": MalformedAnswerError,
    "not_utf8": MalformedAnswerError,
    "html": MalformedAnswerError,
    "no_object": MalformedAnswerError,
    "empty_body": MalformedAnswerError,
    "deep": MalformedAnswerError,
    "huge": MalformedAnswerError,
    "truncated": EsmsUnavailableError,
    "reset": EsmsUnavailableError,
    "no_followers": MalformedAnswerError,
    "no_total": MalformedAnswerError,
    "negative_total": MalformedAnswerError,
    "float_total": MalformedAnswerError,
    "gzip_lie": MalformedAnswerError,
    "user_list": MalformedAnswerError,
    "user_null": MalformedAnswerError,
    "user_empty": MalformedAnswerError,
    "user_float": MalformedAnswerError,
    "user_bool": MalformedAnswerError,
    "user_control": MalformedAnswerError,
    "user_newline": MalformedAnswerError,
    "user_surrogate": MalformedAnswerError,
    "code:160": ThrottledError,
    "code:99": UndocumentedCodeError,
    "code:1000": UndocumentedCodeError,
}

AT_ONCE: dict[str, type[EtlError]] = {
    "http_404": ImpossibleAnswerError,
    "http_403": RefusedError,
    "redirect": ImpossibleAnswerError,
    "code:101": RefusedError,
    "code:110": FaultError,
    "code:140": RefusedError,
    "code:143": RefusedError,
    "code:161": FaultError,
    "code:162": OffsetRefusedError,
    "code:204": UnknownAccountError,
    "code:799": UnknownAccountError,
}

BELIEVED = {"empty_page", "nobody", "short_page", "duplicated", "user_integer"}
"""Good answers to the wire; whether they can be true is the sweep's matter."""

SLOW = {"hang", "drip", "http_429_long"}
"""They have tests of their own."""


def test_every_fault_of_the_simulator_is_tested() -> None:
    tested = set(TRIED_AGAIN) | set(AT_ONCE) | BELIEVED | SLOW
    assert {name for name in tested if ":" not in name} == set(FAULTS)


@pytest.mark.parametrize("fault", TRIED_AGAIN)
def test_a_passing_fault_is_tried_again_and_counted(sim: Simulator, fault: str) -> None:
    sim.fault_at(1, fault)
    with client_of(sim) as esms:
        assert esms.page(OAID, 0).users == tuple(sim.users()[:50])
        assert (esms.requests_of(OAID), esms.retries_of(OAID)) == (2, 1)


@pytest.mark.parametrize(
    ("fault", "kind"), [(fault, kind) for fault, kind in TRIED_AGAIN.items() if fault != "huge"]
)
def test_a_lasting_fault_is_told_after_the_last_attempt_with_their_number(
    sim: Simulator, fault: str, kind: type[EtlError]
) -> None:
    sim.fault_at(1, fault, times=99)
    with client_of(sim) as esms, pytest.raises(kind, match=r"\(tried 3 times\)$") as caught:
        esms.page(OAID, 0)
    assert type(caught.value) is kind
    assert (esms.requests_of(OAID), esms.retries_of(OAID)) == (3, 2)
    assert len(sim.requests) == 3


@pytest.mark.parametrize(("fault", "kind"), AT_ONCE.items())
def test_what_no_retry_cures_is_asked_once(
    sim: Simulator, fault: str, kind: type[EtlError]
) -> None:
    sim.fault_at(1, fault)
    with client_of(sim) as esms, pytest.raises(kind) as caught:
        esms.page(OAID, 0)
    assert type(caught.value) is kind
    assert (esms.requests_of(OAID), esms.retries_of(OAID)) == (1, 0)
    assert len(sim.requests) == 1


@pytest.mark.parametrize("fault", sorted(BELIEVED))
def test_an_answer_of_the_documented_form_is_taken_as_it_came(sim: Simulator, fault: str) -> None:
    sim.fault_at(1, fault)
    with client_of(sim) as esms:
        esms.page(OAID, 0)
        assert esms.requests_of(OAID) == 1


def test_wrong_keys_are_refused_at_once(sim: Simulator) -> None:
    with client_of(sim, esms_api_key="wrong") as esms:
        for ask in (lambda: esms.page(OAID, 0), esms.accounts):
            with pytest.raises(RefusedError, match="101"):
                ask()
        assert (esms.requests_of(OAID), esms.requests_of("")) == (1, 1)


def test_the_retries_are_told_as_they_come(sim: Simulator) -> None:
    sim.fault_at(1, "http_500", times=2)
    told: list[Retry] = []
    with EsmsClient(
        settings(sim.url, esms_api_key="simulated-key", esms_secret_key="simulated-secret"),
        on_retry=told.append,
    ) as esms:
        esms.page(OAID, 50)
    assert told == [Retry(OAID, 50, attempt, 0, "eSMS answered HTTP 500") for attempt in (1, 2)]


def test_a_rate_limit_is_kept_after_it_was_met() -> None:
    with (
        Simulator(followers=400, rate=60) as sim,  # slow enough for any machine to meet it
        client_of(sim, esms_rate=0, esms_backoff_base=0.01, esms_max_attempts=20) as esms,
    ):
        with ThreadPoolExecutor(4) as pool:
            pages = list(pool.map(lambda number: esms.page(OAID, number % 400), range(120)))
        assert len(pages) == 120
        assert 0 < esms.retries_of(OAID) < 24


# -- bounds on one request -------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_a_request_that_takes_longer_than_its_timeout_in_all_is_given_up_and_tried_again(
    sim: Simulator, fault: str
) -> None:
    sim.fault_at(1, fault)
    with client_of(sim, esms_timeout=0.4) as esms:
        assert esms.page(OAID, 0).total == 120
        assert esms.retries_of(OAID) == 1
        sim.fault_at(1, fault)
        sim.fault_at(2, fault)
        sim.fault_at(3, fault)
        with pytest.raises(EsmsUnavailableError, match=r"ESMS_TIMEOUT \(0.4 s\)"):
            esms.page(OAID, 0)


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_a_request_ends_with_the_run_whatever_its_own_timeout(sim: Simulator, fault: str) -> None:
    sim.fault_at(1, fault, times=99)
    with (
        client_of(sim, deadline=time.monotonic() + 0.4) as esms,
        pytest.raises(OutOfTimeError, match="ETL_MAX_RUNTIME"),
    ):
        esms.page(OAID, 0)
    assert len(sim.requests) == 1


def test_a_retry_after_beyond_the_end_of_the_run_ends_it_instead_of_being_waited_for(
    sim: Simulator,
) -> None:
    sim.fault_at(1, "http_429_long")
    with client_of(sim, deadline=time.monotonic() + 50) as esms, pytest.raises(OutOfTimeError):
        esms.page(OAID, 0)
    assert len(sim.requests) == 1


def test_past_its_deadline_nothing_is_asked_and_after_stop_neither(sim: Simulator) -> None:
    with client_of(sim, deadline=time.monotonic()) as esms, pytest.raises(OutOfTimeError):
        esms.page(OAID, 0)
    with client_of(sim) as esms:
        esms.stop()
        with pytest.raises(InterruptedRunError):
            esms.page(OAID, 0)
    assert sim.requests == []


# -- connections -----------------------------------------------------------------------------------


def test_connections_are_kept_and_used_again(sim: Simulator) -> None:
    with client_of(sim, esms_concurrency=4) as esms, ThreadPoolExecutor(4) as pool:
        pages = list(pool.map(lambda offset: esms.page(OAID, offset), range(40)))
    assert [page.offset for page in pages] == list(range(40))
    assert len(sim.requests) == 40
    assert sim.connections <= 4


def test_one_worker_needs_one_connection(sim: Simulator) -> None:
    with client_of(sim) as esms:
        for offset in range(40):
            esms.page(OAID, offset)
    assert sim.connections == 1


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with Simulator() as gone:
        url = gone.url
    with (
        EsmsClient(settings(url)) as esms,
        pytest.raises(EsmsUnavailableError, match="tried 3 times") as caught,
    ):
        esms.page(OAID, 0)
    assert caught.value.exit_code == 69


# -- a server of any kind --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
def test_a_redirect_is_not_followed_and_the_keys_are_not_sent_there(status: str) -> None:
    with RawServer(always(reply())) as elsewhere:
        moved = always(reply(b"", f"Location: http://{elsewhere.address}/", status=status))
        with RawServer(moved) as here, EsmsClient(settings(f"http://{here.address}")) as esms:
            with pytest.raises(ImpossibleAnswerError, match="redirect"):
                esms.page(OAID, 0)
            assert API_KEY.encode() in here.everything
    assert elsewhere.received == []


def test_cookies_are_not_kept_and_no_password_file_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password from-netrc\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    assert requests.utils.get_netrc_auth("http://127.0.0.1/") == ("me", "from-netrc")
    with (
        RawServer(always(reply(ANSWER, "Set-Cookie: id=tracked; Path=/"))) as server,
        EsmsClient(settings(f"http://{server.address}")) as esms,
    ):
        esms.page(OAID, 0)
        esms.page(OAID, 0)
    assert len(server.received) == 2
    assert b"cookie" not in server.everything.lower()
    assert b"authorization" not in server.everything.lower()


def test_the_request_is_a_post_of_json_to_the_documented_path() -> None:
    with (
        RawServer(always(reply())) as server,
        EsmsClient(settings(f"http://{server.address}/MainService.svc/json/")) as esms,
    ):
        esms.page(OAID, 7)
    head, _, body = server.received[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /MainService.svc/json/ZNS/GetFollowers/ HTTP/1.1\r\n")
    assert b"Content-Type: application/json" in head
    assert json.loads(body) == {
        "ApiKey": API_KEY, "SecretKey": SECRET_KEY, "OAID": OAID, "Offset": 7, "Count": 50, "Limit": 50,
    }  # fmt: skip


def test_headers_that_drip_meet_the_deadline_too() -> None:
    def behave(raw: RawServer, connection: socket.socket) -> None:
        raw.read(connection)
        for byte in reply(ANSWER, "X-Filler: " + "x" * 20):
            connection.sendall(bytes([byte]))
            if raw.stopped.wait(0.05):
                return

    with RawServer(behave) as server:
        given = settings(f"http://{server.address}", esms_timeout=0.4, esms_max_attempts=1)
        with EsmsClient(given) as esms, pytest.raises(EsmsUnavailableError, match="ESMS_TIMEOUT"):
            esms.page(OAID, 0)


def test_a_slow_answer_within_the_deadline_is_taken_whole() -> None:
    def behave(raw: RawServer, connection: socket.socket) -> None:
        packed = gzip.compress(ANSWER, mtime=0)
        lines = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        while raw.read(connection):
            connection.sendall(lines.encode())
            for byte in packed:
                connection.sendall(b"1\r\n" + bytes([byte]) + b"\r\n")
                raw.stopped.wait(0.001)
            connection.sendall(b"0\r\n\r\n")

    with RawServer(behave) as server, EsmsClient(settings(f"http://{server.address}")) as esms:
        assert esms.page(OAID, 0).users == ("1",)
        assert esms.page(OAID, 0).users == ("1",)
        assert esms.retries_of(OAID) == 0


def test_a_body_without_end_is_refused_at_the_largest() -> None:
    def behave(raw: RawServer, connection: socket.socket) -> None:
        raw.read(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while raw.sent < 2**30 and not raw.stopped.is_set():
            connection.sendall(b" " * 65_536)
            raw.sent += 65_536

    with (
        RawServer(behave) as server,
        EsmsClient(settings(f"http://{server.address}", esms_max_attempts=1)) as esms,
    ):
        with pytest.raises(MalformedAnswerError, match="larger than 1,074,176 bytes"):
            esms.page(OAID, 0)
        assert server.sent < 2**28


def test_a_body_that_says_it_is_too_large_is_not_even_read(sim: Simulator) -> None:
    sim.fault_at(1, "huge")
    with (
        client_of(sim, esms_max_attempts=1) as esms,
        pytest.raises(MalformedAnswerError, match="larger than 1,074,176 bytes"),
    ):
        esms.page(OAID, 0)


@pytest.mark.parametrize("packed", ["gzip", "deflate"])
def test_a_small_body_that_unpacks_to_a_huge_one_costs_no_more_than_the_largest(
    packed: str,
) -> None:
    """64 kB of gzip are 64 MB of blanks, and 1.7 GB once parsed: no more is unpacked than it takes
    to know."""
    pack = gzip.compress if packed == "gzip" else zlib.compress
    bomb = reply(pack(b"[" + b"0," * 2**25 + b"0]"), f"Content-Encoding: {packed}")
    assert len(bomb) < 2**17
    with (
        RawServer(always(bomb)) as server,
        EsmsClient(settings(f"http://{server.address}", esms_max_attempts=1)) as esms,
    ):
        tracemalloc.start()
        try:
            with pytest.raises(MalformedAnswerError, match="larger than 1,074,176 bytes"):
                esms.page(OAID, 0)
            assert tracemalloc.get_traced_memory()[1] < 2**23
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("page_size", [1, 50, 5_000])
def test_the_largest_body_follows_from_the_page_size(page_size: int) -> None:
    users = [{"User_Id": f"{number:0128}"} for number in range(page_size)]
    body = json.dumps({"CodeResult": "100", "Followers": users, "Total": page_size}).encode()
    assert len(body) < largest_page(page_size)
    assert largest_page(page_size) <= 2**20 + 512 * page_size


@pytest.mark.parametrize(
    ("packed", "header"),
    [
        (gzip.compress(ANSWER, mtime=0), "gzip"),
        (gzip.compress(ANSWER, mtime=0), "X-GZIP"),
        (zlib.compress(ANSWER), "deflate"),
        (ANSWER, "identity"),
    ],
)
def test_a_body_that_was_packed_unasked_is_read(packed: bytes, header: str) -> None:
    answer = reply(packed, f"Content-Encoding: {header}")
    with (
        RawServer(always(answer)) as server,
        EsmsClient(settings(f"http://{server.address}")) as esms,
    ):
        assert esms.page(OAID, 0).users == ("1",)


@pytest.mark.parametrize(
    ("packed", "header"),
    [
        (ANSWER, "gzip"),
        (gzip.compress(ANSWER, mtime=0)[:-9], "gzip"),
        (ANSWER, "br"),
        (ANSWER, "zstd, gzip"),
    ],
)
def test_a_body_whose_packing_is_broken_or_unknown_is_malformed(packed: bytes, header: str) -> None:
    answer = reply(packed, f"Content-Encoding: {header}")
    with (
        RawServer(always(answer)) as server,
        EsmsClient(settings(f"http://{server.address}")) as esms,
        pytest.raises(MalformedAnswerError, match="compress"),
    ):
        esms.page(OAID, 0)


# -- answers of HTTP that say nothing against the request ------------------------------------------


def then(*answers: bytes) -> Callable[[RawServer, socket.socket], None]:
    """These answers, one a request, over however many connections; the last one again and again."""
    waiting = list(answers)

    def behave(raw: RawServer, connection: socket.socket) -> None:
        while raw.read(connection):
            connection.sendall(waiting.pop(0) if len(waiting) > 1 else waiting[0])

    return behave


@pytest.mark.parametrize(
    "status",
    ["408 Request Timeout", "421 Misdirected Request", "425 Too Early", "101 Switching Protocols",
     "500 x", "502 x", "503 x", "599 x", "204 No Content", "202 Accepted", "206 Partial Content"],
)  # fmt: skip
def test_an_answer_that_says_nothing_against_the_request_is_passing(status: str) -> None:
    with (
        RawServer(then(reply(b"", status=status), reply())) as server,
        EsmsClient(settings(f"http://{server.address}")) as esms,
    ):
        assert esms.page(OAID, 0).users == ("1",)
        assert esms.retries_of(OAID) == 1


@pytest.mark.parametrize("status", ["402 x", "404 x", "405 x", "410 x", "413 x", "451 x"])
def test_another_refusal_of_http_is_not_asked_again(status: str) -> None:
    with (
        RawServer(always(reply(b"", status=status))) as server,
        EsmsClient(settings(f"http://{server.address}")) as esms,
        pytest.raises(ImpossibleAnswerError, match=status[:3]),
    ):
        esms.page(OAID, 0)
    assert len(server.received) == 1


@pytest.mark.parametrize("interim", ["100 Continue", "102 Processing", "103 Early Hints"])
def test_interim_answers_before_the_real_one_are_passed_over(interim: str) -> None:
    first = f"HTTP/1.1 {interim}\r\nLink: </x>; rel=preload\r\n\r\n".encode()
    with (
        RawServer(always(first + first + reply())) as server,
        EsmsClient(settings(f"http://{server.address}")) as esms,
    ):
        assert esms.page(OAID, 0).users == ("1",)
        assert esms.retries_of(OAID) == 0


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable", "408 x"])
@pytest.mark.parametrize(("asked", "waited"), [("7", 7.0), ("99999", 60.0), ("soon", None)])
def test_a_retry_after_is_kept_within_reason(
    status: str, asked: str, waited: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(Pace, "wait", lambda _, seconds, **__: waits.append(seconds))
    with (
        RawServer(then(reply(b"", f"Retry-After: {asked}", status=status), reply())) as server,
        EsmsClient(settings(f"http://{server.address}")) as esms,
    ):
        esms.page(OAID, 0)
    assert (waited or 0.0) in waits


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\x00\xff\xfe\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
     b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
     b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n"],
    ids=["nothing", "noise", "no status", "SSH", "a negative length", "a broken chunk", "too many headers", "an endless header"],
)  # fmt: skip
def test_what_is_no_http_is_an_error_of_ours(garbage: bytes) -> None:
    def behave(raw: RawServer, connection: socket.socket) -> None:
        raw.read(connection)
        connection.sendall(garbage)

    given = {"esms_max_attempts": 2, "esms_timeout": 5}
    with (
        RawServer(behave) as server,
        EsmsClient(settings(f"http://{server.address}", **given)) as esms,
        pytest.raises((EsmsUnavailableError, MalformedAnswerError), match="tried 2 times"),
    ):
        esms.page(OAID, 0)


# -- proxies and TLS -------------------------------------------------------------------------------


def test_the_environments_proxy_is_used_for_https_and_sees_no_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with RawServer(always(reply(b"", status="502 Bad Gateway"))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with (
            EsmsClient(settings("https://rest.esms.test/json")) as esms,
            pytest.raises(EsmsUnavailableError),
        ):
            esms.page(OAID, 0)
    assert proxy.received[0].startswith(b"CONNECT rest.esms.test:443 ")
    assert API_KEY.encode() not in proxy.everything


def test_plain_http_to_this_machine_never_takes_the_keys_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch, sim: Simulator
) -> None:
    with RawServer(always(reply())) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://{proxy.address}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        with client_of(sim) as esms:
            assert esms.page(OAID, 0).total == 120
    assert proxy.received == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody vouches for, and its key, in one file."""
    made = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
         "/CN=simulated", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", made / "key.pem", "-out", made / "cert.pem"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    both = made / "both.pem"
    both.write_text((made / "key.pem").read_text() + (made / "cert.pem").read_text())
    return both


@pytest.fixture
def tls(certificate: Path) -> Iterator[RawServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with RawServer(always(reply()), context=context) as server:
        yield server


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once_and_the_keys_are_not_sent(
    tls: RawServer,
) -> None:
    with (
        EsmsClient(settings(f"https://{tls.address}")) as esms,
        pytest.raises(ImpossibleAnswerError, match="certificate"),
    ):
        esms.page(OAID, 0)
    assert esms.requests_of(OAID) == 1
    assert tls.received == []


def test_a_bundle_that_vouches_for_it_is_taken_from_the_environment(
    tls: RawServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with EsmsClient(settings(f"https://{tls.address}")) as esms:
        assert esms.page(OAID, 0).users == ("1",)


def test_a_certificate_for_another_name_is_refused(
    tls: RawServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    another = tls.address.replace("127.0.0.1", "localhost")
    with (
        EsmsClient(settings(f"https://{another}")) as esms,
        pytest.raises(ImpossibleAnswerError, match="certificate"),
    ):
        esms.page(OAID, 0)
    assert tls.received == []


def test_a_server_that_speaks_no_tls_is_unreachable() -> None:
    with (
        RawServer(always(reply())) as server,
        EsmsClient(settings(f"https://{server.address}", esms_timeout=0.5)) as esms,
    ):
        with pytest.raises(EsmsUnavailableError, match="tried 3 times"):
            esms.page(OAID, 0)
        assert API_KEY.encode() not in server.everything
