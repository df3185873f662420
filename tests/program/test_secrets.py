"""No secret in anything that leaves the program, whatever goes wrong: output at debug level,
metrics, the database itself."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from commandline import Finished, etl
from sqlalchemy import make_url

from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY, SECRET, PASSWORD, UUID = 'ap1-"käy/+x', "s3cret\\&<käy>", "hunter2pass", "0b1c-ping-uuid"
KEYS = {"ESMS_API_KEY": KEY, "ESMS_SECRET_KEY": SECRET, "ESMS_OAIDS": "123"}
IMPATIENT = {
    "ESMS_RATE": "0", "ESMS_BACKOFF_BASE": "0", "ESMS_MAX_ATTEMPTS": "2", "ESMS_TIMEOUT": "2", "ETL_LOG_LEVEL": "debug",
}  # fmt: skip

Answer = tuple[int, dict[str, str], bytes]


def forms(secret: str) -> set[str]:
    """How a secret may show: as it is, escaped, quoted or encoded."""
    plain = {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret),
        quote(secret, safe=""),
    }
    plain |= {
        quote(secret, safe=""),
        repr(secret)[1:-1],
        repr(secret.encode())[2:-1],
        secret.encode("unicode-escape").decode(),
    }
    return (
        plain
        | {json.dumps(each)[1:-1] for each in plain}
        | {base64.b64encode(secret.encode()).decode().rstrip("=")}
    )


def assert_no_secret(where: str, text: str) -> None:
    for secret in (KEY, SECRET, PASSWORD, UUID):
        for form in forms(secret):
            assert form not in text, f"{secret!r} as {form!r} in {where}"


@pytest.fixture
def told(tmp_path: Path, sqlite_url: str) -> Callable[..., Finished]:
    """Run a command, and look for secrets in all that it prints and leaves behind."""

    def run(*arguments: str, **settings: str) -> Finished:
        given = (
            KEYS
            | IMPATIENT
            | {"DATABASE_URL": sqlite_url, "ETL_METRICS_FILE": str(tmp_path / "etl.prom")}
            | settings
        )
        done = etl(*arguments, **given)
        assert_no_secret("stdout", done.stdout)
        assert_no_secret("stderr", done.stderr)
        for file in tmp_path.iterdir():
            if file.is_file() and file.name != ".env":
                assert_no_secret(file.name, file.read_bytes().decode("utf-8", "replace"))
        return done

    return run


@contextmanager
def serving(answer: Callable[[str, bytes], Answer]) -> Iterator[str]:
    """A server of our own making, which knows the keys it was sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers, body = answer(self.path, asked)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server gives
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/json"
        server.shutdown()
        thread.join()


def json_answer(**members: object) -> Answer:
    return (
        200,
        {"Content-Type": "application/json"},
        json.dumps({"ErrorMessage": "success", **members}).encode(),
    )


ECHOES: dict[str, Callable[[str, bytes], Answer]] = {
    "as it came": lambda _, asked: (200, {}, asked),
    "no JSON": lambda _, asked: (200, {}, b"You sent " + asked + b"!"),
    "cut JSON": lambda _, asked: (200, {}, asked[:-1]),
    "HTTP 500": lambda _, asked: (500, {"Content-Type": "text/html"}, b"<pre>" + asked + b"</pre>"),
    "HTTP 400": lambda _, asked: (400, {"X-Echo": quote(asked)}, asked),
    "HTTP 403": lambda _, asked: (403, {}, asked),
    "redirect": lambda path, asked: (302, {"Location": f"{path}?{quote(asked)}"}, asked),
    "a wrong status line": lambda _, asked: (299, {}, asked),
    "unknown code": lambda _, asked: json_answer(CodeResult="555", ErrorMessage=asked.decode()),
    "code 101": lambda *_: json_answer(
        CodeResult="101", ErrorMessage=f"unknown pair {KEY} {SECRET}"
    ),
    "code 101, escaped": lambda _, asked: json_answer(
        CodeResult="101", ErrorMessage=json.dumps(asked.decode())
    ),
    "code 110": lambda *_: json_answer(CodeResult="110", ErrorMessage=[KEY, SECRET]),
    "code 160": lambda *_: json_answer(CodeResult="160", ErrorMessage=f"too fast, {KEY}"),
    "a key as the code": lambda *_: json_answer(CodeResult=KEY, ErrorMessage=SECRET),
    "a key as Total": lambda *_: json_answer(CodeResult="100", Total=KEY, Followers=[]),
    "a key as Followers": lambda *_: json_answer(CodeResult="100", Total=1, Followers=SECRET),
    "a key as a follower": lambda *_: json_answer(
        CodeResult="100", Total=1, Followers=[{"Id": SECRET}]
    ),
    "a key as a wrong User_Id": lambda *_: json_answer(
        CodeResult="100", Total=1, Followers=[{"User_Id": [KEY]}]
    ),
    "a key as ZOAList": lambda *_: json_answer(CodeResult="100", ZOAList=[KEY]),
    "a key as a wrong OAID": lambda *_: json_answer(
        CodeResult="100", ZOAList=[{"OAID": [KEY], "OAName": SECRET}]
    ),
}


