"""Nights in a row with a database in between: what one keeps, and what the next makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update
from world import contradictions, counted, following, limits, sync

from etl.db.engine import writing
from etl.db.tables import snapshots
from etl.model import Reason, Source, Status
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from etl.model import Snapshot


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(203, order="newest") as simulator:
        yield simulator


def night(sim: Simulator, db: Engine) -> Snapshot:
    """A sync; nobody who followed throughout is ever marked by it."""
    sim.mark()
    known = following(db, sim.default)
    snapshot = sync(sim, db).snapshot
    assert not (known - following(db, sim.default)) & sim.followed_throughout()
    assert not contradictions(db)
    return snapshot


def hide(sim: Simulator, users: int) -> None:
    """They are not listed, while Total counts them."""
    sim.followers().hidden = set(sim.users()[20 : 20 + users])


@pytest.mark.parametrize("cut_first", [0, 90])
def test_an_outage_of_some_nights_is_not_believed_on_the_second_nor_after_a_larger_one(
    sim: Simulator, db: Engine, cut_first: int
) -> None:
    """What is compared is the gap of the last complete night, not of the last one."""
    assert night(sim, db).status is Status.COMPLETE
    if cut_first:
        hide(sim, cut_first)
        assert night(sim, db).status is Status.PARTIAL
    hide(sim, 5)
    for _ in range(3):
        snapshot = night(sim, db)
        assert (snapshot.status, snapshot.reason) == (Status.PARTIAL, Reason.TOTAL_GAP)
        assert (snapshot.total, snapshot.seen, snapshot.gap) == (203, 198, 5)
    hide(sim, 0)
    sim.unfollow()
    snapshot = night(sim, db)
    assert (snapshot.status, counted(snapshot).unfollowed, snapshot.gap) == (Status.COMPLETE, 1, 0)


def test_a_new_standing_gap_is_taken_over_in_the_seventh_night(sim: Simulator, db: Engine) -> None:
    """An account that was deleted and is still counted stops nothing for ever."""
    assert night(sim, db).gap == 0
    sim.overcount = 2
    gone = [sim.unfollow()]
    for number in range(1, 7):
        snapshot = night(sim, db)
        assert (snapshot.reason, snapshot.gap) == (Reason.TOTAL_GAP, 2), number
    gone.append(sim.unfollow())
    snapshot = night(sim, db)
    assert (snapshot.status, counted(snapshot).unfollowed) == (Status.COMPLETE, 2)
    assert not set(gone) & following(db, sim.default)
    # It stands from here on, also where a bad night comes between.
    hide(sim, 3)
    assert night(sim, db).reason == Reason.TOTAL_GAP
    hide(sim, 0)
    sim.unfollow()
    snapshot = night(sim, db)
    assert (snapshot.status, counted(snapshot).unfollowed) == (Status.COMPLETE, 1)


def test_nights_in_which_nobody_is_missing_carry_the_gap_over_once_there_were_six(
    sim: Simulator, db: Engine
) -> None:
    """One alone may have hidden somebody who had only just arrived."""
    night(sim, db)
    sim.overcount = 2
    for _ in range(6):
        snapshot = night(sim, db)
        assert (snapshot.status, snapshot.gap) == (Status.COMPLETE, 2)
    sim.unfollow()
    snapshot = night(sim, db)
    assert (snapshot.status, counted(snapshot).unfollowed) == (Status.COMPLETE, 1)


def test_the_gap_of_one_night_marks_nobody_the_next(sim: Simulator, db: Engine) -> None:
    night(sim, db)
    arrived = sim.follow()
    sim.followers().hidden = {arrived}
    assert (night(sim, db).status, night(sim, db).gap) == (Status.COMPLETE, 1)
    hide(sim, 1)
    snapshot = night(sim, db)
    assert (snapshot.status, snapshot.reason) == (Status.PARTIAL, Reason.TOTAL_GAP)


def test_a_gap_of_the_first_night_stands_while_people_leave_and_a_worse_night_changes_nothing(
    sim: Simulator, db: Engine
) -> None:
    sim.overcount = 3
    assert (night(sim, db).status, night(sim, db).gap) == (Status.COMPLETE, 3)
    for hidden in (0, 4, 0):
        hide(sim, hidden)
        sim.unfollow()
        snapshot = night(sim, db)
        assert snapshot.status is (Status.PARTIAL if hidden else Status.COMPLETE)
    assert counted(snapshot).unfollowed == 2
    sim.fault_rate("nobody", 1)
    snapshot = night(sim, db)
    assert (snapshot.status, snapshot.gap) == (Status.HELD, 0)
    sim.calm()
    sim.unfollow()
    assert night(sim, db).status is Status.COMPLETE


def test_snapshots_of_before_an_upgrade_say_nothing_of_a_gap(sim: Simulator, db: Engine) -> None:
    """They have none: nothing is granted for them, and the first quiet night sets it."""
    sim.overcount = 2
    for _ in range(2):
        night(sim, db)
    with writing(db) as connection:
        connection.execute(update(snapshots).values(gap=None))
    gone = [sim.unfollow()]
    snapshot = night(sim, db)
    assert (snapshot.status, snapshot.reason) == (Status.PARTIAL, Reason.TOTAL_GAP)
    sim.follow(gone.pop())
    assert (night(sim, db).status, night(sim, db).gap) == (Status.COMPLETE, 2)
    sim.unfollow()
    snapshot = night(sim, db)
    assert (snapshot.status, counted(snapshot).unfollowed) == (Status.COMPLETE, 1)


def test_a_night_that_was_read_as_followers_says_so(sim: Simulator, db: Engine) -> None:
    assert night(sim, db).source is Source.FOLLOWERS


def test_the_second_look_is_read_over_new_connections(sim: Simulator, db: Engine) -> None:
    """Perhaps another replica answers."""
    one_worker = limits(concurrency=1)
    assert sync(sim, db, limits=one_worker).snapshot.looks == 1
    assert sim.connections == 1
    sim.unfollow()
    assert sync(sim, db, limits=one_worker).snapshot.looks == 2
    assert sim.connections == 1 + 2


def test_a_look_that_met_the_ceiling_marks_nobody_though_another_showed_the_same_users(
    db: Engine,
) -> None:
    """Three are not listed and not counted; the second look is cut just before its end."""
    with Simulator(245) as sim:
        assert night(sim, db).status is Status.COMPLETE
        sim.followers().hidden = set(sim.users()[-3:])
        sim.overcount = -3
        sim.before_page(7, setattr, sim, "max_offset", 200)
        snapshot = night(sim, db)
        assert (snapshot.looks, snapshot.total, snapshot.seen) == (2, 242, 242)
        assert (snapshot.status, snapshot.reason) == (Status.PARTIAL, Reason.CEILING)
