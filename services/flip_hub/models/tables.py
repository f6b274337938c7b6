"""Models, their apps, and what a run leaves at the hub: metrics, events, logs, results."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Float, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from flip_common.wire import FLBackend, JobType, ModelStatus
from flip_hub.columns import Json, enum_type
from flip_hub.db import Base, utcnow


class EventKind(StrEnum):
    """What an event tells."""

    STATUS = "STATUS"
    CLAIM = "CLAIM"
    EXCEPTION = "EXCEPTION"
    FAILURES = "FAILURES"
    UPLOAD_FAILED = "UPLOAD_FAILED"
    FL_API = "FL_API"
    HELD = "HELD"


class Model(Base):
    """A model of a project. It runs once: its status only moves forward and a terminal one is final.

    The app's file is named by `app_sha256`, so a row always speaks of the bytes it was written for.
    """

    __tablename__ = "models"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text, default="")
    job_type: Mapped[JobType] = mapped_column(enum_type(JobType))
    backend: Mapped[FLBackend] = mapped_column(enum_type(FLBackend))
    status: Mapped[ModelStatus] = mapped_column(enum_type(ModelStatus), default=ModelStatus.PENDING)
    status_at: Mapped[datetime] = mapped_column(default=utcnow)
    created_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    deleted_at: Mapped[datetime | None]
    app_sha256: Mapped[str | None] = mapped_column(String(64))
    app_bytes: Mapped[int | None] = mapped_column(BigInteger)
    app_report: Mapped[dict[str, Any] | None] = mapped_column(Json)
    app_uploaded_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    app_uploaded_at: Mapped[datetime | None]


class ModelMetric(Base):
    """One value a (model, trust, label, round); the last one sent wins."""

    __tablename__ = "model_metrics"

    model_id: Mapped[UUID] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    trust: Mapped[str] = mapped_column(String(63), primary_key=True)
    label: Mapped[str] = mapped_column(String(128), primary_key=True)
    round: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    value: Mapped[float] = mapped_column(Float(53))
    at: Mapped[datetime] = mapped_column(default=utcnow)


class ModelEvent(Base):
    """Something that happened to a model, in order of `id`. Never holds text of the app or of a site."""

    __tablename__ = "model_events"
    __table_args__ = (Index("ix_model_events_model", "model_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    model_id: Mapped[UUID] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    at: Mapped[datetime] = mapped_column(default=utcnow)
    kind: Mapped[EventKind] = mapped_column(enum_type(EventKind))
    actor: Mapped[str] = mapped_column(String(400))
    detail: Mapped[dict[str, Any]] = mapped_column(Json)


class ModelLogLine(Base):
    """One log line of the FL server's side of the model's job; `line` counts from 0."""

    __tablename__ = "model_log_lines"

    model_id: Mapped[UUID] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    line: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(Text)


class ModelResult(Base):
    """A result file. Its bytes lie under their SHA-256; `filename` never reaches a file system."""

    __tablename__ = "model_results"

    model_id: Mapped[UUID] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    filename: Mapped[str] = mapped_column(String(310), primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    uploaded_at: Mapped[datetime] = mapped_column(default=utcnow)
