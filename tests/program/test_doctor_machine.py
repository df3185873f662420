"""The doctor looks at what makes a sync fail some night: encoding, numbers, days, the disk, the
timer."""

from __future__ import annotations

import json
import os
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from commandline import Finished, etl
from sqlalchemy import text

from etl.db.engine import connect_engine, writing
from etl.db.health import Numbers
from etl.doctor import machine
from etl.doctor.database import days, numbers, place, text_encoding
from etl.doctor.machine import enabled
from etl.doctor.step import State
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from etl.doctor.step import Step

SAIGON = ZoneInfo("Asia/Ho_Chi_Minh")


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(3) as simulator:
        yield simulator


def run(url: str, sim: Simulator, *arguments: str, **settings: str) -> Finished:
    return etl(*arguments, **sim.environment | {"DATABASE_URL": url} | settings)


def doctor(url: str, sim: Simulator, **settings: str) -> dict[str, dict[str, str]]:
    done = run(url, sim, "doctor", "--json", **settings)
    return {step["step"]: step for step in map(json.loads, done.stdout.splitlines())}


# -- the sequence ----------------------------------------------------------------------------------


def test_a_sequence_that_lags_behind_is_told_with_what_sets_it(
    postgresql_url: str, sim: Simulator
) -> None:
    for _ in range(3):
        run(postgresql_url, sim, "sync")
    assert doctor(postgresql_url, sim)["database: numbers"]["state"] == "ok"
    with writing(connect_engine(postgresql_url)) as connection:
        connection.execute(text("SELECT setval('snapshots_id_seq', 1, false)"))
    step = doctor(postgresql_url, sim)["database: numbers"]
    assert (step["state"], "behind the newest one (3)" in step["told"]) == ("warn", True)
    with writing(connect_engine(postgresql_url)) as connection:
        connection.execute(text(step["advice"].rpartition(": ")[2].rstrip(".")))
    assert doctor(postgresql_url, sim)["database: numbers"]["state"] == "ok"
    assert json.loads(run(postgresql_url, sim, "sync", "--json").stdout)["snapshot_id"] == 4


def test_a_role_that_may_not_draw_from_the_sequence_fails_here_and_not_at_night(
    postgresql_url: str, sim: Simulator
) -> None:
    run(postgresql_url, sim, "sync")
    role = f"etl_{uuid.uuid4().hex[:8]}"
    with writing(connect_engine(postgresql_url)) as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(text(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"))
    url = postgresql_url.replace("//postgres:", f"//{role}:")
    try:
        assert doctor(url, sim)["database: numbers"]["state"] == "FAIL"
        assert run(url, sim, "doctor").returncode == 78
        assert run(url, sim, "sync").returncode != 0
    finally:
        with writing(connect_engine(postgresql_url)) as connection:
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (Numbers(0, 0, usable=True), State.OK),
        (Numbers(7, 5, usable=True), State.OK),
        (Numbers(4, 5, usable=True), State.WARN),
        (Numbers(5, 5, usable=False), State.FAIL),
    ],
)
def test_a_sequence_that_lags_is_a_warning_and_one_that_may_not_be_used_a_failure(
    found: Numbers, state: State
) -> None:
    assert numbers(found).state is state


# -- the encoding ----------------------------------------------------------------------------------


def test_an_encoding_that_is_not_utf8_is_told(postgresql_server: str, sim: Simulator) -> None:
    name = f"t{uuid.uuid4().hex[:12]}"
    server = connect_engine(postgresql_server).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(
            text(
                f"CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
            )
        )
    url = postgresql_server.replace("/postgres?", f"/{name}?")
    step = doctor(url, sim)["database: encoding"]
    assert (step["state"], "LATIN1" in step["told"], "ENCODING 'UTF8'" in step["advice"]) == (
        "warn",
        True,
        True,
    )
    assert text_encoding("UTF8").state is State.OK
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


# -- the days --------------------------------------------------------------------------------------


