"""One look: the list read once, from head to tail, as a chain of pages that provably hang together (DESIGN §3).

Why a whole chain misses nobody who follows throughout, in a list whose members keep their order:
neighbours share a follower; page k contains the one it shares with its left and the one it shares
with its right neighbour, and is contiguous, so it contains everybody between the two. When each
page was read does not matter.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING, Self

from etl.errors import OffsetRefusedError
from etl.model import Page
from etl.sync.guard import Look, tolerated_gap

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

LARGEST_DOCUMENTED_OFFSET = 9_950
"""Of the sister call QueryListUID (shared evidence for both calls): the last resort where a larger offset is refused."""

LINKS_KEPT = 4
"""How many links a mend may go back: past a page whose last user has left since, no bridge can hang on to it."""

TRIES_A_LINK = 3
"""Bridges tried from one link before going back to the one before it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The server's answer to an offset that it does not serve (code 162)."""

    offset: int


Answer = Page | Refused


def seam_holds(left: Page, right: Page) -> bool:
    """Whether a suffix of the left page equals a prefix of the right one: the two hang together."""
    if not left.users or not right.users:
        return False
    try:
        start = left.users.index(right.users[0])
    except ValueError:
        return False
    shared = len(left.users) - start
    return shared <= len(right.users) and left.users[start:] == right.users[:shared]


def leads_on(link: Page, page: Page) -> bool:
    """Whether a page reaches further than the link; linking one that does not would go round for ever."""
    return page.offset > link.offset or page.users[-1] not in link.users


def brings_nobody(page: Page, link: Page) -> bool:
    """Whether everybody on the page stands on the link already (an empty page, too)."""
    return set(page.users) <= set(link.users)


class Workers:
    """Reads pages ahead on ESMS_CONCURRENCY threads; what came back is handed over in the order asked. A context manager."""

    def __init__(self, fetch: Callable[[int], Page], concurrency: int) -> None:
        self._fetch = fetch
        self.concurrency = concurrency
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="etl-page")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Not waited for: after an error or a signal, an answer that is still on its way interests
        # nobody.
        self._pool.shutdown(wait=False, cancel_futures=True)

    def submit(self, offset: int) -> Future[Answer]:
        """Ask for the page at an offset, some time soon."""
        return self._pool.submit(self.ask, offset)

    def ask(self, offset: int) -> Answer:
        """Ask for the page at an offset, now; a refusal of any but the first is an answer, too."""
        try:
            return self._fetch(offset)
        except OffsetRefusedError:
            if offset == 0:
                raise
            return Refused(offset)


@dataclass
class _Plan:
    """The offsets still to be asked in this look, some of them on their way already.

    The stride follows what came back: the length of the newest link less the one follower that
    neighbours share.
    """

    workers: Workers
    next_offset: int
    total: int
    waiting: deque[tuple[int, Future[Answer]]] = field(default_factory=deque)

    def fill(self, stride: int) -> None:
        while len(self.waiting) < self.workers.concurrency and self.next_offset < self.total:
            self.waiting.append((self.next_offset, self.workers.submit(self.next_offset)))
            self.next_offset += stride

    def next(self) -> Answer | None:
        return self.waiting.popleft()[1].result() if self.waiting else None

    def drop(self) -> None:
        for _, future in self.waiting:
            future.cancel()
        self.waiting.clear()
        self.next_offset = self.total


