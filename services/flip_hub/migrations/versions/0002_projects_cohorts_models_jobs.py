"""Projects, cohort queries, models and jobs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_OPEN = sa.text("status IN ('PENDING', 'RUNNING')")


def upgrade() -> None:
    """Makes the tables."""
    _projects()
    _cohorts()
    with op.batch_alter_table("projects") as projects:
        projects.create_foreign_key("fk_projects_staged_query_id", "cohort_queries", ["staged_query_id"], ["id"])
    _models()
    _reports()
    _jobs()


def downgrade() -> None:
    """Drops them, and all they hold."""
    for table in ("jobs", "model_results", "model_log_lines", "model_events", "model_metrics", "models"):
        op.drop_table(table)
    with op.batch_alter_table("projects") as projects:
        projects.drop_constraint("fk_projects_staged_query_id", type_="foreignkey")
    for table in ("cohort_answers", "cohort_queries", "project_trusts", "project_members", "projects"):
        op.drop_table(table)


def _id() -> sa.Column[object]:
    return sa.Column("id", sa.Uuid(), nullable=False)


def _reference(
    table: str, column: str, target: str, *, null: bool = False, cascade: bool = False
) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column(column, sa.Uuid(), nullable=null),
        sa.ForeignKeyConstraint(
            [column], [f"{target}.id"], name=f"fk_{table}_{column}", ondelete="CASCADE" if cascade else None
        ),
    ]


def _projects() -> None:
    op.create_table(
        "projects",
        _id(),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        *_reference("projects", "owner_id", "users"),
        sa.Column("staged_query_id", sa.Uuid()),
        sa.Column("staged_query", sa.Text()),
        sa.Column("staged_query_sha256", sa.String(64)),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("deleted_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
    )
    op.create_index("ix_projects_owner_id", "projects", ["owner_id"])
    op.create_index("ix_projects_created_at", "projects", ["created_at"])
    op.create_table(
        "project_members",
        *_reference("project_members", "project_id", "projects", cascade=True),
        *_reference("project_members", "user_id", "users", cascade=True),
        sa.Column("added_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "user_id", name="pk_project_members"),
    )
    op.create_index("ix_project_members_user_id", "project_members", ["user_id"])
    op.create_table(
        "project_trusts",
        *_reference("project_trusts", "project_id", "projects", cascade=True),
        *_reference("project_trusts", "trust_id", "trusts"),
        sa.Column("decision", sa.String(32), nullable=False),
        *_reference("project_trusts", "decided_by", "users", null=True),
        sa.Column("decided_at", _TIME),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("approved_query_sha256", sa.String(64)),
        sa.Column("cohort_state", sa.String(32), nullable=False),
        sa.Column("cohort_task_id", sa.Uuid()),
        sa.Column("cohort_result", _JSON),
        sa.Column("cohort_error", _JSON),
        sa.Column("frozen_at", _TIME),
        sa.Column("imaging_task_id", sa.Uuid()),
        sa.Column("imaging_task_type", sa.String(32)),
        sa.Column("imaging_result", _JSON),
        sa.Column("imaging_error", _JSON),
        sa.Column("imaging_at", _TIME),
        sa.PrimaryKeyConstraint("project_id", "trust_id", name="pk_project_trusts"),
    )
    op.create_index("ix_project_trusts_trust_id", "project_trusts", ["trust_id"])


def _cohorts() -> None:
    op.create_table(
        "cohort_queries",
        _id(),
        *_reference("cohort_queries", "project_id", "projects", cascade=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("query_sha256", sa.String(64), nullable=False),
        *_reference("cohort_queries", "created_by", "users"),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cohort_queries"),
    )
    op.create_index("ix_cohort_queries_project", "cohort_queries", ["project_id", "created_at"])
    op.create_table(
        "cohort_answers",
        *_reference("cohort_answers", "query_id", "cohort_queries", cascade=True),
        *_reference("cohort_answers", "trust_id", "trusts"),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("result", _JSON),
        sa.Column("error", _JSON),
        sa.Column("answered_at", _TIME),
        sa.PrimaryKeyConstraint("query_id", "trust_id", name="pk_cohort_answers"),
    )


def _models() -> None:
    op.create_table(
        "models",
        _id(),
        *_reference("models", "project_id", "projects", cascade=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("job_type", sa.String(32), nullable=False),
        sa.Column("backend", sa.String(32), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("status_at", _TIME, nullable=False),
        *_reference("models", "created_by", "users"),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("deleted_at", _TIME),
        sa.Column("app_sha256", sa.String(64)),
        sa.Column("app_bytes", sa.BigInteger()),
        sa.Column("app_report", _JSON),
        *_reference("models", "app_uploaded_by", "users", null=True),
        sa.Column("app_uploaded_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
    )
    op.create_index("ix_models_project_id", "models", ["project_id"])


def _reports() -> None:
    op.create_table(
        "model_metrics",
        *_reference("model_metrics", "model_id", "models", cascade=True),
        sa.Column("trust", sa.String(63), nullable=False),
        sa.Column("label", sa.String(128), nullable=False),
        sa.Column("round", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Float(53), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("model_id", "trust", "label", "round", name="pk_model_metrics"),
    )
    op.create_table(
        "model_events",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        *_reference("model_events", "model_id", "models", cascade=True),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(400), nullable=False),
        sa.Column("detail", _JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_model_events"),
    )
    op.create_index("ix_model_events_model", "model_events", ["model_id", "id"])
    op.create_table(
        "model_log_lines",
        *_reference("model_log_lines", "model_id", "models", cascade=True),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("model_id", "line", name="pk_model_log_lines"),
    )
    op.create_table(
        "model_results",
        *_reference("model_results", "model_id", "models", cascade=True),
        sa.Column("filename", sa.String(310), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("uploaded_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("model_id", "filename", name="pk_model_results"),
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        _id(),
        *_reference("jobs", "model_id", "models"),
        *_reference("jobs", "project_id", "projects"),
        sa.Column("net", sa.String(32), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("spec", _JSON, nullable=False),
        sa.Column("app_sha256", sa.String(64), nullable=False),
        sa.Column("query_sha256", sa.String(64), nullable=False),
        sa.Column("approvals", _JSON, nullable=False),
        sa.Column("approvals_sha256", sa.String(64), nullable=False),
        *_reference("jobs", "created_by", "users"),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("submitted_at", _TIME),
        sa.Column("started_at", _TIME),
        sa.Column("ended_at", _TIME),
        sa.Column("stop_requested_at", _TIME),
        sa.Column("stop_reason", sa.Text(), nullable=False),
        sa.Column("claim", sa.String(32)),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("failures", _JSON, nullable=False),
        sa.Column("failed_uploads", _JSON, nullable=False),
        sa.Column("log_offset", sa.BigInteger(), nullable=False),
        sa.Column("unreachable_since", _TIME),
        sa.Column("unreachable_reported", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    op.create_index("ix_jobs_model_id", "jobs", ["model_id"])
    op.create_index("ix_jobs_project_id", "jobs", ["project_id"])
    # The database itself refuses a second open job of one model.
    op.create_index("uq_jobs_open_model", "jobs", ["model_id"], unique=True, postgresql_where=_OPEN, sqlite_where=_OPEN)
    op.create_index("ix_jobs_open", "jobs", ["created_at"], postgresql_where=_OPEN, sqlite_where=_OPEN)
