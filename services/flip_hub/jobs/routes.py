"""Routes of FL nets."""

import asyncio

from fastapi import APIRouter

from flip_hub.auth import Researcher
from flip_hub.jobs.flclient import FLClient, FLRefused, FLUnavailable, FLUnknown
from flip_hub.jobs.schemas import NetOut
from flip_hub.settings import FLNet
from flip_hub.state import Hub, HubState

router = APIRouter(prefix="/nets", tags=["nets"])


@router.get("")
async def list_nets(hub: HubState, _: Researcher) -> list[NetOut]:
    """The nets of this hub and which of their sites are online."""
    return list(await asyncio.gather(*(_look(hub, net) for net in hub.settings.fl_nets)))


async def _look(hub: Hub, net: FLNet) -> NetOut:
    try:
        async with FLClient.opened(net, hub.settings) as client:
            sites = await client.sites()
    except (FLUnavailable, FLUnknown, FLRefused) as error:
        return NetOut(name=net.name, backend=net.backend, reachable=False, problem=str(error), sites=[])
    return NetOut(name=net.name, backend=net.backend, reachable=True, problem="", sites=sites)
