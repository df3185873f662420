"""Histories of OAs: a list of readings, written to a database as the syncs would have left it.

What is right is derived from the readings themselves, as sets (`Expected`), never from the tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert
from world import contradictions

from etl.db.engine import writing
from etl.db.tables import follower_changes, followers, official_accounts, snapshots

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from sqlalchemy import Engine

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")


@dataclass(frozen=True)
class Reading:
    """A run of one OA at a local time like `2026-10-01 02:00`, what became of it, and whom it saw.

    The time is Viet Nam's, or another zone's with its offset: `2026-10-25 02:30+01:00`. `begins` is
    ETL_DAY_BEGINS, as what passes between midnight and then.
    """

    oaid: str
    local: str
    status: str
    seen: frozenset[str] = frozenset()
    reason: str | None = None
    begins: timedelta = timedelta()

    @property
    def at(self) -> datetime:
        clock = datetime.fromisoformat(self.local)
        return (clock if clock.tzinfo else clock.replace(tzinfo=ZONE)).astimezone(UTC)

    @property
    def day(self) -> date:
        return (datetime.fromisoformat(self.local).replace(tzinfo=None) - self.begins).date()

    @property
    def applied(self) -> bool:
        return self.status in {"complete", "partial"}


@dataclass(frozen=True)
class Stay:
    """From the reading that found a user to the one that missed them."""

    oaid: str
    user: str
    first: Reading
    end: Reading | None
    baseline: bool


class Expected:
    """What the readings of one OA add up to: who followed after each applied one."""

    def __init__(self, readings: Iterable[Reading], oaid: str) -> None:
        self.oaid = oaid
        self.readings = [each for each in readings if each.oaid == oaid]
        self.applied = [each for each in self.readings if each.applied]
        self.after: list[frozenset[str]] = []
        for each in self.applied:
            self.after.append(
                each.seen if each.status == "complete" else each.seen | self.before(len(self.after))
            )

        self._ever = list(accumulate(self.after, frozenset.union, initial=frozenset[str]()))

    def before(self, index: int) -> frozenset[str]:
        return self.after[index - 1] if index else frozenset()

    def at(self, moment: datetime) -> frozenset[str]:
        """Who followed at a moment."""
        return self.before(sum(each.at <= moment for each in self.applied))

    def arrived(self, index: int) -> frozenset[str]:
        return self.after[index] - self.before(index)

    def gone(self, index: int) -> frozenset[str]:
        return self.before(index) - self.after[index]

    def ever_before(self, index: int) -> frozenset[str]:
        return self._ever[index]

    def baseline(self, index: int) -> frozenset[str]:
        """New at a reading that no whole one went before."""
        settled = any(each.status == "complete" for each in self.applied[:index])
        return frozenset() if settled else self.arrived(index) - self.ever_before(index)

    def followed(self, index: int) -> frozenset[str]:
        return self.arrived(index) - self.ever_before(index) - self.baseline(index)

    def refollowed(self, index: int) -> frozenset[str]:
        return self.arrived(index) & self.ever_before(index)

    def changes(self, index: int) -> dict[str, frozenset[str]]:
        """Whom an applied reading changed, by what is on record of them."""
        return {
            "baseline": self.baseline(index),
            "followed": self.followed(index),
            "refollowed": self.refollowed(index),
            "unfollowed": self.gone(index),
        }

    def stays(self) -> list[Stay]:
        """Every stay of every user, user by user, in order."""
        found = []
        for user in sorted(frozenset().union(*self.after)):
            there = [user in after for after in self.after]
            for index, (was, now) in enumerate(zip([False, *there], there, strict=False)):
                if now and not was:
                    end = next(
                        (
                            self.applied[later]
                            for later in range(index, len(there))
                            if not there[later]
                        ),
                        None,
                    )
                    found.append(
                        Stay(
                            self.oaid, user, self.applied[index], end, user in self.baseline(index)
                        )
                    )
        return found


def write_history(engine: Engine, readings: Sequence[Reading], names: dict[str, str]) -> None:
    """Write the readings, in their order, into a database with our tables; `etl verify` must accept
    it."""
    by_oaid = {oaid: Expected(readings, oaid) for oaid in names}
    ids = {each: number for number, each in enumerate(readings, 1)}
    with writing(engine) as connection:
        accounts = [
            {"oaid": oaid, "name": name, "created_at": datetime(2024, 1, 1, tzinfo=UTC)}
            for oaid, name in names.items()
        ]
        connection.execute(insert(official_accounts), accounts)
        runs = [_snapshot(ids[each], each, by_oaid[each.oaid]) for each in readings]
        every = dict.fromkeys(name for run in runs for name in run)
        connection.execute(insert(snapshots), [{**every, **run} for run in runs])
        changes = [
            row | {"snapshot_id": ids[row["snapshot_id"]]}
            for expected in by_oaid.values()
            for row in _changes(expected)
        ]
        users = [row for expected in by_oaid.values() for row in _followers(expected)]
        for table, rows in ((follower_changes, changes), (followers, users)):
            if rows:
                connection.execute(insert(table), rows)
    assert contradictions(engine) == []


def _snapshot(number: int, each: Reading, expected: Expected) -> dict[str, Any]:
    row = {
        "id": number, "oaid": each.oaid, "status": each.status, "taken_at": each.at, "taken_on": each.day,
        "finished_at": each.at + timedelta(minutes=5), "reason": each.reason,
    }  # fmt: skip
    if not each.applied:
        # What a held or failed run leaves: none of these counts may enter a figure.
        return row | (
            {"baseline": 0, "followed": 7, "refollowed": 7, "unfollowed": 70, "following": 0}
            if each.status == "held"
            else {}
        )
    index = expected.applied.index(each)
    return row | {
        "total": len(each.seen), "seen": len(each.seen), "following": len(expected.after[index]),
        **{change: len(users) for change, users in expected.changes(index).items()},
    }  # fmt: skip


def _changes(expected: Expected) -> list[dict[str, Any]]:
    return [
        {
            "oaid": expected.oaid,
            "user_id": user,
            "snapshot_id": each,
            "change": change,
            "changed_at": each.at,
        }
        for index, each in enumerate(expected.applied)
        for change, users in expected.changes(index).items()
        for user in users
    ]


def _followers(expected: Expected) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for stay in expected.stays():
        first = rows.get(stay.user, {"first_seen_at": stay.first.at})["first_seen_at"]
        left = stay.end.at if stay.end else None
        row = {
            "oaid": expected.oaid,
            "user_id": stay.user,
            "first_seen_at": first,
            "followed_at": stay.first.at,
            "unfollowed_at": left,
        }
        rows[stay.user] = row
    return list(rows.values())
