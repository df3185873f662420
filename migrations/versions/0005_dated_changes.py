"""Give each change its day, and let the daily view's net add up to the truth, whatever nights were
not read whole."""

from __future__ import annotations

from typing import Any

from alembic import context, op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

DATED_CHANGES = """
CREATE VIEW dated_changes AS
SELECT c.oaid, c.user_id, c.snapshot_id, c.change, c.changed_at, s.taken_on AS day
FROM follower_changes AS c
JOIN snapshots AS s ON s.id = c.snapshot_id
"""

# Read from the inside: each applied snapshot with the complete one before it; the days; each day
# with what followed before it, and with `stretch`: the days after a whole reading up to the next
# one bear one number. The net of such a stretch stands on its last day, on which somebody knows who
# left: so sum(net) loses no arrival of the days between.
#
# The counts add up day by day: that keeps following_end - following_start the sum of the day's
# changes even where the clock or ETL_TIMEZONE was set back and a later snapshot bears an earlier
# date.
DAILY_FOLLOWER_CHURN = """
SELECT told.oaid, told.day, told.following_start, told.baseline, told.followed, told.refollowed,
       CASE WHEN told.complete > 0 THEN told.unfollowed END AS unfollowed,
       CASE WHEN told.complete > 0
            THEN CAST(sum(told.change) OVER (PARTITION BY told.oaid, told.stretch ORDER BY told.day) AS BIGINT)
            END AS net,
       told.following_start + told.baseline + told.change AS following_end,
       CASE WHEN told.complete > 0 AND told.complete_before > 0
            THEN CAST(told.unfollowed AS DOUBLE PRECISION) / nullif(told.following_start + told.baseline, 0)
            END AS churn_rate,
       before.taken_at AS observed_since,
       told.observed_at
FROM (SELECT days.*,
             CAST(coalesce(sum(baseline + change) OVER earlier, 0) AS BIGINT) AS following_start,
             coalesce(sum(CASE WHEN complete > 0 THEN 1 ELSE 0 END) OVER earlier, 0) AS stretch
      FROM (SELECT oaid, taken_on AS day,
                   CAST(sum(baseline) AS BIGINT) AS baseline,
                   CAST(sum(followed) AS BIGINT) AS followed,
                   CAST(sum(refollowed) AS BIGINT) AS refollowed,
                   CAST(sum(unfollowed) AS BIGINT) AS unfollowed,
                   CAST(sum(followed + refollowed - unfollowed) AS BIGINT) AS change,
                   sum(CASE status WHEN 'complete' THEN 1 ELSE 0 END) AS complete,
                   min(complete_before) AS complete_before,
                   min(taken_at) AS observed_at
            FROM (SELECT oaid, taken_on, taken_at, status, baseline, followed, refollowed, unfollowed,
                         coalesce(max(CASE status WHEN 'complete' THEN id END) OVER (
                             PARTITION BY oaid ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)
                             AS complete_before
                  FROM snapshots
                  WHERE status IN ('complete', 'partial')) AS applied
            GROUP BY oaid, taken_on) AS days
      WINDOW earlier AS (PARTITION BY oaid ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS told
LEFT JOIN snapshots AS before ON before.id = told.complete_before
"""

COMMENTS = {
    "COLUMN snapshots.taken_on": "the day that it closes: the date in ETL_TIMEZONE of taken_at less ETL_DAY_BEGINS",
    "VIEW dated_changes": "follower_changes with the day of each",
    "COLUMN dated_changes.day": "taken_on of the snapshot that found it",
    "VIEW daily_follower_churn": "one row per OA and day (snapshots.taken_on) with a complete or partial snapshot",
    "COLUMN daily_follower_churn.net": "followed + refollowed - unfollowed since the last day with a complete snapshot, so "
    "that sum(net) is true; NULL where unfollowed is",
    "COLUMN daily_follower_churn.churn_rate": "unfollowed / (following_start + baseline); NULL where unfollowed is, nobody "
    "followed, or there is no observed_since: then nothing is known to compare with",
    "COLUMN daily_follower_churn.observed_at": "taken_at of the first applied snapshot of the day",
}

TAKEN_ON = "the date of taken_at in ETL_TIMEZONE"


def upgrade() -> None:
    op.execute(DATED_CHANGES)
    if _postgresql():
        # In its place: whoever may read the view, and whatever is built on it, stays.
        op.execute("CREATE OR REPLACE VIEW daily_follower_churn AS" + DAILY_FOLLOWER_CHURN)
        _comment(COMMENTS)
    else:
        op.execute("DROP VIEW daily_follower_churn")
        op.execute("CREATE VIEW daily_follower_churn AS" + DAILY_FOLLOWER_CHURN)


def downgrade() -> None:
    before: Any = context.script.get_revision("0002").module
    op.execute("DROP VIEW daily_follower_churn")
    op.execute(before.DAILY_FOLLOWER_CHURN)
    op.execute("DROP VIEW dated_changes")
    if _postgresql():
        of_the_view = {
            what: comment
            for what, comment in before.COMMENTS.items()
            if what.split()[1].partition(".")[0] == "daily_follower_churn"
        }
        _comment(of_the_view | {"COLUMN snapshots.taken_on": TAKEN_ON})


def _postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"


def _comment(comments: dict[str, str]) -> None:
    for what, comment in comments.items():
        op.execute(f"COMMENT ON {what} IS '{comment}'")
