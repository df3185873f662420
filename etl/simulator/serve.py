"""HTTP, in both directions: what a request's body says, and how a reply leaves the socket."""

from __future__ import annotations

import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Protocol, cast

from etl.simulator.faults import Reply, drip

if TYPE_CHECKING:
    import threading


class World(Protocol):
    """What is served."""

    latency: float
    connections: int
    stopped: threading.Event

    def answer(self, path: str, body: bytes) -> Reply:
        """What it answers to one request."""


class Server(ThreadingHTTPServer):
    """Serves a world; each connection has a thread."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], simulator: World) -> None:
        self.simulator = simulator
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one piece: no pause for a delayed acknowledgement

    def setup(self) -> None:
        super().setup()
        self.simulator.connections += 1

    @property
    def simulator(self) -> World:
        return cast("Server", self.server).simulator

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.simulator.latency and self.simulator.stopped.wait(self.simulator.latency):
            return
        self._send(self.simulator.answer(self.path, body))

    def do_GET(self) -> None:
        self._send(Reply(b"<html>POST only</html>", 405))

    def _send(self, reply: Reply) -> None:
        if reply.act == "hang":
            self.simulator.stopped.wait()
        if reply.act in {"hang", "reset"}:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        length = reply.declared if reply.declared is not None else len(reply.body)
        lines = [f"HTTP/1.1 {reply.status} simulated", f"Content-Length: {length}"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        self.wfile.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        if reply.act == "drip":
            self.wfile.flush()
            self.close_connection = True
            drip(reply.body, self.connection.sendall, self.simulator.stopped.is_set)
            return
        self.wfile.write(reply.body)
        self.wfile.flush()
        if reply.declared is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server gives
        """Silence: the simulator remembers by itself."""
