"""Projects, who works on them, and what each trust decided."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from flip_common.wire import ProjectStatus, TaskType
from flip_hub.columns import Json, enum_type
from flip_hub.db import Base, utcnow


class TrustDecision(StrEnum):
    """What a trust's owner decided about a staged project."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    WITHDRAWN = "WITHDRAWN"


class CohortState(StrEnum):
    """Where the trust's frozen cohort stands."""

    NONE = "NONE"
    FREEZING = "FREEZING"
    FROZEN = "FROZEN"
    FAILED = "FAILED"


class Project(Base):
    """A project. A deleted one stays as a row, so that late answers of trusts find what they belong to.

    `staged_query` and `staged_query_sha256` are the exact text the trusts decide about; it never changes while
    the project is staged or approved.
    """

    __tablename__ = "projects"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text, default="")
    status: Mapped[ProjectStatus] = mapped_column(enum_type(ProjectStatus), default=ProjectStatus.UNSTAGED)
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    staged_query_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("cohort_queries.id", use_alter=True, name="fk_projects_staged_query_id")
    )
    staged_query: Mapped[str | None] = mapped_column(Text)
    staged_query_sha256: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
    deleted_at: Mapped[datetime | None]


class ProjectMember(Base):
    """A user the owner let in."""

    __tablename__ = "project_members"

    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True)
    added_at: Mapped[datetime] = mapped_column(default=utcnow)


class ProjectTrust(Base):
    """A trust the project is staged to: its decision, its frozen cohort, its imaging.

    `approved_query_sha256` is what was approved. `imaging_task_id` names the one imaging task that is
    outstanding; counts are `DisclosedCount` documents exactly as the trust sent them.
    """

    __tablename__ = "project_trusts"

    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    trust_id: Mapped[UUID] = mapped_column(ForeignKey("trusts.id"), primary_key=True, index=True)
    decision: Mapped[TrustDecision] = mapped_column(enum_type(TrustDecision), default=TrustDecision.PENDING)
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    decided_at: Mapped[datetime | None]
    note: Mapped[str] = mapped_column(Text, default="")
    approved_query_sha256: Mapped[str | None] = mapped_column(String(64))
    cohort_state: Mapped[CohortState] = mapped_column(enum_type(CohortState), default=CohortState.NONE)
    cohort_task_id: Mapped[UUID | None]
    cohort_result: Mapped[dict[str, Any] | None] = mapped_column(Json)
    cohort_error: Mapped[dict[str, Any] | None] = mapped_column(Json)
    frozen_at: Mapped[datetime | None]
    imaging_task_id: Mapped[UUID | None]
    imaging_task_type: Mapped[TaskType | None] = mapped_column(enum_type(TaskType))
    imaging_result: Mapped[dict[str, Any] | None] = mapped_column(Json)
    imaging_error: Mapped[dict[str, Any] | None] = mapped_column(Json)
    imaging_at: Mapped[datetime | None]
