"""A long history of one OA, made set-wise, for measuring `etl report` and `etl export`.

`etl verify` accepts it.

    python benchmarks/report_data.py postgresql://…/empty
                                      1,000 days, 1,000,000 users, 3,000,000 changes
    python benchmarks/report_data.py sqlite:///long.db --days 365 --users 20000 --changes 60000

Everything follows from the user's number by arithmetic that both databases do alike, so the same
arguments make the same history. A fifth of the users are the baseline; the others first follow on
any day. Each changes 1 to 2r-1 times (r = changes / users, a whole number): leaves, returns,
leaves; most stays are short. Some days are missing, or partial, or failed.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection, bindparam, func, insert, select, text, update

from etl.db.engine import connect_engine, writing
from etl.db.schema import create_or_require_current
from etl.db.tables import follower_changes, official_accounts, snapshots
from etl.model import NO_COUNTS, Change, Snapshot, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

OAID = "4097311281936189049"
BAD_EVERY = 97
"""After so many complete days comes one without a complete snapshot."""

_CHANGES = """
    WITH RECURSIVE numbers(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM numbers WHERE i < :users),
    steps(j) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT j + 1 FROM steps WHERE j + 1 < :most),
    members AS (
        SELECT i, CAST(4000000000000000000 + (i * 2654435761 % 4294967291) * 1048573 AS TEXT) AS user_id,
               1 + i % :most AS changes,
               CASE WHEN i * 48271 % 1009 < 202 THEN 1 ELSE 2 + i * 2654435761 % 4294967291 % (:days - :most) END AS begins
        FROM numbers),
    spread AS (
        SELECT user_id, j, begins, changes, :days - begins AS room,
               (i * 2654435761 + j * 97531 * 65536) / 65536 % 65536 AS chance
        FROM members JOIN steps ON j < changes),
    placed AS (
        SELECT user_id, j, CASE j WHEN 0 THEN begins ELSE
                   begins + (j - 1) * room / (changes - 1) + 1
                   + chance * chance * (j * room / (changes - 1) - (j - 1) * room / (changes - 1)) / 65536 / 65536
               END AS day
        FROM spread)
    INSERT INTO follower_changes (oaid, user_id, snapshot_id, change, changed_at)
    SELECT s.oaid, p.user_id, s.id,
           CASE WHEN p.j % 2 = 1 THEN 'unfollowed' WHEN p.j > 0 THEN 'refollowed'
                WHEN p.day = 1 THEN 'baseline' ELSE 'followed' END,
           s.taken_at
    FROM placed AS p JOIN snapshots AS s ON s.oaid = :oaid AND s.id = 10 * p.day
    ORDER BY p.user_id, s.id
"""
"""Each user's changes, one in each of as many slices of the days after the first one: in order, and
never two on a day."""

_FOLLOWERS = """
    INSERT INTO followers (oaid, user_id, first_seen_at, followed_at, unfollowed_at)
    SELECT oaid, user_id, min(changed_at), max(CASE WHEN change <> 'unfollowed' THEN changed_at END),
           CASE WHEN count(*) % 2 = 0 THEN max(changed_at) END
    FROM follower_changes WHERE oaid = :oaid GROUP BY oaid, user_id ORDER BY user_id
