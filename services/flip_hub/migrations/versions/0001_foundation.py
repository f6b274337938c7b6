"""Users, trusts, tasks and the audit trail."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# The table's owner is stopped too, and so is a session in replica mode: the trail only ever grows.
_APPEND_ONLY = (
    """
    CREATE FUNCTION audit_events_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'audit_events is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
    END $$
    """,
    """
    CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_events_append_only()
    """,
    "ALTER TABLE audit_events ENABLE ALWAYS TRIGGER audit_events_append_only",
    "REVOKE UPDATE, DELETE, TRUNCATE ON audit_events FROM PUBLIC, CURRENT_USER",
)


def upgrade() -> None:
    _audit()
    _trusts()
    _users()
    _tasks()


def downgrade() -> None:
    for table in ("tasks", "sign_in_failures", "user_sessions", "trust_owners", "users", "trust_keys", "trusts"):
        op.drop_table(table)
    op.drop_table("audit_events")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_events_append_only()")


def _audit() -> None:
    op.create_table(
        "audit_events",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("actor", sa.String(400), nullable=False),
        sa.Column("actor_id", sa.Uuid()),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("entity", sa.String(64), nullable=False),
        sa.Column("entity_id", sa.String(200), nullable=False),
        sa.Column("before", _JSON),
        sa.Column("after", _JSON),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_events"),
    )
    op.create_index("ix_audit_events_at", "audit_events", ["at"])
    op.create_index("ix_audit_events_actor", "audit_events", ["actor", "id"])
    op.create_index("ix_audit_events_entity", "audit_events", ["entity", "entity_id", "id"])
    if op.get_bind().dialect.name == "postgresql":
        for statement in _APPEND_ONLY:
            op.execute(statement)


def _trusts() -> None:
    op.create_table(
        "trusts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("disabled_at", _TIME),
        sa.Column("fl_public_key", sa.Text()),
        sa.Column("last_heartbeat_at", _TIME),
        sa.Column("clock_skew_seconds", sa.Double()),
        sa.Column("release", sa.String(64)),
        sa.Column("services", _JSON),
        sa.Column("tasks_running", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_trusts"),
    )
    op.create_index("uq_trusts_name_lower", "trusts", [sa.text("lower(name)")], unique=True)
    op.create_table(
        "trust_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("trust_id", sa.Uuid(), nullable=False),
        sa.Column("api_key_hash", sa.String(64), nullable=False),
        sa.Column("kid", sa.String(64), nullable=False),
        sa.Column("wrapped_payload_key", sa.Text(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("first_used_at", _TIME),
        sa.Column("retired_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_trust_keys"),
        sa.ForeignKeyConstraint(["trust_id"], ["trusts.id"], name="fk_trust_keys_trust_id", ondelete="CASCADE"),
        sa.UniqueConstraint("api_key_hash", name="uq_trust_keys_api_key_hash"),
        sa.UniqueConstraint("kid", name="uq_trust_keys_kid"),
    )
    op.create_index("ix_trust_keys_trust_id", "trust_keys", ["trust_id"])


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(320), nullable=False),
        sa.Column("full_name", sa.String(200), nullable=False),
        sa.Column("password_hash", sa.String(200), nullable=False),
        sa.Column("roles", _JSON, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("disabled_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
    )
    op.create_table(
        "trust_owners",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("trust_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "trust_id", name="pk_trust_owners"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_trust_owners_user_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["trust_id"], ["trusts.id"], name="fk_trust_owners_trust_id", ondelete="CASCADE"),
    )
    op.create_index("ix_trust_owners_trust_id", "trust_owners", ["trust_id"])
    op.create_table(
        "user_sessions",
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name="pk_user_sessions"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_user_sessions_user_id", ondelete="CASCADE"),
    )
    op.create_index("ix_user_sessions_user_id", "user_sessions", ["user_id"])
    op.create_index("ix_user_sessions_expires_at", "user_sessions", ["expires_at"])
    op.create_table(
        "sign_in_failures",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sign_in_failures"),
    )
    op.create_index("ix_sign_in_failures_at", "sign_in_failures", ["at"])
    op.create_index("ix_sign_in_failures_account", "sign_in_failures", ["account", "at"])
    op.create_index("ix_sign_in_failures_address", "sign_in_failures", ["address", "at"])


def _tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("trust_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("offer_at", _TIME, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("payload_kid", sa.String(64), nullable=False),
        sa.Column("context", _JSON, nullable=False),
        sa.Column("error", _JSON),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
        sa.ForeignKeyConstraint(["trust_id"], ["trusts.id"], name="fk_tasks_trust_id", ondelete="CASCADE"),
    )
    op.create_index("ix_tasks_trust", "tasks", ["trust_id", "created_at", "id"])
    op.create_index(
        "ix_tasks_open",
        "tasks",
        ["trust_id", "offer_at"],
        postgresql_where=sa.text("status IN ('PENDING', 'LEASED')"),
    )
