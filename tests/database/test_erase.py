"""A forgotten person's User_Id is in no table, counts and history stay true, and their following is
no churn."""

from __future__ import annotations

import hashlib
import random
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from daily import Days, dump, everything, rows
from sqlalchemy import select
from world import contradictions, counted

from etl.db.engine import connect_engine, reading
from etl.db.forgotten import StandIn, digest_of, recogniser, stand_ins
from etl.db.lease import acquire
from etl.db.schema import upgrade
from etl.db.tables import followers
from etl.errors import BusyError, UsageError
from etl.maintenance.forget import PREFIX, forget, traces
from etl.maintenance.undo import undo
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from etl.model import Snapshot


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(followers=120) as simulator:
        yield simulator


@pytest.fixture
def days(sim: Simulator, db: Engine) -> Days:
    return Days(sim, db)


def counts(snapshot: Snapshot) -> tuple[object, ...]:
    return (
        snapshot.status,
        snapshot.looks,
        counted(snapshot).followed,
        counted(snapshot).refollowed,
        counted(snapshot).unfollowed,
        counted(snapshot).following,
    )


def pseudonyms(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        users = connection.execute(
            select(followers.c.user_id).where(followers.c.user_id.like(f"{PREFIX}%"))
        ).scalars()
        return sorted(users)


def nothing_of(user: str, engine: Engine) -> bool:
    return not any(user in value for value in everything(engine))


def test_who_follows_still_is_found_again_without_a_leave_or_an_arrival_until_they_leave(
    days: Days, sim: Simulator
) -> None:
    days.sync()
    user = sim.users()[60]
    trace = forget(days.engine, sim.default, user, now=days.now)
    assert (trace.following, trace.changes) == (True, 1)
    assert nothing_of(user, days.engine)
    [stranger] = pseudonyms(days.engine)

    for _ in range(3):
        assert counts(days.sync()) == ("complete", 1, 0, 0, 0, 120)
        assert nothing_of(user, days.engine)
        assert pseudonyms(days.engine) == [stranger]
        assert contradictions(days.engine) == []
    assert len(rows(days.engine, "forgotten")) == 1

    sim.unfollow(user)
    assert counts(days.sync()) == ("complete", 2, 0, 0, 1, 119)
    assert nothing_of(user, days.engine)
    assert contradictions(days.engine) == []
    # The digest stays for one more snapshot: until then the leave may be undone.
    assert len(rows(days.engine, "forgotten")) == 1
    assert counts(days.sync()) == ("complete", 1, 0, 0, 0, 119)
    assert rows(days.engine, "forgotten") == []

    sim.follow(user)
    assert counts(days.sync()) == ("complete", 1, 1, 0, 0, 120)
    assert pseudonyms(days.engine) == [stranger]
    assert contradictions(days.engine) == []


def test_who_returns_right_after_their_leave_is_a_new_person(days: Days, sim: Simulator) -> None:
    days.sync()
    user = sim.users()[60]
    forget(days.engine, sim.default, user, now=days.now)
    sim.unfollow(user)
    days.sync()
    sim.follow(user)
    assert counts(days.sync()) == ("complete", 1, 1, 0, 0, 120)
    assert rows(days.engine, "forgotten") == []
    assert contradictions(days.engine) == []


def test_who_left_before_is_a_pseudonym_and_nothing_leads_back(days: Days, sim: Simulator) -> None:
    days.sync()
    user = sim.unfollow()
    days.sync()
    trace = forget(days.engine, sim.default, user, now=days.now)
    assert (trace.following, trace.changes) == (False, 2)
    assert nothing_of(user, days.engine)
    assert rows(days.engine, "forgotten") == []
    assert contradictions(days.engine) == []
    assert counts(days.sync()) == ("complete", 1, 0, 0, 0, 119)
    sim.follow(user)
    assert counts(days.sync()) == ("complete", 1, 1, 0, 0, 120)
    assert contradictions(days.engine) == []


def test_churn_of_the_others_is_counted_as_ever(days: Days, sim: Simulator) -> None:
    days.sync()
    for user in sim.users()[10:100:30]:
        forget(days.engine, sim.default, user, now=days.now)
    for _ in range(4):
        sim.follow()
    for user in sim.users()[:3]:
        sim.unfollow(user)
    assert counts(days.sync()) == ("complete", 2, 4, 0, 3, 121)
    assert len(pseudonyms(days.engine)) == 3
    assert contradictions(days.engine) == []


def test_a_dry_run_foresees_what_the_sync_does(days: Days, sim: Simulator) -> None:
    days.sync()
    user, other = sim.users()[60], sim.users()[80]
    forget(days.engine, sim.default, user, now=days.now)
    forget(days.engine, sim.default, other, now=days.now)
    state = dump(days.engine)
    assert counts(days.outcome(dry_run=True).snapshot) == ("complete", 1, 0, 0, 0, 120)
    sim.unfollow(other)
    foreseen = days.outcome(dry_run=True).snapshot
    assert dump(days.engine) == state
    assert counts(foreseen) == counts(days.sync()) == ("complete", 2, 0, 0, 1, 119)


def test_a_partial_sweep_marks_no_forgotten_as_gone_and_stores_no_user_id(
    days: Days, sim: Simulator
) -> None:
    days.sync()
    near, far = sim.users()[10], sim.users()[110]
    for user in (near, far):
        forget(days.engine, sim.default, user, now=days.now)
    sim.max_offset = 40
    snapshot = days.sync()
    assert (
        snapshot.status,
        counted(snapshot).followed,
        counted(snapshot).unfollowed,
        counted(snapshot).following,
    ) == (
        "partial",
        0,
        0,
        120,
    )
    assert nothing_of(near, days.engine)
    assert contradictions(days.engine) == []
    sim.max_offset = None
    snapshot = days.sync()
    assert (counted(snapshot).followed, counted(snapshot).unfollowed) == (0, 0)
    assert nothing_of(far, days.engine)


def test_a_held_run_keeps_what_the_forgotten_are_recognised_by(days: Days, sim: Simulator) -> None:
    days.sync()
    user = sim.users()[60]
    forget(days.engine, sim.default, user, now=days.now)
    for each in sim.users()[:50]:
        sim.unfollow(each)
    assert days.sync().status == "held"
    assert len(rows(days.engine, "forgotten")) == 1
    assert nothing_of(user, days.engine)
    snapshot = days.sync(allow_mass_unfollow=True)
    assert (
        snapshot.status,
        counted(snapshot).unfollowed,
        counted(snapshot).followed,
        counted(snapshot).following,
    ) == (
        "complete",
        50,
        0,
        70,
    )
    assert nothing_of(user, days.engine)


def test_whom_only_a_second_look_finds_is_recognised_too(days: Days, sim: Simulator) -> None:
    """The forgotten one steps aside for the first look: a look is owed, and nobody came or went."""
    days.sync()
    user = sim.users()[60]
    forget(days.engine, sim.default, user, now=days.now)
    for dry_run in (True, False):
        with sim.lock:
            sim.followers().unfollow(user)
        sim.before_page(4, sim.follow, user)
        snapshot = days.outcome(dry_run=dry_run).snapshot
        assert (
            counted(snapshot).followed,
            counted(snapshot).refollowed,
            counted(snapshot).unfollowed,
            counted(snapshot).following,
        ) == (0, 0, 0, 120)
        assert (snapshot.looks or 0) > 1
    assert nothing_of(user, days.engine)
    assert contradictions(days.engine) == []


def test_an_undone_arrival_of_a_forgotten_person_is_found_again_under_their_pseudonym(
    days: Days, sim: Simulator
) -> None:
    days.sync()
    user = sim.follow()
    arrival = days.sync()
    forget(days.engine, sim.default, user, now=days.now)
    assert arrival.id is not None
    undo(days.engine, arrival.id, now=days.now)
    assert pseudonyms(days.engine) == []
    assert counts(days.outcome(dry_run=True).snapshot) == ("complete", 1, 1, 0, 0, 121)
    assert counts(days.sync()) == ("complete", 1, 1, 0, 0, 121)
    assert nothing_of(user, days.engine)
    assert len(pseudonyms(days.engine)) == 1
    assert contradictions(days.engine) == []


def test_an_undone_return_of_a_forgotten_person_is_a_return_again(
    days: Days, sim: Simulator
) -> None:
    days.sync()
    user = sim.unfollow()
    days.sync()
    sim.follow(user)
    returned = days.sync()
    forget(days.engine, sim.default, user, now=days.now)
    assert returned.id is not None
    undo(days.engine, returned.id, now=days.now)
    assert counts(days.outcome(dry_run=True).snapshot) == ("complete", 1, 0, 1, 0, 120)
    assert counts(days.sync()) == ("complete", 1, 0, 1, 0, 120)
    assert nothing_of(user, days.engine)
    assert contradictions(days.engine) == []


def test_an_undone_leave_of_a_forgotten_person_is_a_leave_again(days: Days, sim: Simulator) -> None:
    days.sync()
    user = sim.users()[60]
    forget(days.engine, sim.default, user, now=days.now)
    sim.unfollow(user)
    left = days.sync()
    assert left.id is not None
    undo(days.engine, left.id, now=days.now)
    sim.follow(user)
    assert counts(days.sync()) == ("complete", 1, 0, 0, 0, 120)
    assert nothing_of(user, days.engine)
    assert contradictions(days.engine) == []


def test_whoever_is_undone_and_never_comes_back_leaves_no_digest(
    days: Days, sim: Simulator
) -> None:
    days.sync()
    user = sim.follow()
    arrival = days.sync()
    forget(days.engine, sim.default, user, now=days.now)
    assert arrival.id is not None
    undo(days.engine, arrival.id, now=days.now)
    sim.unfollow(user)
    days.sync()
    days.sync()
    assert rows(days.engine, "forgotten") == []


def test_each_oa_forgets_by_itself_with_a_pseudonym_of_its_own(days: Days, sim: Simulator) -> None:
    user = sim.users()[5]
    sim.add_account("2", "Another", sim.users()[:30])
    days.sync()
    days.sync("2")
    forget(days.engine, "2", user, now=days.now)
    assert [trace.oaid for trace in traces(days.engine, user, [sim.default, "2"])] == [sim.default]
    forget(days.engine, sim.default, user, now=days.now)
    assert len(pseudonyms(days.engine)) == 2
    assert len({salt for _, _, salt, *_ in rows(days.engine, "forgotten")}) == 2
    assert nothing_of(user, days.engine)
    assert counts(days.sync()) == ("complete", 1, 0, 0, 0, 120)
    assert counts(days.sync("2")) == ("complete", 1, 0, 0, 0, 30)


def test_all_of_an_oa_share_one_salt(days: Days, sim: Simulator) -> None:
    days.sync()
    for user in sim.users()[:3]:
        forget(days.engine, sim.default, user, now=days.now)
    with reading(days.engine) as connection:
        assert len({stand_in.salt for stand_in in stand_ins(connection, sim.default)}) == 1


def test_whoever_is_not_there_cannot_be_forgotten_and_nothing_changes(
    days: Days, sim: Simulator
) -> None:
    days.sync()
    state = dump(days.engine)
    assert traces(days.engine, "4711", [sim.default]) == []
    with pytest.raises(UsageError, match="holds nothing"):
        forget(days.engine, sim.default, "4711", now=days.now)
    assert dump(days.engine) == state


def test_a_running_sync_is_not_disturbed(days: Days, sim: Simulator) -> None:
    days.sync()
    state = dump(days.engine)
    with acquire(days.engine, sim.default, now=days.now), pytest.raises(BusyError):
        forget(days.engine, sim.default, sim.users()[0], now=days.now)
    assert dump(days.engine) == state


def test_whoever_comes_goes_and_is_forgotten_each_day_is_counted_once(
    days: Days, sim: Simulator
) -> None:
    """Every snapshot's counts are those of the world, and no forgotten follower's User_Id comes
    back before they left."""
    rng = random.Random(11)
    days.sync()
    forgotten: set[str] = set()
    for _ in range(6):
        before = set(sim.users())
        for verb in (sim.unfollow, sim.refollow, sim.follow, sim.leave_and_return):
            for _ in range(rng.randrange(4)):
                verb()
        after = set(sim.users())
        snapshot = days.sync()
        assert snapshot.status == "complete"
        assert counted(snapshot).followed + counted(snapshot).refollowed == len(after - before)
        assert (counted(snapshot).unfollowed, counted(snapshot).following) == (
            len(before - after),
            len(after),
        )
        forgotten &= after
        for user in rng.sample(sorted(after - forgotten), 2):
            forget(days.engine, sim.default, user, now=days.now)
            forgotten.add(user)
        stored = set(everything(days.engine))
        assert not stored & forgotten
        assert contradictions(days.engine) == []
    assert len(rows(days.engine, "forgotten")) >= len(forgotten) > 6


def test_no_byte_of_the_user_id_is_left_in_the_sqlite_files(
    tmp_path: Path, sqlite_url: str
) -> None:
    """Deleted rows are overwritten, and the write-ahead log is emptied, though others have the file
    open."""

    def in_the_files(user: str) -> bool:
        return user.encode() in b"".join(
            path.read_bytes() for path in tmp_path.glob("followers.db*")
        )

    with (
        Simulator(followers=2000) as sim,
        closing(sqlite3.connect(tmp_path / "followers.db")) as somebody,
    ):
        days = Days(sim, connect_engine(sqlite_url))
        upgrade(days.engine)
        somebody.execute("SELECT * FROM followers").fetchall()
        days.sync()
        user = sim.users()[1000]
        assert in_the_files(user)
        forget(days.engine, sim.default, user, now=days.now)
        assert not in_the_files(user)
        days.sync()
        assert not in_the_files(user)


def test_nobody_is_asked_for_a_digest_where_nobody_was_forgotten(
    days: Days, sim: Simulator
) -> None:
    days.sync()
    with reading(days.engine) as connection:
        assert stand_ins(connection, sim.default) == []
    assert recogniser([]) is None


def stand_in(user: str, pseudonym: str, *, departed: bool = False) -> StandIn:
    salt = "00" * 16
    return StandIn(
        pseudonym,
        salt,
        digest_of(user, salt),
        following=not departed,
        left=departed,
        departed=departed,
    )


def test_each_unknown_user_costs_one_digest_and_none_once_everybody_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recognise = recogniser([stand_in("b", "forgotten-1"), stand_in("d", "forgotten-2")])
    assert recognise is not None
    asked: list[str] = []
    scrypt = hashlib.scrypt

    def counted(password: bytes, **cost: Any) -> bytes:
        asked.append(password.decode())
        return scrypt(password, **cost)

    monkeypatch.setattr(hashlib, "scrypt", counted)
    expected = {"a": None, "b": "forgotten-1", "c": None, "d": "forgotten-2", "e": None}
    for _ in range(3):
        assert {user: recognise(user) for user in expected} == expected
    assert asked == ["a", "b", "c", "d"]


def test_the_departed_are_not_recognised() -> None:
    assert recogniser([stand_in("b", "forgotten-1", departed=True)]) is None
