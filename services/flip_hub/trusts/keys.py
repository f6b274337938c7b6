"""A trust's live keys: who calls with which, and which one seals."""

import hmac
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.keys import PayloadKey, hash_api_key
from flip_common.web import Problem
from flip_hub.db import utcnow
from flip_hub.trusts.tables import Trust, TrustKey
from flip_hub.trusts.vault import Vault

# Every call of every trust asks this; built once, because building it costs more than running it.
_BY_API_KEY = (
    select(
        TrustKey.id,
        TrustKey.kid,
        TrustKey.wrapped_payload_key,
        TrustKey.api_key_hash,
        TrustKey.first_used_at,
        Trust.id.label("trust_id"),
        Trust.name,
        Trust.disabled_at,
    )
    .join(Trust, Trust.id == TrustKey.trust_id)
    .where(TrustKey.api_key_hash == bindparam("presented"), TrustKey.retired_at.is_(None))
)


@dataclass(frozen=True)
class CallingTrust:
    """A trust that has proven itself by API key, and the (wrapped) payload key of the same kit."""

    trust_id: UUID
    name: str
    key_id: UUID
    kid: str
    wrapped_payload_key: str = field(repr=False)

    @property
    def actor(self) -> str:
        """How the audit trail names it."""
        return f"trust:{self.name}"


async def identify(session: AsyncSession, api_key: str) -> CallingTrust:
    """Whose API key this is. Notes the first use of a key: from then on it is the one that seals.

    Raises:
        Problem: 401 for a key that is unknown or retired, 403 `trust_disabled`.
    """
    presented = hash_api_key(api_key)
    row = (await session.execute(_BY_API_KEY, {"presented": presented})).one_or_none()
    if row is None or not hmac.compare_digest(row.api_key_hash, presented):
        raise Problem(401, "unauthenticated", "the trust's API key is missing, unknown or retired")
    if row.disabled_at is not None:
        raise Problem(403, "trust_disabled", f"trust {row.name} is disabled; ask the hub's administrators")
    if row.first_used_at is None:
        await session.execute(
            update(TrustKey)
            .where(TrustKey.id == row.id, TrustKey.first_used_at.is_(None))
            .values(first_used_at=utcnow())
        )
    return CallingTrust(
        trust_id=row.trust_id,
        name=row.name,
        key_id=row.id,
        kid=row.kid,
        wrapped_payload_key=row.wrapped_payload_key,
    )


async def live_payload_keys(session: AsyncSession, vault: Vault, trust_id: UUID) -> list[PayloadKey]:
    """The trust's live payload keys; the first is the one to seal with.

    That is the newest key the trust has called with: a kit that was issued but not installed opens nothing.

    Raises:
        Problem: 409 `trust_without_key` if none is live.
        VaultError: the master key is not the one they were wrapped with.
    """
    query = (
        select(TrustKey.wrapped_payload_key)
        .where(TrustKey.trust_id == trust_id, TrustKey.retired_at.is_(None))
        .order_by(TrustKey.first_used_at.desc().nulls_last(), TrustKey.created_at)
    )
    wrapped = (await session.scalars(query)).all()
    if not wrapped:
        raise Problem(409, "trust_without_key", f"trust {trust_id} has no live key; rotate its key")
    return [vault.unwrap(trust_id, text) for text in wrapped]


async def payload_key(session: AsyncSession, vault: Vault, trust_id: UUID, kid: str) -> PayloadKey:
    """One payload key by name, live or retired: what was sealed before a rotation is sealed anew with its help."""
    query = select(TrustKey.wrapped_payload_key).where(TrustKey.trust_id == trust_id, TrustKey.kid == kid)
    return vault.unwrap(trust_id, (await session.scalars(query)).one())
