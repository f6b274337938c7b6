"""Administration of trusts."""

from uuid import UUID

from fastapi import APIRouter

from flip_common.web import Problem
from flip_common.wire import Role
from flip_hub.auth import Admin, CurrentUser
from flip_hub.db import Session
from flip_hub.state import HubState
from flip_hub.trusts import service
from flip_hub.trusts.schemas import ChangeTrust, KeyView, RegisterTrust, TrustKit, TrustView

router = APIRouter(prefix="/trusts", tags=["trusts"])


@router.get("")
async def list_trusts(_: CurrentUser, session: Session, hub: HubState) -> list[TrustView]:
    """All trusts by name, and how they are."""
    stale = hub.settings.trust_stale_seconds
    return [service.view(trust, stale) for trust in await service.all_trusts(session)]


@router.post("", status_code=201)
async def register_trust(body: RegisterTrust, admin: Admin, session: Session, hub: HubState) -> TrustKit:
    """A new trust. Its kit is in the answer and nowhere else. Needs ADMIN."""
    return await service.register(session, hub, admin, body.name)


@router.get("/{trust_id}")
async def get_trust(trust_id: UUID, _: CurrentUser, session: Session, hub: HubState) -> TrustView:
    """One trust, and how it is."""
    return service.view(await service.get(session, trust_id), hub.settings.trust_stale_seconds)


@router.patch("/{trust_id}")
async def change_trust(trust_id: UUID, body: ChangeTrust, admin: Admin, session: Session, hub: HubState) -> TrustView:
    """Disables a trust (its calls get 403, its tasks wait) or lets it in again. Needs ADMIN."""
    trust = await service.set_enabled(session, hub, admin, trust_id, body.enabled)
    return service.view(trust, hub.settings.trust_stale_seconds)


@router.get("/{trust_id}/keys")
async def list_keys(trust_id: UUID, user: CurrentUser, session: Session) -> list[KeyView]:
    """The trust's keys, without what is secret. Needs ADMIN, or TRUST_OWNER of this trust."""
    if not user.has(Role.ADMIN) and trust_id not in user.trust_ids:
        raise Problem(403, "forbidden", "this needs the role ADMIN, or TRUST_OWNER of this trust")
    await service.get(session, trust_id)
    return [KeyView.of(key) for key in await service.keys_of(session, trust_id)]


@router.post("/{trust_id}/keys", status_code=201)
async def rotate_key(trust_id: UUID, admin: Admin, session: Session, hub: HubState) -> TrustKit:
    """A second kit for the trust; the first stays valid until it is retired. Needs ADMIN."""
    return await service.rotate_key(session, hub, admin, trust_id)


@router.delete("/{trust_id}/keys/{key_id}")
async def retire_key(trust_id: UUID, key_id: UUID, admin: Admin, session: Session, hub: HubState) -> KeyView:
    """Ends a key at once: no call with it passes, no result sealed with it opens. Needs ADMIN."""
    return KeyView.of(await service.retire_key(session, hub, admin, trust_id, key_id))
