"""What stands between us and a server: addresses that swallow packets, proxies, certificates."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from commandline import etl
from pydantic import SecretStr
from rawserver import RawServer, always, reply
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from etl.errors import EsmsUnavailableError, SettingsError
from etl.esms.client import EsmsClient
from etl.observe.logs import configure_logging, logger
from etl.observe.ping import Pings
from etl.settings import EsmsSettings
from etl.transport import connecting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

URL = "https://rest.esms.test/json"
PASSWORD = "pr0xy-s3cret"
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_between(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def settings(url: str = URL, **given: Any) -> EsmsSettings:
    hurried = {"esms_rate": 0, "esms_backoff_base": 0, "esms_max_attempts": 3, "esms_timeout": 20}
    keys = {"esms_api_key": "an-api-key", "esms_secret_key": "a-secret-key"}
    return EsmsSettings.model_validate({"esms_base_url": url, **keys, **hurried, **given})


def problem(url: str = URL) -> str:
    """The one that a client finds before it asks anybody."""
    with pytest.raises(SettingsError) as caught:
        EsmsClient(settings(url))
    (told,) = caught.value.problems
    assert PASSWORD not in told
    return told


# -- addresses -------------------------------------------------------------------------------------


@contextmanager
def swallowing(address: str) -> Iterator[int]:
    """A port whose queue is full: the kernel answers no further connection to it."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind((address, 0))
        server.listen(0)
        for _ in range(3):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(server.getsockname())
        yield server.getsockname()[1]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[str, int]]]:
    """Names of this test, with the addresses that each resolves to, in order."""
    table: dict[str, list[tuple[str, int]]] = {}
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
        if host in table:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in table[host]]
        return real(host, port, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return table


def place(server: RawServer) -> tuple[str, int]:
    host, _, port = server.address.partition(":")
    return host, int(port)


@pytest.mark.parametrize("first", ["swallows", "swallows twice", "refuses"])
def test_an_address_that_does_not_answer_leaves_time_for_the_next(
    names: dict[str, list[tuple[str, int]]], first: str
) -> None:
    with swallowing("127.0.0.2") as port, RawServer(always(reply())) as server:
        before = {
            "swallows": [("127.0.0.2", port)],
            "swallows twice": [("127.0.0.2", port)] * 2,
            "refuses": [("127.0.0.1", 1)],
        }
        names["localhost"] = [*before[first], place(server)]
        with EsmsClient(settings("http://localhost", esms_max_attempts=1)) as esms:
            assert esms.page("1", 0).users == ("1",)


def test_the_ping_shares_its_time_among_the_addresses_too(
    names: dict[str, list[tuple[str, int]]], capsys: pytest.CaptureFixture[str]
) -> None:
    with swallowing("127.0.0.2") as port, RawServer(always(reply())) as server:
        names["hc.test"] = [("127.0.0.2", port), place(server)]
        Pings(SecretStr("http://hc.test/uuid"), logger()).finish(1, "{}")
    assert server.received[0].startswith(b"POST /uuid/fail ")
    assert "ping failed" not in capsys.readouterr().err


def test_where_every_address_swallows_the_time_ends_all_the_same(
    names: dict[str, list[tuple[str, int]]],
) -> None:
    with swallowing("127.0.0.2") as port:
        names["localhost"] = [("127.0.0.2", port)] * 4
        given = {"esms_max_attempts": 1, "esms_timeout": 0.6}
        with (
            EsmsClient(settings("http://localhost", **given)) as esms,
            pytest.raises(EsmsUnavailableError, match="ESMS_TIMEOUT"),
        ):
            esms.page("1", 0)


def test_whoever_answers_first_is_taken_and_the_others_are_let_go(
    names: dict[str, list[tuple[str, int]]],
) -> None:
    with swallowing("127.0.0.2") as port, closing(socket.socket()) as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        names["x.test"] = [("127.0.0.2", port), server.getsockname()]
        began = time.monotonic()
        with closing(connecting.connect("x.test", 1, 30)) as sock:
            assert sock.getpeername() == server.getsockname()
            assert 0 < (sock.gettimeout() or 0) < 30 - (time.monotonic() - began) + 1


@pytest.mark.parametrize(
    ("families", "order"), [("66644", "64646"), ("44", "44"), ("46", "46"), ("", "")]
)
def test_the_families_of_addresses_take_turns(families: str, order: str) -> None:
    kinds = {"4": socket.AF_INET, "6": socket.AF_INET6}
    found: list[connecting.Address] = [(kinds[each], 1, 6, "", number) for number, each in enumerate(families)]  # fmt: skip
    taken = connecting.interleaved(found)
    assert [each[0] for each in taken] == [kinds[each] for each in order]
    assert sorted(taken, key=lambda each: each[4]) == found


def test_a_name_server_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(60))
    try:
        with pytest.raises(TimeoutError, match="no name server answered in time"):
            connecting.connect("x.test", 443, 0.1)
        with pytest.raises(OSError, match="nobody waits for it any more"):
            connecting.connect("x.test", 443, None, stopped=lambda: True)
        given = {"esms_max_attempts": 1, "esms_timeout": 0.1}
        with (
            EsmsClient(settings("http://localhost", **given)) as esms,
            pytest.raises(EsmsUnavailableError, match="ESMS_TIMEOUT"),
        ):
            esms.page("1", 0)
        assert not answered.is_set()
    finally:
        answered.set()


