"""A connection to one of a name's addresses, within one time for all of them.

An address that swallows packets would use up the whole time of those behind it. So the next one is
tried beside it after a moment, and whoever answers first is taken (the idea of RFC 8305).
"""

from __future__ import annotations

import errno
import math
import os
import selectors
import socket
import time
from collections import deque
from concurrent.futures import wait
from functools import partial
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, Self

from etl.threads import begin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

STAGGER = 0.25
"""Seconds that an address is given before the next one is tried beside it."""

Address = tuple[int, int, int, str, Any]
"""As `socket.getaddrinfo` gives one."""


def connect(
    host: str,
    port: int,
    timeout: float | None,
    *,
    source: tuple[str, int] | None = None,
    options: Iterable[tuple[int, int, int | bytes]] = (),
    stopped: Callable[[], bool] = lambda: False,
) -> socket.socket:
    """A connected socket, whose own timeout is what is left of `timeout` (seconds; None: no end).

    `stopped` is asked now and then: whether nobody wants the connection any more.

    Raises:
        socket.gaierror: the name does not resolve.
        TimeoutError: nobody answered in time.
        OSError: what the last address said that could not be connected to.
    """
    ends = None if timeout is None else time.monotonic() + timeout
    with _Race(source, list(options)) as race:
        sock = race.run(deque(interleaved(addresses(host, port, ends, stopped))), ends, stopped)
    sock.settimeout(None if ends is None else max(0.001, ends - time.monotonic()))
    return sock


def addresses(
    host: str, port: int, ends: float | None, stopped: Callable[[], bool] = lambda: False
) -> list[Address]:
    """The addresses of a name.

    The C library waits for a name server as long as its own settings say: so it is asked in another
    thread, and not waited for after `ends` (of `time.monotonic()`).

    Raises:
        socket.gaierror: it does not resolve, or is no name at all.
        TimeoutError: no name server answered in time.
        OSError: nobody wants the connection any more.
    """
    asking = begin(partial(_asked, host, port), "etl-name")
    while not asking.done():
        left = math.inf if ends is None else ends - time.monotonic()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "no name server answered in time")
        if stopped():
            raise OSError(errno.ECANCELED, "nobody waits for it any more")
        wait([asking], timeout=min(left, STAGGER))
    return asking.result()


def _asked(host: str, port: int) -> list[Address]:
    try:
        return list(socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM))
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, "it is no name of a host") from error


def interleaved(found: Sequence[Address]) -> list[Address]:
    """The same addresses, the families by turns; the family of the first one begins."""
    if not found:
        return []
    first = [each for each in found if each[0] == found[0][0]]
    others = [each for each in found if each[0] != found[0][0]]
    return [each for each in chain(*zip_longest(first, others)) if each is not None]


class _Race:
    """Attempts to connect, side by side. A context manager: closes all of them but the winner."""

    def __init__(
        self, source: tuple[str, int] | None, options: list[tuple[int, int, int | bytes]]
    ) -> None:
        self._source = source
        self._options = options
        self._selector = selectors.DefaultSelector()
        self._error: OSError = OSError(errno.EHOSTUNREACH, "the name has no address")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for key in list(self._selector.get_map().values()):
            self._drop(key.data)
        self._selector.close()

    def run(
        self, waiting: deque[Address], ends: float | None, stopped: Callable[[], bool]
    ) -> socket.socket:
        """Try the addresses until one answers, or until `ends` (of `time.monotonic()`)."""
        start_next = time.monotonic()
        while True:
            now = time.monotonic()
            if ends is not None and now >= ends:
                raise TimeoutError("timed out")
            if stopped():
                raise OSError(errno.ECANCELED, "nobody waits for it any more")
            if waiting and now >= start_next:
                started = self._start(waiting.popleft())
                start_next = now + STAGGER if started else now
                continue
            trying = bool(self._selector.get_map())
            if not trying and not waiting:
                raise self._error
            wakes = now + STAGGER, ends, start_next if waiting else None
            wake = min(each for each in wakes if each is not None)
            for key, _ in self._selector.select(wake - now):
                sock: socket.socket = key.data
                if self._connected(sock):
                    self._selector.unregister(sock)
                    return sock
                self._drop(sock)
                start_next = now

    def _start(self, address: Address) -> bool:
        """Begin to connect; whether there is something to wait for."""
        family, kind, protocol, _, place = address
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            self._error = error
            return False
        try:
            for option in self._options:
                sock.setsockopt(*option)
            if self._source:
                sock.bind(self._source)
            sock.setblocking(False)
            code = sock.connect_ex(place)
        except OSError as error:
            self._error = error
            sock.close()
            return False
        if code not in {0, errno.EINPROGRESS, errno.EWOULDBLOCK}:
            self._error = OSError(code, os.strerror(code))
            sock.close()
            return False
        self._selector.register(sock, selectors.EVENT_WRITE, sock)
        return True

    def _connected(self, sock: socket.socket) -> bool:
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._error = OSError(code, os.strerror(code))
        return not code

    def _drop(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        sock.close()
