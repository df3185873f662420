"""Files that are there whole or not at all: written beside their place, then renamed."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


@overload
def atomic_file(path: Path, mode: Literal["w"] = "w") -> AbstractContextManager[IO[str]]: ...
@overload
def atomic_file(path: Path, mode: Literal["wb"]) -> AbstractContextManager[IO[bytes]]: ...


def atomic_file(path: Path, mode: Literal["w", "wb"] = "w") -> AbstractContextManager[IO[Any]]:
    """A file to write that takes its place only once everything is on disk.

    After any error, Ctrl-C too, nothing of it is left.

    Text is UTF-8 with the line ends that were written. A file that was there keeps its permissions,
    where they can be set; a new one gets those of the umask. A symbolic link stays one: what it
    points to is replaced. A pipe or a device (/dev/stdout) is just written to.

    Raises:
        OSError: the directory is missing or cannot be written, the disk is full, or `path` is a
            directory.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        return _opened(path, mode)
    return _replacing(resolved(path), mode)


def _opened(path: Path, mode: str) -> IO[Any]:
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "")
    return path.open(mode, encoding=encoding, newline=newline)


def resolved(path: Path) -> Path:
    """What a path stands for, without symbolic links.

    Raises:
        OSError: they lead in a circle; Python up to 3.12 calls it a RuntimeError.
    """
    try:
        return path.resolve()
    except RuntimeError:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None


@contextmanager
def _replacing(path: Path, mode: str) -> Iterator[IO[Any]]:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    permissions = _permissions(path)
    beside = path.with_name(f".{path.name[:50]}.{secrets.token_hex(6)}.part")
    try:
        with _opened(beside, mode.replace("w", "x")) as file:
            if permissions is not None:
                permit(file, permissions)
            yield file
            file.flush()
            _sync(file)
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    _sync_directory(path.parent)


def permit(file: IO[Any], permissions: int) -> None:
    """Set the permissions, if the file system has them (mounts of Windows and of clouds refuse)."""
    with suppress(OSError):
        os.fchmod(file.fileno(), permissions)


def _sync(file: IO[Any]) -> None:
    """Wait until it is on disk, where the file system can say so."""
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}:
            raise


def _permissions(path: Path) -> int | None:
    """Those of the file that will be replaced; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return stat.S_IMODE(status.st_mode)


def _sync_directory(directory: Path) -> None:
    """Make the rename itself last through a power cut, where the file system can."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
