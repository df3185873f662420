"""One look: the list read once, from head to tail, as a chain of pages that provably hang together.

What an answer means for the chain is decided in `chain.py`; `LookReader` asks, and does what a move
says.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import TYPE_CHECKING, Self

from etl.errors import BadRequestError, OffsetRefusedError, UndocumentedCodeError
from etl.model import Page, ignore
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
    names_twice,
    seam_holds,
)
from etl.sync.guard import Look, replaced, tolerated_gap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LINKS_KEPT = 4
"""The links that a mend tries to hang on to: the last one, and up to three before it. Where the
last users of a link have left since, no bridge can hang on to it."""

TRIES_A_LINK = 3
"""Bridges tried from one link before going back to the one before it."""


class Workers:
    """Reads pages ahead on ESMS_CONCURRENCY threads, and hands them over in the order asked.

    A context manager.
    """

    def __init__(self, fetch: Callable[[int], Page], concurrency: int) -> None:
        self._fetch = fetch
        self.concurrency = concurrency
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="etl-page")
        self._told: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Not waited for: after an error or a signal, an answer that is still on its way interests
        # nobody.
        self._pool.shutdown(wait=False, cancel_futures=True)

    def listen(self) -> Sequence[int]:
        """The Total of each answer from now on, in the order in which they come."""
        self._told = []
        return self._told

    def submit(self, offset: int) -> Future[Answer]:
        """Ask for the page at an offset, some time soon."""
        return self._pool.submit(self.ask, offset)

    def ask(self, offset: int) -> Answer:
        """Ask for the page at an offset, now; a refusal is an answer, too."""
        try:
            page = self._fetch(offset)
        except (OffsetRefusedError, UndocumentedCodeError, BadRequestError) as error:
            return Refused(offset, None if isinstance(error, OffsetRefusedError) else error)
        self._told.append(page.total)
        return page


@dataclass
class Budget:
    """Bounds the requests of a sweep that no plan foresaw: mends, and what goes on past a plan.

    Generous for a list that moves, an end for a server that lies. It follows the pages that brought
    somebody, not what Total says: `pages` are those of the look that had most. A sweep by windows
    reads many lists, one after the other: `earlier` are the pages of those before this one.
    """

    spent: int = 0
    pages: int = 0
    earlier: int = 0

    def take(self) -> bool:
        """Whether one more may be asked."""
        self.spent += 1
        return self.spent <= 64 + 3 * (self.earlier + self.pages)

    def next_list(self) -> None:
        """Another list is read from here on; its first page is asked for in any case."""
        self.earlier += self.pages + 1
        self.pages = 0


@dataclass
class _Plan:
    """The offsets still to be asked in this look, some of them on their way already.

    The stride follows what came back: the length of the newest link less the overlap.
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


