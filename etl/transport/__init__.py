"""HTTP connections that are made and answered in time.

A socket's timeout bounds each read. A server that sends a byte now and then, of its headers too,
could hold a worker for ever: here all reads of one answer share what is left of its time.
"""

from __future__ import annotations

import io
import socket
import sys
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPResponse, parse_headers
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from etl.transport import connecting

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from urllib3 import PoolManager, ProxyManager


class _UntilThen(io.RawIOBase):
    """The bytes of a socket, as long as its timeout lasts: counted once, from now."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._sock = sock
        self._raw = raw
        self._timeout = sock.gettimeout()
        self._ends = None if self._timeout is None else time.monotonic() + self._timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        if self._ends is None:
            return self._raw.readinto(buffer)
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        try:
            return self._raw.readinto(buffer)
        finally:
            self._sock.settimeout(self._timeout)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on as they came
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_UntilThen(sock, self.fp.detach()))

    def _read_status(self) -> tuple[str, int, str]:
        """Pass over interim answers (1xx), of which http.client knows 100 only (RFC 9110, 15.2)."""
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]  # typeshed hides it
            if not HTTPStatus.SWITCHING_PROTOCOLS < status < HTTPStatus.OK:
                return version, status, reason
            parse_headers(self.fp)


class _InTime(HTTPConnection):
    """Shares its time to connect among the addresses of the name."""

    adapter: Adapter
    """Whose connection it is."""

    def connect(self) -> None:
        super().connect()
        self.adapter.sockets.add(self.sock)
        if self.adapter.stopped.is_set():  # and it was not seen any more
            self.sock.shutdown(socket.SHUT_RDWR)

    def _new_conn(self) -> socket.socket:
        try:
            sock = connecting.connect(
                self._dns_host,
                self.port,
                self.timeout if isinstance(self.timeout, (int, float)) else None,
                source=self.source_address,
                options=self.socket_options or (),
                stopped=self.adapter.stopped.is_set,
            )
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "no address answered in time") from error
        except OSError as error:
            raise NewConnectionError(self, str(error)) from error
        sys.audit("http.client.connect", self, self.host, self.port)
        return sock


class _Http(_InTime):
    response_class = _Response


class _Https(_InTime, HTTPSConnection):
    response_class = _Response


class Adapter(HTTPAdapter):
    """As requests' adapter, with such connections, through a proxy too.

    Its `send` wants a `urllib3.Timeout(total=…)`.
    """

    poolmanager: PoolManager

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on as they came
        """Called by requests when it is made."""
        self.sockets: WeakSet[socket.socket] = WeakSet()
        self.stopped = threading.Event()
        mine = {"adapter": self}
        http, https = type("Http", (_Http,), mine), type("Https", (_Https,), mine)
        self._pools = {
            "http": type("HttpPool", (HTTPConnectionPool,), {"ConnectionCls": http}),
            "https": type("HttpsPool", (HTTPSConnectionPool,), {"ConnectionCls": https}),
        }
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> ProxyManager:  # noqa: ANN401 - passed on as they came
        """Called by requests for each proxy."""
        manager: ProxyManager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):  # its pools alone know the way through it
            manager.pool_classes_by_scheme = self._pools
        return manager

    def cut_off(self) -> None:
        """End connections that are being made and answers that are waited for, in any thread."""
        self.stopped.set()
        for each in list(self.sockets):
            with suppress(OSError):  # it was closed before
                each.shutdown(socket.SHUT_RDWR)
