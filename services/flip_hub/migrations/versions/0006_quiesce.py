"""The switch that lets no job start, and which jobs an FL server may hold."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table with its one row, off; every open job counts as one that the FL server may hold."""
    switch = op.create_table(
        "quiesce_switch",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True)),
        sa.Column("by", sa.String(400), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_quiesce_switch"),
        sa.CheckConstraint("id = 1", name="ck_quiesce_switch_only_one"),
    )
    op.bulk_insert(switch, [{"id": 1, "since": None, "by": "", "reason": ""}])
    op.add_column("jobs", sa.Column("submission_began_at", sa.DateTime(timezone=True)))
    op.execute("UPDATE jobs SET submission_began_at = COALESCE(submitted_at, created_at)")


def downgrade() -> None:
    """Drops both: jobs that wait start."""
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_column("submission_began_at")
    op.drop_table("quiesce_switch")
