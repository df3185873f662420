"""The simulator keeps what it promises: eSMS as documented, a world that can be pushed around, and
faults on demand.

Asked over HTTP by the standard library alone, so that the client cannot hide the simulator's
mistake.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from etl.simulator import API_KEY, DEFAULT_OAID, SECRET_KEY, Followers, Simulator
from etl.simulator.faults import FAULTS, Reply, fault
from etl.simulator.followers import ORDERS

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = {"ApiKey": API_KEY, "SecretKey": SECRET_KEY}

PATH = "/MainService.svc/json/ZNS/"


class RawClient:
    """Whoever has read the API's documentation."""

    def __init__(self, sim: Simulator, *, timeout: float = 30) -> None:
        self.sim = sim
        self.timeout = timeout

    def post(self, call: str, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(
            "127.0.0.1", int(self.sim.url.split(":")[2].split("/")[0]), timeout=self.timeout
        )
        try:
            connection.request("POST", PATH + call, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def ask(self, call: str = "GetFollowers/", **members: Any) -> dict[str, Any]:
        status, body = self.post(call, json.dumps(KEYS | members).encode())
        assert status == 200
        answer = json.loads(body)
        assert isinstance(answer, dict)
        return answer

    def page(self, offset: object, size: object = 50, **members: Any) -> dict[str, Any]:
        return self.ask(OAID=self.sim.default, Offset=offset, Count=size, Limit=size, **members)

    def users(self, offset: object, size: object = 50) -> list[str]:
        return [each["User_Id"] for each in self.page(offset, size)["Followers"]]


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(120) as simulator:
        yield simulator


@pytest.fixture
def esms(sim: Simulator) -> RawClient:
    return RawClient(sim)


def asked(**options: Any) -> Any:
    """A simulator of another kind, and somebody who asks it."""
    return Simulator(120, **options)


# -- the documented API ----------------------------------------------------------------------------


def test_a_page_is_what_the_documentation_shows(esms: RawClient) -> None:
    answer = esms.page(0, 2)
    assert answer == {
        "CodeResult": "100",
        "ErrorMessage": "success",
        "Followers": [{"User_Id": user} for user in esms.sim.users()[:2]],
        "Total": 120,
    }
    assert all(user.isdigit() and len(user) <= 19 for user in esms.sim.users())


def test_pages_side_by_side_are_the_whole_list(esms: RawClient) -> None:
    assert [user for offset in (0, 50, 100) for user in esms.users(offset)] == esms.sim.users()
    assert esms.users(120) == []


@pytest.mark.parametrize("offset", [30, "30"])
def test_offset_and_count_may_be_numbers_or_strings(offset: object, esms: RawClient) -> None:
    assert esms.users(offset, 5) == esms.users(offset, "5") == esms.sim.users()[30:35]


def test_no_page_is_longer_than_the_largest(esms: RawClient) -> None:
    assert len(esms.users(0, 1000)) == 50
    with asked(max_page=100) as sim:
        assert len(RawClient(sim).users(0, 1000)) == 100


@pytest.mark.parametrize(("field", "length"), [("Count", 3), ("Limit", 7), ("both", 3)])
def test_it_can_know_count_or_limit_alone(field: str, length: int) -> None:
    with asked(count_field=field) as sim:
        answer = RawClient(sim).ask(OAID=DEFAULT_OAID, Offset=0, Count=3, Limit=7)
    assert len(answer["Followers"]) == length


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"OAID": "1", "Offset": 0, "Count": 50}, "204"),
        ({"OAID": None, "Offset": 0, "Count": 50}, "204"),
        ({"Offset": -1, "Count": 50}, "162"),
        ({"Offset": 0, "Count": 0}, "162"),
        ({"Offset": "x", "Count": 50}, "162"),
        ({"Offset": None, "Count": 50}, "162"),
        ({"ApiKey": "wrong", "Offset": 0}, "101"),
        ({"SecretKey": None, "Offset": 0}, "101"),
    ],
    ids=str,
)
def test_what_is_wrong_is_answered_with_its_code(
    members: dict[str, Any], code: str, esms: RawClient
) -> None:
    answer = esms.ask(**{"OAID": esms.sim.default} | members)
    assert answer["CodeResult"] == code
    assert set(answer) == {"CodeResult", "ErrorMessage"}


