"""Whether the tables agree: what `etl verify` asks, one statement a question.

The third of the laws (docs/design.md#the-five-laws).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import text

from etl.errors import TornStoryError

if TYPE_CHECKING:
    from sqlalchemy import Connection


CHUNK = 10_000
"""Contradicting rows in memory at once, where they are only counted."""

NAMED = 10
"""Rows of a question that are named, unless more are asked for."""


@dataclass(frozen=True, slots=True)
class Row:
    """What contradicts the story: a user's rows, a snapshot, or a change (both)."""

    user_id: str | None
    snapshot_id: int | None

    def __str__(self) -> str:
        """Name it for a person."""
        of = [self.user_id] if self.user_id is not None else []
        of += [f"snapshot {self.snapshot_id}"] if self.snapshot_id is not None else []
        return " in ".join(of)


@dataclass(frozen=True, slots=True)
class Finding:
    """One question asked of one OA.

    Attributes:
        contradictions: how many rows contradict the story (0: all is well).
        rows: which, as many as were asked for.
        note: what looks wrong and is not.
    """

    oaid: str
    check: str
    contradictions: int
    rows: tuple[Row, ...] = ()
    note: str = ""


_STORY = """
    SELECT user_id, snapshot_id, change, changed_at,
           lag(change) OVER (PARTITION BY user_id ORDER BY snapshot_id) AS before,
           row_number() OVER (PARTITION BY user_id ORDER BY snapshot_id) AS nth,
           row_number() OVER (PARTITION BY user_id ORDER BY snapshot_id DESC) AS nth_last
    FROM follower_changes WHERE oaid = :oaid
"""

_PROJECTION = f"""
    SELECT user_id,
           min(CASE WHEN nth = 1 THEN changed_at END) AS first_seen_at,
           min(CASE WHEN nth_last = 1 AND change <> 'unfollowed' OR nth_last = 2 AND closed THEN changed_at END) AS followed_at,
           min(CASE WHEN nth_last = 1 AND change = 'unfollowed' THEN changed_at END) AS unfollowed_at
    FROM (SELECT told.*, first_value(change) OVER (PARTITION BY user_id ORDER BY snapshot_id DESC) = 'unfollowed' AS closed
          FROM ({_STORY}) AS told) AS closed_told
    GROUP BY user_id
"""

_IN_ORDER = """
    SELECT id, following, baseline + followed + refollowed - unfollowed AS change,
           coalesce(lag(following) OVER (ORDER BY id), 0) AS before,
           coalesce(lag(following) OVER (ORDER BY taken_at, id), 0) AS before_in_time
    FROM snapshots WHERE oaid = :oaid AND status IN ('complete', 'partial')
"""

_OVERTAKEN = """
    SELECT id FROM (
        SELECT id, taken_at,
               min(taken_at) OVER (ORDER BY id ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS later
        FROM snapshots WHERE oaid = :oaid) AS told
    WHERE later < taken_at
"""
"""Snapshots that were taken after one with a larger id: numbers were given from behind, or a clock
was set back."""

_NUMBERED_FROM_BEHIND = f"""
    EXISTS (SELECT 1 FROM ({_IN_ORDER}) AS told WHERE following <> before + change)
    AND NOT EXISTS (SELECT 1 FROM ({_IN_ORDER}) AS told
                    WHERE following IS NULL OR following <> before_in_time + change)
"""
"""Whether the counts follow from each other in the order of time, and not in that of the ids. A
clock that was set back leaves them in the order of the ids."""

IN_TIME = "the snapshots' ids follow their times"

