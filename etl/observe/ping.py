"""A ping on start, success and failure, as healthchecks.io documents it (https://healthchecks.io/docs/http_api/).

    URL/start   the run begins
    URL         exit code 0
    URL/log     `etl doctor` asks whether pings arrive
    URL/fail    any other: a partial or busy run (75) too, for the list was not read whole

The body says what became of each OA, in counts and in words of ours; the details of an error stay
in our own log, because whoever keeps the pings is somebody else. The URL lets one in: nothing of it
is ever told, nor is a redirect followed.
"""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import requests
from urllib3.util import Timeout

from etl.errors import EtlError, ExitCode, SettingsError
from etl.transport import Adapter
from etl.transport.route import Route, route_to, trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import SecretStr

    from etl.observe.logs import Log
    from etl.sync.run import Outcome

_HEADERS = {"Content-Type": "text/plain; charset=utf-8", "User-Agent": "follower-etl"}

_COUNTS = (
    "following", "baseline", "followed", "refollowed", "unfollowed", "seen", "total", "requests", "retries",
)  # fmt: skip
"""The columns of a snapshot that the body shows, in this order."""

LONGEST = 5.0
"""Seconds a ping may take in all: the name's resolution, every address of it, and a server that
sends a byte now and then."""

AFTER_A_SIGNAL = 2.0
"""Seconds it may take where a signal ended the run: the process must end, too."""

_ANSWER = 4.0
"""Seconds of them for the connection and the answer."""


@dataclass(frozen=True, slots=True)
class Pings:
    """The pings of one run.

    `url` is ETL_PING_URL; without one, nothing is sent. No trouble with them is ever raised.
    """

    url: SecretStr | None
    log: Log

    def start(self) -> None:
        """The run begins."""
        self._send("start", "/start", "")

    def finish(self, exit_code: int, summary: str) -> None:
        """The run is over."""
        if exit_code:
            seconds = AFTER_A_SIGNAL if exit_code >= ExitCode.SIGNALLED else None
            self._send("fail", "/fail", summary, seconds)
        else:
            self._send("success", "", summary)

    def _send(self, kind: str, signal: str, body: str, seconds: float | None = None) -> None:
        if self.url is None:
            return
        url = _with_path(self.url.get_secret_value(), signal)
        try:
            trouble = _within_time(url, body.encode(), seconds or LONGEST)
        except EtlError:
            raise
        except Exception as error:  # noqa: BLE001 - no thread for it, say; its words may quote the URL
            trouble = type(error).__name__
        if trouble is not None:
            self.log.warning("ping failed", ping=kind, reason=trouble)


def summary(outcomes: Sequence[Outcome], *, exit_code: int, reason: str | None = None) -> str:
    """What a ping's body says: a line for the run, and one for each OA."""
    first = f"etl sync: exit code {exit_code}" + (f" ({reason})" if reason else "")
    return "\n".join([first, *map(_line, outcomes)]) + "\n"


def try_pinging(url: SecretStr) -> str | None:
    """What keeps a ping from arriving, if anything does; `/log` says nothing about a run."""
    return _within_time(_with_path(url.get_secret_value(), "/log"), b"etl doctor\n", LONGEST)


def _line(outcome: Outcome) -> str:
    snapshot = outcome.snapshot
    # Its word only: a reason goes on with what a server or a driver said.
    reason = f" ({snapshot.reason_word})" if snapshot.reason_word else ""
    columns = snapshot.columns()
    counts = {name: columns[name] for name in _COUNTS}
    told = ", ".join(f"{name} {count}" for name, count in counts.items() if count is not None)
    line = f"OA {snapshot.oaid}: {snapshot.status}{reason} in {outcome.duration_s:.1f} s"
    return f"{line}; {told}" if told else line


def _with_path(url: str, signal: str) -> str:
    """The URL with one more step in its path; a query (`?create=1`) stays behind it."""
    parts = urlsplit(url)
    return urlunsplit(
        parts._replace(path=parts.path.rstrip("/") + signal if signal else parts.path, fragment="")
    )


def _within_time(url: str, body: bytes, seconds: float) -> str | None:
    """Send it from a thread, which is left behind if it takes too long.

    Nothing else bounds the resolution of a name.
    """
    troubles: list[str | None] = []
    sender = threading.Thread(
        target=lambda: troubles.append(_post(url, body)), name="ping", daemon=True
    )
    sender.start()
    sender.join(seconds)
    return troubles[0] if troubles else f"no answer within {seconds:g} s"


def _post(url: str, body: bytes) -> str | None:
    """What went wrong, if anything did, without a word of the URL."""
    route = Route()
    try:
        route = route_to(url)
        timeout: Any = Timeout(total=_ANSWER)  # requests takes one; its types do not say so
        request = requests.Request("POST", url, headers=_HEADERS, data=body).prepare()
        # The adapter alone follows no redirect. stream: the answer's body is nobody's business,
        # however long it is.
        with (
            closing(Adapter()) as adapter,
            adapter.send(
                request, stream=True, timeout=timeout, verify=route.verify, proxies=route.proxies
            ) as answer,
        ):
            ok = HTTPStatus.OK <= answer.status_code < HTTPStatus.MULTIPLE_CHOICES
            return None if ok else f"HTTP {answer.status_code}"
    except SettingsError as error:  # a proxy or a bundle that leads nowhere: its words are ours
        return str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, a ping never makes a sync fail; its words may quote the URL
        return trouble(error, route)