def test_an_oa_can_be_inactive_and_an_account_refused(esms: RawClient) -> None:
    esms.sim.inactive.add(esms.sim.default)
    assert esms.page(0)["CodeResult"] == "799"
    esms.sim.account_code = "143"
    assert esms.page(0)["CodeResult"] == esms.ask("GetListZOA/")["CodeResult"] == "143"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
def test_a_body_that_is_no_object_is_wrong_data(body: bytes, esms: RawClient) -> None:
    status, answer = esms.post("GetFollowers/", body)
    assert (status, json.loads(answer)["CodeResult"]) == (200, "110")


def test_any_other_call_is_not_found(esms: RawClient) -> None:
    assert esms.post("GetSomething/", json.dumps(KEYS).encode())[0] == 404


def test_it_lists_the_oas_of_the_account(esms: RawClient) -> None:
    esms.sim.add_account("111", "Hệ thống ESMS", 3)
    answer = esms.ask("GetListZOA/")
    assert answer["CodeResult"] == "100"
    assert answer["ZOAList"] == [
        {"OAID": DEFAULT_OAID, "OAName": "Simulated OA"},
        {"OAID": "111", "OAName": "Hệ thống ESMS"},
    ]
    assert esms.ask(OAID="111", Offset=0, Count=50)["Total"] == 3


def test_past_the_largest_offset_it_answers_162_or_nobody() -> None:
    with asked(max_offset=50) as sim:
        assert len(RawClient(sim).users(50)) == 50
        assert RawClient(sim).page(51)["CodeResult"] == "162"
    with asked(max_offset=50, refuse_by="empty") as sim:
        answer = RawClient(sim).page(51)
        assert (answer["CodeResult"], answer["Followers"], answer["Total"]) == ("100", [], 120)


def test_total_can_be_clamped_too_large_or_text_and_identifiers_numbers() -> None:
    with asked(max_offset=50, clamp_total=True) as sim:
        assert RawClient(sim).page(0)["Total"] == 100
    with asked(overcount=7, total_as_text=True, integer_ids=True) as sim:
        answer = RawClient(sim).page(0, 2)
        assert answer["Total"] == "127"
        assert [each["User_Id"] for each in answer["Followers"]] == [
            int(user) for user in sim.users()[:2]
        ]


def test_it_can_ignore_the_offset() -> None:
    with asked(ignore_offset=True) as sim:
        assert RawClient(sim).users(50) == sim.users()[:50]


def test_more_than_its_rate_is_answered_with_160_until_time_has_passed() -> None:
    with asked(rate=5) as sim:
        esms = RawClient(sim)
        codes = [esms.page(0)["CodeResult"] for _ in range(30)]
        assert codes[:5] == ["100"] * 5
        assert "160" in codes
        assert set(codes) == {"100", "160"}
        time.sleep(0.5)
        assert esms.page(0)["CodeResult"] == "100"


