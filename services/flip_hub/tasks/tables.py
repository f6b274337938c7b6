"""Tasks: what the hub leaves for a trust to fetch."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from flip_common.wire import TaskType
from flip_hub.columns import Json, enum_type
from flip_hub.db import Base, utcnow


class TaskStatus(StrEnum):
    """PENDING and LEASED are open; the others are final."""

    PENDING = "PENDING"
    LEASED = "LEASED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class Task(Base):
    """One unit of work for one trust.

    `offer_at` is when an open task may be handed out (again): its creation, the end of its lease, or the end
    of the pause after an attempt that may be retried. `attempt` counts leases.
    """

    __tablename__ = "tasks"
    __table_args__ = (
        Index(
            "ix_tasks_open",
            "trust_id",
            "offer_at",
            postgresql_where=text("status IN ('PENDING', 'LEASED')"),
        ),
        Index("ix_tasks_trust", "trust_id", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    trust_id: Mapped[UUID] = mapped_column(ForeignKey("trusts.id", ondelete="CASCADE"))
    type: Mapped[TaskType] = mapped_column(enum_type(TaskType))
    status: Mapped[TaskStatus] = mapped_column(enum_type(TaskStatus), default=TaskStatus.PENDING)
    attempt: Mapped[int] = mapped_column(default=0)
    offer_at: Mapped[datetime] = mapped_column(default=utcnow)
    payload: Mapped[str] = mapped_column(Text)
    payload_kid: Mapped[str] = mapped_column(String(64))
    context: Mapped[dict[str, Any]] = mapped_column(Json)
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    ended_at: Mapped[datetime | None]
