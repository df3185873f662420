"""Whole sweeps of a list in memory whose server is wrong: nobody who follows may be taken for gone.

What one answer means is tested in test_chain, what the looks together mean in test_guard.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from etl.errors import BadRequestError, EtlError, OffsetRefusedError, UndocumentedCodeError
from etl.model import Page, Reason
from etl.sync.chain import LARGEST_DOCUMENTED_OFFSET
from etl.sync.look import Budget, LookReader, Workers
from etl.sync.spool import Spool
from etl.sync.sweep import SweepLimits, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from etl.model import Sweep
    from etl.sync.guard import Look


@dataclass
class Server:
    """A list, and how it is answered.

    Attributes:
        users: who follows.
        size: users a page.
        answer: what goes out instead of the good page; may raise, and may change the list.
        look: from 1; it counts the connections.
        asked: the offsets, in order.
    """

    users: list[str]
    size: int = 20
    answer: Callable[[Server, Page], Page] = lambda _, page: page
    look: int = 1
    asked: list[int] = field(default_factory=list)

    def fetch(self, offset: int) -> Page:
        self.asked.append(offset)
        served = tuple(self.users[offset : offset + self.size])
        return self.answer(self, Page(offset, served, len(self.users)))

    def renew(self) -> None:
        self.look += 1


def numbered(count: int, name: str = "u") -> list[str]:
    return [f"{name}{number}" for number in range(count)]


def swept(server: Server, known: Sequence[str] = (), *, looks: int = 8) -> Sweep:
    with Spool() as spool:
        return sweep(
            server.fetch,
            spool,
            add_known=lambda: spool.add_known([list(known)]),
            limits=SweepLimits(concurrency=1, max_looks=looks),
            renew=server.renew,
        )


def look_at(server: Server, *, ask_behind: bool = False) -> Look:
    with Workers(server.fetch, 1) as workers:
        return LookReader(
            workers, set[Page]().add, budget=Budget(), tolerance=0.005, ask_behind=ask_behind
        ).read()


# -- Total and what is listed ---------------------------------------------------------------------


@pytest.mark.parametrize("most", [1_000, 2_000, 10_000])
def test_a_window_of_a_round_size_to_which_total_is_clamped_marks_nobody(most: int) -> None:
    """Newest first: thirty arrive, and thirty who follow are pushed out of sight."""

    def window(server: Server, page: Page) -> Page:
        seen = server.users[page.offset : min(page.offset + server.size, most)]
        return Page(page.offset, tuple(seen), most)

    server = Server(numbered(30, "new") + numbered(most), 50, window)
    sweep_of_it = swept(server, numbered(most))
    assert (sweep_of_it.missing, sweep_of_it.reason) == (30, Reason.CEILING)


@pytest.mark.parametrize("hidden", [1, 5, 10])
def test_users_who_are_not_served_while_total_counts_them_are_not_gone(hidden: int) -> None:
    def without(server: Server, page: Page) -> Page:
        shown = server.users[hidden:]
        return Page(page.offset, tuple(shown[page.offset : page.offset + 50]), len(server.users))

    result = swept(Server(numbered(2_003), 50, without), numbered(2_003))
    assert (result.missing, result.gap, result.reason) == (hidden, hidden, Reason.TOTAL_GAP)


def test_a_look_remembers_the_largest_total_that_it_was_told() -> None:
    def once_more(server: Server, page: Page) -> Page:
        total = 103 if len(server.asked) == 2 else 100
        return Page(page.offset, page.users, total)

    look = look_at(Server(numbered(100), answer=once_more))
    assert (look.largest, look.total, look.steady) == (103, 100, False)


@pytest.mark.parametrize(
    ("totals", "replaced"),
    [
        ((100,), 0),
        ((100, 101), 0),
        ((100, 99), 0),
        ((100, 99, 100), 1),
        ((100, 98, 99, 100), 2),
        ((100, 99, 101), 1),
        ((100, 101, 100), 0),
    ],
)
def test_who_came_in_the_place_of_others_is_told_by_the_rises_of_total(
    totals: tuple[int, ...], replaced: int
) -> None:
    def moving(server: Server, page: Page) -> Page:
        return Page(page.offset, page.users, totals[min(len(server.asked), len(totals)) - 1])

    assert look_at(Server(numbered(100), answer=moving)).replaced == replaced


# -- a backend that answers nobody ----------------------------------------------------------------


def test_a_look_at_an_empty_backend_proves_nothing() -> None:
    """Look 1 finds nobody, look 2 is torn and lacks ten, look 3 finds nobody: once complete."""

    def backends(server: Server, page: Page) -> Page:
        if server.look % 2:
            return Page(page.offset, (), 0)
        alone = server.users[page.offset : min(page.offset + 18, 50)]  # shares one user: torn
        return Page(page.offset, tuple(reversed(alone)), len(server.users))

    for looks in range(1, 9):
        result = swept(Server(numbered(60), answer=backends), numbered(60), looks=looks)
        assert result.reason is not None, looks


@pytest.mark.parametrize("torn", [False, True])
def test_nobody_proves_nothing_where_total_is_always_0_either(*, torn: bool) -> None:
    """Somebody is left out of a page, in the only look that shows anybody."""

    def total_of_0(server: Server, page: Page) -> Page:
        if server.look != 2:
            return Page(page.offset, (), 0)
        users = [user for user in page.users if user != "u95"]
        return Page(page.offset, tuple(reversed(users) if torn else users), 0)

    for looks in range(1, 5):
        result = swept(Server(numbered(192), answer=total_of_0), numbered(192), looks=looks)
        # Nobody at all is complete here, and held by the guard whatever follows.
        assert result.reason is not None or not result.seen, looks


def test_a_first_page_of_nobody_is_asked_for_once_more() -> None:
    def once(server: Server, page: Page) -> Page:
        return Page(0, (), 0) if len(server.asked) == 1 else page

    result = swept(Server(numbered(100), answer=once), numbered(100))
    assert (result.looks, result.seen, result.reason) == (1, 100, None)


def test_an_empty_list_costs_two_requests() -> None:
    empty = Server([])
    assert swept(empty).reason is None
    assert empty.asked == [0, 0]


def test_an_empty_answer_after_a_page_that_is_one_short_is_not_the_end_of_the_list() -> None:
    """The server answers `[]`, Total 0 behind it, whenever it is asked: 16 of 60 were marked."""

    def breaks_off(server: Server, page: Page) -> Page:
        if page.offset > 18:
            return Page(page.offset, (), 0)
        short = page.users[:-1] if page.offset == 18 else page.users
        return Page(page.offset, short, len(server.users))

    result = swept(Server(numbered(60), answer=breaks_off), numbered(60))
    assert result.missing == 23
    assert result.reason == Reason.CEILING


# -- the tail -------------------------------------------------------------------------------------


def cut_in_the_middle(_: Server, page: Page) -> Page:
    """A page ends early, just where a Total that counts too few ends.

    The page with the overlap answers the two shared users only.
    """
    users = page.users[: 63 - page.offset] if page.offset in {54, 61} else page.users
    return Page(page.offset, users, 63)


def test_in_a_look_that_may_mark_somebody_the_tail_is_asked_behind_at_exactly_its_end() -> None:
    """Or 37 of 100 would be taken for gone, by two closed looks whose gap is 0."""
    first = look_at(Server(numbered(100), answer=cut_in_the_middle))
    assert first.closed
    server = Server(numbered(100), answer=cut_in_the_middle)
    assert look_at(server, ask_behind=True).closed
    assert max(server.asked) == 100, "the chain went on to the real end"
    result = swept(Server(numbered(100), answer=cut_in_the_middle), numbered(100))
    assert (result.seen, result.missing, result.closed_looks, result.looks) == (100, 0, 2, 2)
    assert result.reason is None


def test_a_look_that_can_mark_nobody_saves_the_request_behind_its_end() -> None:
    server = Server(numbered(100))
    swept(server, numbered(100))
    assert 100 not in server.asked
    swept(server, [*numbered(100), "gone"])
    assert server.asked.count(100) == 1


def test_an_end_that_came_nearer_while_it_was_read_is_asked_behind_as_well() -> None:
    def shrinking(server: Server, page: Page) -> Page:
        if len(server.asked) == 3:
            del server.users[:4]
        if page.offset >= len(server.users):
            raise OffsetRefusedError(page.offset)
        return page

    server = Server(numbered(100), 50, shrinking)
    look = look_at(server, ask_behind=True)
    assert (look.closed, look.ceiling) == (True, False)
    assert server.asked[-1] == 96


def test_an_end_that_came_nearer_since_the_last_page_is_asked_behind_there_as_well() -> None:
    """Pages are cut short, Total counts too few, and somebody leaves just before the request behind
    the end: at that offset nobody stands any more."""

    def cut(server: Server, page: Page) -> Page:
        if page.offset == 39 and len(server.users) == 40:
            del server.users[0]
        served = server.users[page.offset : page.offset + server.size]
        length = {36: 3, 37: 2}.get(page.offset, server.size)
        return Page(page.offset, tuple(served[:length]), len(server.users) - 5)

    assert swept(Server(numbered(40), answer=cut), numbered(40)).missing == 0


# -- a page that is no slice -----------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0, 36])
def test_a_page_on_which_somebody_stands_twice_is_asked_for_once_more(offset: int) -> None:
    """Somebody else is not on it, in both looks; the seams hold, and no Total says so."""
    given: set[int] = set()

    def doubled(server: Server, page: Page) -> Page:
        users = list(page.users)
        if page.offset == offset and server.look not in given:
            given.add(server.look)
            users[5] = users[8]
        return Page(page.offset, tuple(users), 0)

    result = swept(Server(numbered(100), answer=doubled), [*numbered(100), "gone"])
    assert (result.missing, result.reason) == (1, None)


def test_no_bridge_is_built_on_a_page_on_which_somebody_stands_twice() -> None:
    def moving(server: Server, page: Page) -> Page:
        if len(server.asked) == 2:
            del server.users[:4]
        served = server.users[page.offset : page.offset + server.size]
        if len(server.asked) == 3 and "u20" in served:
            served[served.index("u20")] = "u19"
        return Page(page.offset, tuple(served), len(server.users))

    seen: set[str] = set()
    server = Server(numbered(100), answer=moving)
    with Workers(server.fetch, 1) as workers:
        reader = LookReader(
            workers, lambda page: seen.update(page.users), budget=Budget(), tolerance=0.005
        )
        assert reader.read().closed
    assert seen == set(numbered(100))


@pytest.mark.parametrize("place", [5, 40, 99])
def test_a_list_in_which_somebody_always_stands_twice_can_be_read_whole(place: int) -> None:
    users = numbered(100)
    users[place - 1] = users[place]
    assert look_at(Server(users)).closed


# -- the head -------------------------------------------------------------------------------------


def wrong_heads(total: int = 0) -> Callable[[Server, Page], Page]:
    """The first time that each look asks for it, the head is the page of offset 10."""
    given: set[int] = set()

    def answer(server: Server, page: Page) -> Page:
        wrong = page.offset == 0 and server.look not in given
        given.add(server.look)
        return Page(page.offset, tuple(server.users[10:30]) if wrong else page.users, total)

    return answer


def test_a_first_page_of_another_offset_is_found_out_by_the_page_after_it() -> None:
    """Its seam holds, and no Total says that ten are lacking."""
    result = swept(Server(numbered(100), answer=wrong_heads()), [*numbered(100), "gone"])
    assert (result.missing, result.reason) == (1, None)


def test_where_the_first_page_is_the_last_the_request_behind_it_finds_that_out() -> None:
    result = swept(Server(numbered(25), answer=wrong_heads(total=15)), [*numbered(25), "gone"])
    assert (result.missing, result.reason) == (1, None)


def test_a_list_that_keeps_still_saves_the_second_request_for_its_head() -> None:
    server = Server(numbered(100))
    assert swept(server, [*numbered(100), "gone"]).looks == 2
    assert server.asked.count(0) == 2


def test_who_arrives_at_the_head_while_the_list_is_read_is_seen() -> None:
    def arriving(server: Server, page: Page) -> Page:
        if len(server.asked) == 2:
            server.users.insert(0, "new")
        return page

    result = swept(Server(numbered(100), answer=arriving))
    assert (result.seen, result.gap, result.looks) == (101, 0, 1)


def test_a_head_that_is_refused_when_it_is_asked_once_more_closes_no_look_and_fails_no_run() -> (
    None
):
    wrong = wrong_heads()

    def refuses(server: Server, page: Page) -> Page:
        if page.offset == 0 and server.asked.count(0) == 2:
            raise OffsetRefusedError(0)
        return wrong(server, page)

    assert not look_at(Server(numbered(100), answer=refuses)).closed


# -- the ceiling ----------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [UndocumentedCodeError("code 900"), BadRequestError("HTTP 400")])
def test_an_undocumented_refusal_that_lasts_while_the_head_is_served_is_a_ceiling(
    error: EtlError,
) -> None:
    def refuses(_: Server, page: Page) -> Page:
        if page.offset >= 54:
            raise error
        return page

    server = Server(numbered(100), answer=refuses)
    result = swept(server, [*numbered(100), "gone"])
    assert (result.reason, result.looks, result.seen) == (Reason.CEILING, 1, 56)
    refused = Counter(offset for offset in server.asked if offset >= 54)
    assert refused.most_common(1)[0][1] == 2, "asked once more"


def test_two_looks_at_the_same_users_are_no_twins_where_one_of_them_met_a_ceiling() -> None:
    """The first closed, the second may not see how the list ends; three who are known are not shown
    by either."""

    def ceiling_in_look_2(server: Server, page: Page) -> Page:
        if server.look == 2 and page.offset > 72:
            raise OffsetRefusedError(page.offset)
        return page

    result = swept(Server(numbered(92), answer=ceiling_in_look_2), [*numbered(92), "a", "b", "c"])
    assert (result.looks, result.seen, result.total, result.missing) == (2, 92, 92, 3)
    assert result.reason == Reason.CEILING


def test_a_refusal_is_checked_at_the_head_where_no_extra_request_is_left_either() -> None:
    """Unchecked it would be a ceiling, though nothing is served at all."""

    def goes_down(server: Server, page: Page) -> Page:
        if len(server.asked) > 3:
            raise BadRequestError("HTTP 400")
        return page

    server = Server(numbered(1_003), answer=goes_down)
    with Workers(server.fetch, 1) as workers, pytest.raises(BadRequestError):
        LookReader(workers, set[Page]().add, budget=Budget(spent=10**6), tolerance=0.005).read()


@pytest.mark.parametrize("torn", [False, True])
def test_a_refusal_of_everything_is_a_failure_and_no_ceiling(*, torn: bool) -> None:
    def goes_down(server: Server, page: Page) -> Page:
        if len(server.asked) > 20:
            raise BadRequestError("HTTP 400")
        users = page.users[::-1] if torn else page.users
        return Page(page.offset, users, len(server.users))

    with pytest.raises(BadRequestError):
        swept(Server(numbered(1_003), answer=goes_down))


def test_in_a_torn_look_too_one_stray_refusal_is_asked_again_and_is_no_ceiling() -> None:
    def torn(server: Server, page: Page) -> Page:
        if page.offset >= 300 and server.asked.count(page.offset) == 1:
            raise OffsetRefusedError(page.offset)
        return Page(page.offset, page.users[::-1], len(server.users))

    server = Server(numbered(600), 50, torn)
    look = look_at(server)
    assert (look.closed, look.ceiling) == (False, False)
    assert max(server.asked) > 500


def test_a_page_at_the_largest_documented_offset_that_does_not_hang_on_closes_nothing() -> None:
    def reversed_at_the_end(_: Server, page: Page) -> Page:
        if page.offset > LARGEST_DOCUMENTED_OFFSET:
            raise OffsetRefusedError(page.offset)
        turned = page.offset == LARGEST_DOCUMENTED_OFFSET
        return Page(page.offset, page.users[::-1] if turned else page.users, 9_995)

    server = Server(numbered(9_995), 50, reversed_at_the_end)
    look = look_at(server)
    assert LARGEST_DOCUMENTED_OFFSET in server.asked
    assert (look.closed, look.ceiling) == (False, True)


# -- looking again --------------------------------------------------------------------------------


def test_every_look_but_the_first_is_read_over_new_connections() -> None:
    looks: list[int] = []

    def counted(server: Server, page: Page) -> Page:
        looks.append(server.look)
        return page

    result = swept(Server(numbered(60), answer=counted), [*numbered(60), "gone"])
    assert result.looks == 2
    assert looks == sorted(looks)
    assert set(looks) == {1, 2}


@pytest.mark.parametrize(("closes_in", "reason"), [(8, None), (9, Reason.TORN)])
def test_a_list_is_looked_at_eight_times_unless_told_otherwise(
    closes_in: int, reason: Reason | None
) -> None:
    def torn(server: Server, page: Page) -> Page:
        users = page.users if server.look >= closes_in else page.users[::-1]
        return Page(page.offset, users, len(server.users) + len(server.asked) % 2)

    server = Server(numbered(60), answer=torn)
    with Spool() as spool:
        limits = SweepLimits(concurrency=1)
        result = sweep(
            server.fetch, spool, add_known=lambda: None, limits=limits, renew=server.renew
        )
    assert (result.looks, result.reason) == (8, reason)


def always_moving(server: Server, page: Page) -> Page:
    """One leaves and one arrives before every answer, and Total jumps."""
    del server.users[:1]
    server.users += numbered(1, f"new{len(server.asked)}-")
    served = tuple(server.users[page.offset : page.offset + server.size])
    return Page(page.offset, served, len(server.users) + len(server.asked) % 20)


def test_the_extra_requests_are_bounded_once_for_the_sweep() -> None:
    server = Server(numbered(100), answer=always_moving)
    result = swept(server, ["gone"])
    planned = 100 // 18 + 4
    assert result.looks == 8
    assert len(server.asked) <= 8 * planned + 64 + 3 * planned


def test_a_list_that_grows_as_fast_as_it_is_read_ends_all_the_same() -> None:
    def growing(server: Server, page: Page) -> Page:
        server.users += numbered(20, f"new{len(server.asked)}-")
        return page

    server = Server(numbered(100), answer=growing)
    look = look_at(server)
    assert not look.closed
    assert len(server.asked) <= 1 + 6 + 64 + 3 * 6
