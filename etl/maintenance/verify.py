"""Whether the tables agree: what `etl verify` asks, one statement a question.

The third of the laws (docs/design.md#the-five-laws).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from etl.errors import TornStoryError

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Finding:
    """One question asked of one OA, and how many rows contradict the story (0: all is well)."""

    oaid: str
    check: str
    contradictions: int


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

_CHECKS = {
    "followers is what follower_changes adds up to": f"""
        SELECT (SELECT count(*) FROM ({_PROJECTION}) AS log
                LEFT JOIN followers AS f ON f.oaid = :oaid AND f.user_id = log.user_id
                WHERE f.user_id IS NULL OR f.first_seen_at <> log.first_seen_at OR f.followed_at <> log.followed_at
                   OR (f.unfollowed_at IS NULL) <> (log.unfollowed_at IS NULL) OR f.unfollowed_at <> log.unfollowed_at)
             + (SELECT count(*) FROM followers AS f WHERE f.oaid = :oaid AND NOT EXISTS (
                SELECT 1 FROM follower_changes AS c WHERE c.oaid = f.oaid AND c.user_id = f.user_id))""",
    "a user's changes alternate, and begin with baseline or followed": f"""
        SELECT count(*) FROM ({_STORY}) AS told
        WHERE NOT CASE change WHEN 'unfollowed' THEN coalesce(before, '') IN ('baseline', 'followed', 'refollowed')
                              WHEN 'refollowed' THEN coalesce(before, '') = 'unfollowed'
                              ELSE before IS NULL END""",
    "every change belongs to an applied snapshot of its OA, at its time": """
        SELECT count(*) FROM follower_changes AS c
        LEFT JOIN snapshots AS s ON s.id = c.snapshot_id AND s.oaid = c.oaid AND s.status IN ('complete', 'partial')
                                AND s.taken_at = c.changed_at
        WHERE c.oaid = :oaid AND s.id IS NULL""",
    "each applied snapshot's counts are its changes": """
        SELECT count(*) FROM snapshots AS s
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
    "each applied snapshot's following continues the one before": """
        SELECT count(*) FROM (
            SELECT following, baseline + followed + refollowed - unfollowed AS change,
                   coalesce(lag(following) OVER (ORDER BY id), 0) AS before
            FROM snapshots WHERE oaid = :oaid AND status IN ('complete', 'partial')) AS told
        WHERE following IS NULL OR following <> before + change""",
    "the last applied snapshot's following is how many follow": """
        SELECT count(*) FROM (
            SELECT (SELECT count(*) FROM followers WHERE oaid = :oaid AND unfollowed_at IS NULL) AS counted,
                   coalesce((SELECT following FROM snapshots WHERE oaid = :oaid AND status IN ('complete', 'partial')
                             ORDER BY id DESC LIMIT 1), 0) AS recorded) AS both_counts
        WHERE counted <> recorded""",
    "a partial snapshot marked nobody as unfollowed": """
        SELECT count(*) FROM snapshots WHERE oaid = :oaid AND status = 'partial' AND unfollowed <> 0""",
}

_OAIDS = """
    SELECT oaid FROM official_accounts UNION SELECT DISTINCT oaid FROM snapshots
    UNION SELECT DISTINCT oaid FROM followers UNION SELECT DISTINCT oaid FROM follower_changes ORDER BY oaid"""


def oaids(connection: Connection) -> list[str]:
    """Every OA that any table knows."""
    return [row[0] for row in connection.execute(text(_OAIDS))]


def require_sound(connection: Connection) -> None:
    """Refuse a SQLite file that is damaged where no question below would look. PostgreSQL keeps its own checksums.

    Raises:
        TornStoryError: pages of it hold what they cannot.
    """
    if connection.dialect.name != "sqlite":
        return
    found = str(connection.execute(text("PRAGMA quick_check(1)")).scalar_one())
    if found != "ok":
        raise TornStoryError(f"the database file is damaged: {found.splitlines()[-1]}")


def check(connection: Connection, oaid: str) -> list[Finding]:
    """Ask every question of one OA."""
    return [
        Finding(oaid, name, int(connection.execute(text(sql), {"oaid": oaid}).scalar_one()))
        for name, sql in _CHECKS.items()
    ]