# Each gives the rows that contradict it: a User_Id, a snapshot's id, or both.
_CHECKS = {
    "followers is what follower_changes adds up to": f"""
        SELECT log.user_id, NULL AS snapshot_id FROM ({_PROJECTION}) AS log
        LEFT JOIN followers AS f ON f.oaid = :oaid AND f.user_id = log.user_id
        WHERE f.user_id IS NULL OR f.first_seen_at <> log.first_seen_at OR f.followed_at <> log.followed_at
           OR (f.unfollowed_at IS NULL) <> (log.unfollowed_at IS NULL) OR f.unfollowed_at <> log.unfollowed_at
        UNION ALL
        SELECT f.user_id, NULL FROM followers AS f WHERE f.oaid = :oaid AND NOT EXISTS (
            SELECT 1 FROM follower_changes AS c WHERE c.oaid = f.oaid AND c.user_id = f.user_id)""",
    "a user's changes alternate, and begin with baseline or followed": f"""
        SELECT user_id, snapshot_id FROM ({_STORY}) AS told
        WHERE NOT CASE change WHEN 'unfollowed' THEN coalesce(before, '') IN ('baseline', 'followed', 'refollowed')
                              WHEN 'refollowed' THEN coalesce(before, '') = 'unfollowed'
                              ELSE before IS NULL END""",
    "every change belongs to an applied snapshot of its OA, at its time": """
        SELECT c.user_id, c.snapshot_id FROM follower_changes AS c
        LEFT JOIN snapshots AS s ON s.id = c.snapshot_id AND s.oaid = c.oaid AND s.status IN ('complete', 'partial')
                                AND s.taken_at = c.changed_at
        WHERE c.oaid = :oaid AND s.id IS NULL""",
    "each applied snapshot's counts are its changes": """
        SELECT NULL AS user_id, s.id AS snapshot_id FROM snapshots AS s
        LEFT JOIN (SELECT snapshot_id,
                          sum(CASE change WHEN 'baseline' THEN 1 ELSE 0 END) AS baseline,
                          sum(CASE change WHEN 'followed' THEN 1 ELSE 0 END) AS followed,
                          sum(CASE change WHEN 'refollowed' THEN 1 ELSE 0 END) AS refollowed,
                          sum(CASE change WHEN 'unfollowed' THEN 1 ELSE 0 END) AS unfollowed
                   FROM follower_changes WHERE oaid = :oaid GROUP BY snapshot_id) AS c ON c.snapshot_id = s.id
        WHERE s.oaid = :oaid AND s.status IN ('complete', 'partial')
          AND (s.baseline <> coalesce(c.baseline, 0) OR s.followed <> coalesce(c.followed, 0)
            OR s.refollowed <> coalesce(c.refollowed, 0) OR s.unfollowed <> coalesce(c.unfollowed, 0)
            OR s.baseline IS NULL OR s.followed IS NULL OR s.refollowed IS NULL OR s.unfollowed IS NULL)""",
    "each applied snapshot's following continues the one before": f"""
        SELECT NULL AS user_id, id AS snapshot_id FROM ({_IN_ORDER}) AS told
        WHERE following IS NULL OR following <> before + change""",
    "the last applied snapshot's following is how many follow": """
        SELECT NULL AS user_id, id AS snapshot_id FROM (
            SELECT (SELECT count(*) FROM followers WHERE oaid = :oaid AND unfollowed_at IS NULL) AS counted,
                   coalesce((SELECT following FROM snapshots WHERE oaid = :oaid AND status IN ('complete', 'partial')
                             ORDER BY id DESC LIMIT 1), 0) AS recorded,
                   (SELECT max(id) FROM snapshots WHERE oaid = :oaid AND status IN ('complete', 'partial')) AS id
        ) AS both_counts
        WHERE counted <> recorded""",
    "a partial snapshot marked nobody as unfollowed": """
        SELECT NULL AS user_id, id AS snapshot_id FROM snapshots
        WHERE oaid = :oaid AND status = 'partial' AND unfollowed <> 0""",
    IN_TIME: f"""
        SELECT NULL AS user_id, id AS snapshot_id FROM ({_OVERTAKEN}) AS told WHERE {_NUMBERED_FROM_BEHIND}""",
}

_OAIDS = """
    SELECT oaid FROM official_accounts UNION SELECT DISTINCT oaid FROM snapshots
    UNION SELECT DISTINCT oaid FROM followers UNION SELECT DISTINCT oaid FROM follower_changes ORDER BY oaid"""


def oaids(connection: Connection) -> list[str]:
    """Every OA that any table knows."""
    return [row[0] for row in connection.execute(text(_OAIDS))]


def require_sound(connection: Connection) -> None:
    """Refuse a SQLite file that is damaged where no question below would look.

    PostgreSQL keeps its own checksums.

    Raises:
        TornStoryError: pages of it hold what they cannot.
    """
    if connection.dialect.name != "sqlite":
        return
    found = str(connection.execute(text("PRAGMA quick_check(1)")).scalar_one())
    if found != "ok":
        raise TornStoryError(f"the database file is damaged: {found.splitlines()[-1]}")


def check(connection: Connection, oaid: str, *, named: int | None = NAMED) -> list[Finding]:
    """Ask every question of one OA.

    Args:
        connection: that the statements run on.
        oaid: the OA.
        named: how many contradicting rows a question names at most; None for all of them.
    """
    findings = [_ask(connection, oaid, name, named) for name in _CHECKS]
    return [
        replace(finding, note=_clock(connection, oaid, named))
        if finding.check == IN_TIME and not finding.contradictions
        else finding
        for finding in findings
    ]


def _ask(connection: Connection, oaid: str, name: str, named: int | None) -> Finding:
    rows: list[Row] = []
    found = 0
    statement = text(f"SELECT * FROM ({_CHECKS[name]}) AS found ORDER BY snapshot_id, user_id")
    answer = connection.execute(statement, {"oaid": oaid}, execution_options={"yield_per": CHUNK})
    for row in answer:
        found += 1
        if named is None or found <= named:
            rows.append(Row(row.user_id, row.snapshot_id))
    return Finding(oaid, name, found, tuple(rows))


def _clock(connection: Connection, oaid: str, named: int | None) -> str:
    """Say where a clock was set back: the order of the ids is the true one."""
    overtaken = connection.execute(text(f"{_OVERTAKEN} ORDER BY id"), {"oaid": oaid}).scalars()
    ids = [str(snapshot_id) for snapshot_id in overtaken]
    if not ids:
        return ""
    more = ", …" if named is not None and len(ids) > named else ""
    return (
        f"dated later than one after it: snapshot {', '.join(ids[:named])}{more}. "
        "The clock was set back; the order of the ids counts"
    )