class LookReader:
    """Reads the list once. `read()` gives the verdict; `keep` takes every page, link or not."""

    def __init__(
        self,
        workers: Workers,
        keep: Callable[[Page], None],
        *,
        budget: Budget,
        tolerance: float,
        ask_behind: bool = False,
        on_page: Callable[[int, int], None] = ignore,
    ) -> None:
        """Prepare the look.

        Args:
            workers: ask for the pages.
            keep: takes every page that came.
            budget: of the sweep.
            tolerance: ETL_TOTAL_TOLERANCE, a share.
            ask_behind: whether the tail is believed only after a request at exactly its end: in
                the second look and later ones, where somebody known is missing.
            on_page: given (end of the page, Total) after every page.
        """
        self._workers = workers
        self._keep = keep
        self._budget = budget
        self._ask_behind = ask_behind
        self._on_page = on_page
        self._seen = Seen(Page(0, (), 0), 0, tolerance)
        self._totals: set[int] = set()
        self._told = workers.listen()
        self._links: deque[Page] = deque(maxlen=LINKS_KEPT)
        self._moved_down = False
        self._last_total = 0
        self._reached = 0
        self._pages = 0

    def read(self) -> Look:
        """Read the list once.

        Raises:
            OffsetRefusedError: the very first page is refused: our Count is wrong.
            EtlError: whatever the fetch function raises.
        """
        head = self._first()
        if not head.users or names_twice(head):
            # One bad answer, here as anywhere, is asked for once more before it is believed.
            head = self._first()
        self._seen = replace(self._seen, head=head)
        if not head.users:
            # Nobody at all, or a server that says so: with a Total above 0 it is cut short before
            # its first follower.
            return self._verdict(closed=not head.total, ceiling=head.total > 0)
        self._links.append(head)
        self._plan = _Plan(self._workers, next_offset=self._stride(head), total=head.total)
        try:
            return self._follow_chain()
        finally:
            self._plan.drop()

    def _follow_chain(self) -> Look:
        while True:
            link = self._links[-1]
            if ends_the_list(link, self._seen):
                if (verdict := self._at_tail(link)) is not None:
                    return verdict
                continue
            answer = self._planned(link) or self._beyond(link)
            if answer is None:
                return self._verdict(closed=False)
            found = move(link, answer, self._seen)
            if found is Move.ASK_AGAIN:
                answer, found = self._once_more(link, answer)
            if (verdict := self._follow(found, link, answer)) is not None:
                return verdict

    def _follow(self, found: Move, link: Page, answer: Answer) -> Look | None:
        """Do what a move says; gives the look's verdict where that ends it."""
        match found:
            case Move.LINK if isinstance(answer, Page):
                self._link(answer)
            case Move.PASS_BY:
                pass
            case Move.TAIL:
                return self._at_tail(link)
            case Move.HEAD_AGAIN:
                self._seen = replace(self._seen, repeats=self._seen.repeats + 1)
            case Move.OFFSET_IGNORED:
                return self._verdict(closed=False, offset_ignored=True)
            case Move.CEILING:
                return self._at_ceiling(answer)
            case Move.ASK_BEHIND:
                return self._stuck(link)
            case Move.MEND:
                return None if self._mend(answer) else self._read_out()
        return None

    def _once_more(self, link: Page, answer: Answer) -> tuple[Answer, Move]:
        """Ask a second time where an answer proves nothing: the page after the link, if nearer."""
        again = self._ask(min(answer.offset, self._after(link)))
        if again is None:
            return answer, Move.MEND
        return again, move(link, again, replace(self._seen, asked_again=True))

    def _at_tail(self, link: Page) -> Look | None:
        """Close the look, unless somebody stands right behind its last page: then go on there.

        The page with the overlap does not show it: a server whose pages are cut at random may
        answer just the shared users.
        """
        if self._ask_behind:
            behind = self._ask(link.end)
            fallen = link.total - self._last_total
            if fallen > 0 and _is_end(behind, link):
                # So many have left since the link was read: the end of the list has come nearer.
                behind = self._ask(max(link.offset + 1, link.end - fallen))
            if not _is_end(behind, link):
                return None if behind is not None and self._mend(behind) else self._read_out()
            self._note_move(link, behind)
        return self._verdict(closed=self._head_is_seen())

    def _head_is_seen(self) -> bool:
        """Ask the head once more where the list moved down; False where it is not served.

        No seam shows who stands before the first page. Where users stand further down than they
        did, others came before them, or the first page was that of another offset.
        """
        return not self._moved_down or isinstance(self._ask(0), Page)

    def _stuck(self, link: Page) -> Look | None:
        """Nobody new from the link on, though Total says that there is more."""
        behind = self._ask(link.end)
        if isinstance(behind, Page) and not brings_nobody(behind, link):
            return None if self._mend(behind) else self._read_out()
        if behind is None:
            return self._verdict(closed=False)
        found = move(link, behind, replace(self._seen, asked_again=True))
        if found is Move.CEILING:
            return self._at_ceiling(behind)
        return None if self._mend(behind) else self._read_out()

    def _mend(self, right: Answer) -> bool:
        """Read bridging pages from the last link on until one hangs on to it.

        False where the look stays torn. `right` is the answer that did not hang on; it is tried
        once more behind the bridge.
        """
        length = self._seen.longest
        if length < 2:  # noqa: PLR2004 - pages of one user share nobody: nothing can be mended
            return False
        # How far a bridge reaches back over its link: room for leaves ahead of it, without touching
        # too many who may go.
        margins = cycle((length // 4, 1, 3 * length // 4))
        while self._links:
            link, moved = self._links[-1], 0
            for _ in range(TRIES_A_LINK):
                back = max(next(margins), self._seen.overlap - 1)
                bridge = self._ask(max(0, link.end - 1 + moved - back))
                if bridge is None:
                    return False
                if isinstance(bridge, Refused) or names_twice(bridge):
                    continue
                if hangs_on(link, bridge, self._seen):
                    self._link(bridge)
                    if isinstance(right, Page) and hangs_on(bridge, right, self._seen):
                        self._link(right)
                    return True
                moved = moved_by(link, bridge, otherwise=moved)
            self._links.pop()
        return False

    def _link(self, page: Page) -> None:
        self._note_move(self._links[-1], page)
        self._links.append(page)

    def _note_move(self, link: Page, after: Answer | None) -> None:
        if isinstance(after, Page) and moved_by(link, after, otherwise=0) > 0:
            self._moved_down = True

    def _at_ceiling(self, last: Answer) -> Look | None:
        """End the look at an offset that is not served: nothing beyond it is asked.

        It closes only where a page that is served reaches the end of the list: the tail, which came
        nearer while we read; or the page at the largest documented offset.

        Raises:
            EtlError: the refusal was no documented one, and offset 0 is refused, too: no ceiling.
        """
        self._plan.drop()
        self._check_head(last)
        link, refused = self._links[-1], last.offset
        total = max(link.total, self._last_total)
        if total - refused <= tolerated_gap(total, self._seen.tolerance):
            # Perhaps it was not the ceiling but the end, come nearer while we read: then a shorter
            # step reaches the tail.
            nearer = self._ask(max(link.offset + 1, link.end - len(link.users) // 2))
            if (
                isinstance(nearer, Page)
                and hangs_on(link, nearer, self._seen)
                and ends_the_list(nearer, self._seen)
            ):
                self._link(nearer)
                return self._at_tail(nearer)
        if link.offset < LARGEST_DOCUMENTED_OFFSET < refused:
            page = self._ask(LARGEST_DOCUMENTED_OFFSET)
            if isinstance(page, Page) and seam_holds(link, page, overlap=self._seen.overlap):
                return self._verdict(closed=page.end == page.total, ceiling=True)
        return self._verdict(closed=False, ceiling=True)

    def _read_out(self) -> Look:
        """Read the rest for the union alone, up to the ceiling: the chain is torn for good."""
        head = self._seen.head
        while (answer := self._planned(head)) is not None:
            if move(head, answer, self._seen) is not Move.ASK_AGAIN:
                continue
            # Where no extra request is left, the next page that was planned is the second answer.
            again = self._ask(answer.offset) or self._planned(head)
            if again is None:
                break
            if move(head, again, replace(self._seen, asked_again=True)) is Move.CEILING:
                self._check_head(again)
                return self._verdict(closed=False, ceiling=True)
        return self._verdict(closed=False)

    def _check_head(self, last: Answer) -> None:
        """No ceiling if the refusal is undocumented and offset 0 is refused, too: that raises.

        Asked even where no extra request is left, at most once a look: unchecked, a refusal would
        prove nothing.
        """
        if isinstance(last, Refused) and last.error is not None:
            self._first()

    def _planned(self, link: Page) -> Answer | None:
        self._plan.fill(self._stride(link))
        answer = self._received(self._plan.next())
        self._pages += isinstance(answer, Page) and bool(answer.users)
        self._budget.pages = max(self._budget.pages, self._pages)
        return answer

    def _after(self, link: Page) -> int:
        """The offset of the page after the link, its last followers asked for once more."""
        return max(link.end - self._seen.overlap, link.offset + 1)

    def _beyond(self, link: Page) -> Answer | None:
        return self._ask(self._after(link))

    def _ask(self, offset: int) -> Answer | None:
        """A page beyond the plan; None where the bound on those is reached."""
        return self._received(self._workers.ask(offset)) if self._budget.take() else None

    def _first(self) -> Page:
        head = self._workers.ask(0)
        if isinstance(head, Refused):
            raise head.error or OffsetRefusedError(0)
        self._received(head)
        return head

    def _received(self, answer: Answer | None) -> Answer | None:
        """Count every page for the union, whether or not it becomes a link."""
        if isinstance(answer, Page):
            self._totals.add(answer.total)
            self._last_total = answer.total
            self._reached = max(self._reached, answer.end if answer.users else 0)
            longest = max(self._seen.longest, len(answer.users))
            self._seen = replace(self._seen, longest=longest)
            self._keep(answer)
            self._on_page(answer.end, answer.total)
        return answer

    def _stride(self, link: Page) -> int:
        """Follow what came back; one strangely short page must not make it crawl."""
        return max(1, len(link.users) - self._seen.overlap, self._seen.longest // 4)

    def _verdict(
        self, *, closed: bool, ceiling: bool = False, offset_ignored: bool = False
    ) -> Look:
        return Look(
            total=self._last_total,
            largest=max(self._totals),
            replaced=replaced(self._told),
            steady=len(self._totals) == 1,
            closed=closed,
            ceiling=ceiling,
            offset_ignored=offset_ignored,
            reached=self._reached,
        )


def _is_end(behind: Answer | None, link: Page) -> bool:
    """Whether the answer behind a link shows that the list ends with it."""
    return isinstance(behind, Refused) or (behind is not None and brings_nobody(behind, link))
