"""What an answer means for the chain of a look: a function of values, without threads and HTTP.

Why a whole chain misses nobody who follows throughout, in a list whose members keep their order:
neighbours share followers; page k contains those it shares with its left and those it shares with
its right neighbour, and is contiguous, so it contains everybody between the two. When each page was
read does not matter (docs/design.md#reading-a-list-that-moves).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from etl.model import Page
from etl.sync.guard import tolerated_gap

if TYPE_CHECKING:
    from etl.errors import EtlError

LARGEST_DOCUMENTED_OFFSET = 9_950
"""Of the sister call QueryListUID, which is the best evidence for both calls: the last resort where
a larger offset is refused."""

OVERLAP = 2
"""Users that a page asks for once more. One is too weak where two replicas answer in turn, each in
an order of its own: a page of one may begin with the very user with whom one of the other ends."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An offset is not served: code 162, or a refusal that nobody documents (`error`)."""

    offset: int
    error: EtlError | None = None


Answer = Page | Refused


class Move(Enum):
    """What an answer means for the chain."""

    LINK = auto()
    """It hangs on to the last link and reaches further: it is the new last link."""
    TAIL = auto()
    """It shows that the last link is the end of the list."""
    PASS_BY = auto()
    """Read before a bridge that reaches further: its users count, but it is no link."""
    HEAD_AGAIN = auto()
    """The very head, at another offset: the offset may be ignored."""
    OFFSET_IGNORED = auto()
    """The very head a second time."""
    ASK_AGAIN = auto()
    """One bad answer proves nothing: a refusal, nobody where more must be, somebody twice."""
    CEILING = auto()
    """The same once more: the server serves no more than this."""
    ASK_BEHIND = auto()
    """Nobody new, but Total says that there is more: what stands right behind the link decides."""
    MEND = auto()
    """It does not hang on: the list moved there. A bridge is needed."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look knows when an answer comes.

    Attributes:
        head: its first page.
        longest: users of its longest page.
        tolerance: ETL_TOTAL_TOLERANCE, a share.
        repeats: how often the head stood at another offset.
        asked_again: whether the answer is the second one to the same question.
    """

    head: Page
    longest: int
    tolerance: float
    repeats: int = 0
    asked_again: bool = False

    @property
    def overlap(self) -> int:
        """Users that neighbours must share at least."""
        return OVERLAP if self.longest > OVERLAP else 1


def seam_holds(left: Page, right: Page, *, overlap: int = 1) -> bool:
    """Whether a suffix of the left page, of at least `overlap` users, is a prefix of the right."""
    if not left.users or not right.users:
        return False
    try:
        start = left.users.index(right.users[0])
    except ValueError:
        return False
    shared = len(left.users) - start
    return overlap <= shared <= len(right.users) and left.users[start:] == right.users[:shared]


def leads_on(link: Page, page: Page) -> bool:
    """Whether a page reaches further than the link; one that does not would go round for ever."""
    return page.offset > link.offset or page.users[-1] not in link.users


def hangs_on(link: Page, page: Page, seen: Seen) -> bool:
    """Whether a page can be the next link."""
    return seam_holds(link, page, overlap=seen.overlap) and leads_on(link, page)


def names_twice(page: Page) -> bool:
    """Whether somebody stands on a page twice: such a page is no slice of a list."""
    return len(set(page.users)) < len(page.users)


def brings_nobody(page: Page, link: Page) -> bool:
    """Whether everybody on the page stands on the link already (an empty page, too)."""
    return set(page.users) <= set(link.users)


def ends_the_list(link: Page, seen: Seen) -> bool:
    """Whether a page is the tail by itself: shorter than another, and ending at its own Total."""
    return len(link.users) < seen.longest and link.end == link.total


def move(link: Page, answer: Answer, seen: Seen) -> Move:
    """What an answer means for the chain that ends in `link`. The rules apply in this order."""
    if isinstance(answer, Page) and names_twice(answer) and not seen.asked_again:
        return Move.ASK_AGAIN
    if _shows_the_tail(link, answer, seen):
        return Move.TAIL
    if isinstance(answer, Refused):
        if answer.offset < link.total or answer.error is not None:
            return Move.CEILING if seen.asked_again else Move.ASK_AGAIN
        return Move.MEND
    if not answer.users:
        beyond_documents = link.offset < LARGEST_DOCUMENTED_OFFSET < answer.offset
        if _well_before(answer.offset, link, answer, seen) or beyond_documents:
            return Move.CEILING if seen.asked_again else Move.ASK_AGAIN
        return Move.MEND
    if _repeats_head(answer, seen):
        return Move.OFFSET_IGNORED if seen.repeats else Move.HEAD_AGAIN
    if hangs_on(link, answer, seen):
        return Move.LINK
    if answer.users[-1] in link.users:
        return Move.PASS_BY if answer.end < link.end else Move.ASK_BEHIND
    return Move.MEND


def _shows_the_tail(link: Page, after: Answer, seen: Seen) -> bool:
    """Whether the answer after a page that looks like the tail shows that it is.

    It looks like the tail by its length or by its Total alone. Nobody new may come after it, and it
    may not end before what either answer tells as Total, by more than the tolerated gap.
    """
    if not (len(link.users) < seen.longest or link.end == link.total) or after.offset > link.end:
        return False
    if isinstance(after, Refused):
        return after.error is None and after.offset >= link.total
    return brings_nobody(after, link) and not _well_before(link.end, link, after, seen)


def _well_before(offset: int, link: Page, answer: Page, seen: Seen) -> bool:
    """Whether an offset lies before the Total of either page by more than the tolerated gap."""
    total = max(link.total, answer.total)
    return total - offset > tolerated_gap(total, seen.tolerance)


def _repeats_head(page: Page, seen: Seen) -> bool:
    """Whether it is the very head again, while Total says that there is more."""
    head = seen.head
    return (
        page.offset > 0
        and page.users == head.users
        and len(page.users) > 1
        and page.total == head.total > len(page.users)
    )


def moved_by(link: Page, bridge: Page, *, otherwise: int) -> int:
    """By how many places the end of a link stands elsewhere now.

    The last of its users found on the bridge shows it.
    """
    places = {user: place for place, user in enumerate(bridge.users, bridge.offset)}
    for place in range(link.end - 1, link.offset - 1, -1):
        if (now := places.get(link.users[place - link.offset])) is not None:
            return now - place
    return otherwise
