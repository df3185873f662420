"""One call of eSMS, one value.

Patient (pace.py), strict (wire.py), and silent about what the body carries: the keys.
"""

from __future__ import annotations

import math
import threading
import time
import zlib
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self, TypeVar

import requests
import urllib3.exceptions
from urllib3.exceptions import ClosedPoolError
from urllib3.util import Timeout

from etl.errors import (
    EsmsUnavailableError,
    EtlError,
    ImpossibleAnswerError,
    MalformedAnswerError,
    OutOfTimeError,
)
from etl.esms import wire
from etl.esms.answer import body_of, check_http, largest_page
from etl.esms.pace import Pace, patiently
from etl.model import Retry, ignore
from etl.transport import Adapter
from etl.transport.route import Route, refusal, route_to, trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from etl.model import Account, Page, Window
    from etl.settings import EsmsSettings

T = TypeVar("T")

FOLLOWERS_PATH = "ZNS/GetFollowers/"
ACCOUNTS_PATH = "ZNS/GetListZOA/"
WINDOWS_PATH = "QueryListUID/"

LARGEST_WINDOW_PAGE = 50
"""Users; what QueryListUID documents."""

HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "User-Agent": "follower-etl",
}

LARGEST_LISTING = 8 * 2**20
"""Bytes of the listing of an account's OAs: some 10,000 with long names."""


