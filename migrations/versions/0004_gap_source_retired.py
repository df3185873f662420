"""Keep with each snapshot its gap and its source, and with each OA since when it is retired."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    postgresql = op.get_context().dialect.name == "postgresql"
    op.add_column(
        "official_accounts",
        sa.Column(
            "retired_at",
            sa.DateTime(timezone=True) if postgresql else sa.Text(),
            comment="since when nobody waits for it any more; NULL while it is synced",
        ),
    )
    # As SQL: SQLite takes a CHECK only together with its column.
    op.execute(
        "ALTER TABLE snapshots ADD COLUMN source TEXT DEFAULT 'followers' NOT NULL"
        " CONSTRAINT ck_snapshots_source CHECK (source IN ('followers', 'windows'))"
    )
    op.execute(
        "ALTER TABLE snapshots ADD COLUMN gap BIGINT CONSTRAINT ck_snapshots_gap CHECK (gap >= 0)"
    )
    # The union's gap is never larger than a look's own: what is taken over here grants nothing.
    op.execute(
        "UPDATE snapshots SET gap = CASE WHEN total > seen THEN total - seen ELSE 0 END"
        " WHERE status = 'complete' AND total IS NOT NULL AND seen IS NOT NULL"
    )
    if postgresql:
        op.execute(
            "COMMENT ON COLUMN snapshots.source IS"
            " 'the call it was read by: followers (GetFollowers) or windows (QueryListUID)'"
        )
        op.execute(
            "COMMENT ON COLUMN snapshots.gap IS"
            " 'the smallest own gap of its closed looks: their Total less the users they saw'"
        )


def downgrade() -> None:
    op.drop_column("snapshots", "gap")
    op.drop_column("snapshots", "source")
    op.drop_column("official_accounts", "retired_at")