class TenWaiters(threading.Event):
    """A wait that is over when ten wait at once, and not before."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[float | None] = []
        self._barrier = threading.Barrier(10)

    def wait(self, timeout: float | None = None) -> bool:
        self.asked.append(timeout)
        self._barrier.wait(60)
        return False


def test_latency_is_waited_side_by_side() -> None:
    with asked(latency=0.3) as sim:
        sim.stopped = together = TenWaiters()
        with ThreadPoolExecutor(10) as pool:
            pages = list(pool.map(RawClient(sim).page, [0] * 10))
        assert {page["CodeResult"] for page in pages} == {"100"}
        assert together.asked == [0.3] * 10


def test_it_remembers_what_it_was_asked(esms: RawClient) -> None:
    esms.page(30, 20)
    esms.page(49, 20)
    assert [(each.oaid, each.offset, each.count) for each in esms.sim.requests] == [
        (DEFAULT_OAID, 30, 20),
        (DEFAULT_OAID, 49, 20),
    ]
    assert esms.sim.connections == 2


def test_its_settings_are_those_that_etl_takes(sim: Simulator) -> None:
    assert sim.environment == {
        "ESMS_BASE_URL": sim.url,
        "ESMS_API_KEY": API_KEY,
        "ESMS_SECRET_KEY": SECRET_KEY,
        "ESMS_OAIDS": DEFAULT_OAID,
    }


def test_it_is_reached_on_this_machine_alone_and_is_gone_afterwards() -> None:
    with Simulator() as sim:
        assert sim.url.startswith("http://127.0.0.1:")
        port = int(sim.url.split(":")[2].split("/")[0])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


# -- what happens while it is read -----------------------------------------------------------------


def test_something_happens_before_the_nth_page_from_now(esms: RawClient) -> None:
    esms.page(0)
    first = esms.sim.users()[0]
    esms.sim.before_page(2, esms.sim.unfollow, first)
    assert esms.page(0)["Total"] == 120
    answer = esms.page(0)
    assert answer["Total"] == 119
    assert answer["Followers"][0]["User_Id"] != first


def test_something_happens_before_each_page_and_knows_which(esms: RawClient) -> None:
    seen: list[int] = []
    esms.sim.before_each(lambda: seen.append(esms.sim.asked.offset if esms.sim.asked else -1))
    for offset in (0, 49, 98):
        esms.page(offset)
    assert seen == [0, 49, 98]
    esms.sim.calm()
    esms.page(0)
    assert seen == [0, 49, 98]


def test_churn_moves_the_world_on_average_so_often_before_every_page(esms: RawClient) -> None:
    before = set(esms.sim.users())
    esms.sim.churn(leaves=1.5, arrivals=0.5, seed=3)
    for _ in range(40):
        esms.page(0)
    left, come = before - set(esms.sim.users()), set(esms.sim.users()) - before
    assert 50 <= len(left) <= 70
    assert 10 <= len(come) <= 30


def test_churn_of_an_empty_list_lets_nobody_leave() -> None:
    with Simulator() as sim:
        sim.churn(leaves=1, touches=1)
        assert RawClient(sim).page(0)["Total"] == 0


def test_who_followed_throughout_never_left_since_the_mark(sim: Simulator) -> None:
    stayed, left, returned = sim.users()[:3]
    sim.unfollow(left)
    sim.mark()
    sim.leave_and_return(returned)
    sim.unfollow(sim.users()[-2])
    sim.follow(left)
    assert stayed in sim.followed_throughout()
    assert left not in sim.followed_throughout()
    assert returned not in sim.followed_throughout()
    assert len(sim.followed_throughout()) == 120 - 3


# -- faults ----------------------------------------------------------------------------------------


def test_a_fault_strikes_at_its_request_and_so_often(esms: RawClient) -> None:
    esms.page(0)
    esms.sim.fault_at(2, "code:555", times=2)
    assert [esms.page(0)["CodeResult"] for _ in range(4)] == ["100", "555", "555", "100"]
    assert [each.fault for each in esms.sim.requests] == [None, None, "code:555", "code:555", None]


def test_a_fault_strikes_where_a_predicate_says(esms: RawClient) -> None:
    esms.sim.fault_at(lambda page: page % 2 == 0, "code:555", times=10)
    assert [esms.page(0)["CodeResult"] for _ in range(4)] == ["100", "555", "100", "555"]


@pytest.mark.parametrize(
    ("probability", "struck"), [(0, {"100"}), (1, {"555"}), (0.5, {"100", "555"})]
)
def test_a_fault_strikes_with_its_probability(
    probability: float, struck: set[str], esms: RawClient
) -> None:
    esms.sim.fault_rate("code:555", probability)
    assert {esms.page(0)["CodeResult"] for _ in range(40)} == struck


@pytest.mark.parametrize("name", ["whatever", "", "code"])
def test_a_fault_that_it_does_not_know_is_refused_with_those_that_it_does(
    name: str, sim: Simulator
) -> None:
    with pytest.raises(ValueError, match=r"known: .*http_503"):
        sim.fault_at(1, name)


@pytest.mark.parametrize("name", ["reset", "truncated", "hang"])
def test_the_connection_itself_can_fail(name: str, sim: Simulator) -> None:
    sim.fault_at(1, name)
    with pytest.raises((ConnectionError, http.client.HTTPException, TimeoutError)):
        RawClient(sim, timeout=0.5).page(0)
    assert RawClient(sim).page(0)["CodeResult"] == "100"


def test_an_answer_can_drip(sim: Simulator) -> None:
    sim.fault_at(1, "drip")
    body = json.dumps(KEYS | {"OAID": sim.default, "Offset": 0, "Count": 1}).encode()
    with socket.create_connection(
        ("127.0.0.1", int(sim.url.split(":")[2].split("/")[0])), timeout=30
    ) as raw:
        raw.sendall(
            f"POST {PATH}GetFollowers/ HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        while b"\r\n\r\n" not in raw.recv(1000):
            pass
        assert [len(raw.recv(1000)) for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_makes_another_answer_of_a_good_one(name: str) -> None:
    def good() -> Reply:
        answer = {
            "CodeResult": "100",
            "ErrorMessage": "success",
            "Followers": [{"User_Id": str(n)} for n in range(6)],
            "Total": 6,
        }
        return Reply(json.dumps(answer).encode())

    assert fault(name)(good()) != good()


@pytest.mark.parametrize(
    "name", ["user_null", "user_control", "short_page", "duplicated", "empty_page"]
)
def test_a_fault_of_an_empty_page_is_an_answer_too(name: str) -> None:
    answer = json.loads(
        fault(name)(Reply(b'{"CodeResult": "100", "Followers": [], "Total": 0}')).body
    )
    assert answer["CodeResult"] == "100"


def test_any_total_can_be_told(esms: RawClient) -> None:
    esms.sim.fault_at(1, "total:7")
    answer = esms.page(0)
    assert (answer["Total"], len(answer["Followers"])) == (7, 50)


# -- the world -------------------------------------------------------------------------------------


def test_the_same_seed_makes_the_same_world_and_another_one_another() -> None:
    def lived(seed: int) -> list[str]:
        world = Followers(50, seed=seed)
        for _ in range(20):
            world.unfollow()
            world.follow()
            world.refollow()
        return world.users

    assert lived(1) == lived(1)
    assert not set(lived(1)) & set(lived(2))


def test_who_arrives_stands_where_the_order_says() -> None:
    assert [Followers(["a", "b"], order=order).users for order in ORDERS] == [["a", "b"]] * 4
    places = []
    for order in ORDERS:
        world = Followers(["a", "b"], order=order)
        world.follow("new")
        places.append(world.users.index("new"))
    assert places == [2, 0, 0, 2]


@pytest.mark.parametrize(
    ("order", "users"),
    [("oldest", ["a", "b", "c"]), ("newest", ["a", "b", "c"]), ("activity", ["c", "a", "b"])],
)
def test_who_acts_moves_to_the_head_only_where_activity_is_the_order(
    order: str, users: list[str]
) -> None:
    world = Followers(["a", "b", "c"], order=order)
    world.touch("c")
    assert world.users == users
    assert "c" in world.throughout(), "they never stopped following"


def test_an_order_that_it_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="oldest, newest, activity"):
        Followers(order="random")


def test_who_follows_cannot_arrive_and_who_was_given_twice_is_there_once() -> None:
    world = Followers(["a", "a", "b"])
    assert len(world) == 2
    with pytest.raises(ValueError, match="follows already"):
        world.follow("a")


def test_who_left_is_remembered_until_they_return() -> None:
    world = Followers(["a", "b"])
    assert world.unfollow("a") == "a"
    assert (world.gone, "a" in world) == (["a"], False)
    assert world.refollow() == "a"
    assert (world.gone, world.users) == ([], ["b", "a"])


def test_the_hidden_count_in_total_and_are_never_listed() -> None:
    with Simulator(10) as sim:
        sim.followers().hidden.add(sim.users()[3])
        answer = RawClient(sim).page(0)
        assert (len(answer["Followers"]), answer["Total"]) == (9, 10)
