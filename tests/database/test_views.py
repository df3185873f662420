"""The views answer alike on both databases, and as the readings themselves say."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

import pytest
from histories import Expected, Reading, write_history
from revisions import downgrade
from sqlalchemy import inspect, select, text
from views import current_followers, daily_follower_churn, dated_changes, follow_periods

from etl.db.engine import connect_engine, reading
from etl.db.schema import upgrade

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine, TableClause

A, B = "4097311281936189049", "4097311281936189050"
NAMES = {A: "Bubble tea", B: ""}


def users(names: str) -> frozenset[str]:
    return frozenset(names.split())


HISTORY = [
    Reading(A, "2026-10-01 02:00", "partial", users("ann bob"), "torn"),
    Reading(A, "2026-10-01 14:00", "complete", users("ann bob cat dan")),
    Reading(B, "2026-10-01 15:00", "complete", users("ann")),
    Reading(A, "2026-10-02 02:00", "complete", users("ann bob cat eve")),
    Reading(A, "2026-10-03 02:00", "failed", reason="unreachable: no answer"),
    Reading(A, "2026-10-04 02:00", "partial", users("ann fay"), "total_gap"),
    Reading(A, "2026-10-05 02:00", "held", reason="mass_unfollow"),
    Reading(A, "2026-10-06 02:00", "complete", users("bob dan eve fay")),
    Reading(A, "2026-10-06 14:00", "complete", users("ann bob dan eve")),
    Reading(A, "2026-10-07 02:00", "partial", users("gus"), "torn"),
    Reading(A, "2026-10-07 14:00", "complete", users("ann bob eve")),
    Reading(B, "2026-10-07 15:00", "complete", users("")),
    Reading(A, "2026-10-08 02:00", "undone"),
]


@pytest.fixture
def told(db: Engine) -> Engine:
    write_history(db, HISTORY, NAMES)
    return db


def rows(engine: Engine, view: TableClause, *order: str) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        return [
            dict(row)
            for row in connection.execute(
                select(view).order_by(*(view.c[name] for name in order))
            ).mappings()
        ]


def test_who_follows_now_is_whom_the_last_applied_readings_leave(told: Engine) -> None:
    found = {
        (row["oaid"], row["user_id"]) for row in rows(told, current_followers, "oaid", "user_id")
    }
    assert found == {(oaid, user) for oaid in NAMES for user in Expected(HISTORY, oaid).after[-1]}
    ann = next(
        row for row in rows(told, current_followers, "oaid", "user_id") if row["user_id"] == "ann"
    )
    assert ann["first_seen_at"] == HISTORY[0].at
    assert ann["followed_at"] == HISTORY[8].at


def test_every_stay_is_one_row_with_its_ends_and_whether_it_began_before_we_looked(
    told: Engine,
) -> None:
    expected = [
        {
            "oaid": stay.oaid, "user_id": stay.user, "started_at": stay.first.at,
            "ended_at": stay.end.at if stay.end else None, "left_truncated": stay.baseline,
        }
        for oaid in NAMES
        for stay in Expected(HISTORY, oaid).stays()
    ]  # fmt: skip
    assert rows(told, follow_periods, "oaid", "user_id", "started_at") == expected
    dan = [row for row in expected if row["user_id"] == "dan"]
    assert [row["left_truncated"] for row in dan] == [True, False]


def test_a_stay_is_told_by_the_order_of_the_snapshots_even_where_the_clock_was_set_back(
    db: Engine,
) -> None:
    back = [
        Reading(A, "2026-10-03 02:00", "complete", users("ann")),
        Reading(A, "2026-10-01 02:00", "complete", users("")),
        Reading(A, "2026-10-02 02:00", "complete", users("ann")),
    ]
    write_history(db, back, {A: ""})
    found = [
        (row["started_at"], row["ended_at"], row["left_truncated"])
        for row in rows(db, follow_periods, "left_truncated")
    ]
    assert found == [(back[2].at, None, False), (back[0].at, back[1].at, True)]
    churn = rows(db, daily_follower_churn, "day")
    for row in churn:
        assert row["following_end"] - row["following_start"] == row["baseline"] + row["net"]
    assert churn[-1]["following_end"] == 1


def test_every_day_with_an_applied_snapshot_has_its_row_and_no_other_day(told: Engine) -> None:
    expected = sorted({(each.oaid, each.day) for each in HISTORY if each.applied})
    assert [
        (row["oaid"], row["day"]) for row in rows(told, daily_follower_churn, "oaid", "day")
    ] == expected


def test_a_days_counts_are_the_changes_of_its_readings(told: Engine) -> None:
    right = []
    for oaid in NAMES:
        expected = Expected(HISTORY, oaid)
        pending = 0  # won and lost since the last day with a whole reading
        for day, group in groupby(
            range(len(expected.applied)), key=lambda index: expected.applied[index].day
        ):
            indexes = list(group)
            known = any(expected.applied[index].status == "complete" for index in indexes)

            def counted(of: Callable[[int], frozenset[str]], indexes: list[int] = indexes) -> int:
                return sum(len(of(index)) for index in indexes)

            start, end = len(expected.before(indexes[0])), len(expected.after[indexes[-1]])
            gone = counted(expected.gone)
            arrived = counted(expected.followed) + counted(expected.refollowed)
            pending += arrived - gone
            whole = [
                each.at for each in expected.applied[: indexes[0]] if each.status == "complete"
            ]
            base = start + counted(expected.baseline)
            row = {
                "oaid": oaid, "day": day, "following_start": start, "baseline": counted(expected.baseline),
                "followed": counted(expected.followed), "refollowed": counted(expected.refollowed),
                "unfollowed": gone if known else None,
                "net": pending if known else None,
                "following_end": end,
                "churn_rate": gone / base if known and base and whole else None,
                "observed_since": whole[-1] if whole else None,
                "observed_at": expected.applied[indexes[0]].at,
            }  # fmt: skip
            right.append(row)
            pending = 0 if known else pending
    assert rows(told, daily_follower_churn, "oaid", "day") == right


def test_a_day_that_was_only_partly_seen_knows_arrivals_but_no_unfollows(told: Engine) -> None:
    day = next(
        row
        for row in rows(told, daily_follower_churn, "oaid", "day")
        if row["day"] == date(2026, 10, 4)
    )
    assert (day["followed"], day["unfollowed"], day["net"], day["churn_rate"]) == (
        1,
        None,
        None,
        None,
    )
    assert (day["following_start"], day["following_end"]) == (4, 5)
    after = next(
        row
        for row in rows(told, daily_follower_churn, "oaid", "day")
        if row["day"] == date(2026, 10, 6)
    )
    assert after["observed_since"] == day["observed_since"] == datetime(2026, 10, 1, 19, tzinfo=UTC)


def test_the_sum_of_net_is_what_was_won_and_lost_whatever_days_were_not_read_whole(
    db: Engine,
) -> None:
    """Ten days alike: one comes, one leaves; of most days only the arrivals are known."""
    readings, following = [], [f"user-{number}" for number in range(20)]
    for day in range(1, 11):
        following = [*following[1:], f"new-{day}"] if day > 1 else following
        status = "complete" if day in {1, 2, 6, 9} else "partial"
        reason = None if status == "complete" else "torn"
        readings.append(Reading(A, f"2026-10-{day:02} 02:00", status, frozenset(following), reason))
    write_history(db, readings, {A: ""})
    churn = rows(db, daily_follower_churn, "day")
    assert [row["net"] for row in churn] == [0, 0, None, None, None, 0, None, None, 0, None]
    assert [row["unfollowed"] for row in churn if row["net"] is not None] == [0, 1, 4, 3]
    for row in churn:
        change = row["following_end"] - row["following_start"]
        assert change == row["baseline"] + row["followed"] - (row["unfollowed"] or 0)


def test_the_day_of_the_first_whole_reading_has_no_churn_rate_as_in_the_report(
    db: Engine,
) -> None:
    known, left = users("ann bob cat"), users("bob cat dan eve")
    first = [
        Reading(A, "2026-10-01 02:00", "partial", known, "torn"),
        Reading(A, "2026-10-02 02:00", "complete", left),
        Reading(A, "2026-10-03 02:00", "complete", left - users("bob")),
        Reading(B, "2026-10-01 02:00", "complete", known),
        Reading(B, "2026-10-01 14:00", "complete", known - users("bob")),
    ]
    write_history(db, first, NAMES)
    rates = [row["churn_rate"] for row in rows(db, daily_follower_churn, "oaid", "day")]
    assert rates == [None, None, 1 / 4, None]


def test_each_change_bears_the_day_of_its_snapshot(told: Engine) -> None:
    expected = {
        (oaid, user, HISTORY.index(each) + 1, change, each.at, each.day)
        for oaid in NAMES
        for expected in [Expected(HISTORY, oaid)]
        for index, each in enumerate(expected.applied)
        for change, of in {
            "baseline": expected.baseline, "followed": expected.followed, "refollowed": expected.refollowed, "unfollowed": expected.gone,
        }.items()
        for user in of(index)
    }  # fmt: skip
    found = [tuple(row.values()) for row in rows(told, dated_changes, "oaid", "user_id")]
    assert set(found) == expected
    assert len(found) == len(expected)


def test_each_day_begins_where_the_one_before_ended(told: Engine) -> None:
    for left, right in pairwise(rows(told, daily_follower_churn, "oaid", "day")):
        if left["oaid"] == right["oaid"]:
            assert right["following_start"] == left["following_end"]


def test_the_views_come_with_the_migration_and_go_with_it(db_url: str) -> None:
    engine = connect_engine(db_url)
    upgrade(engine)
    names = {"current_followers", "follow_periods", "daily_follower_churn", "dated_changes"}
    assert set(inspect(engine).get_view_names()) == names
    downgrade(engine, "0001")
    assert not inspect(engine).get_view_names()
    upgrade(engine)
    assert set(inspect(engine).get_view_names()) == names
    downgrade(engine, "base")
    assert not inspect(engine).get_view_names()


def test_what_the_program_declares_of_a_view_is_what_the_database_has(db: Engine) -> None:
    for view in (current_followers, follow_periods, daily_follower_churn, dated_changes):
        with reading(db) as connection:
            assert list(connection.execute(text(f"SELECT * FROM {view.name}")).keys()) == list(
                view.c.keys()
            )


def test_the_columns_explain_themselves_on_postgresql(postgresql_url: str) -> None:
    engine = connect_engine(postgresql_url)
    upgrade(engine)
    comment = text("SELECT obj_description(CAST(:name AS regclass))")
    with reading(engine) as connection:
        for view in (current_followers, follow_periods, daily_follower_churn, dated_changes):
            assert connection.execute(comment, {"name": view.name}).scalar_one()


@pytest.mark.parametrize("view", ["current_followers", "follow_periods"])
def test_a_question_about_one_oa_or_user_uses_the_primary_key(told: Engine, view: str) -> None:
    """Through the view, its window function too: or an analyst waits for all OAs."""
    with reading(told) as connection:
        if told.dialect.name == "sqlite":
            plan = connection.execute(
                text(f"EXPLAIN QUERY PLAN SELECT * FROM {view} WHERE oaid = 'x' AND user_id = 'y'")
            )
            shown = "\n".join(row.detail for row in plan)
            assert "USING PRIMARY KEY (oaid=? AND user_id=?" in shown
        else:
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            plan = connection.execute(
                text(f"EXPLAIN SELECT * FROM {view} WHERE oaid = 'x' AND user_id = 'y'")
            )
            shown = "\n".join(row[0] for row in plan)
            assert "Index Cond: ((oaid = 'x'::text) AND (user_id = 'y'::text))" in shown
