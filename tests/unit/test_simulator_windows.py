"""QueryListUID of the simulator: as documented, with a knob for everything that nobody
documents."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commandline import etl

from etl.cli.simulate import window_rules
from etl.simulator import API_KEY, DEFAULT_OAID, SECRET_KEY, Simulator, WindowRules

if TYPE_CHECKING:
    from collections.abc import Iterable

NOON = datetime(2026, 11, 20, 5, tzinfo=UTC)
"""At noon in Viet Nam."""

TODAY = date(2026, 11, 20)
DAY = timedelta(days=1)


def world(followers: int | Iterable[str] = 0, **rules: Any) -> Simulator:
    """A simulator that needs no socket: it is asked by `Simulator.answer`."""
    sim = Simulator(followers, windows=WindowRules(**rules))
    sim.clock = lambda: NOON
    return sim


def ask(sim: Simulator, first: Any, last: Any, **members: Any) -> dict[str, Any]:
    def written(day: Any) -> Any:
        return f"{day:%d/%m/%Y}" if isinstance(day, date) else day

    body = {
        "ApiKey": API_KEY, "SecretKey": SECRET_KEY, "OAID": DEFAULT_OAID, "Offset": 0, "Count": 50,
        "FromDate": written(first), "ToDate": written(last), "IsFollower": "1", "TagName": "",
    } | members  # fmt: skip
    reply = sim.answer("/MainService.svc/json/QueryListUID/", json.dumps(body).encode())
    answer = json.loads(reply.body) if reply.status == 200 else {"CodeResult": str(reply.status)}
    assert isinstance(answer, dict)
    return answer


def listed(sim: Simulator, first: date, last: date, **members: Any) -> set[str]:
    return set(ask(sim, first, last, **members)["Data"]["Users"])


def acted(sim: Simulator, user: str, *moments: datetime) -> None:
    """Let a user follow who acted at these moments alone."""
    sim.interactions()
    sim.follow(user)
    for moment in moments:
        sim.interactions().interacted(user, at=moment)


def quiet(**rules: Any) -> Simulator:
    """A world in which following is no interaction: users have the days that the test gives
    them."""
    return world(following_interacts=False, **rules)


def test_an_answer_is_what_the_documentation_shows() -> None:
    sim = quiet()
    acted(sim, "u1", NOON)
    answer = ask(sim, TODAY, TODAY)
    assert answer["CodeResult"] == "100"
    assert answer["Data"] == {"Count": 1, "Offset": 0, "Total": 1, "Users": ["u1"]}


def test_those_who_follow_those_who_do_not_and_both() -> None:
    sim = quiet()
    for user in ("here", "gone"):
        acted(sim, user, NOON)
    sim.unfollow("gone")
    assert listed(sim, TODAY, TODAY, IsFollower="1") == {"here"}
    assert listed(sim, TODAY, TODAY, IsFollower="0") == {"gone"}
    assert listed(sim, TODAY, TODAY, IsFollower="") == {"here", "gone"}


def test_everybody_acted_within_the_days_that_the_world_spreads_over() -> None:
    sim = world(120, spread_days=30)
    sim.max_page = 200
    assert listed(sim, TODAY - 31 * DAY, TODAY, Count=200) == set(sim.users())
    assert not listed(sim, date(2012, 1, 1), TODAY - 32 * DAY)


@pytest.mark.parametrize(
    ("first", "last"),
    [("2026-11-20", "20/11/2026"), ("31/02/2026", "20/11/2026"), (None, None), (TODAY, TODAY - DAY)],
    ids=["another form", "no such day", "missing", "backwards"],
)  # fmt: skip
def test_a_malformed_date_is_161(first: Any, last: Any) -> None:
    assert ask(world(), first, last)["CodeResult"] == "161"


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"Offset": 451}, "162"),
        ({"Offset": 450}, "100"),
        ({"Offset": -1}, "162"),
        ({"Count": 0}, "162"),
        ({"OAID": "1"}, "204"),
    ],
)
def test_past_the_reach_of_one_listing_is_162(members: dict[str, Any], code: str) -> None:
    assert ask(world(600, reach=500), TODAY, TODAY, **members)["CodeResult"] == code


def test_past_the_reach_may_be_an_empty_page_too() -> None:
    sim = world(600, reach=500, refuse_by="empty", spread_days=1)
    data = ask(sim, TODAY - 2 * DAY, TODAY, Offset=500)["Data"]
    assert (data["Users"], data["Total"]) == ([], 600)


def test_by_the_latest_interaction_or_by_any() -> None:
    for semantics, yesterday in (("last", set()), ("any", {"u1"})):
        sim = quiet(semantics=semantics)
        acted(sim, "u1", NOON - DAY, NOON)
        assert listed(sim, TODAY, TODAY) == {"u1"}
        assert listed(sim, TODAY - DAY, TODAY - DAY) == yesterday


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(
    ("bounds", "days"),
    [("inclusive", "abc"), ("from_excluded", "bc"), ("to_excluded", "ab"), ("both_excluded", "b")],
)
def test_either_bound_may_be_excluded_and_a_window_of_one_day_served_whole(
    bounds: str, days: str, *, whole: bool
) -> None:
    sim = quiet(bounds=bounds, single_days_whole=whole)
    for age, user in enumerate("cba"):
        acted(sim, user, NOON - age * DAY)
    assert listed(sim, TODAY - 2 * DAY, TODAY) == set(days)
    single = {"c"} if whole or bounds == "inclusive" else set()
    assert listed(sim, TODAY, TODAY) == single


def test_the_last_day_may_end_at_an_hour() -> None:
    sim = quiet(to_hour=8)
    acted(sim, "early", NOON - timedelta(hours=5))
    acted(sim, "late", NOON)
    assert listed(sim, TODAY - DAY, TODAY) == {"early"}
    assert listed(sim, TODAY - DAY, TODAY + DAY) == {"early", "late"}


@pytest.mark.parametrize(("future", "code"), [("served", "100"), ("refused", "161"), ("empty", "100")])  # fmt: skip
def test_the_future_may_be_served_refused_or_empty(future: str, code: str) -> None:
    sim = quiet(future=future)
    acted(sim, "u1", NOON)
    answer = ask(sim, TODAY, TODAY + DAY)
    assert answer["CodeResult"] == code
    if code == "100":
        assert answer["Data"]["Total"] == (future == "served")
    assert listed(sim, TODAY, TODAY) == {"u1"}


def test_days_before_the_oldest_may_be_refused() -> None:
    sim = world(oldest=date(2020, 1, 1))
    assert ask(sim, date(2019, 12, 31), TODAY)["CodeResult"] == "161"
    assert ask(sim, date(2020, 1, 1), TODAY)["CodeResult"] == "100"


def test_some_users_may_have_no_day_until_they_act() -> None:
    sim = world(200, undated=0.5)
    total = ask(sim, date(2012, 1, 1), TODAY)["Data"]["Total"]
    assert 60 < total < 140
    sim.interact(next(user for user in sim.users() if sim.interactions().day(user) is None))
    assert ask(sim, date(2012, 1, 1), TODAY)["Data"]["Total"] == total + 1


def test_total_may_be_clamped() -> None:
    sim = world(600, clamp=True, reach=500)
    assert ask(sim, date(2012, 1, 1), TODAY)["Data"]["Total"] == 500


def test_days_are_of_a_zone() -> None:
    late = NOON + timedelta(
        hours=9
    )  # 21:00 in Viet Nam, 14:00 in UTC; the next day in Tokyo's east
    for zone, day in ((7, TODAY), (0, TODAY), (14, TODAY + DAY)):
        sim = quiet(zone_hours=zone)
        sim.clock = lambda: late
        acted(sim, "u1", late)
        assert listed(sim, day, day) == {"u1"}


@pytest.mark.parametrize("interacts", [True, False])
def test_following_and_leaving_may_be_interactions(*, interacts: bool) -> None:
    sim = world(following_interacts=interacts, leaving_interacts=interacts)
    sim.interactions()
    stays, leaves = sim.follow(), sim.follow()
    sim.midnight()
    sim.unfollow(leaves)
    assert listed(sim, TODAY, TODAY) == ({stays} if interacts else set())
    assert listed(sim, TODAY + DAY, TODAY + DAY, IsFollower="0") == (
        {leaves} if interacts else set()
    )


def test_two_replicas_answer_in_turn_each_in_an_order_of_its_own() -> None:
    sim = world(40, replicas=2, spread_days=1)
    pages = [ask(sim, TODAY - 2 * DAY, TODAY)["Data"]["Users"] for _ in range(4)]
    assert pages[0] == pages[2] != pages[1] == pages[3]
    assert set(pages[0]) == set(pages[1]) == set(sim.users())


def test_get_followers_may_bounce_between_two_replicas_too() -> None:
    sim = Simulator(40, order="bounce")
    first, second, third = (sim.followers().part(0, 40) for _ in range(3))
    assert first == third != second
    left, came = sim.unfollow(), sim.follow()
    for _ in range(2):
        now = sim.followers().part(0, 50)
        assert came in now
        assert left not in now
        assert [user for user in now if user in second] in (
            [user for user in first if user != left],
            [user for user in second if user != left],
        )


@pytest.mark.parametrize("served", ["404", "799", "555"])
def test_it_may_not_be_served_at_all(served: str) -> None:
    assert ask(world(served=served), TODAY, TODAY)["CodeResult"] == served


def test_where_no_rules_are_given_it_is_not_there() -> None:
    assert ask(Simulator(3), TODAY, TODAY)["CodeResult"] == "404"


def test_total_may_be_misspelt() -> None:
    assert "Tatal" in ask(world(total_name="Tatal"), TODAY, TODAY)["Data"]


def test_an_act_moves_a_user_to_today_and_midnight_begins_the_next_day() -> None:
    sim = world(30, spread_days=1)
    user = sim.users()[0]
    sim.midnight()
    assert sim.interactions().today == TODAY + DAY
    assert not listed(sim, TODAY + DAY, TODAY + DAY)
    sim.interact(user)
    assert listed(sim, TODAY + DAY, TODAY + DAY) == {user}
    assert user not in listed(sim, TODAY - DAY, TODAY)


def test_some_answers_may_be_blank_stale_or_of_the_question_before() -> None:
    sim = world(20, blank=1)
    assert ask(sim, date(2012, 1, 1), TODAY)["Data"]["Total"] == 0
    sim = world(20, stale=1)
    sim.interactions().freeze()
    sim.unfollow()
    assert ask(sim, date(2012, 1, 1), TODAY)["Data"]["Total"] == 20
    sim = world(20, other=1)
    ask(sim, date(2012, 1, 1), date(2012, 1, 2))
    assert ask(sim, date(2012, 1, 1), TODAY)["Data"]["Total"] == 0
    sim = world(200, hidden=0.5)
    data = ask(sim, date(2012, 1, 1), TODAY)["Data"]
    assert data["Total"] == 200
    assert 10 < len(data["Users"]) < 40


@pytest.mark.parametrize(
    "rules", [{"semantics": "first"}, {"bounds": "none"}, {"future": "bright"}, {"total_name": "T"}]
)
def test_a_rule_that_no_server_is_meant_by_is_refused(rules: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="it is one of"):
        WindowRules(**rules)  # type: ignore[arg-type]  # a table of them


@pytest.mark.parametrize(
    ("given", "rules"),
    [
        (["on"], WindowRules()),
        (["semantics=any", "future=refused"], WindowRules(semantics="any", future="refused")),
        (
            ["undated=0.1", "reach=500", "clamp", "to_hour=8", "oldest=2020-01-01"],
            WindowRules(undated=0.1, reach=500, clamp=True, to_hour=8, oldest=date(2020, 1, 1)),
        ),
    ],
)
def test_etl_simulate_takes_every_rule_by_its_name(given: list[str], rules: WindowRules) -> None:
    assert window_rules(given) == rules


@pytest.mark.parametrize(
    ("given", "told"),
    [("colour=red", "the rules are on, served, semantics"), ("bounds=none", "it is one of"), ("reach=far", "far")],
)  # fmt: skip
def test_a_rule_that_does_not_fit_is_wrong_usage(given: str, told: str) -> None:
    done = etl("simulate", "--windows", given)
    assert done.returncode == 2
    assert told in done.stderr


def test_every_rule_is_documented() -> None:
    page = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert [each.name for each in fields(WindowRules) if f"`{each.name}`" not in page] == []