@pytest.mark.parametrize("echo", ECHOES)
def test_a_server_that_sends_the_keys_back_does_not_get_them_told(
    told: Callable[..., Finished], echo: str
) -> None:
    with serving(ECHOES[echo]) as url:
        for arguments in (["sync", "--json"], ["accounts"], ["doctor", "--json"]):
            assert told(*arguments, ESMS_BASE_URL=url).returncode != 0
        told("sync", "--dry-run", ESMS_BASE_URL=url, ESMS_OAIDS="all", ETL_LOG_FORMAT="console")
        told("history", "--json")
        told("status", "--json")


@pytest.mark.parametrize("arguments", [["sync", "--json"], ["accounts"], ["doctor"]])
def test_wrong_keys_are_not_told(told: Callable[..., Finished], arguments: list[str]) -> None:
    with Simulator(3) as sim:
        done = told(*arguments, ESMS_BASE_URL=sim.url)
    assert done.returncode == 77
    assert "101" in done.stdout + done.stderr


def test_a_sync_that_goes_well_tells_no_secret_either(told: Callable[..., Finished]) -> None:
    with Simulator(120) as sim:
        sim.fault_at(2, "http_503")
        done = told("sync", "--json", ESMS_BASE_URL=sim.url, ESMS_API_KEY="simulated-key", ESMS_SECRET_KEY="simulated-secret",
                    ESMS_OAIDS=sim.default)  # fmt: skip
        assert done.returncode == 0
        for secret in ("simulated-key", "simulated-secret", *sim.users()):
            assert secret not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{PASSWORD}@127.0.0.1:1/x",
        f"postgresql+psycopg2://me:{PASSWORD}@127.0.0.1:1/x",
        f"postgresql://me:{PASSWORD}@127.0.0.1:port/x",
        f"postgresql://me:p@{PASSWORD}@127.0.0.1:1/x",
        f"postgresql://me:{PASSWORD}@no-such-host.invalid/x",
        f"postgresql://me:{PASSWORD}@127.0.0.1:1/x?sslmode=wrong",
        f"postgresql://127.0.0.1:1/x?user=me&password={PASSWORD}",
        f"postgresql://me:{PASSWORD}@/x?host=/no/such/socket",
        f"mysql://me:{PASSWORD}@127.0.0.1/x",
        f"postgresql//me:{PASSWORD}@127.0.0.1/x",
        f"postgresql://me:{PASSWORD}\n@127.0.0.1/x",
    ],
)
def test_a_database_that_cannot_be_reached_does_not_get_its_password_told(
    told: Callable[..., Finished], url: str
) -> None:
    for arguments in (
        ["sync"],
        ["status"],
        ["db", "check"],
        ["db", "upgrade"],
        ["doctor"],
        ["verify"],
    ):
        assert told(
            *arguments, DATABASE_URL=url, ESMS_BASE_URL="http://127.0.0.1:1"
        ).returncode in {69, 78}
    told("db", "upgrade")
    assert told("db", "copy", "--to", url).returncode in {2, 69, 78}


def test_a_database_that_refuses_the_password_does_not_get_it_told(
    told: Callable[..., Finished], postgresql_url: str
) -> None:
    url = (
        make_url(postgresql_url)
        .set(username="nobody_we_know", password=PASSWORD)
        .render_as_string(hide_password=False)
    )
    done = told("sync", DATABASE_URL=url, ESMS_BASE_URL="http://127.0.0.1:1")
    assert done.returncode == 69
    assert "nobody_we_know" in done.stderr


