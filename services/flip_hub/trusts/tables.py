"""Trusts and their keys."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from flip_hub.columns import Json
from flip_hub.db import Base, utcnow


class Trust(Base):
    """A hospital or TRE. Names differ in more than case, because a name is also a folder and an FL site name."""

    __tablename__ = "trusts"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(63))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    disabled_at: Mapped[datetime | None]
    fl_public_key: Mapped[str | None] = mapped_column(Text)
    last_heartbeat_at: Mapped[datetime | None]
    clock_skew_seconds: Mapped[float | None]
    release: Mapped[str | None] = mapped_column(String(64))
    services: Mapped[dict[str, Any] | None] = mapped_column(Json)
    tasks_running: Mapped[int | None]


Index("uq_trusts_name_lower", func.lower(Trust.name), unique=True)


class TrustKey(Base):
    """One kit's keys: the hash of its API key, and its payload key wrapped by the hub's master key."""

    __tablename__ = "trust_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    trust_id: Mapped[UUID] = mapped_column(ForeignKey("trusts.id", ondelete="CASCADE"), index=True)
    api_key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    kid: Mapped[str] = mapped_column(String(64), unique=True)
    wrapped_payload_key: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    first_used_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]


class WrappedMasterKey(Base):
    """The hub's master key as the KMS wrapped it. There is none where a file holds the key, and never a second."""

    __tablename__ = "wrapped_master_keys"
    __table_args__ = (CheckConstraint("id = 1", name="only_one"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    kms_key: Mapped[str] = mapped_column(String(2048))
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
