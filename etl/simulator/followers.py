"""The world: the followers of one OA, who come, go, return and act, in the API's order."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

ORDERS = ("oldest", "newest", "activity", "bounce")
"""Oldest first (arrivals at the tail), newest first (at the head), or by last activity (whoever
acts moves to the head). bounce: two replicas answer in turn, one oldest first, one in an order of
its own, which each user keeps."""


class Watcher(Protocol):
    """Whoever keeps record of what users do."""

    def followed(self, user: str) -> None:
        """A user has begun to follow."""

    def left(self, user: str) -> None:
        """A user has left."""

    def interacted(self, user: str) -> None:
        """A user has acted."""


class Followers:
    """The list of one OA. Not thread-safe by itself: the simulator holds its lock.

    `throughout()` gives who never left since `mark()`.
    """

    def __init__(
        self,
        users: int | Iterable[str] = 0,
        *,
        order: str = "oldest",
        seed: int = 1,
        name: str = "",
    ) -> None:
        if order not in ORDERS:
            raise ValueError(f"order is one of {', '.join(ORDERS)}")
        self.name = name
        self.order = order
        self.rng = random.Random(seed)
        self.hidden: set[str] = set()
        self._here: list[str] = []
        self._present: set[str] = set()
        self._gone: list[str] = []
        self._throughout: set[str] = set()
        self._other: list[str] = []
        self._answers = 0
        self._watcher: Watcher | None = None
        for user in (self.new_id() for _ in range(users)) if isinstance(users, int) else users:
            if user not in self._present:
                self._here.append(user)
                self._present.add(user)
        if order == "bounce":
            self._other = self.rng.sample(self._here, len(self._here))
        self.mark()

    def __len__(self) -> int:
        return len(self._here)

    def __contains__(self, user: str) -> bool:
        return user in self._present

    @property
    def users(self) -> list[str]:
        """Everybody who follows now, in the API's order (a copy)."""
        return list(self._here)

    @property
    def gone(self) -> list[str]:
        """Everybody who followed once and does not now."""
        return list(self._gone)

    def part(self, offset: int, count: int) -> list[str]:
        """A slice of the list as it is now, without the hidden."""
        self._answers += 1
        replica = self._other if self._other and self._answers % 2 == 0 else self._here
        users = replica[offset : offset + count]
        return [user for user in users if user not in self.hidden] if self.hidden else users

    def new_id(self) -> str:
        """An identifier like Zalo's: opaque, up to 19 digits, never given before."""
        while True:
            user = str(self.rng.randrange(10**17, 10**19))
            if user not in self._present:
                return user

    def follow(self, user: str | None = None, *, at: int | None = None) -> str:
        """Somebody arrives, or returns: where the order says, or at a given place."""
        user = user or self.new_id()
        if user in self._present:
            raise ValueError("who follows already cannot arrive")
        if at is None:
            at = len(self._here) if self.order in {"oldest", "bounce"} else 0
        self._here.insert(at, user)
        if self.order == "bounce":
            self._other.insert(self.rng.randrange(len(self._other) + 1), user)
        self._present.add(user)
        if user in self._gone:
            self._gone.remove(user)
        if self._watcher is not None:
            self._watcher.followed(user)
        return user

    def unfollow(self, user: str | None = None) -> str:
        """Somebody leaves: this one, or anybody."""
        user = user or self.rng.choice(self._here)
        self._here.remove(user)
        if self.order == "bounce":
            self._other.remove(user)
        self._present.discard(user)
        self._throughout.discard(user)
        self._gone.append(user)
        if self._watcher is not None:
            self._watcher.left(user)
        return user

    def refollow(self, user: str | None = None, *, at: int | None = None) -> str:
        """Somebody who left returns: this one, or anybody who left; a stranger where nobody has."""
        return self.follow(user or (self.rng.choice(self._gone) if self._gone else None), at=at)

    def leave_and_return(self, user: str | None = None, *, at: int | None = None) -> str:
        """Somebody leaves and returns at once, and stands elsewhere in the list."""
        return self.follow(self.unfollow(user), at=at)

    def touch(self, user: str | None = None) -> str:
        """Somebody acts: it moves their day, and their place where the list is ordered by activity.

        They never stopped following.
        """
        user = user or self.rng.choice(self._here)
        if self.order == "activity":
            self._here.remove(user)
            self._here.insert(0, user)
        if self._watcher is not None:
            self._watcher.interacted(user)
        return user

    def watch(self, watcher: Watcher) -> None:
        """Let somebody know of everything that users do from now on."""
        self._watcher = watcher

    def mark(self) -> None:
        """Begin to watch who follows throughout."""
        self._throughout = set(self._here)

    def throughout(self) -> set[str]:
        """Who followed at the mark and never left since.

        Who left and returned is not among them.
        """
        return set(self._throughout)
