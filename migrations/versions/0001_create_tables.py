"""Create the four tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

opaque = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
utc = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")

STATUSES = "status IN ('running', 'complete', 'partial', 'held', 'failed', 'undone')"
CHANGES = "change IN ('baseline', 'followed', 'refollowed', 'unfollowed')"
COUNTS = (
    "total", "seen", "baseline", "followed", "refollowed", "unfollowed", "following", "looks", "requests", "retries",
)  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "official_accounts",
        sa.Column("oaid", opaque, nullable=False),
        sa.Column(
            "name", sa.Text(), comment="as GetListZOA names it; NULL until `etl accounts` has asked"
        ),
        sa.Column("created_at", utc, nullable=False),
        sa.Column(
            "lease_token",
            sa.Text(),
            comment="random, of the run that holds this OA now; NULL when nobody does",
        ),
        sa.Column(
            "lease_expires_at",
            utc,
            comment="by the database's clock; past it, anybody may take the lease over",
        ),
        sa.PrimaryKeyConstraint("oaid", name="pk_official_accounts"),
    )
    op.create_table(
        "snapshots",
        sa.Column("id", row_id, nullable=False),
        sa.Column("oaid", opaque, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("taken_at", utc, nullable=False, comment="when the run began"),
        sa.Column(
            "taken_on", sa.Date(), nullable=False, comment="the date of taken_at in ETL_TIMEZONE"
        ),
        sa.Column("finished_at", utc),
        sa.Column("total", sa.BigInteger(), comment="the API's last Total"),
        sa.Column("seen", sa.BigInteger(), comment="distinct users of all looks"),
        sa.Column(
            "baseline",
            sa.BigInteger(),
            comment="found before the first whole reading: they followed before we looked",
        ),
        sa.Column("followed", sa.BigInteger()),
        sa.Column("refollowed", sa.BigInteger()),
        sa.Column(
            "unfollowed",
            sa.BigInteger(),
            comment="of a held snapshot: how many it would have marked",
        ),
        sa.Column("following", sa.BigInteger(), comment="active after it"),
        sa.Column("looks", sa.BigInteger()),
        sa.Column("requests", sa.BigInteger()),
        sa.Column("retries", sa.BigInteger()),
        sa.Column(
            "reason",
            sa.Text(),
            comment="why it is not complete: a word that a program can read, then prose",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_snapshots"),
        sa.CheckConstraint(STATUSES, name=op.f("ck_snapshots_status")),
        *(
            sa.CheckConstraint(f"{count} >= 0", name=op.f(f"ck_snapshots_{count}"))
            for count in COUNTS
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_snapshots_oaid_id", "snapshots", ["oaid", "id"])
    op.create_table(
        "followers",
        sa.Column("oaid", opaque, nullable=False),
        sa.Column("user_id", opaque, nullable=False),
        sa.Column("first_seen_at", utc, nullable=False),
        sa.Column("followed_at", utc, nullable=False, comment="start of the present or last stay"),
        sa.Column("unfollowed_at", utc, comment="NULL = follows now"),
        sa.PrimaryKeyConstraint("oaid", "user_id", name="pk_followers"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "follower_changes",
        sa.Column("oaid", opaque, nullable=False),
        sa.Column("user_id", opaque, nullable=False),
        sa.Column("snapshot_id", row_id, nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column(
            "changed_at",
            utc,
            nullable=False,
            comment="the snapshot's taken_at; order is by snapshot_id",
        ),
        sa.PrimaryKeyConstraint("oaid", "user_id", "snapshot_id", name="pk_follower_changes"),
        sa.CheckConstraint(CHANGES, name=op.f("ck_follower_changes_change")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("follower_changes")
    op.drop_table("followers")
    op.drop_index("ix_snapshots_oaid_id", "snapshots")
    op.drop_table("snapshots")
    op.drop_table("official_accounts")
