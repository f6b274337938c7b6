"""The master key, wrapped by a key management service."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "wrapped_master_keys",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kms_key", sa.String(2048), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_wrapped_master_keys"),
        sa.CheckConstraint("id = 1", name="ck_wrapped_master_keys_only_one"),
    )


def downgrade() -> None:
    """Drops it: payload keys that were wrapped with the key in it open no more."""
    op.drop_table("wrapped_master_keys")