@pytest.mark.parametrize(
    "trouble",
    [
        {"ESMS_BASE_URL": "https://127.0.0.1:1/x"},
        {"ESMS_BASE_URL": "https://no-such-host.invalid/x"},
        {
            "ESMS_BASE_URL": "https://127.0.0.1:1/x",
            "HTTPS_PROXY": f"http://me:{PASSWORD}@127.0.0.1:1",
        },
        {"ETL_PING_URL": f"http://127.0.0.1:1/{UUID}"},
        {"ETL_PING_URL": f"ftp://127.0.0.1:1/{UUID}"},
        {"ETL_PING_URL": f"http://[{UUID}"},
        {"ESMS_API_KEY": f"{KEY}\x00"},
        {"ESMS_SECRET_KEY": f"{SECRET}\n{SECRET}"},
        {"ESMS_BASE_URL": f"https://me:{PASSWORD}@127.0.0.1:1/x"},
        {
            "ESMS_RATE": "x",
            "ESMS_PAGE_SIZE": "x",
            "ETL_TIMEZONE": "x",
            "DATABASE_URL": PASSWORD,
            "ETL_PING_URL": UUID,
        },
    ],
)
def test_settings_that_are_wrong_or_lead_nowhere_are_named_without_their_secrets(
    told: Callable[..., Finished], trouble: dict[str, str]
) -> None:
    if any("\x00" in value for value in trouble.values()):
        trouble = {
            name: value.replace("\x00", "\x01") for name, value in trouble.items()
        }  # no environment holds a NUL
    for arguments in (["sync"], ["accounts"], ["doctor"]):
        assert (
            told(*arguments, **{"ESMS_BASE_URL": "http://127.0.0.1:1/x"} | trouble).returncode != 0
        )


def test_a_broken_env_file_is_not_quoted(told: Callable[..., Finished], tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        f"ESMS_API_KEY='{KEY}\nESMS_SECRET_KEY={SECRET}\n{PASSWORD}\nESMS_RATE={PASSWORD}\n"
    )
    assert told("sync", ESMS_API_KEY="", ESMS_SECRET_KEY="").returncode == 78
    (tmp_path / ".env").write_bytes(f"ESMS_SECRET_KEY={SECRET}\n".encode("latin-1"))
    assert told("sync").returncode == 78


FAULTS = {
    "in a worker": "etl.esms.wire.page",
    "in the sweep": "etl.sync.read.sweep",
    "in the transaction": "etl.sync.account.apply",
    "before the OA": "etl.db.schema.create_or_require_current",
    "in the metrics": "etl.observe.metrics.measured",
    "in the summary": "etl.observe.ping.summary",
}
"""Places where a fault of ours may happen, with the keys in the frames around it."""


@pytest.mark.parametrize(
    ("place", "form"),
    [
        *((place, "json") for place in FAULTS),
        ("in the sweep", "console"),
        ("before the OA", "console"),
    ],
)
def test_a_fault_of_ours_tells_where_it_is_and_no_value(
    place: str, form: str, tmp_path: Path, sqlite_url: str
) -> None:
    script = (
        "import sys, pkgutil\n"
        "from etl.cli import main\n"
        "def boom(*args, **kwargs): raise RuntimeError('boom')\n"
        f"module, _, name = {FAULTS[place]!r}.rpartition('.')\n"
        "setattr(pkgutil.resolve_name(module), name, boom)\n"
        "sys.argv = ['etl', 'sync', '--json']\n"
        "main()\n"
    )
    with Simulator(120) as sim:
        settings: dict[str, Any] = (
            sim.environment | IMPATIENT | {"DATABASE_URL": sqlite_url, "ETL_LOG_FORMAT": form}
        )
        settings |= {
            "ETL_METRICS_FILE": str(tmp_path / "etl.prom"),
            "ETL_PING_URL": f"http://127.0.0.1:1/{UUID}",
        }
        command = [sys.executable, "-c", script]
        done = subprocess.run(
            command, env=os.environ | settings, capture_output=True, text=True, check=False
        )
        for secret in ("simulated-key", "simulated-secret", UUID, *sim.users()):
            assert secret not in done.stdout + done.stderr
    assert done.returncode == (0 if place in {"in the metrics", "in the summary"} else 1)
    if done.returncode:
        assert " boom" in done.stderr, "where it happened is told"
