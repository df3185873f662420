"""Tables for a terminal: never wider than it, no word and no number cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from etl.cli.listing import Column, Row, breadth, fold, listing

WORDS = st.text("abcđế 漢", max_size=40)
COLUMNS = [Column("name"), Column("followers", number=True), Column("net", number=True, drop=1)]


@given(
    rows=st.lists(st.tuples(WORDS, st.integers(0, 10**9), st.integers(0, 10**6)), max_size=5),
    width=st.integers(45, 120),
)
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(
    rows: list[tuple[str, int, int]], width: int
) -> None:
    lines = listing(COLUMNS, [Row([name, str(a), str(b)]) for name, a, b in rows], width)
    words = " ".join(lines).split()
    assert max(map(breadth, lines)) <= width
    for name, followers, _ in rows:
        assert str(followers) in words
        assert set(name.split()) <= set(words)


def test_a_text_is_folded_by_the_columns_that_its_letters_take() -> None:
    assert fold("aaa 漢漢漢 漢漢漢", 13, "- ", "  ") == ["- aaa 漢漢漢", "  漢漢漢"]
    assert fold("  ok  111", 80) == ["  ok  111"]
    assert fold("a" * 9 + " b", 4) == ["a" * 9, "b"]
    assert fold("", 4) == [""]


def test_what_does_not_fit_is_left_out_by_its_order() -> None:
    columns = [Column("a"), Column("b", drop=1), Column("c", drop=2)]
    rows = [Row(["x" * 10, "y" * 10, "z" * 10])]
    assert len(listing(columns, rows, 34)[0].split()) == 3
    assert listing(columns, rows, 33)[0].split() == ["a", "b"]
    assert listing(columns, rows, 21)[0].split() == ["a"]


def test_where_not_even_one_word_fits_each_cell_has_a_line() -> None:
    columns = [Column("OAID"), Column("name")]
    lines = listing(columns, [Row(["4097311281936189049", "Hoa Mai"])], 24)
    assert lines == ["OAID:", "4097311281936189049", "name: Hoa Mai", ""]


def test_a_note_stands_below_its_row_and_the_total_below_a_rule() -> None:
    rows = [Row(["x", "1"], ["why it is so"]), Row(["y", "2"])]
    lines = listing([Column("a"), Column("n", number=True)], rows, 80, total=Row(["all", "3"]))
    assert lines == ["a    n", "──────", "x    1", "    why it is so", "y    2", "──────", "all  3"]
