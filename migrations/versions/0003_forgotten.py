"""Create the table by which a sync recognises forgotten people who still follow."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

opaque = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "forgotten",
        sa.Column("oaid", opaque, nullable=False),
        sa.Column(
            "pseudonym",
            opaque,
            nullable=False,
            comment="stands in followers and follower_changes for a User_Id",
        ),
        sa.Column("salt", sa.Text(), nullable=False, comment="hex; random, one for all of an OA"),
        sa.Column(
            "digest", sa.Text(), nullable=False, comment="hex; scrypt of the User_Id with the salt"
        ),
        sa.Column(
            "snapshot_id",
            row_id,
            nullable=False,
            comment="the OA's newest when they were forgotten; 0 where none was",
        ),
        sa.PrimaryKeyConstraint("oaid", "pseudonym", name="pk_forgotten"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("forgotten")