"""


def history(oaid: str, days: int, until: date) -> Iterator[Snapshot]:
    """The snapshots, their counts still to be told.

    Ids 10, 20, … are complete, one a day at 02:00 in Viet Nam (19:00 UTC).
    """
    lost = (days - 1) // BAD_EVERY
    day = until - timedelta(days=days - 1 + lost)
    for number in range(1, days + 1):
        yield _snapshot(10 * number, oaid, day, Status.COMPLETE, None)
        day += timedelta(days=1)
        if number % BAD_EVERY == 0 and number < days:
            kind = number // BAD_EVERY % 3
            if kind == 1:
                yield _snapshot(10 * number + 1, oaid, day, Status.PARTIAL, "total_gap")
            elif kind == 2:
                yield _snapshot(10 * number + 1, oaid, day, Status.FAILED, "unreachable: no answer")
            day += timedelta(days=1)


def _snapshot(number: int, oaid: str, day: date, status: Status, reason: str | None) -> Snapshot:
    taken = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=5)
    return Snapshot(
        number,
        oaid,
        status,
        taken,
        day,
        finished_at=taken + timedelta(minutes=10),
        counts=None if status == Status.FAILED else NO_COUNTS,
        looks=None if status == Status.FAILED else 1,
        requests=1,
        retries=0,
        reason=reason,
    )


def count(connection: Connection, oaid: str) -> None:
    """Give each applied snapshot the counts of its changes, and how many followed after it."""
    log = follower_changes.c
    rows = connection.execute(
        select(log.snapshot_id, log.change, func.count())
        .where(log.oaid == oaid)
        .group_by(log.snapshot_id, log.change)
    )
    counted: dict[int, dict[str, int]] = {}
    for snapshot_id, change, number in rows:
        counted.setdefault(snapshot_id, {})[change] = number
    following, values = 0, []
    for (number,) in connection.execute(
        select(snapshots.c.id)
        .where(snapshots.c.oaid == oaid, snapshots.c.status != Status.FAILED)
        .order_by(snapshots.c.id)
    ):
        counts = {change.value: counted.get(number, {}).get(change.value, 0) for change in Change}
        following += (
            counts["baseline"] + counts["followed"] + counts["refollowed"] - counts["unfollowed"]
        )
        values.append(
            {
                "number": number,
                "following": following,
                "total": following,
                "seen": following,
                **counts,
            }
        )
    connection.execute(update(snapshots).where(snapshots.c.id == bindparam("number")), values)


def make(
    url: str, *, oaid: str, days: int, users: int, changes: int, until: date
) -> dict[str, Any]:
    """Make it in a database without this OA, in one transaction; give its figures."""
    most = 2 * (changes // users) - 1
    if changes % users or most < 1 or days <= 2 * most:
        raise SystemExit(
            "--changes must be a multiple of --users, and --days larger than four times their quotient"
        )
    engine = connect_engine(url)
    create_or_require_current(engine)
    begun = time.monotonic()
    with writing(engine) as connection:
        if connection.execute(select(func.count()).select_from(snapshots)).scalar_one():
            raise SystemExit("there is a history in that database already: name an empty one")
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL work_mem = '256MB'"))
        connection.execute(
            insert(official_accounts).values(
                oaid=oaid, name="A long history", created_at=datetime.now(UTC)
            )
        )
        connection.execute(
            insert(snapshots),
            [each.columns() for each in history(oaid, days, until)],
        )
        connection.execute(
            text(_CHANGES), {"oaid": oaid, "days": days, "users": users, "most": most}
        )
        connection.execute(text(_FOLLOWERS), {"oaid": oaid})
        count(connection, oaid)
        connection.execute(text("ANALYZE"))
        figures = {
            name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in ("snapshots", "followers", "current_followers", "follower_changes")
        }
    return {**figures, "seconds": round(time.monotonic() - begun, 1)}


def main() -> None:
    """Read the arguments, make the history, print its figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("database_url", help="of an empty database, sqlite:///… or postgresql://…")
    parser.add_argument("--days", type=int, default=1_000, help="complete snapshots, one a day")
    parser.add_argument("--users", type=int, default=1_000_000, help="everybody who ever followed")
    parser.add_argument(
        "--changes",
        type=int,
        default=3_000_000,
        help="rows of the change log: a multiple of --users",
    )
    parser.add_argument(
        "--until",
        type=date.fromisoformat,
        default=datetime.now(UTC).date(),
        help="date of the last snapshot",
    )
    parser.add_argument("--oaid", default=OAID)
    given = parser.parse_args()
    figures = make(
        given.database_url,
        oaid=given.oaid,
        days=given.days,
        users=given.users,
        changes=given.changes,
        until=given.until,
    )
    for name, value in figures.items():
        print(f"{name:18} {value:>12,}")


if __name__ == "__main__":
    main()
