"""A server that answers GetFollowers faster than any client asks.

Bodies are cut from ready bytes, one thread, no framework.

Its world stands still between two commands. `GET /control?followers=N&changed=SHARE&latency=S` sets
it (`&reach=R`: one listing shows R users, and QueryListUID is served, too); `GET /count` tells how
many pages were asked for since. `python server.py FILE N SHARE` writes
that world to a file instead. How fast it is alone is measured in every run (the row "network
alone").
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

MAX_PAGE = 5_000
MIN_PAGE = 50
DAYS = 900
"""Over so many days the followers have acted last, as many on each."""

REFUSED = b'{"CodeResult": "162", "ErrorMessage": "Offset or Count is invalid"}'


class World:
    """A list of followers as ready bytes, one fragment each."""

    def __init__(self) -> None:
        self.latency = 0.0
        self.reach = 0
        self.asked = 0
        self.users: list[str] = []
        self._fragments: list[bytes] = []
        self._pages: dict[tuple[int, int], bytes] = {}
        self._windows: dict[tuple[int, int, int], bytes] = {}

    def set(self, *, followers: int, changed: float) -> None:
        """So many followers, of whom a share is not who they would be without it.

        Half of them left, as many came.
        """
        rng = random.Random(1)
        users = [str(rng.randrange(10**18, 10**19)) for _ in range(followers)]
        if changed:
            other = random.Random(2)
            leave = set(other.sample(range(followers), int(followers * changed / 2)))
            users = [user for place, user in enumerate(users) if place not in leave]
            users += [str(other.randrange(10**18, 10**19)) for _ in leave]
        self.users = users
        self._fragments = [f'{{"User_Id": "{user}"}}'.encode() for user in users]
        self._pages = {}
        self._windows = {}

    def answer(self, path: bytes, asked: dict[str, str]) -> bytes:
        """The answer to one request, HTTP head included."""
        if b"GetListZOA" in path:
            return http(b'{"CodeResult": "100", "ZOAList": []}')
        offset, count = int(asked["Offset"]), int(asked["Count"])
        if self.reach and offset + MIN_PAGE > self.reach:
            return http(REFUSED)
        if b"QueryListUID" not in path:
            return self.page(offset, count)
        return self.window(_day(asked["FromDate"]), _day(asked["ToDate"]), offset, count)

    def window(self, first: date, last: date, offset: int, count: int) -> bytes:
        """Who acted last between two days; the first user of the list longest ago."""
        begins, ends = self._place(first), self._place(last + timedelta(days=1))
        start = begins + offset
        if (ready := self._windows.get((begins, ends, offset * 100 + count))) is None:
            users = '", "'.join(self.users[start : min(ends, start + count)])
            listed = f'"{users}"' if users else ""
            body = f'"Count": {count}, "Offset": {offset}, "Total": {ends - begins}, "Users": [{listed}]'
            ready = http(f'{{"CodeResult": "100", "Data": {{{body}}}}}'.encode())
            self._windows[begins, ends, offset * 100 + count] = ready
        return ready

    def _place(self, day: date) -> int:
        """The place of the first user who acted on that day, or later."""
        age = (datetime.now(UTC).date() - day).days
        return len(self.users) * min(DAYS, max(0, DAYS - 1 - age)) // DAYS

    def page(self, offset: int, count: int) -> bytes:
        """The answer to one request, HTTP head included; each is put together once."""
        count = min(count, MAX_PAGE)
        if (ready := self._pages.get((offset, count))) is None:
            listed = b", ".join(self._fragments[offset : offset + count])
            ready = (
                b'{"CodeResult": "100", "ErrorMessage": "success", "Followers": [%b], "Total": %d}'
                % (
                    listed,
                    len(self.users),
                )
            )
            ready = self._pages[offset, count] = http(ready)
        return ready


def _day(text: str) -> date:
    return datetime.strptime(text, "%d/%m/%Y").date()  # noqa: DTZ007 - a day has no zone


def http(body: bytes) -> bytes:
    """A whole HTTP answer."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


class Connection(asyncio.Protocol):
    """One client: requests in, ready bytes out."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            place = head.lower().find(b"content-length:")
            length = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
            if len(self._received) < end + 4 + length:
                return
            body = self._received[end + 4 : end + 4 + length]
            self._received = self._received[end + 4 + length :]
            self._answer(head.split(b" ", 2), body)

    def _answer(self, line: list[bytes], body: bytes) -> None:
        world = self._world
        if line[0] == b"POST":
            asked = json.loads(body)
            world.asked += 1
            answer = world.answer(line[1], asked)
            if world.latency:
                asyncio.get_running_loop().call_later(world.latency, self._transport.write, answer)
            else:
                self._transport.write(answer)
            return
        url = urlsplit(line[1].decode())
        if url.path == "/control":
            wanted = dict(parse_qsl(url.query))
            world.set(followers=int(wanted["followers"]), changed=float(wanted["changed"]))
            world.latency = float(wanted["latency"])
            world.reach = int(wanted.get("reach", 0))
        told, world.asked = world.asked, 0
        self._transport.write(http(str(told).encode()))


async def serve() -> None:
    """Listen on any free port, print it, and stay until killed."""
    world = World()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(world), "127.0.0.1", 0
    )
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


def write_users(path: str, followers: str, changed: str) -> None:
    """Write who follows to a file, in order, for whoever measures the database alone."""
    world = World()
    world.set(followers=int(followers), changed=float(changed))
    Path(path).write_text("\n".join(sorted(world.users)) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        write_users(*sys.argv[1:4])
    else:
        asyncio.run(serve())
