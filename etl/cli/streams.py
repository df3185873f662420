"""stdin, stdout and stderr, which may be closed, full, not UTF-8, or without a reader."""

from __future__ import annotations

import codecs
import io
import logging
import os
import sys
import threading
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

_ESCAPED = "etl-escaped"


def prepare() -> None:
    """Make the three streams usable, and let nobody but us write on them.

    What they cannot show is escaped.
    """
    _occupy()
    codecs.register_error(_ESCAPED, _escape)
    sys.stdin = _usable(sys.stdin, 0, "r")
    sys.stdout = _usable(sys.stdout, 1, "w")
    sys.stderr = _unfailing(_usable(sys.stderr, 2, "w"))
    if not debugging():
        _silence_libraries()


def debugging() -> bool:
    """Whether the environment asks for all that can be told (ETL_LOG_LEVEL=debug)."""
    return os.environ.get("ETL_LOG_LEVEL", "").strip().lower() == "debug"


@contextmanager
def writing() -> Iterator[None]:
    """Around what is written on stdout, and has to be there afterwards.

    Raises:
        BrokenPipeError: its reader has gone. Nothing more is written.
        OSError: it cannot be written. Nothing more is written.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        drop(sys.stdout)
        raise OSError(error.errno, error.strerror, "stdout") from error


def drop(stream: TextIO) -> None:
    """Send what is written on a stream to /dev/null from here on.

    What a full disk left in its buffer would spoil the exit code in the end.
    """
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


class _Unfailing(io.TextIOWrapper):
    """stderr: what nobody can be told is not told, and changes nothing."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        super().__init__(
            stream.buffer, encoding=stream.encoding, errors=_ESCAPED, line_buffering=True
        )
        self._under = stream  # or it would be collected, and close the buffer

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            drop(self)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            drop(self)


def _occupy() -> None:
    """Open /dev/null for each stream that is closed.

    Otherwise the next file that is opened, a database say, would get its number and our output.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # gets the lowest free number: this one


def _usable(stream: TextIO | None, number: int, mode: str) -> TextIO:
    if stream is None:  # closed by whoever started us (>&-)
        file = os.fdopen(number, mode, encoding="utf-8", errors=_ESCAPED, closefd=False)
        return cast("TextIO", file)
    if isinstance(stream, io.TextIOWrapper) and mode == "w":
        stream.reconfigure(errors=_ESCAPED)
    return stream


def _unfailing(stream: TextIO) -> TextIO:
    if isinstance(stream, io.TextIOWrapper) and not isinstance(stream, _Unfailing):
        return _Unfailing(stream)
    return stream


def _escape(error: UnicodeError) -> tuple[str, int]:
    """What an encoding does not have, as JSON writes it: a line of JSON stays one."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs), error.end


def _silence_libraries() -> None:
    """Let no library write on stderr: its line amid ours would be mailed by cron every night.

    What matters of it reaches us as an exception.
    """
    logging.getLogger().addHandler(logging.NullHandler())
    warnings.showwarning = lambda *_, **__: None
    threading.excepthook = lambda _: None
    sys.unraisablehook = lambda _: None