def test_a_zone_that_was_changed_since_the_snapshots_is_told(db_url: str, sim: Simulator) -> None:
    run(db_url, sim, "sync")
    assert doctor(db_url, sim)["database: days"]["state"] == "ok"
    # One of the two has another day now, whatever the time of day.
    told = [doctor(db_url, sim, ETL_TIMEZONE=zone)["database: days"] for zone in ("Etc/GMT+12", "Etc/GMT-14")]  # fmt: skip
    assert "warn" in {step["state"] for step in told}
    assert all("ETL_TIMEZONE" in step["told"] for step in told)


def test_days_that_other_settings_gave_are_a_warning() -> None:
    at = datetime(2026, 11, 24, 20, 17, tzinfo=UTC)  # 03:17 on the 25th in Saigon
    kept = [(at, date(2026, 11, 24))] * 2
    assert [step.state for step in days(kept, SAIGON, timedelta(hours=4))] == [State.OK]
    (step,) = days([*kept, (at, date(2026, 11, 25))], SAIGON, timedelta(hours=4))
    assert step.state is State.WARN
    assert "1 of the newest 3" in step.told
    assert "has 2026-11-25, not 2026-11-24" in step.told
    assert list(days([], SAIGON, timedelta())) == []


# -- the disk --------------------------------------------------------------------------------------

MOUNTED = """\
/dev/vda / ext4 rw,relatime 0 0
tmpfs /tmp tmpfs rw 0 0
nas:/export /mnt/nas nfs4 rw,vers=4.2 0 0
//nas/x /mnt/with\\040blank cifs rw 0 0
me@host: /home/me/remote fuse.sshfs rw 0 0
/dev/vdb /mnt/nas/local xfs rw 0 0
/dev/sdc1 /media/usb fuseblk rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind", "state"),
    [
        ("/var/lib/f.db", "ext4", State.OK),
        ("/mnt/nas/f.db", "nfs4", State.WARN),
        ("/mnt/nas/local/f.db", "xfs", State.OK),
        ("/mnt/with blank/f.db", "cifs", State.WARN),
        ("/home/me/remote/a/b/f.db", "fuse.sshfs", State.WARN),
        ("/home/me/f.db", "ext4", State.OK),
        ("/media/usb/f.db", "fuseblk", State.OK),
    ],
)
def test_a_file_system_where_locks_do_not_work_is_told(path: str, kind: str, state: State) -> None:
    (step,) = place(path, MOUNTED)
    assert (step.state, step.told.startswith(kind)) == (state, True)


def test_a_system_that_does_not_tell_its_mounts_is_not_guessed_at(
    sqlite_url: str, sim: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run(sqlite_url, sim, "sync")
    assert doctor(sqlite_url, sim)["database: file system"]["state"] == "ok"
    monkeypatch.setattr("etl.doctor.database.MOUNTS", tmp_path / "none")
    assert "database: file system" not in doctor(sqlite_url, sim)


# -- the timer -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "state", "words"),
    [
        ("etl-sync.timer enabled enabled", "ok", "etl-sync.timer is enabled"),
        ("etl-sync.timer disabled enabled", "warn", "not enabled"),
        ("etl-sync@.timer disabled -\\netl-sync@acme.timer enabled -", "ok", "etl-sync@acme.timer"),
        ("", "skipped", "no timer of etl"),
    ],
)
def test_a_timer_that_is_not_enabled_is_told_where_systemd_runs(
    told: str, state: str, words: str, sqlite_url: str, sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert "timer" not in doctor(sqlite_url, sim) or machine.SYSTEMD.is_dir()
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f"#!/bin/sh\nprintf '{told}\\n'\n")
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(machine, "SYSTEMD", tmp_path)
    step = doctor(sqlite_url, sim)["timer"]
    assert (step["state"], words in step["told"]) == (state, True)


def test_a_systemd_that_does_not_answer_is_no_trouble(
    sqlite_url: str, sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "SYSTEMD", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "timer" not in doctor(sqlite_url, sim)


def test_the_advice_is_the_command_that_enables_it() -> None:
    step: Step = enabled([["etl-sync.timer", "disabled"]])
    assert step.advice == "systemctl enable --now etl-sync.timer"
