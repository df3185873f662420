"""The files of `deploy/`: systemd itself judges the units, a shell runs the cron lines, and all
agree with the program."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sysconfig
import tomllib
from datetime import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from documented import etl_commands, trouble
from programs import need_program

from etl.errors import EtlError
from etl.settings import Settings
from etl.simulator import Simulator

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
PROGRAM = Path(sysconfig.get_path("scripts")) / "etl"
INSTALLED = "/opt/follower-etl/bin/etl"
SERVICES = ("etl-sync.service", "etl-sync@.service")
WORKER = "etl-fleet.service"
REPORT = ("etl-report.service", "etl-report.timer")
TIMERS = ("etl-sync.timer", "etl-sync@.timer")
MAY_PASS = {69, 75}
"""Exit codes that another try may cure."""


def directives(unit: str) -> dict[str, list[str]]:
    """What a unit file says: every value of each name, in order."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / unit).read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def final_codes() -> set[int]:
    """The exit codes of our errors that no other try cures."""
    kinds, codes = [EtlError], set()
    while kinds:
        kind = kinds.pop()
        codes.add(kind.exit_code)
        kinds += kind.__subclasses__()
    return codes - MAY_PASS


# -- systemd ---------------------------------------------------------------------------------------


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units as they would be installed, but with the program where it is here; `verify` looks
    for it."""
    need_program("systemd-analyze", package="systemd")
    for unit in (*SERVICES, *TIMERS, WORKER, *REPORT):
        text = (DEPLOY / unit).read_text(encoding="utf-8")
        (tmp_path / unit).write_text(text.replace(INSTALLED, str(PROGRAM)))
    return tmp_path


def analyze(*arguments: str, units: Path) -> tuple[int, str]:
    """What systemd-analyze says, with the code it exits with."""
    done = subprocess.run(
        ["systemd-analyze", *arguments], cwd=units, check=False, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "unit",
    [
        "etl-sync.service",
        "etl-sync@shop.service",
        "etl-sync.timer",
        "etl-sync@shop.timer",
        WORKER,
        *REPORT,
    ],
)
def test_systemd_accepts_the_unit_without_a_word(unit: str, units: Path) -> None:
    assert analyze("verify", f"./{unit}", units=units) == (0, "")


def test_systemd_would_object_to_a_unit_that_is_wrong(units: Path) -> None:
    """Restart=always is nothing for a oneshot, and names of directives can be misspelt: `verify`
    must see it."""
    service = units / "etl-sync.service"
    service.write_text(
        service.read_text().replace("Restart=on-failure", "Restart=always\nDynamicUsers=yes")
    )
    _, told = analyze("verify", "./etl-sync.service", units=units)
    assert "Restart=" in told
    assert "DynamicUsers" in told


@pytest.mark.parametrize("unit", [*SERVICES, WORKER, REPORT[0]])
def test_systemd_calls_the_service_hardened(unit: str, units: Path) -> None:
    # Exposure in tenths: below 5.0 is "OK"; ours is at 1.0, and should stay there.
    code, told = analyze(
        "security", "--offline=yes", "--no-pager", "--threshold=20", f"./{unit}", units=units
    )
    assert code == 0, told
    assert re.search(r"Overall exposure level for \S+: [\d.]+ (OK|SAFE|PERFECT)", told), told


@pytest.mark.parametrize("unit", SERVICES)
def test_the_service_tries_again_where_the_exit_code_says_that_it_may_pass(unit: str) -> None:
    service = directives(unit)
    [never] = service["RestartPreventExitStatus"]
    of_systemd = {243}  # a credential is not there
    assert {int(code) for code in never.split()} == final_codes() | of_systemd
    assert service["Restart"] == ["on-failure"]
    assert service["SuccessExitStatus"] == ["143"]


@pytest.mark.parametrize("unit", SERVICES)
def test_the_service_gives_a_run_more_time_than_the_run_gives_itself(unit: str) -> None:
    [patience] = directives(unit)["TimeoutStartSec"]
    assert int(patience.removesuffix("min")) > Settings.model_fields["etl_max_runtime"].default


@pytest.mark.parametrize("unit", SERVICES)
def test_the_service_hands_the_keys_over_as_credentials_that_the_program_reads(unit: str) -> None:
    service = directives(unit)
    loaded = {credential.partition(":")[0] for credential in service["LoadCredential"]}
    assert loaded == {"ESMS_API_KEY", "ESMS_SECRET_KEY"}
    assert loaded <= {name.upper() for name in Settings.model_fields}
    assert "Environment" not in service
    [start] = service["ExecStart"]
    assert start == f"{INSTALLED} sync"


def test_a_worker_of_the_fleet_goes_on_unless_a_person_must_act() -> None:
    worker = directives(WORKER)
    assert (worker["Restart"], worker["RestartPreventExitStatus"]) == (["always"], ["2 78"])
    assert worker["SuccessExitStatus"] == ["143"]
    assert worker["ExecStart"] == [f"{INSTALLED} fleet work --concurrency 4"]


def test_the_template_differs_from_the_service_only_by_its_instance() -> None:
    template = json.dumps(directives("etl-sync@.service"))
    for named, plain in ((": %i", ""), ("/%i", ""), ('"etl-%i"', '"etl-sync"'), ("-%i", "")):
        template = template.replace(named, plain)
    assert json.loads(template) == directives("etl-sync.service")


@pytest.mark.parametrize("account", ["", "shop"])
def test_etl_by_hand_has_the_credentials_the_user_and_the_directory_of_the_service(
    account: str, tmp_path: Path
) -> None:
    """With a systemd-run that only tells what it was asked."""
    (tmp_path / "systemd-run").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "systemd-run").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"} | (
        {"ACCOUNT": account} if account else {}
    )
    done = subprocess.run(
        [DEPLOY / "etl-service", "status", "--max-age", "26h"],
        env=environment, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    words = done.stdout.splitlines()
    assert words[words.index(INSTALLED) + 1 :] == ["status", "--max-age", "26h"]
    asked = {word.removeprefix("--property=") for word in words if word.startswith("--property=")}
    service = directives("etl-sync@.service" if account else "etl-sync.service")
    names = ("DynamicUser", "User", "UMask", "StateDirectory", "StateDirectoryMode", "WorkingDirectory", "EnvironmentFile",
             "LoadCredential", "PrivateTmp")  # fmt: skip
    said = {f"{name}={value}" for name in names for value in service[name]}
    assert asked == {each.replace("%i", account).replace("%S", "/var/lib") for each in said}


def test_everything_that_runs_by_the_clock_reads_when_a_day_ends() -> None:
    """A reading closes the day that it is named for; what is tried again after midnight still
    does."""
    at = Settings.model_fields["etl_fleet_schedule"].default
    hour, minute = at.split(":")
    for timer in TIMERS:
        assert f"OnCalendar=*-*-* {at}:00 Asia/Ho_Chi_Minh" in (DEPLOY / timer).read_text("utf-8")
    assert f'schedule: "{minute} {hour} * * *"' in (DEPLOY / "cronjob.yaml").read_text("utf-8")
    for document in (DEPLOY / "crontab.example", DEPLOY.parent / "README.md"):
        assert re.search(rf"^{minute} {hour} \* \* \* ", document.read_text("utf-8"), re.MULTILINE)
    _, ((_, _), (again, _), _) = crontab()
    begins = time.fromisoformat(Settings.model_fields["etl_day_begins"].default)
    assert all(time(int(each), int(again[0])) < begins for each in again[1].split(","))


# -- cron ------------------------------------------------------------------------------------------


def crontab() -> tuple[dict[str, str], list[tuple[list[str], str]]]:
    """The variables of the example, and its lines: five fields and a command."""
    variables, lines = {}, []
    for line in (DEPLOY / "crontab.example").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        if match := re.fullmatch(r"([A-Z_]+)=(.*)", line):
            variables[match[1]] = match[2]
        else:
            *fields, command = line.split(maxsplit=5)
            lines.append((fields, command))
    return variables, lines


def test_every_line_of_the_crontab_has_times_that_cron_knows() -> None:
    _, lines = crontab()
    assert len(lines) == 3
    bounds = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
    for fields, command in lines:
        for field, (least, most) in zip(fields, bounds, strict=True):
            assert field == "*" or all(least <= int(part) <= most for part in field.split(",")), (
                field
            )
        assert "%" not in command  # cron makes it a newline
        calls = etl_commands(command)
        assert calls
        assert [told for call in calls if (told := trouble(call))] == []


def test_the_crontab_syncs_checks_and_says_nothing_while_all_is_well(tmp_path: Path) -> None:
    """As cron would: `/bin/sh -c`, the example's variables and nothing else; the keys in a `.env`
    beside the database."""
    variables, lines = crontab()
    with Simulator(followers=60) as sim:
        (tmp_path / ".env").write_text(
            "".join(f"{name}={value}\n" for name, value in sim.environment.items())
        )

        def told(command: str) -> tuple[int, str]:
            here = command.replace("/var/lib/follower-etl", str(tmp_path))
            environment = variables | {
                "PATH": f"{PROGRAM.parent}:/usr/bin:/bin",
                "HOME": str(tmp_path),
            }
            done = subprocess.run(
                [variables["SHELL"], "-c", here],
                env=environment, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            return done.returncode, done.stdout + done.stderr

        (_, sync), (_, again), (_, watch) = lines
        assert told(watch)[0] == 69  # nothing is there yet
        assert told(sync) == (0, "")
        requests = len(sim.requests)
        assert told(again) == (0, "")
        assert len(sim.requests) == requests  # the list was read whole: not again
        assert told(watch) == (0, "")


# -- containers ------------------------------------------------------------------------------------


def dockerfile() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, in order."""
    text = re.sub(
        r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE
    ).replace("\\\n", " ")
    return [
        (name, rest)
        for name, _, rest in (line.partition(" ") for line in text.splitlines() if line)
    ]


