"""Jobs: federated runs of models, as the hub knows them, and the switch that keeps them from starting."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from flip_common.wire import JobStatus, ModelStatus
from flip_hub.columns import Json, enum_type
from flip_hub.db import Base, utcnow

OPEN = text("status IN ('PENDING', 'RUNNING')")


class Job(Base):
    """One run. The row is written before the FL API is asked, so a hub that dies in between submits it later.

    `spec` is the `JobSpec` document sent; `approvals` lists which trust approved which query digest and who
    decided when. Both, and their digests, are fixed before anything starts. `claim` is the terminal status the
    app reported; it counts only when the job really finished.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("uq_jobs_open_model", "model_id", unique=True, postgresql_where=OPEN, sqlite_where=OPEN),
        Index("ix_jobs_open", "created_at", postgresql_where=OPEN, sqlite_where=OPEN),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    model_id: Mapped[UUID] = mapped_column(ForeignKey("models.id"), index=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id"), index=True)
    net: Mapped[str] = mapped_column(String(32))
    status: Mapped[JobStatus] = mapped_column(enum_type(JobStatus), default=JobStatus.PENDING)
    reason: Mapped[str] = mapped_column(Text, default="")
    spec: Mapped[dict[str, Any]] = mapped_column(Json)
    app_sha256: Mapped[str] = mapped_column(String(64))
    query_sha256: Mapped[str] = mapped_column(String(64))
    approvals: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    approvals_sha256: Mapped[str] = mapped_column(String(64))
    created_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    submission_began_at: Mapped[datetime | None]
    """From here on the FL API may hold the job, whatever the hub knows of it."""
    submitted_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    stop_requested_at: Mapped[datetime | None]
    stop_reason: Mapped[str] = mapped_column(Text, default="")
    claim: Mapped[ModelStatus | None] = mapped_column(enum_type(ModelStatus))
    round: Mapped[int] = mapped_column(default=0)
    failures: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    failed_uploads: Mapped[list[str]] = mapped_column(Json, default=list)
    log_offset: Mapped[int] = mapped_column(BigInteger, default=0)
    unreachable_since: Mapped[datetime | None]
    unreachable_reported: Mapped[bool] = mapped_column(default=False)


class QuiesceSwitch(Base):
    """The one row that says whether jobs may start (`flip_hub.jobs.quiesce`). On: `since` is set."""

    __tablename__ = "quiesce_switch"
    __table_args__ = (CheckConstraint("id = 1", name="only_one"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    since: Mapped[datetime | None]
    by: Mapped[str] = mapped_column(String(400), default="")
    reason: Mapped[str] = mapped_column(String(500), default="")
