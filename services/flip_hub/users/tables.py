"""Users, their sessions, the trusts they own, what trusts were told of them, ID tokens used, and failed sign-ins."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from flip_hub.columns import Json
from flip_hub.db import Base, utcnow


class User(Base):
    """A local account. `email` is kept in lower case; `roles` is a list of `flip_common.wire.Role` values."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    email: Mapped[str] = mapped_column(String(320), unique=True)
    full_name: Mapped[str] = mapped_column(String(200), default="")
    password_hash: Mapped[str] = mapped_column(String(200))
    roles: Mapped[list[str]] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    disabled_at: Mapped[datetime | None]


class TrustOwner(Base):
    """A user may decide for a trust."""

    __tablename__ = "trust_owners"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    trust_id: Mapped[UUID] = mapped_column(ForeignKey("trusts.id", ondelete="CASCADE"), primary_key=True, index=True)


class UserProfile(Base):
    """What a trust was told of a user, and what came of it (`flip_hub.users.profiles`).

    `profile` is the `UpdateUserProfilePayload` document sent last; `task_id` names its task until the answer is in.
    """

    __tablename__ = "user_profiles"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    trust_id: Mapped[UUID] = mapped_column(ForeignKey("trusts.id", ondelete="CASCADE"), primary_key=True, index=True)
    profile: Mapped[dict[str, Any]] = mapped_column(Json)
    task_id: Mapped[UUID | None]
    applied: Mapped[bool | None]
    reason: Mapped[str] = mapped_column(String(500), default="")
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)
    at: Mapped[datetime | None]


class UserSession(Base):
    """A sign-in. Only the SHA-256 of its token is kept."""

    __tablename__ = "user_sessions"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class UsedIdToken(Base):
    """An ID token that opened a session: it opens no other. Kept while it would be young enough to be used."""

    __tablename__ = "used_id_tokens"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of what the issuer signed; the signature itself could be written in another way."""
    expires_at: Mapped[datetime] = mapped_column(index=True)


class SignInFailure(Base):
    """A failed sign-in, counted against the account named and against the address it came from."""

    __tablename__ = "sign_in_failures"
    __table_args__ = (
        Index("ix_sign_in_failures_account", "account", "at"),
        Index("ix_sign_in_failures_address", "address", "at"),
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    account: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the e-mail address, or of the token: people type passwords into the wrong field."""
    address: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
