"""eSMS's HTTP face in front of the world, on the loopback address.

Knows the API's documentation and nothing of the client.
"""

from __future__ import annotations

import json
import random
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from etl.simulator.answers import day, followers_page, number, ok, refusal, window_page
from etl.simulator.faults import Reply, fault
from etl.simulator.followers import Followers
from etl.simulator.interactions import Interactions, Question, WindowRules
from etl.simulator.serve import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BASE_PATH = "/MainService.svc/json"
DEFAULT_OAID = "4097311281936189049"
API_KEY = "simulated-key"
SECRET_KEY = "simulated-secret"  # noqa: S105 - opens nothing but the simulator


@dataclass(frozen=True, slots=True)
class Request:
    """What the simulator was asked, and what it answered. `at` is of time.monotonic()."""

    path: str
    oaid: str
    offset: int
    count: int
    at: float
    fault: str | None = None


class Simulator:
    """A small world that can be pushed around, served over HTTP while the `with` block lasts.

        with Simulator(followers=120) as sim:
            sim.before_page(3, sim.unfollow, sim.users()[7])     # someone leaves while we read
            sim.fault_at(2, "http_503")                          # the second page fails once
            ... ESMS_BASE_URL = sim.url ...

    Args:
        followers: how many follow the default OA, or who.
        order: oldest, newest, activity or bounce (see ORDERS).
        max_page: the most users an answer holds, whatever was asked.
        max_offset: a larger Offset is answered with 162 (or, with `refuse_by="empty"`, with an
            empty page).
        clamp_total: whether Total never exceeds what can be reached under these two.
        rate: requests a second; more are answered with code 160.
        latency: seconds before each answer; concurrent requests wait side by side.
        count_field: which member of the request counts: Count, Limit or both.
        overcount: by how much Total is too large.
        total_as_text, integer_ids: the other documented forms.
        windows: how QueryListUID answers; None where it is not served (HTTP 404).
    """

    def __init__(
        self,
        followers: int | Iterable[str] = 0,
        *,
        oaid: str = DEFAULT_OAID,
        order: str = "oldest",
        seed: int = 1,
        port: int = 0,
        max_page: int = 50,
        max_offset: int | None = None,
        refuse_by: str = "162",
        clamp_total: bool = False,
        rate: float = 0,
        latency: float = 0,
        count_field: str = "both",
        overcount: int = 0,
        total_as_text: bool = False,
        integer_ids: bool = False,
        ignore_offset: bool = False,
        windows: WindowRules | None = None,
    ) -> None:
        self.max_page, self.max_offset = max_page, max_offset
        self.refuse_by, self.clamp_total = refuse_by, clamp_total
        self.rate, self.latency = rate, latency
        self.count_field, self.overcount = count_field, overcount
        self.total_as_text, self.integer_ids = total_as_text, integer_ids
        self.ignore_offset = ignore_offset
        self.windows = windows or WindowRules(served="404")
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.lock = threading.RLock()
        self.requests: list[Request] = []
        self.listings = 0  # how often GetListZOA was asked
        self.listing_code = ""  # what it is refused by
        self.asked: Request | None = None
        self.remember = True
        self.connections = 0
        self.inactive: set[str] = set()
        self.account_code: str | None = None
        self._seed = seed
        self._port = port
        self._accounts: dict[str, Followers] = {}
        self._interactions: dict[str, Interactions] = {}
        self._pages = 0
        self._before: dict[int, list[tuple[Callable[..., object], tuple[Any, ...]]]] = {}
        self._before_each: list[Callable[[], object]] = []
        self._faults: list[tuple[Callable[[int], bool], str, list[int]]] = []
        self._credit, self._credit_at = float(rate), time.monotonic()
        self.stopped = threading.Event()
        """Set when the simulator goes away, for whoever waits inside it."""
        self.add_account(oaid, "Simulated OA", followers, order=order)
        self.default = oaid

    # -- the world ---------------------------------------------------------------------------------

    def add_account(
        self, oaid: str, name: str, followers: int | Iterable[str] = 0, *, order: str = "oldest"
    ) -> Followers:
        """One more OA of the simulated eSMS account."""
        self._accounts[oaid] = Followers(
            followers, order=order, seed=self._seed + len(self._accounts), name=name
        )
        return self._accounts[oaid]

    def followers(self, oaid: str | None = None) -> Followers:
        """The world of an OA itself; while it is served, push it inside `with sim.lock`."""
        return self._accounts[oaid or self.default]

    def interactions(self, oaid: str | None = None) -> Interactions:
        """When the users of an OA acted; known from the first time that anybody asks."""
        oaid = oaid or self.default
        with self.lock:
            if oaid not in self._interactions:
                world = self._accounts[oaid]
                self._interactions[oaid] = Interactions(
                    world, self.windows, clock=self._now, seed=self._seed
                )
                world.watch(self._interactions[oaid])
            return self._interactions[oaid]

    def _now(self) -> datetime:
        return self.clock()  # it may be set at any time

    def users(self, oaid: str | None = None) -> list[str]:
        """Who follows now, in the API's order."""
        with self.lock:
            return self.followers(oaid).users

    def follow(self, user: str | None = None, *, at: int | None = None) -> str:
        """Somebody arrives."""
        with self.lock:
            return self.followers().follow(user, at=at)

    def unfollow(self, user: str | None = None) -> str:
        """Somebody leaves."""
        with self.lock:
            return self.followers().unfollow(user)

    def refollow(self, user: str | None = None, *, at: int | None = None) -> str:
        """Somebody who left returns."""
        with self.lock:
            return self.followers().refollow(user, at=at)

    def leave_and_return(self, user: str | None = None, *, at: int | None = None) -> str:
        """Somebody leaves and returns at once."""
        with self.lock:
            return self.followers().leave_and_return(user, at=at)

    def touch(self, user: str | None = None) -> str:
        """Somebody acts."""
        with self.lock:
            return self.followers().touch(user)

    def interact(self, user: str | None = None) -> str:
        """Somebody acts: today is the day of their last interaction."""
        with self.lock:
            self.interactions()
            return self.followers().touch(user)

    def midnight(self) -> None:
        """The next day begins, at eSMS."""
        self.interactions().midnight()

    def mark(self) -> None:
        """Begin to watch who follows throughout."""
        with self.lock:
            for followers in self._accounts.values():
                followers.mark()

    def followed_throughout(self, oaid: str | None = None) -> set[str]:
        """Who followed at the mark and never left since."""
        with self.lock:
            return self.followers(oaid).throughout()

    # -- what happens while it is read -------------------------------------------------------------

    def before_page(self, number: int, verb: Callable[..., object], *args: object) -> None:
        """Do something just before the n-th page (from now, counted from 1) is answered."""
        with self.lock:
            self._before.setdefault(self._pages + number, []).append((verb, args))

    def before_each(self, verb: Callable[[], object]) -> None:
        """Do something before every page; `asked` is the request that is about to be answered."""
        with self.lock:
            self._before_each.append(verb)

    def churn(
        self,
        *,
        leaves: float = 0,
        arrivals: float = 0,
        returns: float = 0,
        touches: float = 0,
        seed: int = 1,
    ) -> None:
        """Let so many users leave, arrive, return and act, on average, before every page."""
        rng = random.Random(seed)
        rates = (
            (leaves, self.unfollow),
            (arrivals, self.follow),
            (returns, self.refollow),
            (touches, self.touch),
        )

        def happen() -> None:
            for mean, verb in rates:
                times = int(mean) + (rng.random() < mean % 1)
                for _ in range(times):
                    if len(self.followers()) or verb in {self.follow, self.refollow}:
                        verb()

        self.before_each(happen)

    def calm(self) -> None:
        """Nothing happens any more: no churn, no faults."""
        with self.lock:
            self._before.clear()
            self._before_each.clear()
            self._faults.clear()

    def fault_at(self, number: int | Callable[[int], bool], name: str, *, times: int = 1) -> None:
        """Answer requests with a fault, so many times.

        `number` is the n-th from now, counted from 1, or a predicate that chooses by the page's
        number.
        """
        fault(name)
        with self.lock:
            first = self._pages + number if isinstance(number, int) else 0
            chosen = (lambda page: page >= first) if isinstance(number, int) else number
            self._faults.append((chosen, name, [times]))

    def fault_rate(self, name: str, probability: float, *, seed: int = 1) -> None:
        """Answer any request with a fault, with this probability."""
        fault(name)
        rng = random.Random(seed)
        with self.lock:
            self._faults.append((lambda page: rng.random() < probability, name, [2**62]))

    # -- the API -----------------------------------------------------------------------------------

    def answer(self, path: str, body: bytes) -> Reply:
        """What the API answers to one request; the world moves and the faults strike here."""
        try:
            asked = json.loads(body)
        except ValueError:
            return refusal("110", "bad request")
        if not isinstance(asked, dict):
            return refusal("110", "bad request")
        with self.lock:
            if not self._within_rate():
                return refusal("160", "over the limit of transactions a second")
            if (asked.get("ApiKey"), asked.get("SecretKey")) != (API_KEY, SECRET_KEY):
                return refusal("101", "Authorize Failed")
            if self.account_code:
                return refusal(self.account_code, "simulated")
            if path.rstrip("/") == f"{BASE_PATH}/ZNS/GetListZOA":
                self.listings += 1
                if self.listing_code:
                    return refusal(self.listing_code, "simulated")
                listed = [
                    {"OAID": oaid, "OAName": each.name} for oaid, each in self._accounts.items()
                ]
                return ok({"ZOAList": listed})
            if path.rstrip("/") == f"{BASE_PATH}/ZNS/GetFollowers":
                return self._get_followers(path, asked)
            if path.rstrip("/") == f"{BASE_PATH}/QueryListUID":
                return self._query_list_uid(path, asked)
        return Reply(b"<html>not here</html>", 404)

    def _get_followers(self, path: str, asked: dict[str, Any]) -> Reply:
        oaid, offset, count = asked.get("OAID"), number(asked.get("Offset")), self._count(asked)
        struck = self._happens(path, oaid, offset, count)
        reply = self._page(oaid, offset, count)
        return fault(struck)(reply) if struck else reply

    def _query_list_uid(self, path: str, asked: dict[str, Any]) -> Reply:
        oaid, offset, count = asked.get("OAID"), number(asked.get("Offset")), self._count(asked)
        struck = self._happens(path, oaid, offset, count)
        reply = self._window(asked, offset, count)
        return fault(struck)(reply) if struck else reply

    def _happens(
        self, path: str, oaid: object, offset: int | None, count: int | None
    ) -> str | None:
        """Let the world move before an answer; gives the fault that strikes it."""
        self._pages += 1
        self.asked = Request(path, str(oaid), offset or 0, count or 0, time.monotonic())
        struck = self._struck(self._pages)  # who chooses may look at what is asked
        self.asked = replace(self.asked, fault=struck)
        if self.remember:
            self.requests.append(self.asked)
        for verb, args in self._before.pop(self._pages, []):
            verb(*args)
        for each in list(self._before_each):
            each()
        return struck

    def _window(self, asked: dict[str, Any], offset: int | None, count: int | None) -> Reply:
        rules, oaid = self.windows, asked.get("OAID")
        if rules.served == "404":
            return Reply(b"<html>not here</html>", 404)
        if rules.served != "100":
            return refusal(rules.served, "simulated")
        if not isinstance(oaid, str) or oaid not in self._accounts:
            return refusal("204", "OAID does not exist")
        acts = self.interactions(oaid)
        first, last = day(asked.get("FromDate")), day(asked.get("ToDate"))
        if first is None or last is None or first > last:
            return refusal("161", "FromDate or ToDate is malformed")
        if rules.oldest is not None and first < rules.oldest:
            return refusal("161", "FromDate is too old")
        future = last > acts.today
        if future and rules.future == "refused":
            return refusal("161", "ToDate is in the future")
        size = min(count or 0, self.max_page)
        beyond = (offset or 0) + self.max_page > rules.reach
        if offset is None or offset < 0 or size < 1 or (beyond and rules.refuse_by == "162"):
            return refusal("162", "Offset or Count is invalid")
        users: list[str] = []
        total = 0
        if not (future and rules.future == "empty"):
            question = Question(first, last, str(asked.get("IsFollower", "")))
            users, total = acts.part(question, offset, size)
        return window_page(
            users,
            str(total) if self.total_as_text else total,
            offset=offset,
            total_name=rules.total_name,
        )

    def _page(self, oaid: object, offset: int | None, count: int | None) -> Reply:
        if oaid in self.inactive:
            return refusal("799", "OAID is inactive")
        followers = self._accounts.get(oaid) if isinstance(oaid, str) else None
        if followers is None:
            return refusal("204", "OAID does not exist")
        if offset is None or count is None or offset < 0 or count < 1:
            return refusal("162", "Offset or Count is invalid")
        size = min(count, self.max_page)
        beyond = self.max_offset is not None and offset > self.max_offset
        if beyond and self.refuse_by == "162":
            return refusal("162", "Offset or Count is invalid")
        users = [] if beyond else followers.part(0 if self.ignore_offset else offset, size)
        total = len(followers) + self.overcount
        if self.clamp_total and self.max_offset is not None:
            total = min(total, self.max_offset + self.max_page)
        return followers_page(
            users, str(total) if self.total_as_text else total, integers=self.integer_ids
        )

    def _count(self, asked: dict[str, Any]) -> int | None:
        names = ("Count", "Limit") if self.count_field == "both" else (self.count_field,)
        given = [asked[name] for name in names if name in asked]
        return number(given[0]) if given else self.max_page

    def _struck(self, page: int) -> str | None:
        for chosen, name, left in self._faults:
            if left[0] > 0 and chosen(page):
                left[0] -= 1
                return name
        return None

    def _within_rate(self) -> bool:
        if not self.rate:
            return True
        now = time.monotonic()
        self._credit = min(self.rate, self._credit + (now - self._credit_at) * self.rate)
        self._credit_at = now
        if self._credit < 1:
            return False
        self._credit -= 1
        return True

    # -- HTTP --------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """What ESMS_BASE_URL is to be."""
        return f"http://127.0.0.1:{self._server.server_port}{BASE_PATH}"

    @property
    def environment(self) -> dict[str, str]:
        """The settings that point `etl` here."""
        return {
            "ESMS_BASE_URL": self.url, "ESMS_API_KEY": API_KEY, "ESMS_SECRET_KEY": SECRET_KEY, "ESMS_OAIDS": self.default,
        }  # fmt: skip

    def __enter__(self) -> Self:
        self._server = Server(("127.0.0.1", self._port), self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
