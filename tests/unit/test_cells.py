"""A cell of a CSV file is never a formula, and its text can be had back."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.reports.csv_cells import defused

FORMULAS = ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"]


@pytest.mark.parametrize("start", FORMULAS)
def test_text_that_begins_like_a_formula_is_defused(start: str) -> None:
    assert defused(f"{start}1+1") == f"'{start}1+1"


@pytest.mark.parametrize(
    "value",
    ["", "4097311281936189049", "Trà sữa = ngon", "a@b", "'quoted'", "''", -5, -0.5, None, True],
)
def test_everything_else_stays_as_it_is(value: Any) -> None:
    assert defused(value) is value


@given(st.text(alphabet=st.sampled_from([*FORMULAS, "'", "a", " "])))
def test_no_text_is_a_formula_and_every_text_can_be_had_back(text: str) -> None:
    cell = defused(text)
    assert not cell.startswith(tuple(FORMULAS))
    assert re.sub(r"^'(?='*[=+\-@\t\r\n＝＋－＠])", "", cell) == text