def test_the_image_is_built_from_files_that_are_there_and_that_the_build_is_given() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    given = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert "*" in ignored
    sources = {
        source
        for name, rest in dockerfile()
        if name == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    assert sources == given
    assert [source for source in sources if not (ROOT / source).exists()] == []
    # What hatchling reads to build the wheel.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {
        *wheel["packages"],
        *wheel["force-include"],
        project["project"]["readme"],
        "LICENSE",
        "hatch_build.py",  # it makes the manual page
    } <= sources


def test_the_image_runs_as_nobody_in_particular_with_a_health_check_that_the_program_takes() -> (
    None
):
    instructions = dict(dockerfile())  # the last of each name: the final stage's
    assert int(instructions["USER"]) > 999
    assert json.loads(instructions["ENTRYPOINT"]) + json.loads(instructions["CMD"]) == [
        "etl",
        "sync",
    ]
    _, _, check = instructions["HEALTHCHECK"].partition(" CMD ")
    assert json.loads(check) == ["etl", "status", "--max-age", "26h"]
    assert trouble(json.loads(check)[1:]) is None
    assert not re.search(r"KEY|PASSWORD|TOKEN", instructions["ENV"])


def test_the_images_user_and_group_are_those_of_the_cronjob() -> None:
    made = next(rest for name, rest in dockerfile() if name == "RUN" and "useradd" in rest)
    cronjob = (DEPLOY / "cronjob.yaml").read_text(encoding="utf-8")
    given = dict(re.findall(r"(runAsUser|runAsGroup|fsGroup): (\d+)", cronjob))
    user, group = (re.search(rf"useradd .*--{each} (\d+)", made) for each in ("uid", "gid"))
    assert user and group  # noqa: PT018 - both were found
    assert given == {"runAsUser": user[1], "runAsGroup": group[1], "fsGroup": group[1]}
    assert f"groupadd --system --gid {group[1]}" in made
    assert dict(dockerfile())["USER"] == user[1]


