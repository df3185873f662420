"""A server that speaks whatever a test wants it to: raw bytes, over TLS too."""

from __future__ import annotations

import json
import socketserver
import threading
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable


class RawServer:
    """A server that speaks whatever a test tells it to, and keeps what it was sent."""

    def __init__(
        self,
        behave: Callable[[RawServer, socket.socket], None],
        *,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.received: list[bytes] = []
        self.sent = 0
        self.stopped = threading.Event()
        raw = self

        def talk(connection: socket.socket) -> None:
            with (
                context.wrap_socket(connection, server_side=True)
                if context
                else nullcontext(connection) as secured
            ):
                behave(raw, secured)

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):  # the client goes away
                    talk(self.request)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def everything(self) -> bytes:
        return b"".join(self.received)

    def read(self, connection: socket.socket) -> bytes:
        """One request, its body too; nothing when the client hung up."""
        request = b""
        while b"\r\n\r\n" not in request or (b"POST" in request and not request.endswith(b"}")):
            if not (chunk := connection.recv(65_536)):
                break
            request += chunk
        if request:
            self.received.append(request)
        return request


ANSWER = json.dumps({"CodeResult": "100", "Followers": [{"User_Id": "1"}], "Total": 1}).encode()


def reply(body: bytes = ANSWER, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def always(answer: bytes) -> Callable[[RawServer, socket.socket], None]:
    def behave(raw: RawServer, connection: socket.socket) -> None:
        while raw.read(connection):
            connection.sendall(answer)

    return behave
