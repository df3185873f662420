"""`etl status`: how fresh our picture of each OA is, for people and for monitoring."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from commandline import Finished, Operator
from histories import Reading, write_history
from sqlalchemy import event, update

from etl.cli.status import _table, plain_row
from etl.db.engine import connect_engine, writing
from etl.db.tables import official_accounts, snapshots
from etl.model import Account
from etl.reports.churn import Question, churn_report
from etl.simulator import Simulator
from etl.status import account_states
from etl.texts import Lang, Texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

OAID = "4097311281936189049"


class StatusReader(Operator):
    """Somebody who syncs and looks at what became of it."""

    def status(self, *arguments: str) -> tuple[dict[str, Any], int]:
        """The one JSON line, and the exit code."""
        done = self.run("status", "--json", *arguments)
        (line,) = done.stdout.splitlines()
        return json.loads(line), done.returncode

    def shift(self, hours: float) -> None:
        """Let everything have happened so many hours ago."""
        with writing(connect_engine(self.url)) as connection:
            for row in connection.execute(snapshots.select()).all():
                moved = {
                    name: getattr(row, name) - timedelta(hours=hours)
                    for name in ("taken_at", "finished_at")
                }
                connection.execute(update(snapshots).where(snapshots.c.id == row.id).values(moved))


@pytest.fixture
def operator(db_url: str) -> Iterator[StatusReader]:
    with Simulator(120) as sim:
        yield StatusReader(sim, db_url, ESMS_MAX_ATTEMPTS="1")


@pytest.fixture
def lite(sqlite_url: str) -> Iterator[StatusReader]:
    """For what does not depend on the database."""
    with Simulator(120) as sim:
        yield StatusReader(sim, sqlite_url, ESMS_MAX_ATTEMPTS="1")


def test_after_a_sync_it_says_who_follows_and_since_when(operator: StatusReader) -> None:
    operator.run("sync")
    operator.sim.follow()
    operator.run("sync")
    line, code = operator.status("--max-age", "26h")
    assert code == 0
    age, at = line.pop("age_s"), datetime.fromisoformat(line.pop("last_complete_at"))
    assert 0 <= age < 600
    assert abs((datetime.now(UTC) - at).total_seconds() - age) < 60
    assert line == {
        "oaid": OAID, "name": "Simulated OA", "following": 121, "last_complete_id": 2, "last_status": "complete", "last_reason": None,
        "net_7_days": None, "net_30_days": None,
        "last_seen": 121, "last_total": 121, "at_ceiling": False, "since": {}, "too_old": False, "verdict": "ok",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("max_age", "hours", "code"),
    [("26h", 25.9, 0), ("26h", 26.1, 75), ("90m", 1.6, 75), ("2d", 47, 0)],
)
def test_a_picture_that_is_too_old_ends_with_75_and_says_how_old_it_is(
    operator: StatusReader, max_age: str, hours: float, code: int
) -> None:
    operator.run("sync")
    operator.shift(hours)
    done = operator.run("status", "--max-age", max_age)
    assert done.returncode == code
    if code:
        assert f"OA {OAID}: last read whole {hours:.1f} h ago, more than" in done.stderr
    else:
        assert done.stderr == ""


def test_without_max_age_nothing_is_too_old(lite: StatusReader) -> None:
    lite.run("sync")
    lite.shift(10_000)
    assert lite.status()[1] == 0


def failed(operator: StatusReader) -> None:
    operator.sim.fault_rate("code:101", 1)


def held(operator: StatusReader) -> None:
    for _ in range(60):
        operator.sim.unfollow()


def partial(operator: StatusReader) -> None:
    operator.sim.max_offset = 50


@pytest.mark.parametrize(
    ("trouble", "status", "reason"),
    [
        (failed, "failed", "refused: "),
        (held, "held", "mass_unfollow"),
        (partial, "partial", "ceiling"),
    ],
)
def test_runs_that_were_not_complete_make_nothing_younger_and_are_counted(
    operator: StatusReader, trouble: Callable[[StatusReader], None], status: str, reason: str
) -> None:
    operator.run("sync")
    operator.shift(30)
    trouble(operator)
    for _ in range(2):
        operator.run("sync")
    line, code = operator.status("--max-age", "26h")
    assert (code, line["too_old"], line["following"], line["last_complete_id"]) == (
        75,
        True,
        120,
        1,
    )
    assert 29.9 * 3600 < line["age_s"] < 30.1 * 3600
    assert (line["since"], line["last_status"]) == ({status: 2}, status)
    assert line["last_reason"].startswith(reason)
    table = operator.run("status").stdout
    assert f"2 {status} (last: {reason}" in table
    assert ("98 of 120 could be read" in table) is (status == "partial")


REACHES = [
    ("complete", None, 540, None, None),
    ("partial", "torn", 540, None, None),
    (
        "partial",
        "ceiling",
        540,
        "540 of 2,000 could be read; of the others nothing is known.",
        "Đọc được 540/2.000 người quan tâm; chưa biết gì về những người còn lại.",
    ),
    (
        "partial",
        "undated",
        540,
        "540 of 2,000 could be read; of the others nothing is known.",
        "Đọc được 540/2.000 người quan tâm; chưa biết gì về những người còn lại.",
    ),
    (
        "partial",
        "ceiling",
        2_000,
        "eSMS counts 2,000: that may be a limit, and more may follow.",
        "eSMS đếm 2.000: đó có thể là giới hạn, số người quan tâm có thể nhiều hơn.",
    ),
]


@pytest.mark.parametrize(("last", "why", "seen", "english", "vietnamese"), REACHES)
def test_it_says_how_much_of_the_list_can_be_read_where_total_stands_at_a_ceiling(
    *, last: str, why: str | None, seen: int, english: str | None, vietnamese: str | None, db: Engine,
) -> None:  # fmt: skip
    """The last run of all failed: what was read is said all the same."""
    write_history(
        db,
        [
            Reading("1", "2026-11-20 23:40", "complete", frozenset(["u1"])),
            Reading("1", "2026-11-21 23:40", last, frozenset(["u1"]), why),
            Reading("1", "2026-11-22 23:40", "failed", reason="refused: 101"),
        ],
        {"1": "First"},
    )
    with writing(db) as connection:
        last_read = snapshots.c.taken_on == date(2026, 11, 21)
        connection.execute(update(snapshots).where(last_read).values(seen=seen, total=2_000))
    (state,) = account_states(db, [Account("1", "First")], now=NOW, max_age=None)
    assert (state.last_seen, state.last_total) == (seen, 2_000)
    assert state.at_ceiling is (english is not None)
    assert (f"; {seen} of 2000 could be read" in str(plain_row(state)[-1])) is state.at_ceiling
    for lang, sentence in (("en", english), ("vi", vietnamese)):
        lines = _table([state], Texts(Lang(lang)))
        told = [line.strip() for line in lines if "540" in line or "000" in line]
        assert told == ([sentence] if sentence else []), lines


def test_an_oa_that_was_never_read_whole_is_too_old(lite: StatusReader) -> None:
    lite.sim.account_code = "143"
    lite.run("sync")
    line, code = lite.status("--max-age", "26h")
    assert (code, line["verdict"], line["age_s"], line["following"]) == (
        75,
        "never read whole",
        None,
        None,
    )


def test_one_oa_that_is_too_old_is_enough_unless_others_are_asked_for(lite: StatusReader) -> None:
    lite.run("sync")
    lite.shift(30)
    lite.sim.add_account("111", "Second", 30)
    lite.run("sync", "--oaid", "111")
    everything = lite.run("status", "--all", "--max-age", "26h", "--json")
    assert [json.loads(line)["too_old"] for line in everything.stdout.splitlines()] == [
        False,
        True,
    ], "by OAID"
    assert everything.returncode == 75
    assert lite.status("--max-age", "26h", "--oaid", "111")[1] == 0


def test_a_snapshot_from_the_future_keeps_nobody_content(lite: StatusReader) -> None:
    """The clock was a year ahead once: without this, status would be content for a year."""
    lite.run("sync")
    lite.shift(-24 * 365)
    line, code = lite.status("--max-age", "26h")
    assert (code, line["too_old"]) == (75, True)
    assert "clock" in line["verdict"]


def test_a_clock_that_is_a_minute_behind_is_no_alarm(lite: StatusReader) -> None:
    lite.run("sync")
    lite.shift(-1 / 60)
    assert lite.status("--max-age", "26h")[1] == 0


def test_a_complete_snapshot_that_was_undone_counts_no_more(lite: StatusReader) -> None:
    lite.run("sync")
    lite.shift(30)
    lite.run("sync")
    assert lite.run("undo", "2", "--yes").returncode == 0
    line, code = lite.status("--max-age", "26h")
    assert (code, line["last_complete_id"], line["since"]) == (75, 1, {"undone": 1})


# -- trends ----------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
"""Noon in Viet Nam: the last reading was yesterday at 23:40."""


def nights(count: int, statuses: dict[int, str], oaid: str = "1") -> list[Reading]:
    """The nights before NOW, the last one 1: each wins two and loses one. `""`: nothing was
    read."""
    readings = []
    for night in range(count, 0, -1):
        number = count - night
        following = frozenset(f"u{each}" for each in range(number, 20 + 2 * number))
        day = (NOW - timedelta(days=night)).date()
        status = statuses.get(night, "complete")
        reason = None if status == "complete" else "torn"
        seen = following if status in {"complete", "partial"} else frozenset()
        if status:
            readings.append(Reading(oaid, f"{day} 23:40", status, seen, reason))
    return readings


def nets(db: Engine, readings: list[Reading], at: datetime = NOW) -> tuple[int | None, int | None]:
    write_history(db, readings, {"1": "First"})
    (state,) = account_states(db, [Account("1", "First")], now=at, max_age=None)
    assert plain_row(state)[5:7] == [
        f"{net:+d}" if net is not None else None for net in (state.net_7_days, state.net_30_days)
    ]
    return state.net_7_days, state.net_30_days


def test_the_trend_counts_who_came_and_went_and_not_the_baseline(db: Engine) -> None:
    assert nets(db, nights(60, {})) == (7, 30)


def test_the_trend_is_the_truth_whatever_nights_between_were_not_read_whole(db: Engine) -> None:
    """The arrivals of a partial night and the losses that the next one finds are both in it."""
    missed = {3: "partial", 4: "partial", 9: "held", 10: "failed", 11: "", 20: "partial"}
    assert nets(db, nights(60, missed)) == (7, 30)


@pytest.mark.parametrize(
    ("count", "statuses", "expected"),
    [
        pytest.param(3, {}, (None, None), id="three nights old"),
        pytest.param(7, {}, (None, None), id="seven nights are six days of change"),
        pytest.param(8, {}, (7, None), id="eight nights"),
        pytest.param(31, {}, (7, 30), id="31 nights"),
        pytest.param(60, {8: "partial"}, (8, 30), id="the night before the week failed"),
        pytest.param(60, {8: "", 9: "failed"}, (None, 30), id="so did the one before that"),
        pytest.param(60, {1: "partial"}, (6, 29), id="last night failed"),
        pytest.param(
            60, {1: "partial", 2: "failed"}, (None, None), id="the last two nights failed"
        ),
        pytest.param(60, dict.fromkeys(range(1, 8), "partial"), (None, None), id="a partial week"),
        pytest.param(60, dict.fromkeys(range(1, 61), "partial"), (None, None), id="never whole"),
    ],
)
def test_a_trend_is_told_only_between_whole_readings_near_both_its_ends(
    count: int, statuses: dict[int, str], expected: tuple[int | None, int | None], db: Engine
) -> None:
    assert nets(db, nights(count, statuses)) == expected


def test_a_hundred_oas_take_as_many_statements_as_one(db: Engine) -> None:
    names = {str(number): "" for number in range(1, 101)}
    write_history(db, [each for oaid in names for each in nights(2, {}, oaid)], names)
    statements: list[str] = []
    event.listen(db, "before_cursor_execute", lambda *given: statements.append(given[2]))
    asked = []
    for oaids in (["1"], list(names)):
        statements.clear()
        states = account_states(db, [Account(oaid, "") for oaid in oaids], now=NOW, max_age=None)
        assert [state.following for state in states] == [21] * len(oaids)
        asked.append(len(statements))
    assert asked[0] == asked[1] <= 6


def test_a_report_asks_as_much_of_seven_oas_as_of_two(db: Engine) -> None:
    names = {str(number): "" for number in range(1, 8)}
    write_history(db, [each for oaid in names for each in nights(2, {}, oaid)], names)
    statements: list[str] = []
    event.listen(db, "before_cursor_execute", lambda *given: statements.append(given[2]))
    asked = []
    for oaids in (["1", "2"], list(names)):
        statements.clear()
        accounts = [Account(oaid, "") for oaid in oaids]
        report = churn_report(db, accounts, Question(), now=NOW, zone=ZoneInfo("UTC"))
        asked.append(len(statements))
        assert [account.total.following_end for account in report.accounts] == [21] * len(oaids)
    assert asked[0] == asked[1] <= 12


# -- which OAs -------------------------------------------------------------------------------------


def shown(done: Finished) -> list[str]:
    return [json.loads(line)["oaid"] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("command", ["status --json", "report --format json"])
def test_it_takes_the_oas_that_are_set_and_the_rest_with_all(
    lite: StatusReader, command: str
) -> None:
    lite.sim.add_account("111", "Second", 30)
    lite.sim.add_account("222", "Third", 30)
    lite.run("sync", ESMS_OAIDS="all")
    name, *options = command.split()

    def oas(*more: str, **settings: str) -> list[str]:
        return shown(lite.run(name, *options, *more, **settings))

    assert oas(ESMS_OAIDS="222,111") == ["111", "222"]
    assert oas(ESMS_OAIDS="111") == ["111"]
    for every in ("all", ""):
        assert oas(ESMS_OAIDS=every) == ["111", "222", OAID]
    assert oas("--all", ESMS_OAIDS="111") == ["111", "222", OAID]
    assert oas("--oaid", "222", ESMS_OAIDS="111") == ["222"]


@pytest.mark.parametrize("command", ["status --json", "report --format json"])
def test_nobody_waits_for_an_oa_that_is_retired(lite: StatusReader, command: str) -> None:
    lite.sim.add_account("111", "Second", 30)
    lite.run("sync", ESMS_OAIDS="all")
    with writing(connect_engine(lite.url)) as connection:
        gone = official_accounts.c.oaid == "111"
        connection.execute(update(official_accounts).where(gone).values(retired_at=NOW))
    arguments = command.split()
    for oaids in ("", "all", f"111,{OAID}"):
        assert shown(lite.run(*arguments, ESMS_OAIDS=oaids)) == [OAID]
    assert shown(lite.run(*arguments, "--all", ESMS_OAIDS=OAID)) == ["111", OAID]
    assert shown(lite.run(*arguments, "--oaid", "111")) == ["111"]


def test_an_oa_that_is_set_and_was_never_read_is_waited_for(lite: StatusReader) -> None:
    """A sync that never came as far as an OA must not look as if there were none."""
    lite.run("sync")
    done = lite.run("status", "--json", "--max-age", "26h", ESMS_OAIDS=f"111,{OAID}")
    states = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(state["oaid"], state["verdict"]) for state in states] == [
        ("111", "never read whole"),
        (OAID, "ok"),
    ]
    assert done.returncode == 75


def test_an_oa_that_is_set_is_in_the_json_of_a_database_without_any_sync(
    lite: StatusReader,
) -> None:
    lite.run("db", "upgrade")
    done = lite.run("status", "--json", "--max-age", "26h", ESMS_OAIDS="111")
    assert (done.returncode, json.loads(done.stdout)["verdict"]) == (75, "never read whole")


@pytest.mark.parametrize(
    "age", ["", "26", "h", "-1h", "0h", "26 hours", "nanh", "infd", "1e99d", "26H"]
)
def test_an_age_that_is_none_is_a_wrong_argument(lite: StatusReader, age: str) -> None:
    lite.run("sync")
    done = lite.run("status", "--max-age", age)
    assert done.returncode == 2
    assert "--max-age" in done.stderr


def test_an_oa_that_is_not_in_the_database_is_a_wrong_argument(lite: StatusReader) -> None:
    lite.run("sync")
    assert lite.run("status", "--oaid", "999").returncode == 2


def test_a_database_without_any_sync_is_too_old_for_whoever_monitors(lite: StatusReader) -> None:
    lite.run("db", "upgrade")
    assert (lite.run("status").returncode, lite.run("status", "--max-age", "26h").returncode) == (
        0,
        75,
    )


def test_monitoring_sees_that_there_is_no_database(lite: StatusReader) -> None:
    assert lite.run("status", "--max-age", "26h").returncode == 69


def test_in_a_pipe_it_is_a_table_with_tabs_and_times_in_utc(lite: StatusReader) -> None:
    lite.run("sync")
    head, row = lite.run("status").stdout.splitlines()
    assert head.split("\t") == [
        "OA",
        "name",
        "following",
        "last complete",
        "age",
        "7 days",
        "30 days",
        "since then",
    ]
    cells = row.split("\t")
    assert cells[0::2][:2] == [OAID, "120"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", cells[3])
    assert cells[4] == "0.0 h"
