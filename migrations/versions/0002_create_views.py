"""Create the views that people query: who follows, every stay, every day. The same columns and
answers on both databases."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

CURRENT_FOLLOWERS = """
CREATE VIEW current_followers AS
SELECT oaid, user_id, first_seen_at, followed_at
FROM followers
WHERE unfollowed_at IS NULL
"""

# A user's changes alternate (`etl verify` proves it), so whatever comes after an arrival is the end
# of that stay.
FOLLOW_PERIODS = """
CREATE VIEW follow_periods AS
SELECT oaid, user_id, changed_at AS started_at, next_changed_at AS ended_at, change = 'baseline' AS left_truncated
FROM (SELECT oaid, user_id, change, changed_at,
             lead(changed_at) OVER (PARTITION BY oaid, user_id ORDER BY snapshot_id) AS next_changed_at
      FROM follower_changes) AS told
WHERE change <> 'unfollowed'
"""

# The counts add up day by day: that keeps following_end - following_start the sum of the day's
# changes even where the clock or ETL_TIMEZONE was set back and a later snapshot bears an earlier
# date.
DAILY_FOLLOWER_CHURN = """
CREATE VIEW daily_follower_churn AS
SELECT told.oaid, told.day, told.following_start, told.baseline, told.followed, told.refollowed,
       CASE WHEN told.complete > 0 THEN told.unfollowed END AS unfollowed,
       CASE WHEN told.complete > 0 THEN told.followed + told.refollowed - told.unfollowed END AS net,
       told.following_start + told.baseline + told.followed + told.refollowed - told.unfollowed AS following_end,
       CASE WHEN told.complete > 0 AND told.following_start > 0
            THEN CAST(told.unfollowed AS DOUBLE PRECISION) / told.following_start END AS churn_rate,
       before.taken_at AS observed_since
FROM (SELECT days.*,
             CAST(coalesce(sum(baseline + followed + refollowed - unfollowed) OVER (
                      PARTITION BY oaid ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)
                  AS BIGINT) AS following_start
      FROM (SELECT oaid, taken_on AS day,
                   CAST(sum(baseline) AS BIGINT) AS baseline,
                   CAST(sum(followed) AS BIGINT) AS followed,
                   CAST(sum(refollowed) AS BIGINT) AS refollowed,
                   CAST(sum(unfollowed) AS BIGINT) AS unfollowed,
                   sum(CASE status WHEN 'complete' THEN 1 ELSE 0 END) AS complete,
                   min(complete_before) AS complete_before
            FROM (SELECT oaid, taken_on, status, baseline, followed, refollowed, unfollowed,
                         coalesce(max(CASE status WHEN 'complete' THEN id END) OVER (
                             PARTITION BY oaid ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)
                             AS complete_before
                  FROM snapshots
                  WHERE status IN ('complete', 'partial')) AS applied
            GROUP BY oaid, taken_on) AS days) AS told
LEFT JOIN snapshots AS before ON before.id = told.complete_before
"""

VIEWS = {
    "current_followers": CURRENT_FOLLOWERS,
    "follow_periods": FOLLOW_PERIODS,
    "daily_follower_churn": DAILY_FOLLOWER_CHURN,
}

# PostgreSQL shows these in \d+ and in every database browser; SQLite has no comments.
COMMENTS = {
    "VIEW current_followers": "who follows now",
    "COLUMN current_followers.first_seen_at": "when a snapshot first saw them, in any stay",
    "COLUMN current_followers.followed_at": "start of the present stay: the taken_at of the snapshot that found them",
    "VIEW follow_periods": "one row per stay: a user has several who left and came back",
    "COLUMN follow_periods.started_at": "taken_at of the snapshot that found them: they followed since the one before",
    "COLUMN follow_periods.ended_at": "taken_at of the complete snapshot that missed them; NULL = still follows",
    "COLUMN follow_periods.left_truncated": "true = baseline: the stay began before we looked, at a time that nobody knows",
    "VIEW daily_follower_churn": "one row per OA and day (in ETL_TIMEZONE) with a complete or partial snapshot",
    "COLUMN daily_follower_churn.following_start": "following at the end of the last day before; 0 on the first",
    "COLUMN daily_follower_churn.baseline": "found before the first whole reading: no arrivals of that day, and not in net",
    "COLUMN daily_follower_churn.followed": "first follows",
    "COLUMN daily_follower_churn.refollowed": "came back after leaving",
    "COLUMN daily_follower_churn.unfollowed": "NULL unless a snapshot of the day was complete: a partial one marks nobody",
    "COLUMN daily_follower_churn.net": "followed + refollowed - unfollowed; NULL where unfollowed is",
    "COLUMN daily_follower_churn.following_end": "following_start + baseline + followed + refollowed - unfollowed",
    "COLUMN daily_follower_churn.churn_rate": "unfollowed / following_start; NULL where unfollowed is, or nobody followed",
    "COLUMN daily_follower_churn.observed_since": "taken_at of the last complete snapshot before the first applied one of the "
    "day: its changes happened since then; NULL where there was none",
}


def upgrade() -> None:
    for view in VIEWS.values():
        op.execute(view)
    if op.get_context().dialect.name == "postgresql":
        for what, comment in COMMENTS.items():
            op.execute(f"COMMENT ON {what} IS '{comment}'")


def downgrade() -> None:
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW {name}")
