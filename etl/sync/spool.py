"""Where a sweep waits: on disk, so that memory stays flat however many follow.

Pages are kept once each, by digest: in a quiet list the second look brings the very pages of the
first and costs nothing here. When a look ends, its users go by hash into partitions small
enough for Python's own sets, and every question (how many distinct, who was missed before, who
came, who is gone) is set algebra, one partition at a time. Measured beside a temporary SQLite
database with a bit per look: a third of its CPU at 1,000,000 users (docs/decisions/0002).
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, BinaryIO, Self

from etl.errors import SpoolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from etl.model import Page

PARTITION_USERS = 16_384
"""About how many users a partition holds: some 1.5 MB as a Python set, and a few of these are at
work at once."""

MAX_PARTITIONS = 512
"""Each has a buffer in memory."""

BUFFERED_USERS = 65_536
"""Users held in memory before they are written to their partitions."""


@dataclass(frozen=True, slots=True)
class LookTally:
    """What one look brought: its distinct users, and how many of them no look before had seen."""

    distinct: int
    new: int
    same_as: tuple[int, ...]
    """The earlier looks (by index) that saw exactly the same users."""


class Spool:
    """The users of one sweep and those known to follow, in a nameless temporary file.

    A context manager. Not thread-safe: one thread reads pages and asks. Raises SpoolError where the
    temporary disk is full or gone.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        expected: int = 0,
        recognise: Callable[[str], str | None] | None = None,
    ) -> None:
        """Make the file.

        Args:
            directory: where (default: TMPDIR).
            expected: about how many are known to follow.
            recognise: gives the pseudonym by which our tables know a user who was seen, where it
                stands for one (docs/decisions/0004). It is asked about users seen who are not
                known.
        """
        with _disk():
            # It has no name in the directory: nobody else can open it, and a killed run leaves no
            # User_Ids behind.
            file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed by __exit__
            self._file = _File(file)
        self._expected = expected
        self._recognise = recognise
        self._blobs: dict[bytes, _Span] = {}
        self._look: dict[bytes, None] = {}
        self._looks: list[frozenset[bytes]] = []
        self._tallies: list[LookTally] = []
        self._look_sets: list[PartitionedSet] = []
        self._found_sets: list[PartitionedSet] = []
        self._largest_total = 0
        self._partitions = 0
        self._known: PartitionedSet | None = None
        self._left: PartitionedSet | None = None
        self._comparison: _Comparison | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, page: Page) -> None:
        """Keep the users of a page for the present look."""
        self._largest_total = max(self._largest_total, page.total)
        if not page.users:
            return
        blob = "\n".join(page.users).encode()
        digest = blake2b(blob, digest_size=16).digest()
        self._look[digest] = None
        if digest not in self._blobs:
            self._blobs[digest] = self._file.append(blob)

    def end_look(self) -> LookTally:
        """Count the look whose pages were added since the last one ended."""
        digests = frozenset(self._look)
        self._look = {}
        if not self._partitions:
            # Chosen once, when the size of the list is known; each of these may lie, none of them
            # much.
            users = max(self._expected, self._largest_total, self._file.size // 20)
            self._partitions = min(MAX_PARTITIONS, users // PARTITION_USERS + 1)
        tally = self._tally_of_twin(digests) or self._count(digests)
        self._looks.append(digests)
        self._tallies.append(tally)
        if tally.new:
            self._comparison = None
        return tally

    def add_known(self, users: Iterable[Sequence[str]], *, following: bool = True) -> None:
        """Add who is known to follow now, or (`following=False`) followed once and left.

        In chunks, after the first look.
        """
        if following:
            self._known = self._partitioned(users)
            self._comparison = None
        else:
            self._left = self._partitioned(users)

    @property
    def looks(self) -> int:
        """How many looks have ended."""
        return len(self._looks)

    def seen(self) -> int:
        """The distinct users of all looks."""
        return sum(tally.new for tally in self._tallies)

    def union_from(self, look: int) -> int:
        """The distinct users of the looks from this one (by index) on."""
        looks = self._look_sets[look:]
        parts = range(self._partitions)
        return sum(len(set().union(*(users.part(part) for users in looks))) for part in parts)

    def missing(self) -> int:
        """How many of those known to follow no look has seen."""
        return self._compared().gone.size

    def arrivals(self) -> int:
        """How many were seen who are not known to follow."""
        return self._compared().arrived.size

    def returned(self) -> int:
        """How many of the arrivals followed once and left, by those who are known to have left."""
        arrived = self._compared().arrived
        return sum(
            len(arrived.part(part) & _part(self._left, part)) for part in range(self._partitions)
        )

    def arrived(self) -> Iterator[list[str]]:
        """Who was seen and is not known to follow, each once, in chunks."""
        return self._compared().arrived.chunks()

    def gone(self) -> Iterator[list[str]]:
        """Who is known to follow and was not seen, each once, in chunks."""
        return self._compared().gone.chunks()

    def users(self) -> Iterator[list[str]]:
        """Everybody seen, each once, in chunks."""
        for part in range(self._partitions):
            if users := self._seen(part):
                yield list(users)

    def _compared(self) -> _Comparison:
        """The users seen beside those known; made again after a look has found somebody new."""
        if self._comparison is None:
            self._comparison = self._compare()
        return self._comparison

    def _compare(self) -> _Comparison:
        both = _Comparison(arrived=self._new_set(), gone=self._new_set())
        for part in range(self._partitions):
            seen, known = self._seen(part), _part(self._known, part)
            both.arrived.put(part, seen - known)
            both.gone.put(part, known - seen)
        if self._recognise is None:
            return both
        names = {
            user: name
            for chunk in both.arrived.chunks()
            for user in chunk
            if (name := self._recognise(user))
        }
        for user, name in names.items():
            # Seen under the User_Id and known by the pseudonym: neither came nor is gone. Known to
            # have left: is back.
            both.arrived.take(self._part_of(user), user)
            if not both.gone.take(self._part_of(name), name):
                both.arrived.put(self._part_of(name), {name})
        return both

    def _tally_of_twin(self, digests: frozenset[bytes]) -> LookTally | None:
        twins = [index for index, earlier in enumerate(self._looks) if earlier == digests]
        if not twins:
            return None
        self._look_sets.append(self._look_sets[twins[0]])
        same_as = {*twins, *(index for twin in twins for index in self._tallies[twin].same_as)}
        return LookTally(
            distinct=self._tallies[twins[0]].distinct, new=0, same_as=tuple(sorted(same_as))
        )

    def _count(self, digests: frozenset[bytes]) -> LookTally:
        pages = (self._file.read(self._blobs[digest]).split("\n") for digest in digests)
        look = self._partitioned(pages)
        found = self._new_set()
        distinct = new = 0
        same = set(range(len(self._looks)))
        for part in range(self._partitions):
            users = look.part(part)
            distinct += len(users)
            if not self._looks:
                continue
            missed = users - self._seen(part)
            new += len(missed)
            found.put(part, missed)
            same -= {earlier for earlier in same if self._look_sets[earlier].part(part) != users}
        self._found_sets.append(found if self._looks else look)
        self._look_sets.append(look)
        return LookTally(distinct, new if self._looks else distinct, tuple(sorted(same)))

    def _seen(self, part: int) -> set[str]:
        return set().union(*(found.part(part) for found in self._found_sets))

    def _new_set(self) -> PartitionedSet:
        return PartitionedSet(self._file, [[] for _ in range(self._partitions)])

    def _part_of(self, user: str) -> int:
        # Python's own hash is the same throughout a process, and no longer.
        return hash(user) % self._partitions

    def _partitioned(self, chunks: Iterable[Sequence[str]]) -> PartitionedSet:
        """The same in partitions; in memory are BUFFERED_USERS and a chunk at most."""
        partitioned, count = self._new_set(), self._partitions
        buffers: list[list[str]] = [[] for _ in range(count)]
        buffered = 0
        for chunk in chunks:
            for user in chunk:
                buffers[hash(user) % count].append(user)
            buffered += len(chunk)
            if buffered >= BUFFERED_USERS:
                partitioned.flush(buffers)
                buffered = 0
        partitioned.flush(buffers)
        return partitioned


_Span = tuple[int, int]
"""Where something stands in the file: its first byte, and how many."""


class _File:
    """The one temporary file: text is appended, and read back by its span."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = 0

    def append(self, text: bytes) -> _Span:
        with _disk():
            self._file.seek(self.size)
            self._file.write(text)
        span = (self.size, len(text))
        self.size += len(text)
        return span

    def read(self, span: _Span) -> str:
        with _disk():
            self._file.seek(span[0])
            return self._file.read(span[1]).decode()

    def close(self) -> None:
        with suppress(OSError):  # a full disk fails once more here, and says nothing new
            self._file.close()


@dataclass(slots=True)
class PartitionedSet:
    """Users in partitions, on disk.

    `size` counts what was put, so it is exact where everybody was put once.
    """

    file: _File
    spans: list[list[_Span]]
    size: int = 0

    def part(self, part: int) -> set[str]:
        """The users of a partition."""
        users: set[str] = set()
        for span in self.spans[part]:
            users.update(self.file.read(span).split("\n"))
        return users

    def chunks(self) -> Iterator[list[str]]:
        """Everybody, a partition at a time."""
        for part in range(len(self.spans)):
            if self.spans[part]:
                yield list(self.part(part))

    def put(self, part: int, users: set[str] | list[str]) -> None:
        """Add users to a partition.

        Identifiers hold no control character (the wire refuses them): a line each is unambiguous.
        """
        if users:
            self.spans[part].append(self.file.append("\n".join(users).encode()))
            self.size += len(users)

    def flush(self, buffers: list[list[str]]) -> None:
        """Add each buffer to its partition, and empty the buffers."""
        for part, buffer in enumerate(buffers):
            self.put(part, buffer)
            buffer.clear()

    def take(self, part: int, user: str) -> bool:
        """Take one user back out; False where they are not there."""
        users = self.part(part)
        if user not in users:
            return False
        users.discard(user)
        self.size -= len(users) + 1
        self.spans[part] = []
        self.put(part, users)
        return True


@dataclass(frozen=True, slots=True)
class _Comparison:
    """The users seen (`arrived`) or known to follow (`gone`) who are not both."""

    arrived: PartitionedSet
    gone: PartitionedSet


def _part(users: PartitionedSet | None, part: int) -> set[str]:
    return users.part(part) if users else set()


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SpoolError(f"the temporary directory failed: {error.strerror or error}") from error