@pytest.fixture
def manifests() -> dict[str, Any]:
    """The objects of deploy/cronjob.yaml, by kind."""
    text = (DEPLOY / "cronjob.yaml").read_text(encoding="utf-8")
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def test_the_cron_job_runs_one_sync_at_a_time_without_rights(manifests: dict[str, Any]) -> None:
    spec = manifests["CronJob"]["spec"]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert trouble(container["args"]) is None
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == int(dict(dockerfile())["USER"])
    assert {"requests", "limits"} <= container["resources"].keys()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "version"
    ]
    assert container["image"] == f"follower-etl:{version}"


def test_the_cron_job_takes_its_keys_from_files_of_a_secret(manifests: dict[str, Any]) -> None:
    pod = manifests["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    [secret] = [volume["name"] for volume in pod["volumes"] if "secret" in volume]
    assert {each["name"]: each["value"] for each in container["env"]} == {
        "CREDENTIALS_DIRECTORY": mounted[secret]
    }
    assert mounted.keys() == {volume["name"] for volume in pod["volumes"]}
    config = manifests["ConfigMap"]
    assert container["envFrom"] == [{"configMapRef": {"name": config["metadata"]["name"]}}]
    assert config["data"].keys() <= {name.upper() for name in Settings.model_fields}


def test_the_cron_job_tries_again_where_the_exit_code_says_that_it_may_pass(
    manifests: dict[str, Any],
) -> None:
    job = manifests["CronJob"]["spec"]["jobTemplate"]["spec"]
    [rule] = job["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]["operator"]) == ("FailJob", "In")
    assert set(rule["onExitCodes"]["values"]) == final_codes()
    assert (
        job["template"]["spec"]["restartPolicy"] == "Never"
    )  # Kubernetes takes a podFailurePolicy with no other
