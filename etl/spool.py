"""Where a sweep waits: on disk, so that memory stays flat however many follow.

Pages are kept once each, by digest: in a quiet list the second look brings the very pages of the first and costs nothing
here. When a look ends, its users are dealt by hash into partitions small enough for Python's own sets, and every question
(how many distinct, who was missed before, who is missing now) is set algebra, one partition at a time. Measured beside a
temporary SQLite database with a bit per look: a third of its CPU at 1,000,000 users (docs/decisions/0002).
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Self

from etl.errors import SpoolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

    from etl.model import Page

PARTITION_USERS = 32_768
"""About how many users a partition holds: some 3 MB as a Python set."""

MAX_PARTITIONS = 512


@dataclass(frozen=True, slots=True)
class LookTally:
    """What one look brought: its distinct users, and how many of them no look before had seen."""

    distinct: int
    new: int
    same_as: tuple[int, ...]
    """The earlier looks (by index) that saw exactly the same users."""


class Spool:
    """The users of one sweep and those known to follow, in a private temporary directory. A context manager.

    Not thread-safe: one thread reads pages and asks. Raises SpoolError where the temporary disk is full or gone.
    """

    def __init__(self, directory: Path | None = None) -> None:
        """`directory` is where the temporary one is made (default: TMPDIR)."""
        with _disk():
            self._home = Path(tempfile.mkdtemp(prefix="etl-spool-", dir=directory))  # mode 0700
        self._blobs: dict[bytes, tuple[int, int]] = {}
        self._blob_end = 0
        self._look: dict[bytes, None] = {}
        self._looks: list[frozenset[bytes]] = []
        self._tallies: list[LookTally] = []
        self._largest_total = 0
        self._partitions = 0
        self._known = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shutil.rmtree(self._home, ignore_errors=True)

    def add(self, page: Page) -> None:
        """Keep the users of a page for the present look."""
        self._largest_total = max(self._largest_total, page.total)
        if not page.users:
            return
        blob = "\n".join(page.users).encode()
        digest = blake2b(blob, digest_size=16).digest()
        self._look[digest] = None
        if digest in self._blobs:
            return
        with _disk(), (self._home / "pages").open("ab") as file:
            file.write(blob)
        self._blobs[digest] = (self._blob_end, len(blob))
        self._blob_end += len(blob)

    def end_look(self) -> LookTally:
        """Count the look whose pages were added since the last one ended."""
        digests = frozenset(self._look)
        self._look = {}
        if not self._partitions:
            # Chosen once, when the size of the list is known; both numbers may lie, neither much.
            users = max(self._largest_total, self._blob_end // 20)
            self._partitions = min(MAX_PARTITIONS, users // PARTITION_USERS + 1)
        tally = self._tally_of_twin(digests) or self._count(digests)
        self._looks.append(digests)
        self._tallies.append(tally)
        return tally

    def add_known(self, users: Iterable[Sequence[str]], *, following: bool = True) -> None:
        """Tell who is known to follow now, or (`following=False`) followed once and left; in chunks, after the first look."""
        self._known = True
        self._deal("known" if following else "gone", users)

    def missing(self) -> int:
        """How many of those known to follow no look has seen."""
        return sum(len(self._set("known", part) - self._set("seen", part)) for part in self._parts())

    def missing_from(self, look: int) -> int:
        """How many of those known to follow this look (by index) has not seen."""
        return sum(len(self._set("known", part) - self._look_set(look, part)) for part in self._parts())

    def seen(self) -> int:
        """The distinct users of all looks."""
        return sum(tally.new for tally in self._tallies)

    def arrivals(self) -> tuple[int, int]:
        """How many were seen who are not known to follow: never known before, and known once."""
        new = returned = 0
        for part in self._parts():
            arrived = self._set("seen", part) - self._set("known", part)
            back = len(arrived & self._set("gone", part))
            new += len(arrived) - back
            returned += back
        return new, returned

    def users(self) -> Iterator[list[str]]:
        """Everybody seen, each once, in chunks sorted by themselves."""
        for part in self._parts():
            if users := self._set("seen", part):
                yield sorted(users)

    def _tally_of_twin(self, digests: frozenset[bytes]) -> LookTally | None:
        twins = [index for index, earlier in enumerate(self._looks) if earlier == digests]
        if not twins:
            return None
        same_as = {*twins, *(index for twin in twins for index in self._tallies[twin].same_as)}
        return LookTally(distinct=self._tallies[twins[0]].distinct, new=0, same_as=tuple(sorted(same_as)))

    def _count(self, digests: frozenset[bytes]) -> LookTally:
        look = len(self._looks)
        self._deal(f"look{look}", (self._blob(digest).split("\n") for digest in digests))
        distinct = new = 0
        same = set(range(look))
        for part in self._parts():
            users, seen = self._set(f"look{look}", part), self._set("seen", part)
            found = users - seen
            distinct += len(users)
            new += len(found)
            same -= {earlier for earlier in same if self._look_set(earlier, part) != users}
            if found:
                self._append("seen", part, found)
        return LookTally(distinct, new, tuple(sorted(same)))

    def _look_set(self, look: int, part: int) -> set[str]:
        # A look that repeated an earlier one's pages has no partitions of its own.
        first = self._looks.index(self._looks[look])
        return self._set(f"look{first}", part)

    def _blob(self, digest: bytes) -> str:
        start, size = self._blobs[digest]
        with _disk(), (self._home / "pages").open("rb") as file:
            file.seek(start)
            return file.read(size).decode()

    def _parts(self) -> range:
        return range(self._partitions)

    def _deal(self, name: str, chunks: Iterable[Sequence[str]]) -> None:
        """Deal users into partitions; Python's own hash does it, which is the same throughout a process."""
        count = self._partitions
        hands: list[list[str]] = [[] for _ in range(count)]
        held = 0
        for chunk in chunks:
            if count == 1:
                hands[0].extend(chunk)
            else:
                for user in chunk:
                    hands[hash(user) % count].append(user)
            held += len(chunk)
            if held >= PARTITION_USERS:
                self._put_down(name, hands)
                held = 0
        self._put_down(name, hands)

    def _put_down(self, name: str, hands: list[list[str]]) -> None:
        for part, hand in enumerate(hands):
            if hand:
                self._append(name, part, hand)
                hand.clear()

    def _append(self, name: str, part: int, users: Iterable[str]) -> None:
        # Identifiers hold no control character (the wire refuses them), so a line each is unambiguous.
        with _disk(), (self._home / f"{name}.{part}").open("a", encoding="utf-8", newline="\n") as file:
            file.write("\n".join(users))
            file.write("\n")

    def _set(self, name: str, part: int) -> set[str]:
        path = self._home / f"{name}.{part}"
        with _disk():
            if not path.exists():
                return set()
            users = set(path.read_bytes().decode().split("\n"))
        users.discard("")
        return users


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SpoolError(f"the temporary directory failed: {error.strerror or error}") from error
