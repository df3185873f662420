"""Whatever state the streams, the directory, the limits and the system are in: the sync does its
work, and nobody sees a traceback."""

from __future__ import annotations

import json
import os
import pty
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGHUP, SIGINT
from typing import TYPE_CHECKING

import pytest
from commandline import HURRY
from forks import IMPORTED

from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "Cửa hàng – Nhật 😀"
SECOND = "111"
COMMANDS = [
    "sync --json", "status", "status --json", "history", "history --format csv", "report", "report --lang vi",
    "report --format json", "export", "verify", "accounts", "doctor", "--help",
]  # fmt: skip
FAST = HURRY | {"ESMS_MAX_ATTEMPTS": "2"}


EACH = f"""{IMPORTED}
import json, os
from contextlib import suppress
forks.prepare()
for command in sys.argv[1:]:
    with suppress(OSError):
        os.write(1, f"$ {{command}}\\n".encode())
    code = forks.run(command.split())
    with open("ended", "a") as file:
        file.write(json.dumps([command, code]) + chr(10))
"""
"""Runs commands one after another, all with the streams of this script."""


class Shell:
    """A directory with a database, and a shell in it."""

    def __init__(self, directory: Path, sim: Simulator) -> None:
        self.directory, self.sim = directory, sim
        self.database = directory / "followers.db"

    def run(self, script: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a script of bash in which `etl` is ours."""
        own = {"DATABASE_URL": f"sqlite:///{self.database}", "HOME": str(self.directory)}
        done = subprocess.run(
            ["bash", "-c", f'etl() {{ "{sys.executable}" -m etl "$@"; }}; {script}'],
            cwd=self.directory,
            env=os.environ | self.sim.environment | FAST | own | settings,
            capture_output=True,
            check=False,
        )
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        for words in ("Traceback", "Exception ignored", "most recent call"):
            assert words not in out + err
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def run_each(
        self, commands: list[str], where: str = "", **settings: str
    ) -> dict[str, tuple[int, str]]:
        """Run commands with the same streams (`where`: what the shell does to them).

        Returns:
            By command its exit code and its part of stdout.
        """
        done = self.run(f'"{sys.executable}" {self.each(commands)} {where}', **settings)
        return self.ended(done.stdout)

    def each(self, commands: list[str]) -> str:
        """Write the script that runs these commands; its name and arguments."""
        (self.directory / "each.py").write_text(EACH)
        return shlex.join(["each.py", *commands])

    def ended(self, stdout: str) -> dict[str, tuple[int, str]]:
        """What the script wrote down, with each command's part of its stdout."""
        notes = self.directory / "ended"
        codes = dict(map(json.loads, notes.read_text().splitlines()))
        notes.unlink()
        shown = dict(part.partition("\n")[::2] for part in stdout.replace("\r", "").split("$ ")[1:])
        return {command: (code, shown.get(command, "")) for command, code in codes.items()}

    def runs(self, status: str = "complete", oaid: str = "") -> int:
        """How many runs of an OA (the first where none is named) are on record as this."""
        query = "SELECT count(*) FROM snapshots WHERE status = ? AND oaid = ?"
        connection = sqlite3.connect(self.database)
        with connection:
            number: int = connection.execute(query, (status, oaid or self.sim.default)).fetchone()[
                0
            ]
        connection.close()
        return number

    def left_behind(self) -> tuple[int, int]:
        """Leases that are still held, and snapshots that are still running."""
        connection = sqlite3.connect(self.database)
        leases = "SELECT count(*) FROM official_accounts WHERE lease_token IS NOT NULL"
        running = "SELECT count(*) FROM snapshots WHERE status = 'running'"
        found = tuple(connection.execute(query).fetchone()[0] for query in (leases, running))
        connection.close()
        return found[0], found[1]


def codes(ended: dict[str, tuple[int, str]]) -> dict[str, int]:
    return {command: code for command, (code, _) in ended.items()}


@contextmanager
def world() -> Iterator[Simulator]:
    with Simulator(60) as sim:
        sim.add_account(SECOND, "Second", 30)
        yield sim


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database after a first sync, to be copied."""
    with world() as sim:
        shell = Shell(tmp_path_factory.mktemp("synced"), sim)
        assert shell.run("etl sync").returncode == 0
    connection = sqlite3.connect(shell.database)
    with connection:
        connection.execute("UPDATE official_accounts SET name = ?", (NAME,))
    connection.close()
    return shell.database


@pytest.fixture
def shell(tmp_path: Path, synced: Path) -> Iterator[Shell]:
    with world() as sim:
        shell = Shell(tmp_path, sim)
        shutil.copy(synced, shell.database)
        yield shell


# --- what stdout cannot show


@pytest.mark.parametrize("encoding", ["latin-1", "ascii:strict"])
def test_a_stdout_that_is_not_utf_8_ends_no_command(shell: Shell, encoding: str) -> None:
    ended = shell.run_each(COMMANDS, PYTHONIOENCODING=encoding)
    assert {command: (code, bool(shown)) for command, (code, shown) in ended.items()} == (
        dict.fromkeys(COMMANDS, (0, True))
    )


def test_a_c_locale_ends_no_command(shell: Shell) -> None:
    commands = ["status", "history", "report --lang vi", "sync --json"]
    ended = shell.run_each(commands, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert codes(ended) == dict.fromkeys(commands, 0)


def test_json_stays_json_in_any_encoding(shell: Shell) -> None:
    done = shell.run("etl status --json", PYTHONIOENCODING="ascii")
    assert json.loads(done.stdout)["name"] == NAME


def test_an_argument_that_is_no_text_is_refused_in_words(shell: Shell) -> None:
    assert shell.run("etl sync --oaid $'\\xff'").returncode == 2
    assert shell.run("etl history --oaid $'\\xff'").returncode == 2
    assert shell.run("etl export -o $'\\xff.csv'").returncode == 0


# --- streams that are closed, full, or that nobody reads


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&-", ">&- 2>&- <&-"])
def test_a_closed_stream_changes_no_exit_code(shell: Shell, closed: str) -> None:
    commands = ["sync --json", "history", "export", "verify", "db check"]
    wanted = dict.fromkeys(commands, 0) | {"sync --wrong": 2}
    assert codes(shell.run_each([*commands, "sync --wrong"], closed)) == wanted
    assert shell.run(f"etl sync {closed}").returncode == 0
    assert shell.runs() == 3
    assert shell.run("etl verify").returncode == 0, "no output got into the database file"


def test_a_full_stderr_changes_no_exit_code(shell: Shell) -> None:
    wanted = {"sync": 0, "history": 0, "export": 0, "db check": 0, "sync --wrong": 2}
    assert codes(shell.run_each(list(wanted), "2>/dev/full")) == wanted


def test_what_a_full_stdout_loses_is_a_failure_in_words(shell: Shell) -> None:
    commands = ["history", "export", "report", "verify", "status --json"]
    assert codes(shell.run_each(commands, ">/dev/full 2>said")) == dict.fromkeys(commands, 69)
    said = (shell.directory / "said").read_text()
    assert said.count("No space left on device") == len(commands)
    done = shell.run("etl sync --json >/dev/full")
    assert done.returncode == 69
    assert "No space left on device" in done.stderr
    assert shell.runs() == 2


def test_a_stdout_that_may_only_be_read_is_a_failure_in_words(shell: Shell) -> None:
    done = shell.run("etl history 1</dev/null")
    assert done.returncode == 69
    assert "Bad file descriptor" in done.stderr


def test_a_reader_who_has_gone_ends_a_command_quietly_and_no_sync(shell: Shell) -> None:
    for command in ("history", "export", "report", "--help"):
        done = shell.run(f"set -o pipefail; etl {command} | true")
        assert done.returncode in {0, 141}
    assert shell.run("set -o pipefail; etl sync --json | true").returncode == 0
    assert shell.run("set -o pipefail; etl sync 2>&1 | true").returncode == 0
    assert shell.runs() == 3


# --- the directory, HOME, the umask, the limits


@pytest.mark.parametrize("command", ["sync", "status", "report", "verify", "--help", "db check"])
def test_a_working_directory_that_is_gone_ends_nothing(shell: Shell, command: str) -> None:
    gone = shell.run(
        f'mkdir gone && cd gone && rmdir ../gone && "{Path(sys.executable).with_name("etl")}" {command}'
    )
    assert gone.returncode == 0


def test_a_file_that_would_lie_in_a_directory_that_is_gone_is_named(shell: Shell) -> None:
    into = "mkdir gone && cd gone && rmdir ../gone && "
    program = Path(sys.executable).with_name("etl")
    done = shell.run(f'{into} "{program}" export -o x.csv')
    assert done.returncode == 2
    assert "-o x.csv: No such file or directory" in done.stderr
    done = shell.run(f'{into} "{program}" sync', DATABASE_URL="sqlite:///followers.db")
    assert done.returncode == 69


@pytest.mark.parametrize("home", ["unset HOME USER LOGNAME", "HOME=/nowhere", "HOME="])
def test_no_home_is_needed(shell: Shell, home: str) -> None:
    assert shell.run(f"{home}; etl sync").returncode == 0


NOBODY = """
import pwd, sys
def no_entry(uid):
    raise KeyError(uid)
pwd.getpwuid = no_entry
from etl.cli import main
main()
"""
"""`etl` for a user without an entry, as a container may have."""


def test_nobody_in_particular_makes_a_page(shell: Shell) -> None:
    page = "report --format html -o page.html"
    done = shell.run(
        f'etl sync && unset HOME && "{sys.executable}" -c "$NOBODY" {page}', NOBODY=NOBODY
    )
    assert done.returncode == 0, done.stderr
    assert (shell.directory / "page.html").stat().st_size


@pytest.mark.parametrize("mask", ["777", "077", "000"])
def test_any_umask_will_do(shell: Shell, mask: str) -> None:
    done = shell.run(f"umask {mask}; etl sync", ETL_METRICS_FILE="etl.prom")
    assert done.returncode == 0
    assert (shell.directory / "etl.prom").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("limit", ["-n 5", "-n 8", "-n 12", "-f 0", "-f 8"])
def test_a_limit_that_is_too_low_is_said_in_words(shell: Shell, limit: str) -> None:
    done = shell.run(f"ulimit {limit} && etl sync 2>&1 | cat")
    for line in done.stdout.splitlines():
        if line.startswith("{") and json.loads(line)["level"] != "info":
            assert json.loads(line)["hint"]


@pytest.mark.parametrize(
    ("how", "code", "complete"), [("exec", 129, 1), ("exec nohup", 0, 2)], ids=["plain", "nohup"]
)
def test_a_terminal_that_is_closed_ends_a_sync_as_ctrl_c_does_unless_under_nohup(
    shell: Shell, how: str, code: int, complete: int
) -> None:

    def close() -> None:
        if how == "exec":
            shell.sim.fault_rate(
                "hang", 1
            )  # no answer comes any more: it is not done before it hears
        os.kill(int((shell.directory / "pid").read_text()), SIGHUP)

    shell.sim.before_page(1, close)
    done = shell.run(f'echo $$ > pid; {how} "{sys.executable}" -m etl sync')
    assert done.returncode == code
    assert shell.runs() == complete
    assert shell.left_behind() == (0, 0)


# --- what Python and the system raise in the middle of a run

RAISE = """
import {module} as place, sys, threading
from pkgutil import resolve_name
import etl.cli.app, etl.cli.sync, etl.runs
real = place.{name}
calls = 0
def call(*arguments, **named):
    global calls
    calls += 1
    if calls {when} {nth}:
        raise {error}
    return real(*arguments, **named)
place.{name} = call
sys.argv = ["etl", "sync", "--json"]
etl.cli.app.main()
"""

ERRORS = {
    "TypeError('secret')": (1, "fault: TypeError in etl"),
    "UnicodeEncodeError('latin-1', 'secret', 0, 1, 'no')": (1, "fault: UnicodeEncodeError in etl"),
    "AttributeError('secret')": (1, "fault: AttributeError in etl"),
    "NotImplementedError('secret')": (1, "fault: NotImplementedError in etl"),
    "AssertionError('secret')": (1, "fault: AssertionError in etl"),
    "RecursionError('secret')": (1, "fault: RecursionError in etl"),
    "MemoryError()": (69, "system: there is no more memory"),
    "PermissionError(13, 'Permission denied', '/tmp/x')": (69, "system: /tmp/x: Permission denied"),
    "FileNotFoundError(2, 'No such file or directory')": (69, "system: No such file or directory"),
    "OSError(24, 'Too many open files')": (69, "system: Too many open files"),
    'RuntimeError("can\'t start new thread")': (69, "system: no more threads can be started"),
}


def two_oas(shell: Shell, script: str, **settings: str) -> tuple[int, list[dict[str, object]], str]:
    """Run a script over two OAs; its exit code, its lines of JSON, and stderr."""
    both = f"{shell.sim.default},{SECOND}"
    (shell.directory / "script.py").write_text(script)
    done = shell.run(f'"{sys.executable}" script.py', ESMS_OAIDS=both, **settings)
    assert "secret" not in done.stderr.replace("simulated-secret", "")
    # The OAs are read at once: whichever ends first has the first line.
    lines = sorted(map(json.loads, done.stdout.splitlines()), key=lambda line: line["status"])
    return done.returncode, lines, done.stderr


@pytest.mark.parametrize("error", ERRORS)
def test_whatever_one_oa_fails_by_is_on_record_and_the_other_is_synced(
    shell: Shell, error: str
) -> None:
    script = RAISE.format(module="etl.sync.account", name="decide", error=error, when="==", nth=1)
    code, (read, other), log = two_oas(shell, script)
    assert (code, other["reason"]) == ERRORS[error]
    assert (other["status"], read["status"]) == ("failed", "complete")
    assert shell.runs("failed", str(other["oaid"])) == 1
    assert shell.left_behind() == (0, 0)
    (line,) = [line for line in map(json.loads, log.splitlines()) if line["status"] == "failed"]
    assert line["hint"]
    assert "script.py:" in line["trace"]


@pytest.mark.parametrize("nth", [1, 2, 3, 5])
def test_without_threads_every_lease_is_given_back(shell: Shell, nth: int) -> None:
    script = RAISE.format(
        module="threading", name="_start_new_thread", error='RuntimeError("can\'t start new thread")', when=">=", nth=nth,
    )  # fmt: skip
    code, lines, log = two_oas(shell, script, ETL_PING_URL="http://127.0.0.1:1/x")
    assert code in {0, 69}
    assert len(lines) == 2
    assert shell.left_behind() == (0, 0)
    if code:
        assert "no more threads" in log
        assert "TasksMax" in log


@pytest.mark.parametrize("name", ["closing_event", "retry_event"])
def test_what_cannot_be_logged_costs_no_oa_its_sync(shell: Shell, name: str) -> None:
    shell.sim.fault_at(1, "http_503")
    script = RAISE.format(module="etl.runs", name=name, error="TypeError('secret')", when=">=", nth=1)  # fmt: skip
    code, lines, _ = two_oas(shell, script, ESMS_MAX_ATTEMPTS="9")
    assert (code, [line["status"] for line in lines]) == (0, ["complete", "complete"])


def test_what_cannot_be_shown_costs_no_oa_its_sync(shell: Shell) -> None:
    script = RAISE.format(
        module="etl.cli.sync", name="write_line", error="TypeError('secret')", when=">=", nth=1
    )
    code, lines, _ = two_oas(shell, script)
    assert (code, lines) == (1, [])
    assert shell.runs() == 2


@pytest.mark.parametrize("module", ["etl.cli.history", "etl.cli.verify", "etl.cli.export"])
def test_no_command_shows_a_traceback(shell: Shell, module: str) -> None:
    script = RAISE.format(module=module, name="reading", error="KeyError('secret')", when=">=", nth=1)  # fmt: skip
    script = script.replace('"sync", "--json"', f'"{module.rpartition(".")[2]}"')
    (shell.directory / "script.py").write_text(script)
    done = shell.run(f'"{sys.executable}" script.py')
    assert (done.returncode, done.stdout) == (1, "")
    assert "etl: KeyError in etl" in done.stderr
    assert "script.py:" in done.stderr
    assert "secret" not in done.stderr


# --- libraries


@pytest.mark.parametrize(
    "noise",
    [
        "import logging; logging.getLogger('urllib3.connectionpool').warning('noise')",
        "import logging; logging.getLogger('psycopg').error('noise')",
        "import warnings; warnings.warn('noise', UserWarning)",
        "import threading; t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()",
        "class Y:\n    def __del__(self): raise KeyError('noise')\ny = Y(); del y",
    ],
)
def test_no_library_writes_a_line_amid_ours(shell: Shell, noise: str) -> None:
    script = (
        "import sys, etl.cli.app, etl.cli.sync, etl.runs\n"
        "real = etl.runs.connect_engine\n"
        f"def call(*a, **k):\n    exec({noise!r}, {{}})\n    return real(*a, **k)\n"
        "etl.runs.connect_engine = call\nsys.argv = ['etl', 'sync']\netl.cli.app.main()\n"
    )
    (shell.directory / "script.py").write_text(script)
    done = shell.run(f'"{sys.executable}" script.py')
    assert done.returncode == 0
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["sync"]


# --- a terminal


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_every_command_can_be_read_on_a_terminal(shell: Shell, encoding: str) -> None:
    commands = [*COMMANDS, "sync", "undo --help", "db check"]
    script = [sys.executable, *shlex.split(shell.each(commands))]
    shown = on_a_terminal(shell, script, PYTHONIOENCODING=encoding)[1]
    assert "Traceback" not in shown
    ended = shell.ended(shown)
    assert {command: (code, bool(part.strip())) for command, (code, part) in ended.items()} == (
        dict.fromkeys(commands, (0, True))
    )


def test_a_wide_terminal_shows_more(shell: Shell) -> None:
    history = [sys.executable, "-m", "etl", "history"]
    code, shown = on_a_terminal(shell, history, COLUMNS="200")
    assert (code, "Total" in shown) == (0, True)


def test_the_settings_of_a_simulated_esms_come_through_a_pipe_while_it_serves() -> None:
    command = [sys.executable, "-m", "etl", "simulate", "--port", "0"]
    pipe = subprocess.PIPE
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            while "Ctrl-C" not in (line := process.stderr.readline()):
                assert line
            os.set_blocking(process.stdout.fileno(), False)
            shown = os.read(process.stdout.fileno(), 65536).decode()
        finally:
            process.send_signal(SIGINT)
    assert "export ESMS_BASE_URL=http://127.0.0.1:" in shown
    assert process.returncode == 0


def on_a_terminal(shell: Shell, command: list[str], **settings: str) -> tuple[int, str]:
    """The exit code of a command, and what a terminal of its own showed."""
    own = {"DATABASE_URL": f"sqlite:///{shell.database}", "TERM": "xterm"}
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        command,
        cwd=shell.directory,
        env=os.environ | shell.sim.environment | FAST | own | settings,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        shown = b""
        with suppress(OSError):  # EIO: the command has ended
            while read := os.read(controller, 65536):
                shown += read
    os.close(controller)
    return process.returncode, shown.decode(errors="replace")
