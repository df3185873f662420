"""The views of `migrations/versions/` (0002, 0005), with their columns' types, for statements that
read them.

They stand outside `metadata`: no migration may take them for tables. What each column means is told
in the migration (and, on PostgreSQL, by the comments of the views themselves).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Date, Float, Text, column, table

from etl.db.tables import Opaque, Utc

current_followers = table(
    "current_followers",
    column("oaid", Opaque),
    column("user_id", Opaque),
    column("first_seen_at", Utc),
    column("followed_at", Utc),
)
"""Who follows now."""

follow_periods = table(
    "follow_periods",
    column("oaid", Opaque),
    column("user_id", Opaque),
    column("started_at", Utc),
    column("ended_at", Utc),
    column("left_truncated", Boolean),
)
"""One row per stay; `ended_at` is NULL while it lasts, `left_truncated` where it began before we
looked (baseline)."""

daily_follower_churn = table(
    "daily_follower_churn",
    column("oaid", Opaque),
    column("day", Date),
    column("following_start", BigInteger),
    column("baseline", BigInteger),
    column("followed", BigInteger),
    column("refollowed", BigInteger),
    column("unfollowed", BigInteger),
    column("net", BigInteger),
    column("following_end", BigInteger),
    column("churn_rate", Float),
    column("observed_since", Utc),
    column("observed_at", Utc),
)
"""One row per OA and day with an applied snapshot.

`unfollowed`, `net` and `churn_rate` are NULL unless one was complete; `net` covers all days since
the last one of which it is known.
"""

dated_changes = table(
    "dated_changes",
    column("oaid", Opaque),
    column("user_id", Opaque),
    column("snapshot_id", BigInteger),
    column("change", Text),
    column("changed_at", Utc),
    column("day", Date),
)
"""`follower_changes` with the day of each change."""
