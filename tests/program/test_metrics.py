"""ETL_METRICS_FILE: whole after every run, in words that Prometheus' own tool accepts, and never a
reason for a sync to fail."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commandline import Finished, Operator
from programs import need_program
from prometheus_client.parser import text_string_to_metric_families

from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ALERTS = Path(__file__).parents[2] / "deploy" / "alerts.yml"
LAST_SUCCESS = "etl_sync_last_success_timestamp_seconds"
COUNTS = ("following", "announced", "seen", "followed", "refollowed", "unfollowed")


@pytest.fixture
def promtool() -> Callable[..., str]:
    """Prometheus' own checker."""
    tool = need_program("promtool", package="prometheus")

    def check(*arguments: str, given: bytes = b"") -> str:
        done = subprocess.run(
            [tool, *arguments],
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert done.returncode == 0, done.stdout.decode()
        return done.stdout.decode()

    return check


class MetricsReader(Operator):
    """Somebody who runs `etl sync` with a metrics file."""

    def __init__(self, sim: Simulator, url: str, file: Path) -> None:
        super().__init__(sim, url, ESMS_MAX_ATTEMPTS="2")
        self.file = file

    def sync(self, *arguments: str, **settings: str) -> Finished:
        return self.run("sync", *arguments, **{"ETL_METRICS_FILE": str(self.file)} | settings)

    def samples(self) -> dict[tuple[str, ...], float]:
        """(name, OA) or (name, OA, status or the OA's name) → value."""
        families = list(text_string_to_metric_families(self.file.read_text()))
        return {
            (sample.name, *sorted(sample.labels.values(), key=lambda each: not each.isdigit())): (
                sample.value
            )
            for family in families
            for sample in family.samples
        }

    def of(self, name: str, oaid: str | None = None) -> float | None:
        return self.samples().get((name, oaid or self.sim.default))

    def counts(self, oaid: str | None = None) -> dict[str, float | None]:
        return {name: self.of(f"etl_{name}_users", oaid) for name in COUNTS}

    def status(self, oaid: str | None = None) -> str:
        at_one = [
            key[2]
            for key, value in self.samples().items()
            if key[0] == "etl_sync_status" and key[1] == (oaid or self.sim.default) and value == 1
        ]
        assert len(at_one) == 1
        return at_one[0]

    def oas(self) -> set[str]:
        return {key[1] for key in self.samples() if len(key) > 1}


@pytest.fixture
def operator(sqlite_url: str, tmp_path: Path) -> Iterator[MetricsReader]:
    with Simulator(120) as sim:
        yield MetricsReader(sim, sqlite_url, tmp_path / "etl.prom")


def warnings(done: Finished) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    return [line for line in lines if line["event"] == "metrics not written"]


# -- what it says ----------------------------------------------------------------------------------


def test_after_a_complete_run_the_file_says_what_the_snapshot_says(operator: MetricsReader) -> None:
    operator.sync()
    operator.sim.unfollow()
    for _ in range(3):
        operator.sim.follow()
    operator.sim.fault_at(lambda page: page % 2 == 0, "http_503")
    began = time.time()
    line = json.loads(operator.sync("--json").stdout)
    assert operator.counts() == {
        "following": 122,
        "announced": 122,
        "seen": 122,
        "followed": 3,
        "refollowed": 0,
        "unfollowed": 1,
    }
    assert operator.status() == "complete"
    assert operator.of("etl_sync_duration_seconds") == line["duration_s"]
    assert (operator.of("etl_sync_requests"), operator.of("etl_sync_retries")) == (
        line["requests"],
        line["retries"],
    )
    assert line["retries"] == 1
    samples = operator.samples()
    assert samples["etl_sync_exit_code",] == 0
    assert (
        began
        <= samples[LAST_SUCCESS, operator.sim.default]
        <= samples["etl_sync_last_run_timestamp_seconds",]
        <= time.time()
    )


def test_a_run_that_fails_keeps_when_the_list_was_last_read_whole_and_who_follows(
    operator: MetricsReader,
) -> None:
    operator.sync()
    before = operator.of(LAST_SUCCESS)
    operator.sim.fault_rate("code:101", 1)
    for _ in range(2):
        assert operator.sync().returncode == 77
        assert (operator.status(), operator.of(LAST_SUCCESS)) == ("failed", before)
        assert operator.counts() == dict.fromkeys(COUNTS) | {"following": 120}
        assert operator.samples()["etl_sync_exit_code",] == 77


def test_a_held_run_reports_no_unfollow_that_did_not_happen(operator: MetricsReader) -> None:
    operator.sync()
    before = operator.of(LAST_SUCCESS)
    for _ in range(60):
        operator.sim.unfollow()
    assert operator.sync().returncode == 65
    assert (operator.status(), operator.of(LAST_SUCCESS)) == ("held", before)
    assert operator.counts() == dict.fromkeys(COUNTS) | {
        "following": 120,
        "announced": 60,
        "seen": 60,
    }


def test_a_partial_run_is_applied_but_no_success(operator: MetricsReader) -> None:
    operator.sync()
    before = operator.of(LAST_SUCCESS)
    operator.sim.follow(at=0)
    operator.sim.max_offset = 50
    assert operator.sync().returncode == 75
    assert (operator.status(), operator.of(LAST_SUCCESS)) == ("partial", before)
    # Found at a ceiling: they may have slid into view, so they are no arrivals of that day.
    assert (operator.of("etl_following_users"), operator.of("etl_followed_users")) == (121, 0)


def test_an_oa_that_was_never_read_whole_has_no_time_of_success(
    operator: MetricsReader,
) -> None:
    operator.sim.inactive.add(operator.sim.default)
    operator.sync()
    assert (operator.of(LAST_SUCCESS), operator.of("etl_following_users")) == (None, None)


@pytest.mark.parametrize("trouble", ["gone", "garbage", "cut", "foreign"])
def test_where_the_file_before_says_nothing_the_database_is_asked(
    operator: MetricsReader, trouble: str
) -> None:
    operator.sync()
    before, text = operator.of(LAST_SUCCESS), operator.file.read_text()
    operator.file.unlink()
    if trouble != "gone":
        operator.file.write_text(
            {"garbage": "{\x00", "cut": text[:40], "foreign": '# TYPE up gauge\nup{oaid="1"} 1\n'}[
                trouble
            ]
        )
    operator.sim.fault_rate("code:101", 1)
    assert operator.sync().returncode == 77
    assert (operator.of(LAST_SUCCESS), operator.of("etl_following_users")) == (before, 120)
    assert operator.oas() == {operator.sim.default}


def test_a_run_that_could_not_even_begin_keeps_what_is_known_and_says_so(
    operator: MetricsReader,
) -> None:
    operator.sync()
    before = operator.samples()
    assert operator.sync(DATABASE_URL="postgresql://me:hunter2@127.0.0.1:1/x").returncode == 69
    after = operator.samples()
    assert after.pop(("etl_sync_exit_code",)) == 69
    last = ("etl_sync_last_run_timestamp_seconds",)
    assert after.pop(last) >= before.pop(last)
    assert before.pop(("etl_sync_exit_code",)) == 0
    assert after == before


def test_a_run_of_one_oa_keeps_what_the_file_says_of_the_others(operator: MetricsReader) -> None:
    operator.sim.add_account("111", "Second", 30)
    both = f"{operator.sim.default},111"
    operator.sync(ESMS_OAIDS=both)
    first = {key: value for key, value in operator.samples().items() if operator.sim.default in key}
    operator.sim.followers("111").follow()
    operator.sync("--oaid", "111", ESMS_OAIDS=both)
    after = operator.samples()
    assert {key: after[key] for key in first} == first
    assert operator.counts("111")["following"] == 31


def test_an_oa_that_is_no_longer_synced_goes_out_of_the_file(operator: MetricsReader) -> None:
    operator.sim.add_account("111", "Second", 30)
    operator.sync(ESMS_OAIDS=f"{operator.sim.default},111")
    operator.sync()
    assert operator.oas() == {operator.sim.default}


def test_the_name_of_an_oa_is_a_metric_to_join_with(operator: MetricsReader) -> None:
    operator.sim.add_account("111", 'Trà sữa "Hoà\nBình"', 3)
    operator.sync(ESMS_OAIDS=f"{operator.sim.default},111")
    operator.sync("--oaid", operator.sim.default)  # what is said of the other is kept
    text = operator.file.read_text()
    assert f'etl_account_info{{name="Simulated OA",oaid="{operator.sim.default}"}} 1.0' in text
    assert 'etl_account_info{name="Trà sữa \\"Hoà Bình\\"",oaid="111"} 1.0' in text


def test_a_run_that_is_stopped_keeps_the_oas_that_it_did_not_get_to(
    operator: MetricsReader,
) -> None:
    operator.sim.add_account("111", "Second", 30)
    both = f"{operator.sim.default},111"
    operator.sync(ESMS_OAIDS=both)
    operator.sim.before_each(lambda: os.kill(os.getpid(), signal.SIGTERM))
    one_at_a_time = operator.sync(ESMS_OAIDS=both, ESMS_CONCURRENCY="1")
    assert one_at_a_time.returncode == 143
    assert (operator.status(), operator.status("111")) == ("failed", "complete")


def test_a_full_disk_under_stdout_keeps_no_oa_from_being_synced(operator: MetricsReader) -> None:
    operator.sim.add_account("111", "Second", 30)
    settings = {
        "DATABASE_URL": operator.url,
        "ETL_METRICS_FILE": str(operator.file),
        "ESMS_OAIDS": f"{operator.sim.default},111",
    }
    environment = os.environ | operator.settings | settings
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-m", "etl", "sync", "--json"],
            env=environment,
            stdout=full,
            check=False,
        )
    assert done.returncode != 0, "the lines are lost"
    assert (operator.status(), operator.status("111")) == ("complete", "complete")


