"""How a SQLite file is opened; one that may not be written is read if that is safe.

SQLite in WAL mode wants to write beside a file that it only reads. Where that is not allowed and
nobody is writing, the file at rest is all there is: it is opened as immutable
(https://sqlite.org/uri.html#uriimmutable), and looked at again after each transaction, for SQLite
itself would not notice a writer then.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from etl.errors import DatabaseUnreachableError, NoDatabaseError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

    from etl.db.address import File


@dataclass(frozen=True, slots=True)
class AtRest:
    """A file that nobody was writing when it was opened."""

    path: Path
    state: tuple[int, ...]

    def require_unchanged(self, _connection: Connection) -> None:
        """Refuse what was read while somebody wrote: SQLAlchemy calls it at each commit.

        Raises:
            DatabaseUnreachableError: somebody did.
        """
        if _state(self.path) != self.state:
            raise _failed(
                "the file was written while it was read",
                "Run again; or give this user write permission for the file's directory: then "
                "readers and writers do not disturb each other.",
            )


@dataclass(frozen=True, slots=True)
class Opening:
    """What a file is opened by; `at_rest` where SQLite does not see to it that nobody writes."""

    url: URL
    at_rest: AtRest | None = None


def opening(file: File, *, create: bool) -> Opening:
    """Decide how to open a file.

    Args:
        file: of DATABASE_URL.
        create: whether it may come into being, and will be written.

    Raises:
        NoDatabaseError: `create` is False and the file is missing.
        DatabaseUnreachableError: this user may not reach it, or a writer left it in a state that
            only a writer can read.
    """
    if create:
        return Opening(file.url(mode="rwc"))
    path = Path(file.path)
    try:
        there = path.is_file()
    except OSError as error:
        raise _failed(
            f"{file.path}: {error.strerror}",
            "Check the owner and the permissions of its directory.",
        ) from error
    if not there:
        raise NoDatabaseError(f"there is no database file {file.path}")
    if os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK):
        return Opening(file.url(mode="rw"))
    if not os.access(path, os.R_OK):
        raise _failed(f"{file.path}: Permission denied", "Check the owner and the permissions.")
    log, index = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
    if _size(log):
        if os.access(log, os.R_OK) and os.access(index, os.R_OK):
            return Opening(file.url(mode="ro"))
        raise _failed(
            f"{file.path} has a write-ahead log ({log.name}) that this user cannot use",
            "Give this user write permission for the file's directory, or read a copy made by "
            "`sqlite3 FILE '.backup COPY'`.",
        )
    return Opening(file.url(mode="ro", immutable="1"), AtRest(path, _state(path)))


def _state(path: Path) -> tuple[int, ...]:
    told = path.stat()
    return told.st_ino, told.st_size, told.st_mtime_ns, _size(path.with_name(path.name + "-wal"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _failed(words: str, hint: str) -> DatabaseUnreachableError:
    return DatabaseUnreachableError(f"the database failed: {words}", hint=hint)