class EsmsClient:
    """Asks eSMS. One for all OAs of a run; called by several threads at once.

    A context manager: closes its connections.

    Args:
        settings: ESMS_….
        deadline: of `time.monotonic()`; past it nothing is tried or waited for any more.
        on_retry: told before every wait.

    Raises:
        SettingsError: the environment's proxy or certificates cannot be used.
    """

    def __init__(
        self,
        settings: EsmsSettings,
        *,
        deadline: float | None = None,
        on_retry: Callable[[Retry], None] = ignore,
    ) -> None:
        self._settings = settings
        self._keys = wire.Keys(settings.esms_api_key, settings.esms_secret_key)
        self._deadline = deadline
        self._deadlines: dict[str, float] = {}
        # However many OAs are read at once, they share these.
        self._connections = threading.BoundedSemaphore(settings.esms_concurrency)
        self._on_retry = on_retry
        self._pace = Pace(settings.esms_rate, deadline=deadline)
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._retries: Counter[str] = Counter()
        # The adapter alone, without a Session around it: no cookies, no redirects, no .netrc, a
        # third less CPU a page. It keeps the connections and may be shared by threads.
        self._adapter = Adapter(
            pool_connections=1, pool_maxsize=settings.esms_concurrency, pool_block=False
        )
        # Asked of the environment once, not at every request.
        self._route = esms_route(settings)
        self._prepared = {
            path: requests.Request(
                "POST", f"{settings.esms_base_url}/{path}", headers=HEADERS
            ).prepare()
            for path in (FOLLOWERS_PATH, ACCOUNTS_PATH, WINDOWS_PATH)
        }

    def __repr__(self) -> str:
        return f"EsmsClient({self._settings.esms_base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._adapter.close()

    def begin(self, oaid: str, ends: float) -> None:
        """From here on requests for the OA end at `ends` (of `time.monotonic()`)."""
        self._deadlines[oaid] = ends

    def stop(self, signum: int | None = None) -> None:
        """Let every call end at once, those too that wait for an answer: the run is over."""
        self._pace.stop(signum)
        self._adapter.cut_off()

    def fresh_connections(self) -> None:
        """Let go of the idle connections: whoever asks next meets, perhaps, another server."""
        self._adapter.close()

    def requests_of(self, oaid: str) -> int:
        """HTTP requests made for an OA, retries included."""
        return self._requests[oaid]

    def retries_of(self, oaid: str) -> int:
        """How many of them were second or later tries."""
        return self._retries[oaid]

    def page(self, oaid: str, offset: int) -> Page:
        """The followers of an OA from an offset on: as many as eSMS gives, at most ESMS_PAGE_SIZE.

        Raises:
            OffsetRefusedError: code 162.
            RefusedError, FaultError, ImpossibleAnswerError: at once; no retry cures them.
            EsmsUnavailableError, MalformedAnswerError: after ESMS_MAX_ATTEMPTS tries.
            OutOfTimeError: the deadline is over.
        """
        size = self._settings.esms_page_size
        return self.page_of(oaid, offset, count=size, limit=size)

    def page_of(self, oaid: str, offset: int, *, count: int | None, limit: int | None) -> Page:
        """As `page`, but with `Count` and `Limit` as given; None leaves the member out.

        Raises as `page` does.
        """
        body = wire.followers_request(
            self._keys, oaid=oaid, offset=offset, count=count, limit=limit
        )
        return self._call(
            FOLLOWERS_PATH,
            body,
            oaid,
            offset,
            lambda answer: wire.page(answer, offset, secrets=self._keys),
        )

    def users_between(
        self,
        oaid: str,
        window: Window,
        offset: int,
        *,
        count: int = LARGEST_WINDOW_PAGE,
        follower: bool = True,
    ) -> Page:
        """The users of an OA whose day of interaction lies within a window, from an offset on.

        Args:
            oaid: the OA.
            window: the days, both included.
            offset: of the first user.
            count: the most users to ask for; never more than ESMS_PAGE_SIZE and the documented 50.
            follower: those who follow now, or those who do not.

        Raises:
            OffsetRefusedError: code 162.
            FaultError: code 161: the dates are refused.
            EtlError: as `page` does.
        """
        body = wire.window_request(
            self._keys,
            oaid=oaid,
            window=window,
            offset=offset,
            count=min(count, LARGEST_WINDOW_PAGE, self._settings.esms_page_size),
            follower=follower,
        )
        return self._call(
            WINDOWS_PATH,
            body,
            oaid,
            offset,
            lambda answer: wire.window_page(answer, offset, secrets=self._keys),
        )

    def accounts(self, *, seconds: float | None = None) -> list[Account]:
        """The OAs of the eSMS account (GetListZOA).

        Args:
            seconds: where it is not worth more: asked once, and waited for so long at most.

        Raises as `page` does.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        return self._call(
            ACCOUNTS_PATH,
            wire.accounts_request(self._keys),
            "",
            None,
            lambda answer: wire.accounts(answer, secrets=self._keys),
            largest=LARGEST_LISTING,
            attempts=None if seconds is None else 1,
            deadline=deadline,
        )

    def _call(
        self,
        path: str,
        body: bytes,
        oaid: str,
        offset: int | None,
        read: Callable[[bytes], T],
        *,
        largest: int | None = None,
        attempts: int | None = None,
        deadline: float | None = None,
    ) -> T:
        tries = 0
        size = largest or largest_page(self._settings.esms_page_size)
        deadline = deadline or self._deadlines.get(oaid, self._deadline)

        def once() -> T:
            nonlocal tries
            with self._connection(deadline):
                self._pace.take(deadline)
                tries += 1
                with self._lock:
                    self._requests[oaid] += 1
                    self._retries[oaid] += tries > 1
                answer = self._post(path, body, size, deadline)
            return read(answer)

        def on_retry(attempt: int, wait: float, reason: str) -> None:
            self._on_retry(Retry(oaid, offset, attempt, wait, reason))

        try:
            return patiently(
                once,
                attempts=attempts or self._settings.esms_max_attempts,
                backoff_base=self._settings.esms_backoff_base,
                pace=self._pace,
                deadline=deadline,
                on_retry=on_retry,
            )
        except (EsmsUnavailableError, MalformedAnswerError) as error:
            error.args = (f"{error} (tried {tries} times)",) if tries > 1 else error.args
            raise

    @contextmanager
    def _connection(self, deadline: float | None) -> Iterator[None]:
        """One of ESMS_CONCURRENCY; waited for until the deadline."""
        left = None
        if deadline is not None and deadline < math.inf:
            left = max(0.0, deadline - time.monotonic())
        if not self._connections.acquire(timeout=left):
            raise self._late(deadline)
        try:
            yield
        finally:
            self._connections.release()

    def _post(self, path: str, body: bytes, largest: int, deadline: float | None) -> bytes:
        """One request, its answer's body whole, within ESMS_TIMEOUT and `largest` bytes."""
        ends = time.monotonic() + self._settings.esms_timeout
        if deadline is not None:
            ends = min(ends, deadline)
        request = self._prepared[path].copy()
        request.body = body
        request.headers["Content-Length"] = str(len(body))
        try:
            timeout = Timeout(total=max(0.001, ends - time.monotonic()))
            with self._send(request, timeout) as response:
                check_http(response)
                return body_of(response, largest)
        # `from None`, all of them: their cause carries the request, and the request carries the
        # keys.
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                by = f" by {self._route.bundle}" if self._route.bundle else ""
                raise ImpossibleAnswerError(
                    f"the TLS certificate of eSMS could not be verified{by}"
                ) from None
            raise EsmsUnavailableError("the TLS connection to eSMS failed") from None
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
            raise self._late(deadline) from None
        except zlib.error:
            raise MalformedAnswerError("the body's compression is broken") from None
        except (
            requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
        ) as error:
            raise self._lost(error) from None

    def _send(self, request: requests.PreparedRequest, timeout: Timeout) -> requests.Response:
        while True:
            try:
                return self._adapter.send(
                    request,
                    stream=True,
                    timeout=timeout,  # type: ignore[arg-type]  # requests takes one; its types do not say so
                    verify=self._route.verify,
                    proxies=self._route.proxies,
                )
            except requests.exceptions.ConnectionError as error:
                if not isinstance(next(iter(error.args), None), ClosedPoolError):
                    raise
                # Another OA let go of the idle connections at this very moment: nothing was sent.

    def _lost(self, error: Exception) -> EtlError:
        """No answer: what stood in the way."""
        proxy = self._route.proxy
        refused = refusal(error, proxy) if proxy else None
        words = trouble(error, self._route)
        return refused or EsmsUnavailableError(f"the connection to eSMS failed ({words})")

    def _late(self, deadline: float | None) -> EsmsUnavailableError | OutOfTimeError:
        if deadline is not None and time.monotonic() >= deadline:
            return OutOfTimeError("the run reached ETL_MAX_RUNTIME")
        return EsmsUnavailableError(
            f"eSMS did not answer within ESMS_TIMEOUT ({self._settings.esms_timeout:g} s)"
        )


def esms_route(settings: EsmsSettings) -> Route:
    """The way to eSMS. Plain http goes to this machine alone: no proxy may see the keys.

    Raises:
        SettingsError: the environment's proxy or certificates cannot be used.
    """
    if settings.esms_base_url.lower().startswith("http:"):
        return Route()
    return route_to(settings.esms_base_url)
