"""Faults on demand: what a server can do wrong, each by name.

A fault takes the good answer and makes it a bad one.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Reply:
    """What goes back: an HTTP answer, or what the connection does instead of one."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(
        default_factory=lambda: {"Content-Type": "application/json; charset=utf-8"}
    )
    declared: int | None = None
    """Content-Length, where it lies."""
    act: str = "answer"
    """answer, reset (close without a word), hang (never answer), drip (a byte a second)."""


def _edited(edit: Callable[[dict[str, Any], str], None]) -> Callable[[Reply], Reply]:
    """Change the part of the good answer that lists users; given it, and the list's name in it."""

    def change(reply: Reply) -> Reply:
        answer = json.loads(reply.body)
        data = answer.get("Data")  # of QueryListUID
        edit(*((data, "Users") if isinstance(data, dict) else (answer, "Followers")))
        reply.body = json.dumps(answer).encode()
        return reply

    return change


def _json(**members: object) -> Callable[[Reply], Reply]:
    """Replace members of the good answer; None takes one away."""

    def edit(listing: dict[str, Any], users: str) -> None:
        for name, value in members.items():
            member = users if name == "Followers" else name
            if value is None:
                listing.pop(member, None)
            else:
                listing[member] = value

    return _edited(edit)


def _users(value: object) -> Callable[[Reply], Reply]:
    """Give one user of the page another User_Id."""

    def edit(listing: dict[str, Any], name: str) -> None:
        user = value if name == "Users" else {"User_Id": value}
        users = listing.get(name) or [user]
        users[len(users) // 2] = user
        listing[name] = users

    return _edited(edit)


def _http(status: int, **headers: str) -> Callable[[Reply], Reply]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def change(_: Reply) -> Reply:
        return Reply(b"<html>trouble</html>", status, {"Content-Type": "text/html", **named})

    return change


def _body(make: Callable[[bytes], bytes]) -> Callable[[Reply], Reply]:
    def change(reply: Reply) -> Reply:
        reply.body = make(reply.body)
        return reply

    return change


def _act(act: str) -> Callable[[Reply], Reply]:
    def change(reply: Reply) -> Reply:
        reply.act = act
        return reply

    return change


def _truncated(reply: Reply) -> Reply:
    reply.declared = len(reply.body)
    reply.body = reply.body[: len(reply.body) // 2]
    return reply


def _short(listing: dict[str, Any], name: str) -> None:
    users = listing.get(name, [])
    listing[name] = users[: max(1, len(users) // 2)]


def _duplicated(listing: dict[str, Any], name: str) -> None:
    users = listing.get(name, [])
    listing[name] = users[:1] + users


def _gzip_lie(reply: Reply) -> Reply:
    reply.headers["Content-Encoding"] = "gzip"
    return reply


FAULTS: dict[str, Callable[[Reply], Reply]] = {
    "http_500": _http(500),
    "http_503": _http(503),
    "http_429": _http(429, Retry_After="0"),
    "http_429_long": _http(429, Retry_After="100000"),
    "http_404": _http(404),
    "http_403": _http(403),
    "redirect": _http(302, Location="/elsewhere"),
    # The stray letter inside an object of the provider's own sample.
    "broken_json": _body(lambda body: body.replace(b"{", b"{a", 2)),
    "not_utf8": _body(lambda body: body[:-2] + b'\xff"}'),
    "html": _body(lambda body: b"<html><body>maintenance</body></html>"),
    "no_object": _body(lambda body: b"[]"),
    "empty_body": _body(lambda body: b""),
    "deep": _body(lambda body: b"[" * 100_000),
    "huge": _body(lambda body: b" " * (80 * 2**20) + body),
    "truncated": _truncated,
    "reset": _act("reset"),
    "hang": _act("hang"),
    "drip": _act("drip"),
    "empty_page": _json(Followers=[]),
    "nobody": _json(Followers=[], Total=0),
    "no_followers": _json(Followers=None),
    "no_total": _json(Total=None),
    "negative_total": _json(Total=-1),
    "float_total": _json(Total=1.5),
    "short_page": _edited(_short),
    "duplicated": _edited(_duplicated),
    "gzip_lie": _gzip_lie,
    "user_list": _users(["x"]),
    "user_null": _users(None),
    "user_empty": _users(""),
    "user_float": _users(1.5),
    "user_bool": _users(True),
    "user_control": _users("12\u000034"),
    "user_newline": _users("12\n34"),
    "user_surrogate": _users("\ud800"),
    "user_integer": _users(1234567890123456789),
}


def fault(name: str) -> Callable[[Reply], Reply]:
    """A fault by its name; `code:160` answers with that CodeResult."""
    if name.startswith("code:"):
        code = name.removeprefix("code:")
        return lambda reply: Reply(
            json.dumps({"CodeResult": code, "ErrorMessage": f"simulated {code}"}).encode()
        )
    if name.startswith("total:"):
        return _json(Total=int(name.removeprefix("total:")))
    try:
        return FAULTS[name]
    except KeyError:
        raise ValueError(
            f"unknown fault {name!r}; known: code:N, total:N, {', '.join(FAULTS)}"
        ) from None


DRIP_SECONDS = 0.2


def drip(body: bytes, send: Callable[[bytes], object], stopped: Callable[[], bool]) -> None:
    """Send a body byte by byte, until it is whole, the reader is gone, or the simulator stops."""
    for byte in body:
        if stopped():
            return
        send(bytes([byte]))
        time.sleep(DRIP_SECONDS)
