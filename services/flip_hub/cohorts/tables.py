"""Cohort queries and what each trust answered."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from flip_hub.columns import Json, enum_type
from flip_hub.db import Base, utcnow


class AnswerState(StrEnum):
    """Where a trust's answer to a cohort query stands; the last two are final."""

    PENDING = "PENDING"
    ANSWERED = "ANSWERED"
    FAILED = "FAILED"


class CohortQuery(Base):
    """A question put to trusts on behalf of a project. It never changes."""

    __tablename__ = "cohort_queries"
    __table_args__ = (Index("ix_cohort_queries_project", "project_id", "created_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    query: Mapped[str] = mapped_column(Text)
    query_sha256: Mapped[str] = mapped_column(String(64))
    created_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class CohortAnswer(Base):
    """One trust's answer: a `CohortQueryResult` document, or a `TaskError` document."""

    __tablename__ = "cohort_answers"

    query_id: Mapped[UUID] = mapped_column(ForeignKey("cohort_queries.id", ondelete="CASCADE"), primary_key=True)
    trust_id: Mapped[UUID] = mapped_column(ForeignKey("trusts.id"), primary_key=True)
    state: Mapped[AnswerState] = mapped_column(enum_type(AnswerState), default=AnswerState.PENDING)
    result: Mapped[dict[str, Any] | None] = mapped_column(Json)
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)
    answered_at: Mapped[datetime | None]
