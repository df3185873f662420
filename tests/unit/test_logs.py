"""Logs: one line an event, levels that an alert can be built on, and no trouble with stderr that
could end a sync."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import redirect_stderr
from datetime import UTC, date, datetime
from io import StringIO
from typing import Any

import pytest

from etl.errors import FaultError, RefusedError
from etl.model import Counts, Retry, Snapshot, Status
from etl.observe.logs import closing_event, configure_logging, failure_event, logger, retry_event
from etl.sync.run import Outcome

AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
SNAPSHOT = Snapshot(
    7,
    "123",
    Status.COMPLETE,
    taken_at=AT,
    taken_on=date(2026, 11, 23),
    finished_at=AT,
    total=9,
    seen=9,
    counts=Counts(0, 0, 0, 0, 9),
)


class Terminal(StringIO):
    """A stderr that people read."""

    def isatty(self) -> bool:
        return True


def lines(
    status: str = "complete",
    *,
    form: str = "json",
    level: str = "info",
    into: StringIO | None = None,
) -> list[str]:
    """What is written of a run with one retry and one OA."""
    into = into or StringIO()
    with redirect_stderr(into):
        configure_logging(form, level)
        log = logger()
        log.debug("page", oaid="123")
        retry_event(log, Retry("123", 49, 2, 0.12345, "eSMS answered HTTP 503"))
        snapshot = Snapshot(7, "123", Status(status), taken_at=AT, taken_on=AT.date())
        closing_event(log, Outcome(snapshot, 1.5, 0))
    return into.getvalue().splitlines()


def told(event: str, error: Any, *, cause: BaseException | None = None) -> dict[str, Any]:
    into = StringIO()
    error.__cause__ = cause
    with redirect_stderr(into):
        configure_logging("json", "info")
        if event == "run failed":
            failure_event(logger(), error)
        else:
            closing_event(logger(), Outcome(SNAPSHOT, 1.5, error.exit_code, error))
    line: dict[str, Any] = json.loads(into.getvalue())
    assert line["event"] == event
    return line


def test_every_line_is_json_where_nobody_watches() -> None:
    assert [json.loads(line)["event"] for line in lines(form="auto")] == ["retry", "sync"]


def test_people_on_a_terminal_get_no_json() -> None:
    retry, sync = lines(form="auto", into=Terminal())
    assert "HTTP 503" in retry
    assert "{" not in retry + sync
    assert "datetime" not in sync


@pytest.mark.parametrize(("form", "people"), [("auto", True), ("console", True), ("json", False)])
def test_the_form_can_be_forced(form: str, people: bool) -> None:  # noqa: FBT001 - what is expected
    with redirect_stderr(Terminal()):
        assert configure_logging(form, "info") is people
    assert lines(form=form, into=Terminal())[0].startswith("{") is not people


def test_a_retry_says_what_is_tried_again_why_and_after_how_long() -> None:
    line = json.loads(lines()[0])
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "retry", "level": "info", "oaid": "123", "offset": 49, "attempt": 2, "wait_s": 0.123,
        "reason": "eSMS answered HTTP 503",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "level"),
    [
        ("complete", "info"), ("partial", "warning"), ("busy", "warning"), ("held", "error"), ("failed", "error"),
    ],
)  # fmt: skip
def test_the_level_says_whether_somebody_should_look(status: str, level: str) -> None:
    assert json.loads(lines(status)[-1])["level"] == level


@pytest.mark.parametrize(
    ("level", "events"), [("debug", 3), ("info", 2), ("warning", 0), ("error", 0)]
)
def test_nothing_below_the_level_is_written(level: str, events: int) -> None:
    assert len(lines(level=level)) == events


def test_the_closing_line_has_the_snapshots_fields_and_only_those_that_are_known() -> None:
    with redirect_stderr(StringIO()) as into:
        configure_logging("json", "info")
        closing_event(logger(), Outcome(SNAPSHOT, 1.5, 0))
    line = json.loads(into.getvalue())
    del line["timestamp"]
    assert line == {
        "event": "sync", "level": "info", "snapshot_id": 7, "oaid": "123", "status": "complete",
        "taken_at": "2026-11-23T02:00:00+00:00", "taken_on": "2026-11-23", "finished_at": "2026-11-23T02:00:00+00:00",
        "total": 9, "seen": 9,
        "baseline": 0,
        "followed": 0, "refollowed": 0, "unfollowed": 0, "following": 9, "source": "followers", "duration_s": 1.5, "exit_code": 0,
    }  # fmt: skip


@pytest.mark.parametrize("event", ["sync", "run failed"])
def test_an_error_brings_its_advice_along(event: str) -> None:
    line = told(
        event, RefusedError("eSMS answered code 101", code="101", hint="Check ESMS_API_KEY.")
    )
    assert (line["hint"], line["exit_code"]) == ("Check ESMS_API_KEY.", 77)
    assert "trace" not in line


def test_a_fault_of_ours_says_where_it_happened_but_not_with_what() -> None:
    def boom(password: str) -> None:
        raise RuntimeError(f"no {password}")

    with pytest.raises(RuntimeError) as caught:
        boom("hunter2")
    line = told("sync", FaultError("RuntimeError in etl"), cause=caught.value)
    assert line["trace"].endswith(" boom")
    assert "test_logs.py:" in line["trace"]
    assert "hunter2" not in json.dumps(line)


LOG_TWICE = """
from etl.observe.logs import configure_logging, logger
configure_logging("json", "info")
for _ in range(2):
    logger().info("still here")
print("done")
"""


def test_a_full_disk_under_stderr_silences_the_log_and_ends_nothing() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-c", LOG_TWICE],
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_a_reader_of_stderr_that_has_gone_ends_nothing() -> None:
    with subprocess.Popen(["true"], stdin=subprocess.PIPE) as reader:
        reader.wait()
        done = subprocess.run(
            [sys.executable, "-c", LOG_TWICE],
            stdout=subprocess.PIPE,
            stderr=reader.stdin,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_a_closed_stderr_ends_nothing() -> None:
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", LOG_TWICE]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n")


@pytest.mark.parametrize(
    ("status", "words"),
    [("held", "--allow-mass-unfollow"), ("partial", "Nobody was marked"), ("complete", None)],
)
def test_what_is_no_error_and_yet_wants_somebody_says_what(status: str, words: str | None) -> None:
    hint = json.loads(lines(status)[-1]).get("hint")
    assert (hint is None) if words is None else (words in hint)