class Reading:
    """The reading of one look. `read()` gives the verdict; every page seen is handed to `keep`, links or not."""

    def __init__(
        self,
        workers: Workers,
        keep: Callable[[Page], None],
        *,
        tolerance: float,
        on_page: Callable[[int, int], None],
    ) -> None:
        self._workers = workers
        self._keep = keep
        self._tolerance = tolerance
        self._on_page = on_page
        self._totals: set[int] = set()
        self._links: deque[Page] = deque(maxlen=LINKS_KEPT)
        self._longest = 0
        self._last_total = 0
        self._repeats = 0

    def read(self) -> Look:
        """Read the list once.

        Raises:
            OffsetRefusedError: the very first page is refused: our Count is wrong.
            EtlError: whatever the fetch function raises.
        """
        head = self._first()
        if not head.users and head.total:
            head = self._first()  # one bad answer, here as anywhere, is asked for once more before it is taken for the ceiling
        self._head = head
        if not head.users:
            # Nobody at all, or a server that says so: with a Total above 0 it is cut short before
            # its first follower.
            return self._verdict(closed=not head.total, ceiling=head.total > 0)
        self._links.append(head)
        stride = self._stride(head)
        # Each request beyond the plan mends or goes on: generous for a list that moves, an end for
        # a server that lies.
        self._extra = 64 + 3 * (head.total // stride)
        self._plan = _Plan(self._workers, next_offset=stride, total=head.total)
        try:
            return self._follow_chain()
        finally:
            self._plan.drop()

    def _follow_chain(self) -> Look:  # noqa: C901, PLR0912 - the rules of DESIGN §3, a branch each, in the order they apply
        while True:
            link = self._links[-1]
            if self._short(link) and link.end == link.total:
                return self._verdict(closed=True)
            answer = self._planned(link) or self._beyond(link)
            if answer is None:
                return self._verdict(closed=False)
            if self._tail_decided(link, answer):
                return self._verdict(closed=True)
            if isinstance(answer, Refused):
                if answer.offset < self._last_total:
                    return self._at_ceiling(answer.offset)
            elif not answer.users:
                if self._well_before(answer.offset, answer.total):
                    if self._empty_again(link):
                        return self._at_ceiling(answer.offset)
                elif link.offset < LARGEST_DOCUMENTED_OFFSET < answer.offset:
                    return self._at_ceiling(answer.offset)
            elif self._repeats_head(answer):
                self._repeats += 1
                if self._repeats > 1:
                    return self._verdict(closed=False, offset_ignored=True)
                continue
            elif seam_holds(link, answer) and leads_on(link, answer):
                self._links.append(answer)
                continue
            elif answer.users[-1] in link.users:
                continue  # read before a bridge that reaches further: its users are kept, the chain needs it no more
            if self._links[-1] is link and not self._mend(answer):
                return self._read_out()

    def _tail_decided(self, link: Page, after: Answer) -> bool:
        """Whether a page that looks like the tail, by its length or by its Total alone, is one: nobody new comes after it."""
        if not (self._short(link) or link.end == link.total) or after.offset > link.end:
            return False
        if isinstance(after, Refused):
            return after.offset >= self._last_total
        # Where nothing at all came back, and Total says that much more should, the server has
        # stopped serving.
        return brings_nobody(after, link) and (
            bool(after.users) or not self._well_before(link.end, after.total)
        )

    def _empty_again(self, link: Page) -> bool:
        """Whether the server really ends here: one empty page may be a bad minute, so it is asked again, from the link on."""
        again = self._beyond(link)
        if not isinstance(again, Page) or brings_nobody(again, link):
            return True
        if seam_holds(link, again):
            self._links.append(again)
        return False

    def _mend(self, right: Answer) -> bool:
        """Read bridging pages from the last link on until one hangs on to it; False where the look stays torn.

        `right` is the answer that did not hang on; it is tried once more behind the bridge.
        """
        length = self._longest
        if length < 2:  # noqa: PLR2004 - pages of one user share nobody: nothing can be mended
            return False
        # How far a bridge reaches back over its link: room for leaves ahead of it, without touching
        # too many who may go.
        margins = cycle((length // 4, 1, 3 * length // 4))
        while self._links:
            link, moved = self._links[-1], 0
            for _ in range(TRIES_A_LINK):
                bridge = self._ask(max(0, link.end - 1 + moved - next(margins)))
                if bridge is None:
                    return False
                if isinstance(bridge, Refused):
                    continue
                if seam_holds(link, bridge) and leads_on(link, bridge):
                    self._links.append(bridge)
                    if (
                        isinstance(right, Page)
                        and seam_holds(bridge, right)
                        and leads_on(bridge, right)
                    ):
                        self._links.append(right)
                    return True
                moved = _moved(link, bridge, otherwise=moved)
            self._links.pop()
        return False

    def _at_ceiling(self, refused: int) -> Look:
        """Nothing is planned beyond a refused offset; the list is whole only if a page that is served reaches its end."""
        self._plan.drop()
        link = self._links[-1]
        if not self._well_before(refused, self._last_total):
            # Perhaps it was not the ceiling but the end, come nearer while we read: then a shorter
            # step reaches the tail.
            nearer = self._ask(max(link.offset + 1, link.end - len(link.users) // 2))
            if (
                isinstance(nearer, Page)
                and seam_holds(link, nearer)
                and self._short(nearer)
                and nearer.end == nearer.total
            ):
                return self._verdict(closed=True)
        if link.offset < LARGEST_DOCUMENTED_OFFSET < refused:
            last = self._ask(LARGEST_DOCUMENTED_OFFSET)
            if isinstance(last, Page) and seam_holds(link, last):
                return self._verdict(closed=last.end == last.total, ceiling=True)
        return self._verdict(closed=False, ceiling=True)

    def _read_out(self) -> Look:
        """The chain is torn for good: what is left is read for the union alone, up to the ceiling if there is one."""
        empty = 0
        while (answer := self._planned(self._head)) is not None:
            refused = isinstance(answer, Refused) and answer.offset < self._last_total
            empty += (
                isinstance(answer, Page)
                and not answer.users
                and self._well_before(answer.offset, answer.total)
            )
            if refused or empty > 1:
                return self._verdict(closed=False, ceiling=True)
        return self._verdict(closed=False)

    def _planned(self, link: Page) -> Answer | None:
        self._plan.fill(self._stride(link))
        return self._received(self._plan.next())

    def _beyond(self, link: Page) -> Answer | None:
        """The page after the link, its last follower asked for once more."""
        return self._ask(max(link.end - 1, link.offset + 1))

    def _ask(self, offset: int) -> Answer | None:
        """A page beyond the plan; None where the bound on those is reached."""
        self._extra -= 1
        return self._received(self._workers.ask(offset)) if self._extra >= 0 else None

    def _first(self) -> Page:
        head = self._workers.ask(0)
        assert isinstance(head, Page)  # noqa: S101 - a refusal of offset 0 is raised
        self._received(head)
        return head

    def _received(self, answer: Answer | None) -> Answer | None:
        """Every page counts for the union, whether or not it becomes a link."""
        if isinstance(answer, Page):
            self._totals.add(answer.total)
            self._last_total = answer.total
            self._longest = max(self._longest, len(answer.users))
            self._keep(answer)
            self._on_page(answer.end, answer.total)
        return answer

    def _short(self, page: Page) -> bool:
        return len(page.users) < self._longest

    def _repeats_head(self, page: Page) -> bool:
        """Whether the server may be ignoring Offset: the very head again, while Total says that there is more."""
        head = self._head
        return (
            page.users == head.users
            and len(page.users) > 1
            and page.total == head.total > len(page.users)
        )

    def _stride(self, link: Page) -> int:
        """Follows what came back; one strangely short page must not make it crawl."""
        return max(1, len(link.users) - 1, self._longest // 4)

    def _well_before(self, offset: int, total: int) -> bool:
        return total - offset > tolerated_gap(total, self._tolerance)

    def _verdict(
        self, *, closed: bool, ceiling: bool = False, offset_ignored: bool = False
    ) -> Look:
        return Look(
            total_first=self._head.total,
            total=self._last_total,
            steady=len(self._totals) == 1,
            closed=closed,
            ceiling=ceiling,
            offset_ignored=offset_ignored,
        )


def _moved(link: Page, bridge: Page, *, otherwise: int) -> int:
    """By how many places the end of a link stands elsewhere now, as the last of its users found on the bridge shows."""
    places = {user: place for place, user in enumerate(bridge.users, bridge.offset)}
    for place in range(link.end - 1, link.offset - 1, -1):
        if (now := places.get(link.users[place - link.offset])) is not None:
            return now - place
    return otherwise
