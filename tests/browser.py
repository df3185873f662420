"""A real headless Chromium, spoken to through its DevTools protocol over two pipes: no port, no
driver, no library.

    with Browser(chromium) as browser:
        page = browser.open(path, width=390, dark=True)
        assert page.evaluate("document.title") == "…"
        assert not page.requests

https://chromedevtools.github.io/devtools-protocol/ (`--remote-debugging-pipe`: it reads 3, writes
4; messages end in NUL)
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import time
from base64 import b64decode
from dataclasses import dataclass, field
from fcntl import F_DUPFD_CLOEXEC, fcntl
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Self

from programs import need_program

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE = 60
"""Seconds for an answer: only a browser that hangs needs them."""


def find_chromium() -> str:
    """Where Chromium is."""
    return need_program("chromium", others=("chromium-browser", "google-chrome"))


@dataclass
class Page:
    """One page that was opened. `requests` are the URLs it asked for, `complaints` what it wrote to
    the console."""

    browser: Browser
    session: str
    url: str
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def requests(self) -> list[str]:
        """What it asked for beside itself and data of its own."""
        return [url for url in self.asked if url != self.url and not url.startswith("data:")]

    def evaluate(self, script: str) -> Any:
        """The value of an expression, in the page."""
        answer = self.browser.call(
            "Runtime.evaluate",
            self.session,
            expression=script,
            returnByValue=True,
            awaitPromise=True,
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self) -> bytes:
        """PNG of what one sees first."""
        return b64decode(self.browser.call("Page.captureScreenshot", self.session)["data"])

    def pdf(self) -> bytes:
        """As it would be printed."""
        return b64decode(self.browser.call("Page.printToPDF", self.session)["data"])


class Browser:
    """Started on entering, ended on leaving; its profile is thrown away."""

    def __init__(self, chromium: str) -> None:
        self._profile = mkdtemp(prefix="etl-chromium-")
        self._number = 0
        self._buffer = b""
        self._pages: dict[str, Page] = {}
        self._loaded: set[str] = set()
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        # Far from 3 and 4, so that putting one there cannot overwrite the other.
        inside = [fcntl(each, F_DUPFD_CLOEXEC, 100) for each in (to_read, to_write)]
        flags = (
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--remote-debugging-pipe", f"--user-data-dir={self._profile}", "about:blank",
        )  # fmt: skip
        self._pid = os.posix_spawn(
            chromium,
            [chromium, *flags],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, inside[0], 3),
                (os.POSIX_SPAWN_DUP2, inside[1], 4),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
            setpgroup=0,
        )
        for each in (to_read, to_write, *inside):
            os.close(each)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._write)
        os.close(self._read)
        shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, file: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> Page:
        """Open a file from disk, as by a double click, and wait until it is loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session, file.resolve().as_uri())
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable", session)
        self.call(
            "Emulation.setDeviceMetricsOverride",
            session,
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", session, features=[scheme])
        self.call("Page.navigate", session, url=page.url)
        while session not in self._loaded:
            self._heed(self._message())
        # One answer more: what the page asked for or complained of until now has been told before
        # it.
        page.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        return page

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Ask for one thing and wait for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params} | (
            {"sessionId": session} if session else {}
        )
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            told = self._message()
            if told.get("id") == self._number:
                assert "error" not in told, told
                return dict(told["result"])
            self._heed(told)

    def _message(self) -> dict[str, Any]:
        until = time.monotonic() + DEADLINE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(until - time.monotonic(), 0))
            chunk = os.read(self._read, 1 << 20) if ready else b""
            assert chunk, "chromium has ended, or does not answer"
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))

    def _heed(self, told: dict[str, Any]) -> None:
        """Note what happened to a page."""
        page, params = self._pages.get(told.get("sessionId", "")), told.get("params", {})
        if page is None:
            return
        match told.get("method"):
            case "Page.loadEventFired":
                self._loaded.add(page.session)
            case "Network.requestWillBeSent":
                page.asked.append(params["request"]["url"])
            case "Log.entryAdded":
                page.complaints.append(params["entry"]["text"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                page.complaints.append(json.dumps(params))
