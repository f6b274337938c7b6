"""Trusts that a deployment names in the hub's settings: there from the first start, without anybody signing in."""

from uuid import uuid4

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.keys import MAX_LIVE_KEYS, KeyFormatError, PayloadKey
from flip_common.settings import SettingsError
from flip_hub.audit.service import record
from flip_hub.state import Hub
from flip_hub.trusts.service import keys_of
from flip_hub.trusts.tables import Trust, TrustKey

ACTOR = "settings"


async def import_trusts(session: AsyncSession, hub: Hub) -> None:
    """Registers the trusts of TRUST_API_KEY_HASHES that the hub does not know, and gives known ones a new key.

    A key that is there already, retired ones included, is left as it is: a restart brings no retired key back.

    Raises:
        SettingsError: a payload key is missing or malformed, or a trust has two live keys already.
    """
    for name, api_key_hash in hub.settings.trust_api_key_hashes.items():
        trust = await session.scalar(select(Trust).where(func.lower(Trust.name) == name.lower()))
        before = await keys_of(session, trust.id) if trust else []
        if any(key.api_key_hash == api_key_hash for key in before):
            continue
        payload_key = _payload_key(hub, name)
        if sum(key.retired_at is None for key in before) >= MAX_LIVE_KEYS:
            raise SettingsError(f"TRUST_API_KEY_HASHES: {name} has two live keys; retire one before it gets another")
        if trust is None:
            trust = Trust(id=uuid4(), name=name)
            session.add(trust)
            await session.flush()
        key = TrustKey(
            id=uuid4(),
            trust_id=trust.id,
            api_key_hash=api_key_hash,
            kid=payload_key.kid,
            wrapped_payload_key=hub.vault.wrap(trust.id, payload_key),
        )
        session.add(key)
        await session.flush()
        action = "trust.rotate_key" if before else "trust.register"
        await record(session, ACTOR, action, "trust", trust.id, None, {"name": name, "key_id": key.id})


def _payload_key(hub: Hub, name: str) -> PayloadKey:
    text = hub.settings.trust_aes_keys.get(name)
    if text is None:
        raise SettingsError(f"TRUST_AES_KEYS: no payload key for {name}, whom TRUST_API_KEY_HASHES names")
    try:
        return PayloadKey.from_base64(text.get_secret_value())
    except KeyFormatError as error:
        raise SettingsError(f"TRUST_AES_KEYS: {name}: {error}") from None
