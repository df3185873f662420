"""`etl doctor` asks what nobody documents of QueryListUID: on one OA, few requests, no User_Id
shown."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from commandline import etl

from etl.doctor.windows import (
    Known,
    bounds,
    crowded,
    dated,
    future,
    interaction,
    learn,
    meaning,
    order,
    reach,
    same_people,
)
from etl.model import Page, Window
from etl.simulator import Simulator, WindowRules
from etl.sync.windows import Pair
from etl.texts import phrase

TODAY = date(2026, 11, 20)


def told(sim: Simulator, **settings: str) -> dict[str, tuple[str, str]]:
    """What the doctor says of windows: state and text by the name of the step."""
    done = etl("doctor", "--json", **sim.environment | {"ESMS_RATE": "0"} | settings)
    for user in sim.users():
        assert user not in done.stdout + done.stderr
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    return {
        each["step"].rpartition("windows: ")[2]: (each["state"], each["told"])
        for each in steps
        if "windows: " in each["step"]
    }


def asked(sim: Simulator) -> int:
    return sum("QueryListUID" in each.path for each in sim.requests)


def world(count: int = 900, **rules: Any) -> Simulator:
    return Simulator(count, windows=WindowRules(**{"spread_days": 30} | rules))


def test_a_small_oa_is_compared_person_by_person_within_sixty_requests() -> None:
    with world() as sim:
        found = told(sim)
        assert found["served"] == ("ok", "yes, " + found["served"][1].removeprefix("yes, "))
        assert found["everybody has a day"] == ("ok", "all 900 followers do")
        assert found["days to come"] == ("ok", "may be asked for")
        assert found["a user's day"][1].startswith("is one, that of the last interaction")
        assert found["first and last day"][1].startswith("are included")
        assert found["order of a window"] == ("ok", "the same in 6 readings")
        assert found["the same people"] == ("ok", "GetFollowers and windows list the same 900")
        assert asked(sim) < 60


def test_a_large_oa_is_asked_for_its_ceiling_and_its_crowded_days_within_sixty_requests() -> None:
    with world(10_203, spread_days=400) as sim:
        sim.max_offset = 9_950
        found = told(sim)
        assert "it is refused" in found["ceiling of a window"][1]
        assert found["crowded days"][0] == "ok"
        assert "the same people" not in found
        assert asked(sim) < 60


@pytest.mark.parametrize(
    ("rules", "step", "state", "words"),
    [
        ({"undated": 0.2}, "everybody has a day", "warn", "GetFollowers counts 900"),
        ({"future": "refused"}, "days to come", "ok", "are refused"),
        ({"future": "empty"}, "days to come", "ok", "are answered with nobody"),
        ({"bounds": "both_excluded"}, "first and last day", "ok", "not proven"),
        ({"bounds": "both_excluded"}, "a user's day", "warn", "falls between windows"),
        ({"replicas": 2}, "order of a window", "warn", "2 different pages in 6 readings"),
        ({"hidden": 0.1}, "the same people", "warn", "only by GetFollowers"),
        ({"served": "799"}, "served", "ok", "code 799"),
    ],
)
def test_what_nobody_documents_is_told(
    rules: dict[str, Any], step: str, state: str, words: str
) -> None:
    with world(**rules) as sim:
        found = told(sim)
        assert found[step][0] == state
        assert words in found[step][1]


def test_whether_leaving_and_following_give_a_day_is_learned_from_the_last_night(
    db_url: str,
) -> None:
    with world(200, leaving_interacts=True) as sim:
        settings = {**sim.environment, "DATABASE_URL": db_url, "ESMS_RATE": "0"}
        sim.interactions()
        assert etl("sync", **settings).returncode == 0
        sim.unfollow()
        sim.unfollow()
        sim.follow()
        assert etl("sync", **settings).returncode == 0
        found = told(sim, DATABASE_URL=db_url)
        assert found["leaving an OA"] == (
            "ok", "gives a day (2 of the 2 of the last complete snapshot are listed since yesterday)"
        )  # fmt: skip
        assert found["following an OA"][1].startswith("gives a day (1 of the 1")


def test_where_an_oa_is_cut_and_windows_are_not_served_somebody_must_act() -> None:
    with world(served="799") as sim:
        sim.max_offset = 200
        assert told(sim)["served"][0] == "warn"


def test_nothing_is_asked_where_windows_are_switched_off() -> None:
    with world() as sim:
        assert not told(sim, ETL_WINDOWS="off")
        assert not asked(sim)


def test_one_oa_is_asked_about_the_largest() -> None:
    with world(60) as sim:
        sim.add_account("22", "Larger", 90)
        told(sim, ESMS_OAIDS="all")
        assert {each.oaid for each in sim.requests if "QueryListUID" in each.path} == {"22"}


def test_whatever_is_answered_no_more_than_sixty_requests_are_made() -> None:
    requests = 0

    def ask(window: Window, offset: int, *, count: int = 50, follower: bool = True) -> Page:
        nonlocal requests
        requests += 1
        return Page(offset, (f"u{requests}",) if window.days and follower else (), 10**6 + count)

    def total() -> int:
        nonlocal requests
        requests += 1
        return 10**6

    users = frozenset(map(str, range(1_000)))
    found = [*learn(ask, Known(True, total, users, users, users), TODAY)]
    assert requests == 60
    assert (found[-1].name, found[-1].state) == ("the rest", "skipped")


@pytest.mark.parametrize(
    ("found", "state", "words"),
    [
        (dated(5, 5), "ok", "all 5"),
        (dated(5, 4), "warn", "all windows together 4"),
        (future(None, 5), "ok", "refused"),
        (future(0, 5), "ok", "nobody"),
        (future(0, 0), "ok", "may be"),
        (meaning(None), "skipped", "not learned"),
        (meaning((10, 4, 6)), "ok", "is one"),
        (meaning((10, 5, 6)), "ok", "each day"),
        (meaning((10, 4, 5)), "warn", "falls between"),
        (bounds(None), "skipped", "nobody"),
        (bounds(Pair(20, 30, 50, 20, 30)), "ok", "are included"),
        (bounds(Pair(20, 30, 30, 20, 30)), "ok", "not proven"),
        (order([("a",), ("a",)]), "ok", "the same"),
        (order([("a", "b"), ("b", "a")]), "warn", "2 different"),
        (reach(10_000, served=True), "warn", "exactly"),
        (reach(12_000, served=True), "ok", "none met"),
        (reach(12_000, served=False), "ok", "answered with nobody"),
        (reach(12_000, served=None), "ok", "refused"),
        (crowded([5, 10_000]), "warn", "1 of the last 2"),
        (crowded([5, 9_999]), "ok", "9,999"),
        (same_people(frozenset("ab"), {"a"}, whole=True), "warn", "1 only by GetFollowers"),
        (same_people(frozenset("ab"), {"a"}, whole=False), "skipped", "only 1"),
        (same_people(frozenset("ab"), {"a", "b"}, whole=True), "ok", "the same 2"),
        (interaction(phrase("doctor.what.leaving"), 3, 2, whole=False), "ok", "gives a day"),
        (interaction(phrase("doctor.what.leaving"), 3, 0, whole=True), "ok", "gives no day"),
        (interaction(phrase("doctor.what.leaving"), 3, 0, whole=False), "skipped", "not learned"),
    ],
)
def test_each_answer_has_its_state_and_its_words(found: Any, state: str, words: str) -> None:
    assert found.state == state
    assert words in found.told
