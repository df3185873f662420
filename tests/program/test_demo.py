"""The demo: the same each time, no line wider than the terminal, and it says what to do next."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from terminal import etl_on_terminal

if TYPE_CHECKING:
    from pathlib import Path


def demo(home: Path, columns: int) -> list[str]:
    """One week of it; without the directory, which is another one each time."""
    home.mkdir()
    return etl_on_terminal(columns, "demo", "--weeks", "1", cwd=home)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "first"


@pytest.fixture(scope="module")
def shown(home: Path) -> list[str]:
    return demo(home, 80)


def test_it_is_the_same_each_time(shown: list[str], tmp_path: Path) -> None:
    def nights(lines: list[str]) -> list[str]:
        return [line for line in lines if re.search(r"followers|requests|\d,\d", line)]

    assert nights(demo(tmp_path / "second", 80)) == nights(shown)


def test_it_fits_80_columns_but_for_what_is_to_be_copied(shown: list[str]) -> None:
    wide = [line for line in shown if len(line) > 80]
    assert [line for line in wide if not line.startswith("  ")] == []


def test_it_says_simulated_one_week_and_what_to_do_next(shown: list[str]) -> None:
    text = " ".join(" ".join(shown).split())
    for words in (
        "SIMULATED",
        "for 1 week,",
        "--lang vi --no-users -o baocao.html",
        "-o pages/",
        "40 23 * * *",
        "--allow-mass-unfollow",
        "To clean up:",
        "rm -f followers-demo.db followers-demo.html",
        "Churn needs two nights",
    ):
        assert words in text


@pytest.mark.usefixtures("shown")
def test_its_page_says_that_the_data_is_simulated(home: Path) -> None:
    assert "SIMULATED" in (home / "followers-demo.html").read_text(encoding="utf-8")
