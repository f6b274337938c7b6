"""Trusts: registration, keys, health."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.keys import MAX_LIVE_KEYS, PayloadKey, generate_api_key, hash_api_key
from flip_common.web import Problem, not_found
from flip_common.wire import HeartbeatRequest, SiteKey
from flip_hub.audit.service import record
from flip_hub.auth import Principal
from flip_hub.db import utcnow
from flip_hub.state import Hub
from flip_hub.trusts.keys import CallingTrust
from flip_hub.trusts.schemas import TrustKit, TrustView
from flip_hub.trusts.tables import Trust, TrustKey
from flip_hub.users.profiles import tell_trust_again

FlKeyHook = Callable[[Hub, str, SiteKey], Awaitable[None]]
FL_KEY_HOOKS: list[FlKeyHook] = []


def on_fl_key(hook: FlKeyHook) -> FlKeyHook:
    """Registers `async def hook(hub, trust_name, key)`, called after a trust's FL key has been stored.

    A `Problem` it raises reaches the trust, which sends its key again; the key stays stored.
    """
    FL_KEY_HOOKS.append(hook)
    return hook


async def register(session: AsyncSession, hub: Hub, actor: Principal | str, name: str) -> TrustKit:
    """A new trust and its first kit.

    Raises:
        Problem: 409 `trust_exists`; names that differ in case only count as the same.
    """
    trust = Trust(id=uuid4(), name=name)
    try:
        async with session.begin_nested():
            session.add(trust)
    except IntegrityError:
        raise Problem(409, "trust_exists", f"a trust named {name} exists; choose another name") from None
    kit = await _issue(session, hub, trust)
    await record(session, actor, "trust.register", "trust", trust.id, None, {"name": name, "key_id": kit.key_id})
    return kit


async def get(session: AsyncSession, trust_id: UUID, *, lock: bool = False) -> Trust:
    """The trust, locked against other changes if asked for.

    Raises:
        Problem: 404.
    """
    # Weaker than FOR UPDATE, so that tasks for the trust can be written meanwhile.
    trust = await session.get(Trust, trust_id, with_for_update={"key_share": True} if lock else None)
    if trust is None:
        raise not_found("trust", trust_id)
    return trust


async def keys_of(session: AsyncSession, trust_id: UUID) -> list[TrustKey]:
    """All keys of the trust, oldest first."""
    query = select(TrustKey).where(TrustKey.trust_id == trust_id).order_by(TrustKey.created_at, TrustKey.id)
    return list((await session.scalars(query)).all())


async def rotate_key(session: AsyncSession, hub: Hub, actor: Principal, trust_id: UUID) -> TrustKit:
    """A second kit; the first stays live until it is retired.

    Raises:
        Problem: 404; 409 `too_many_keys` while two are live.
    """
    trust = await get(session, trust_id, lock=True)
    live = [key for key in await keys_of(session, trust_id) if key.retired_at is None]
    if len(live) >= MAX_LIVE_KEYS:
        ids = ", ".join(str(key.id) for key in live)
        raise Problem(409, "too_many_keys", f"trust {trust.name} has two live keys ({ids}); retire one first")
    kit = await _issue(session, hub, trust)
    await record(session, actor, "trust.rotate_key", "trust", trust_id, None, {"key_id": kit.key_id})
    return kit


async def retire_key(session: AsyncSession, hub: Hub, actor: Principal, trust_id: UUID, key_id: UUID) -> TrustKey:
    """Ends a key at once, and polls that wait with it. The only live one may be retired: a leaked key must stop.

    Raises:
        Problem: 404.
    """
    await get(session, trust_id, lock=True)
    key = await session.get(TrustKey, key_id)
    if key is None or key.trust_id != trust_id:
        raise not_found("key", key_id)
    if key.retired_at is None:
        key.retired_at = utcnow()
        after = {"key_id": key_id, "retired_at": key.retired_at}
        await record(session, actor, "trust.retire_key", "trust", trust_id, {"key_id": key_id}, after)
        await hub.bus.announce(session, trust_id)
    return key


async def set_enabled(session: AsyncSession, hub: Hub, actor: Principal, trust_id: UUID, enabled: bool) -> Trust:
    """Lets a trust in, or shuts it out; its tasks wait meanwhile.

    Raises:
        Problem: 404.
    """
    trust = await get(session, trust_id, lock=True)
    if enabled != (trust.disabled_at is None):
        trust.disabled_at = None if enabled else utcnow()
        action = "trust.enable" if enabled else "trust.disable"
        await record(session, actor, action, "trust", trust_id, {"enabled": not enabled}, {"enabled": enabled})
        await hub.bus.announce(session, trust_id)
        if enabled:
            await tell_trust_again(session, hub, trust_id)
    return trust


async def all_trusts(session: AsyncSession) -> list[Trust]:
    """Every trust by name."""
    return list((await session.scalars(select(Trust).order_by(func.lower(Trust.name)))).all())


async def heartbeat(session: AsyncSession, caller: CallingTrust, beat: HeartbeatRequest, now: datetime) -> float:
    """Notes how the trust is. Returns its clock's skew in seconds; its clock decides nothing."""
    trust = await get(session, caller.trust_id)
    skew = (beat.sent_at - now).total_seconds()
    trust.last_heartbeat_at = now
    trust.clock_skew_seconds = skew
    trust.release = beat.release
    trust.services = dict(beat.services)
    trust.tasks_running = beat.tasks_running
    return skew


async def store_fl_key(session: AsyncSession, caller: CallingTrust, key: SiteKey) -> None:
    """Keeps the public key by which the trust's FL client is known."""
    trust = await get(session, caller.trust_id, lock=True)
    if trust.fl_public_key != key.public_key:
        before = {"fl_public_key": trust.fl_public_key} if trust.fl_public_key else None
        trust.fl_public_key = key.public_key
        after = {"fl_public_key": key.public_key}
        await record(session, caller.actor, "trust.fl_key", "trust", caller.trust_id, before, after)


def view(trust: Trust, stale_seconds: float) -> TrustView:
    """What may be known about a trust."""
    beat = trust.last_heartbeat_at
    fresh = beat is not None and utcnow() - beat <= timedelta(seconds=stale_seconds)
    return TrustView(
        trust_id=trust.id,
        name=trust.name,
        created_at=trust.created_at,
        enabled=trust.disabled_at is None,
        online=fresh and trust.disabled_at is None,
        last_heartbeat_at=beat,
        clock_skew_seconds=trust.clock_skew_seconds,
        release=trust.release,
        services=trust.services or {},
        tasks_running=trust.tasks_running or 0,
        fl_key_registered=trust.fl_public_key is not None,
    )


async def _issue(session: AsyncSession, hub: Hub, trust: Trust) -> TrustKit:
    api_key, payload_key = generate_api_key(), PayloadKey.generate()
    key = TrustKey(
        id=uuid4(),
        trust_id=trust.id,
        api_key_hash=hash_api_key(api_key),
        kid=payload_key.kid,
        wrapped_payload_key=hub.vault.wrap(trust.id, payload_key),
    )
    session.add(key)
    await session.flush()
    return TrustKit(
        trust_id=trust.id,
        trust_name=trust.name,
        key_id=key.id,
        api_key=api_key,
        api_key_header=hub.settings.trust_api_key_header,
        aes_key_base64=payload_key.to_base64(),
        hub_api_path="/api",
    )
