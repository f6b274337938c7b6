"""What a trust calls about itself."""

from fastapi import APIRouter

from flip_common import __version__
from flip_common.wire import HeartbeatRequest, HeartbeatResponse, SiteKey
from flip_hub.db import Session, utcnow
from flip_hub.state import HubState
from flip_hub.trusts import service
from flip_hub.trusts.caller import Caller, TrustKeyScheme

router = APIRouter(prefix="/trust", tags=["trust side"], dependencies=[TrustKeyScheme])


@router.post("/heartbeat")
async def heartbeat(body: HeartbeatRequest, caller: Caller, session: Session, hub: HubState) -> HeartbeatResponse:
    """How the trust is; answers whom the hub takes the caller for."""
    skew = await service.heartbeat(session, caller, body, utcnow())
    return HeartbeatResponse(
        trust_id=caller.trust_id,
        trust_name=caller.name,
        hub_version=__version__,
        release=hub.settings.hub_release,
        clock_skew_seconds=skew,
    )


@router.put("/fl-key", status_code=204)
async def put_fl_key(body: SiteKey, caller: Caller, session: Session, hub: HubState) -> None:
    """The public key by which the trust's FL client is known; every FL net is told. Repeating is harmless."""
    await service.store_fl_key(session, caller, body)
    # Committed before the nets are told: one that cannot be reached must not lose the key.
    await session.commit()
    for hook in service.FL_KEY_HOOKS:
        await hook(hub, caller.name, body)