def test_a_dry_run_leaves_the_file_alone(operator: MetricsReader) -> None:
    operator.sync("--dry-run")
    assert not operator.file.exists()


# -- how it is written -----------------------------------------------------------------------------


def test_where_chmod_is_refused_it_is_written_again_and_again(
    operator: MetricsReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    for _ in range(3):
        operator.file.write_text("# old\n")
        assert "metrics" not in operator.sync().stderr
        assert "etl_sync_exit_code" in operator.file.read_text()


def test_the_file_is_replaced_as_a_whole_and_anybody_may_read_it(operator: MetricsReader) -> None:
    mask = os.umask(0o077)
    try:
        operator.sync()
        first = operator.file.stat()
        operator.file.chmod(0o600)
        operator.sync()
    finally:
        os.umask(mask)
    assert operator.file.stat().st_ino != first.st_ino, "whoever reads the old one reads it whole"
    assert stat.S_IMODE(first.st_mode) == stat.S_IMODE(operator.file.stat().st_mode) == 0o644
    assert [path.name for path in operator.file.parent.iterdir() if "prom" in path.name] == [
        "etl.prom"
    ]


def no_directory(path: Path) -> Path:
    return path.parent / "missing" / "etl.prom"


def a_directory(path: Path) -> Path:
    path.mkdir()
    return path


def a_pipe_that_nobody_reads(path: Path) -> Path:
    os.mkfifo(path)
    return path


def below_a_file(path: Path) -> Path:
    path.write_text("")
    return path / "etl.prom"


def a_file_system_that_takes_nothing(_: Path) -> Path:
    return Path("/proc/etl.prom")


@pytest.mark.parametrize(
    "place",
    [
        no_directory,
        a_directory,
        a_pipe_that_nobody_reads,
        below_a_file,
        a_file_system_that_takes_nothing,
    ],
)
@pytest.mark.parametrize(("fault", "code"), [(None, 0), ("code:101", 77)])
def test_a_file_that_cannot_be_written_is_a_warning_and_the_exit_code_stays(
    operator: MetricsReader, place: Callable[[Path], Path], fault: str | None, code: int
) -> None:
    operator.file = place(operator.file)
    if fault:
        operator.sim.fault_rate(fault, 1)
    done = operator.sync()
    assert done.returncode == code
    (line,) = warnings(done)
    assert (line["level"], line["file"]) == ("warning", str(operator.file))
    assert line["reason"]


def test_without_the_setting_prometheus_client_is_not_even_imported(
    operator: MetricsReader,
) -> None:
    environment = os.environ | operator.settings
    script = "import sys, etl.cli\ntry: etl.cli.main()\nfinally: assert 'prometheus_client' not in sys.modules"
    command = [sys.executable, "-c", script, "sync"]
    assert (
        subprocess.run(command, env=environment, check=False, capture_output=True).returncode == 0
    )


# -- Prometheus' own opinion -----------------------------------------------------------------------


def test_prometheus_finds_nothing_wrong_with_the_file(
    operator: MetricsReader, promtool: Callable[..., str]
) -> None:
    operator.sim.add_account("111", "Second", 30)
    operator.sync(ESMS_OAIDS=f"{operator.sim.default},111")
    assert promtool("check", "metrics", given=operator.file.read_bytes()) == ""
    operator.sim.fault_rate("code:101", 1)
    operator.sync()
    assert promtool("check", "metrics", given=operator.file.read_bytes()) == ""


def test_prometheus_understands_the_alert_rules(promtool: Callable[..., str]) -> None:
    assert "rules found" in promtool("check", "rules", str(ALERTS))


def test_the_alerts_name_only_metrics_that_are_written(operator: MetricsReader) -> None:
    operator.sync()
    named = set(re.findall(r"\betl_\w+", ALERTS.read_text()))
    assert named <= {key[0] for key in operator.samples()}
    assert named


QUIET = {
    "etl_sync_last_success_timestamp_seconds{oaid='1'}": "0+600x300",
    "etl_sync_last_run_timestamp_seconds": "0+600x300",
    "etl_sync_exit_code": "0x300",
    "etl_sync_status{oaid='1',status='complete'}": "1x300",
    "etl_following_users{oaid='1'}": "1000x300",
    "etl_unfollowed_users{oaid='1'}": "50x300",
    "etl_sync_status{oaid='1',status='held'}": "0x300",
    "etl_sync_status{oaid='1',status='failed'}": "0x300",
    "etl_sync_status{oaid='1',status='partial'}": "0x300",
    "etl_sync_retries{oaid='1'}": "3x300",
    "etl_sync_requests{oaid='1'}": "200x300",
}
"""A file that is written every ten minutes, for two days, by runs that are all complete; as
promtool writes series."""


@pytest.mark.parametrize(
    ("series", "values", "silent_at", "fires_at", "alert"),
    [
        ("etl_sync_status{oaid='1',status='complete'}", "1x300", "48h", None, None),
        (
            "etl_sync_last_success_timestamp_seconds{oaid='1'}",
            "0x300",
            "26h",
            "27h",
            "FollowersNotRead",
        ),
        (
            "etl_sync_status{oaid='2',status='complete'}",
            "0x300",
            "25h",
            "27h",
            "FollowersNeverRead",
        ),
        ("etl_unfollowed_users{oaid='1'}", "0x12 55x288", "2h", "3h", "FollowersLeaveMuch"),
        ("etl_unfollowed_users{oaid='3'}", "20x300", "48h", None, None),
        ("etl_sync_last_run_timestamp_seconds", "0x300", "26h", "27h", "FollowerSyncNotRunning"),
        (
            "etl_sync_last_run_timestamp_seconds",
            "0+600x60 _x240",
            "10h",
            "11h",
            "FollowerSyncNotRunning",
        ),
        ("etl_sync_status{oaid='1',status='held'}", "0x12 1x288", "2h", "3h", "FollowerSyncHeld"),
        (
            "etl_sync_status{oaid='1',status='failed'}",
            "0x12 1x288",
            "2h",
            "3h",
            "FollowerSyncFailed",
        ),
        (
            "etl_sync_status{oaid='1',status='partial'}",
            "0x12 1x288",
            "28h",
            "29h",
            "FollowerSyncPartial",
        ),
        ("etl_sync_exit_code", "0x12 77x288", "2h", "3h", "FollowerSyncRefused"),
        ("etl_sync_exit_code", "0x12 78x288", "2h", "3h", "FollowerSyncRefused"),
        ("etl_sync_exit_code", "0x12 75x288", "48h", None, None),
        ("etl_sync_retries{oaid='1'}", "0x12 80x288", "28h", "29h", "FollowerSyncRetriesMuch"),
    ],
)
def test_the_alerts_fire_when_they_should_and_not_before(
    promtool: Callable[..., str],
    tmp_path: Path,
    series: str,
    values: str,
    silent_at: str,
    fires_at: str | None,
    alert: str | None,
) -> None:
    firing = "group by (alertname) (ALERTS{alertstate='firing'})"
    expected: list[dict[str, Any]] = [{"expr": firing, "eval_time": silent_at, "exp_samples": []}]
    if fires_at:
        expected.append(
            {
                "expr": firing,
                "eval_time": fires_at,
                "exp_samples": [{"labels": f"{{alertname='{alert}'}}", "value": 1}],
            }
        )
    given = [{"series": name, "values": each} for name, each in (QUIET | {series: values}).items()]
    # JSON is YAML.
    told = {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": "5m",
        "tests": [{"interval": "10m", "input_series": given, "promql_expr_test": expected}],
    }
    file = tmp_path / "alerts_test.yml"
    file.write_text(json.dumps(told))
    promtool("test", "rules", str(file))
