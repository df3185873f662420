"""A small share of the soak (benchmarks/truth.py), and that it repeats: no false unfollow, whatever
the server says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from lies import CATEGORIES, Category
from truth import Tally, live, verdict

WORLDS = 12
SMALL = [each for each in CATEGORIES if each.weight > 0.1]
"""Ten thousand followers take seconds a world."""


def soaked(category: Category, seed: str) -> Tally:
    tally = Tally()
    for number in range(WORLDS):
        tally.add(live(category, f"{seed}/{number}"))
    return tally


@pytest.mark.parametrize("category", SMALL, ids=lambda category: category.name)
def test_nobody_who_followed_throughout_is_marked_and_the_first_quiet_night_puts_all_right(
    category: Category,
) -> None:
    tally = soaked(category, "test")
    assert tally.syncs > WORLDS
    assert tally.quiet + tally.dropped == WORLDS
    assert verdict(category, tally) == "", f"{tally.seeds}: {tally.cells()}"


def test_the_soak_finds_what_counting_cannot_tell() -> None:
    """Or the test above would be content with worlds in which nothing happens."""
    covered = next(each for each in CATEGORIES if "from the first on" in each.name)
    assert soaked(covered, "test").false_syncs


@pytest.mark.parametrize("category", SMALL[::5], ids=lambda category: category.name)
def test_a_seed_repeats_its_world(category: Category) -> None:
    assert live(category, "again") == live(category, "again")