@pytest.mark.parametrize("host", ["x" * 70, "a..b", "no-such-host.invalid"])
def test_what_is_no_name_is_an_error_of_the_name(host: str) -> None:
    with pytest.raises(socket.gaierror):
        connecting.connect(host, 443, 1)


# -- certificates ----------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("gone.pem", "is not there"),
        ("empty.pem", "no certificate"),
        ("noise.pem", "no certificate"),
        ("a/b", "cannot be read"),
    ],
)
def test_a_bundle_that_is_none_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, file: str, told: str
) -> None:
    (tmp_path / "empty.pem").touch()
    (tmp_path / "a").touch()
    (tmp_path / "noise.pem").write_bytes(b"\xff-----BEGIN")
    monkeypatch.setenv(variable, str(tmp_path / file))
    assert variable in problem()
    assert file in problem()
    assert told in problem()


def test_the_first_of_the_variables_decides(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))  # a directory of certificates
    monkeypatch.setenv("SSL_CERT_FILE", "/gone.pem")
    with EsmsClient(settings()):
        pass


def test_a_key_log_that_cannot_be_written_is_blamed_on_its_own_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "gone" / "keys"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", DEFAULT_CA_BUNDLE_PATH)
    assert problem().startswith("SSLKEYLOGFILE names ")
    assert "REQUESTS_CA_BUNDLE" not in problem()


def test_plain_http_on_this_machine_needs_no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/gone.pem")
    with EsmsClient(settings("http://localhost:1")):
        pass


# -- proxies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    ("proxy", "told"),
    [
        (f"socks5://me:{PASSWORD}@proxy.test:1080", "PySocks"),
        (f"socks5h://me:{PASSWORD}@proxy.test", "PySocks"),
        (f"ftp://me:{PASSWORD}@proxy.test", "must begin with"),
        (f"http://me:{PASSWORD}@:3128", "names no proxy"),
        (f"http://me:{PASSWORD}@proxy.test:99999", "names no proxy"),
        (f"http://me:{PASSWORD}@proxy.test:port", "names no proxy"),
    ],
)
def test_a_proxy_that_is_none_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str, told: str
) -> None:
    monkeypatch.setenv(variable, proxy)
    assert problem().startswith(variable)
    assert told in problem()


@pytest.mark.parametrize(
    "status", ["407 Proxy Authentication Required", "403 Forbidden", "401 x", "405 x"]
)
def test_what_a_proxy_refuses_is_told_at_once_and_without_its_password(
    monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    with RawServer(always(reply(b"", status=status))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:{PASSWORD}@{proxy.address}")
        with EsmsClient(settings()) as esms, pytest.raises(SettingsError) as caught:
            esms.page("1", 0)
    assert len(proxy.received) == 1
    for part in ("HTTPS_PROXY", proxy.address, status[:3]):
        assert part in str(caught.value)
    assert PASSWORD not in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize("status", ["502 Bad Gateway", "503 x", "429 x", "408 x"])
def test_what_may_pass_at_a_proxy_is_tried_again_and_names_it(
    monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    with RawServer(always(reply(b"", status=status))) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://me:{PASSWORD}@{proxy.address}")
        with EsmsClient(settings()) as esms, pytest.raises(EsmsUnavailableError) as caught:
            esms.page("1", 0)
    assert len(proxy.received) == 3
    for part in ("ALL_PROXY", proxy.address, status[:3], "tried 3 times"):
        assert part in str(caught.value)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("how", ["is not there", "hangs up"])
def test_a_proxy_that_is_down_is_named(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    with RawServer(lambda raw, connection: None) as proxy:  # noqa: ARG005 - it says nothing
        where = "127.0.0.1:1" if how == "is not there" else proxy.address
        monkeypatch.setenv("https_proxy", f"http://me:{PASSWORD}@{where}")
        with EsmsClient(settings()) as esms, pytest.raises(EsmsUnavailableError) as caught:
            esms.page("1", 0)
    assert f"the proxy {where} that https_proxy names" in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_a_host_of_no_proxy_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://x")
    monkeypatch.setenv("NO_PROXY", "esms.test")
    with EsmsClient(settings()):
        pass


# -- as an operator meets it -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value"), [("REQUESTS_CA_BUNDLE", "/gone.pem"), ("HTTPS_PROXY", f"socks5://a:{PASSWORD}@x")]
)  # fmt: skip
def test_a_sync_that_cannot_get_out_is_78_and_names_the_variable(
    sqlite_url: str, variable: str, value: str
) -> None:
    given = {"ESMS_API_KEY": "k", "ESMS_SECRET_KEY": "s", "ESMS_OAIDS": "1", "ESMS_BASE_URL": URL}
    done = etl("sync", DATABASE_URL=sqlite_url, **given, **{variable: value})
    assert done.returncode == 78
    assert variable in done.stderr
    assert PASSWORD not in done.stderr


@pytest.mark.parametrize(
    ("variable", "value"), [("REQUESTS_CA_BUNDLE", "/gone.pem"), ("HTTPS_PROXY", f"http://a:{PASSWORD}@127.0.0.1:1")]
)  # fmt: skip
def test_a_ping_that_cannot_get_out_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    configure_logging("json", "info")
    Pings(SecretStr("https://hc.test/the-uuid"), logger()).start()
    told = capsys.readouterr().err
    assert variable in told
    assert PASSWORD not in told
    assert "the-uuid" not in told
