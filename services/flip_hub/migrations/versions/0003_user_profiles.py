"""What trusts were told of users."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "user_profiles",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("trust_id", sa.Uuid(), nullable=False),
        sa.Column("profile", _JSON, nullable=False),
        sa.Column("task_id", sa.Uuid()),
        sa.Column("applied", sa.Boolean()),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("error", _JSON),
        sa.Column("at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("user_id", "trust_id", name="pk_user_profiles"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_user_profiles_user_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["trust_id"], ["trusts.id"], name="fk_user_profiles_trust_id", ondelete="CASCADE"),
    )
    op.create_index("ix_user_profiles_trust_id", "user_profiles", ["trust_id"])


def downgrade() -> None:
    """Drops it, and all it holds."""
    op.drop_table("user_profiles")
