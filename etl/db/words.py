"""What a driver's error means for whoever runs this, and what to do about it."""

from __future__ import annotations

import sqlite3

from etl.errors import DatabaseUnreachableError, EtlError, UnfitDatabaseError

_OF_SQLITE = {
    sqlite3.SQLITE_READONLY: "Give this user write permission for the file and for its directory "
    "(SQLite keeps -wal and -shm beside it).",
    sqlite3.SQLITE_IOERR: "Look at the disk: is it full? A network or FUSE file system (NFS, SMB, sshfs) cannot hold a SQLite file safely: "
    "keep it on a local disk, or use PostgreSQL (etl db copy).",
    sqlite3.SQLITE_FULL: "Make room on that disk.",
    sqlite3.SQLITE_CANTOPEN: "Check the path of DATABASE_URL, and that this user may write in its directory.",
    sqlite3.SQLITE_BUSY: "Another program holds the file locked: wait for it, or end it.",
    sqlite3.SQLITE_CORRUPT: "The file is damaged: restore the last backup that `etl verify` accepts.",
    sqlite3.SQLITE_NOTADB: "The file of DATABASE_URL is no SQLite database: check the path, or restore a backup.",
    sqlite3.SQLITE_PROTOCOL: "Locks do not work there: keep the file on a local disk, or use PostgreSQL (etl db copy).",
}  # fmt: skip
"""By primary code."""

UNTRANSLATABLE, NOT_ALLOWED = "22P05", "42501"
"""SQLSTATEs of PostgreSQL."""


def ours(error: BaseException) -> EtlError:
    """The driver's error as one of ours."""
    words = f"the database failed: {driver_words(error)}"
    state = getattr(error, "sqlstate", None)
    if state == UNTRANSLATABLE:
        return UnfitDatabaseError(
            words,
            hint="The database's encoding cannot hold what eSMS tells: make a new one with ENCODING 'UTF8' (etl db copy).",
        )
    result: EtlError = DatabaseUnreachableError(words)
    if isinstance(error, sqlite3.Error):
        result.hint = f"{result.hint} {_OF_SQLITE.get(sqlite_code(error), '')}".rstrip()
    elif state == NOT_ALLOWED:
        result.hint = f"{result.hint} The role needs what docs/postgresql.md lists."
    return result


def sqlite_code(error: BaseException | None) -> int:
    """SQLite's primary code, the low byte (https://sqlite.org/rescode.html); 0 for other errors."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def driver_words(error: BaseException) -> str:
    """The driver's first line, without our SQL and its parameters (they may be User_Ids)."""
    words = str(error).strip() or type(error).__name__
    # PostgreSQL's DETAIL line of a constraint shows the row.
    return words.splitlines()[0]
