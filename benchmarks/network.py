"""The network alone: the same pages on k connections, read and thrown away.

python network.py PORT FOLLOWERS PAGE_SIZE CONNECTIONS LOOKS
"""

from __future__ import annotations

import json
import socket
import sys
import threading


def read(port: int, offsets: list[int], size: int) -> None:
    """Ask for some pages on one connection."""
    with (
        socket.create_connection(("127.0.0.1", port)) as connection,
        connection.makefile("rb") as answers,
    ):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for offset in offsets:
            body = json.dumps(
                {"OAID": "4097311281936189049", "Offset": offset, "Count": size, "Limit": size}
            ).encode()
            connection.sendall(
                b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            length = 0
            while (line := answers.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            answers.read(length)


def main(port: int, followers: int, size: int, connections: int, looks: int) -> None:
    """Read the list so many times."""
    offsets = list(range(0, followers, size)) * looks
    threads = [
        threading.Thread(target=read, args=(port, offsets[k::connections], size))
        for k in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:6]))
