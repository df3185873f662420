"""What is installed from a wheel works without the checkout: migrations, the report's template and
the types come with it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from configparser import ConfigParser
from importlib import metadata
from pathlib import Path

import pytest

from etl.cli import man
from etl.cli.app import COMMANDS, load
from etl.db.schema import HEAD
from etl.errors import ExitCode
from etl.simulator import Simulator

CHECKOUT = Path(__file__).parents[2]

REVISIONS = {path.name for path in (CHECKOUT / "migrations" / "versions").glob("*.py")}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with nothing in it but what the wheel holds; built by the backend itself, so that
    no network is needed."""
    built = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)]
    subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, timeout=120)
    (wheel,) = built.glob("follower_etl-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(built / "site")
    return built / "site"


def run(site: Path, *arguments: str, **settings: str) -> str:
    """Run `python …` in the present directory, with the wheel and the dependencies alone; gives its
    stdout."""
    # -S: no .pth file is read, so that an editable installation of the checkout is not found.
    path = os.pathsep.join(
        [str(site), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    )
    command = [sys.executable, "-S", *arguments]
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": path} | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert str(CHECKOUT) not in done.stdout + done.stderr
    return done.stdout


def test_the_wheel_brings_its_migrations_its_template_and_its_types(site: Path) -> None:
    assert {
        path.name for path in (site / "etl" / "migrations" / "versions").glob("*.py")
    } == REVISIONS
    assert (site / "etl" / "migrations" / "env.py").is_file()
    assert (site / "etl" / "py.typed").is_file()
    templates = {path.relative_to(CHECKOUT) for path in (CHECKOUT / "etl").rglob("*.j2")}
    assert templates
    assert all((site / template).is_file() for template in templates)


def test_the_wheel_brings_one_package_a_licence_and_the_command(site: Path) -> None:
    others = (".dist-info", ".data")
    assert {path.name for path in site.iterdir() if not path.name.endswith(others)} == {"etl"}, (
        "no `migrations` beside it"
    )
    (info,) = site.glob("*.dist-info")
    assert list(info.glob("licenses/LICENSE"))
    entries = ConfigParser()
    entries.read(info / "entry_points.txt")
    assert entries["console_scripts"]["etl"] == "etl.cli:main"


def test_the_wheel_brings_a_manual_page_of_every_command_option_and_exit_code(site: Path) -> None:
    (file,) = site.glob("*.data/data/share/man/man1/etl.1")
    assert file.read_text(encoding="ascii") == man.page(metadata.version("follower-etl"))
    shown = re.sub(
        r"\\\[u[0-9A-F]+\]|\\.", lambda sign: sign[0].replace("\\-", "-"), file.read_text()
    )
    for name in COMMANDS:
        command = load(name)
        for each in getattr(command, "commands", {"": command}).values():
            _, _, section = shown.partition(
                f'.SS "etl {name} {each.name}"'.replace(f" {name} {name}", f" {name}")
            )
            assert section, each.name
            options = {option for param in each.params for option in param.opts}
            assert options <= set(section.partition(".SS")[0].replace(",", " ").split()) | {
                "snapshot_id",
                "user_id",
            }
    assert set(man.ENDS) == set(ExitCode)
    # No line begins with what is no request of man(7).
    requests = {line.split()[0] for line in file.read_text().splitlines() if line[:1] in ".'"}
    assert requests <= {".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".RS", ".RE", ".nf", ".fi"}


def test_an_empty_directory_gets_its_database_from_the_wheel(site: Path, tmp_path: Path) -> None:
    assert not list(tmp_path.iterdir())
    assert json.loads(run(site, "-m", "etl", "db", "upgrade", "--json")) == {
        "from": "empty",
        "to": HEAD,
        "changed": True,
    }
    assert (tmp_path / "followers.db").is_file()
    where = "from etl.db.schema import migrations_directory; print(migrations_directory())"
    assert Path(run(site, "-c", where).strip()) == site / "etl" / "migrations"


def test_it_syncs_and_reports_from_the_wheel(site: Path, tmp_path: Path) -> None:
    with Simulator(120) as sim:
        assert (
            json.loads(run(site, "-m", "etl", "sync", "--json", **sim.environment))["following"]
            == 120
        )
    run(site, "-m", "etl", "report", "--format", "html", "--output", "report.html")
    assert (tmp_path / "report.html").read_text().startswith("<!")
