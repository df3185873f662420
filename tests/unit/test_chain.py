"""What an answer means for the chain, as a table: values in, a move out; no thread, no server."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.errors import UndocumentedCodeError
from etl.model import Page
from etl.sync.chain import (
    LARGEST_DOCUMENTED_OFFSET,
    Answer,
    Move,
    Refused,
    Seen,
    brings_nobody,
    ends_the_list,
    hangs_on,
    move,
    moved_by,
)

TOTAL = 26
"""The list is the alphabet, five letters a page, and two of them shared: abcde defgh ghijk …"""

HEAD = Page(0, tuple("abcde"), TOTAL)
SEEN = Seen(HEAD, longest=5, tolerance=0.005)
LINK = Page(3, tuple("defgh"), TOTAL)


def page(offset: int, users: str, total: int = TOTAL) -> Page:
    return Page(offset, tuple(users), total)


def undocumented(offset: int) -> Refused:
    return Refused(offset, UndocumentedCodeError("code 900"))


@pytest.mark.parametrize(
    ("answer", "means"),
    [
        (page(6, "ghijk"), Move.LINK),
        (page(6, "ghi"), Move.LINK),
        (page(5, "ghijk"), Move.LINK),  # somebody ahead has left
        (page(7, "ghijk"), Move.LINK),  # somebody ahead has arrived
        (page(6, "hijkl"), Move.MEND),  # one shared user is no seam
        (page(6, "jklmn"), Move.MEND),
        (page(6, "gxijk"), Move.MEND),  # shared users must stand side by side
        (page(6, "gh"), Move.LINK),  # cut down to the two shared users: the next one goes on
        (page(7, "h"), Move.ASK_BEHIND),
        (page(6, "h"), Move.PASS_BY),
        (page(2, "cdefg"), Move.PASS_BY),
        (page(6, ""), Move.ASK_AGAIN),
        (page(25, ""), Move.MEND),  # not well before the end
        (Refused(6), Move.ASK_AGAIN),
        (Refused(25), Move.ASK_AGAIN),
        (Refused(26), Move.MEND),  # nobody says that it must be served
        (undocumented(6), Move.ASK_AGAIN),
        (undocumented(26), Move.ASK_AGAIN),
        (page(6, "abcde"), Move.HEAD_AGAIN),
        (page(6, "abcxy", TOTAL), Move.MEND),
    ],
    ids=str,
)
def test_an_answer_in_the_middle_of_the_list_is_the_move_that_it_must_be(
    answer: Answer, means: Move
) -> None:
    assert move(LINK, answer, SEEN) is means


@pytest.mark.parametrize(
    ("answer", "means"),
    [
        (page(6, ""), Move.CEILING),
        (Refused(6), Move.CEILING),
        (undocumented(6), Move.CEILING),
        (page(25, ""), Move.MEND),
        (Refused(26), Move.MEND),
        (page(6, "ghijk"), Move.LINK),
    ],
    ids=str,
)
def test_the_second_answer_to_the_same_question(answer: Answer, means: Move) -> None:
    assert move(LINK, answer, replace(SEEN, asked_again=True)) is means


def test_the_head_a_third_time_is_an_offset_that_is_ignored() -> None:
    again = page(6, "abcde")
    assert move(LINK, again, SEEN) is Move.HEAD_AGAIN
    assert move(LINK, again, replace(SEEN, repeats=1)) is Move.OFFSET_IGNORED


@pytest.mark.parametrize(
    ("link", "answer", "means"),
    [
        # Shorter than another page, and not at its Total: what comes after decides.
        (page(21, "vwx"), page(22, "wx"), Move.TAIL),
        (page(21, "vwx", 24), page(22, "wx", 24), Move.TAIL),
        (page(21, "vwx"), page(22, ""), Move.TAIL),
        (page(21, "vwx"), page(22, "wxyz"), Move.LINK),
        # At its Total, and as long as any: likewise.
        (page(21, "vwxyz"), page(24, "yz"), Move.TAIL),
        (page(21, "vwxyz"), page(24, ""), Move.TAIL),
        (page(21, "vwxyz"), Refused(24), Move.ASK_AGAIN),
        (page(21, "vwxyz"), Refused(26), Move.TAIL),
        (page(21, "vwxyz"), undocumented(26), Move.ASK_AGAIN),
        (page(21, "vwxyz"), page(24, "yz!?", 28), Move.LINK),
        # Neither: as long as any, and not at its Total.
        (page(20, "uvwxy", 26), page(23, "xy"), Move.LINK),
        (page(20, "uvwxy", 26), page(24, "y"), Move.ASK_BEHIND),
        # A page planned beyond the end says nothing of what stands in between.
        (page(21, "vwx", 25), page(25, "", 25), Move.MEND),
    ],
    ids=str,
)
def test_a_page_that_looks_like_the_tail_is_one_if_the_page_after_it_agrees(
    link: Page, answer: Answer, means: Move
) -> None:
    assert move(link, answer, SEEN) is means


@pytest.mark.parametrize(
    ("link_total", "answer_total", "means"),
    [
        (24, 24, Move.TAIL),
        (24 + 5, 24, Move.TAIL),  # five users are always tolerated
        (24, 24 + 5, Move.TAIL),
        (24 + 6, 24, Move.LINK),
        (24, 24 + 6, Move.LINK),
        (0, 0, Move.TAIL),
    ],
)
def test_the_tail_is_decided_by_the_totals_of_its_own_moment(
    link_total: int, answer_total: int, means: Move
) -> None:
    """And not by the largest of the look: twenty who leave at once must leave no look unclosed."""
    short = page(21, "vwx", link_total)
    assert move(short, page(22, "wx", answer_total), SEEN) is means


@pytest.mark.parametrize(
    ("link_total", "answer_total", "means"),
    [
        (26, 26, Move.ASK_AGAIN),
        (26, 0, Move.ASK_AGAIN),  # a backend that answers "nobody, Total 0" is no tail
        (0, 26, Move.ASK_AGAIN),
        (11, 11, Move.TAIL),
    ],
)
def test_an_empty_page_well_before_either_total_is_no_tail(
    link_total: int, answer_total: int, means: Move
) -> None:
    assert move(page(6, "ghij", link_total), page(8, "", answer_total), SEEN) is means


@pytest.mark.parametrize(
    ("offset", "total", "means"),
    [
        (LARGEST_DOCUMENTED_OFFSET - 2, 9_950, Move.MEND),
        (LARGEST_DOCUMENTED_OFFSET + 1, 9_953, Move.ASK_AGAIN),
        (LARGEST_DOCUMENTED_OFFSET + 1, 20_000, Move.ASK_AGAIN),
    ],
)
def test_nobody_beyond_the_largest_documented_offset_may_be_the_ceiling(
    offset: int, total: int, means: Move
) -> None:
    """However near to the Total it is."""
    full = page(LARGEST_DOCUMENTED_OFFSET - 4, "vwxyz", total)
    assert move(full, page(offset, "", total), SEEN) is means


def test_pages_of_two_users_share_one() -> None:
    two = replace(SEEN, longest=2)
    assert two.overlap == 1
    assert SEEN.overlap == 2
    assert move(page(3, "de"), page(4, "ef"), two) is Move.LINK
    assert move(page(3, "de"), page(4, "ef"), SEEN) is Move.MEND


@pytest.mark.parametrize(
    ("link", "is_the_end"),
    [
        (page(23, "xyz"), True),
        (page(23, "xyz", 27), False),
        (page(23, "xyz", 25), False),
        (page(21, "vwxyz"), False),
    ],
    ids=str,
)
def test_a_page_ends_the_list_by_itself_if_it_is_shorter_and_ends_at_its_own_total(
    link: Page, *, is_the_end: bool
) -> None:
    assert ends_the_list(link, SEEN) is is_the_end


def test_whoever_stands_on_the_link_is_nobody_new() -> None:
    assert brings_nobody(page(6, ""), LINK)
    assert brings_nobody(page(6, "hd"), LINK)
    assert not brings_nobody(page(6, "hi"), LINK)


@pytest.mark.parametrize(
    ("bridge", "places"),
    [
        (page(2, "efghi"), -2),
        (page(8, "ghijk"), 2),
        (page(3, "defgh"), 0),
        (page(3, "klmno"), 9),
        (page(1, "dxyz"), -2),
    ],
    ids=str,
)
def test_a_bridge_shows_by_how_much_the_link_has_moved(bridge: Page, places: int) -> None:
    assert moved_by(LINK, bridge, otherwise=9) == places


USERS = st.lists(st.sampled_from("abcdefgh"), max_size=5).map(tuple)
PAGES = st.builds(Page, st.integers(0, 12), USERS, st.integers(0, 40))
LINKS = PAGES.filter(lambda page: bool(page.users))
ANSWERS = PAGES | st.builds(Refused, st.integers(1, 12))


@given(
    link=LINKS,
    answer=ANSWERS,
    longest=st.integers(1, 6),
    repeats=st.integers(0, 2),
    asked_again=st.booleans(),
)
def test_only_a_page_that_hangs_on_becomes_a_link_and_nothing_is_asked_a_third_time(
    link: Page, answer: Answer, longest: int, repeats: int, *, asked_again: bool
) -> None:
    seen = Seen(HEAD, longest, 0.005, repeats, asked_again)
    found = move(link, answer, seen)
    if found is Move.LINK:
        assert isinstance(answer, Page)
        assert hangs_on(link, answer, seen)
    if found is Move.TAIL and isinstance(answer, Page):
        assert set(answer.users) <= set(link.users)
        assert max(link.total, answer.total) - link.end <= 5
    assert found is not (Move.ASK_AGAIN if asked_again else Move.CEILING)
