"""Routes of FL nets, and of the switch that lets no job start."""

import asyncio

from fastapi import APIRouter

from flip_hub.auth import Admin, Researcher
from flip_hub.db import Session
from flip_hub.jobs import quiesce
from flip_hub.jobs.flclient import FLClient, FLRefused, FLUnavailable, FLUnknown
from flip_hub.jobs.schemas import NetOut, QuiesceRequest, QuiesceState
from flip_hub.settings import FLNet
from flip_hub.state import Hub, HubState

router = APIRouter(tags=["nets"])


@router.get("/jobs/quiesce")
async def get_quiesce(session: Session, _: Researcher) -> QuiesceState:
    """Whether jobs may start, and how many run and wait. Needs RESEARCHER or ADMIN."""
    return await quiesce.state(session)


@router.put("/jobs/quiesce")
async def put_quiesce(session: Session, admin: Admin, body: QuiesceRequest) -> QuiesceState:
    """Lets no job start until it is turned off: those that run go on, those started now wait. Needs ADMIN."""
    return await quiesce.turn(session, admin, body)


@router.get("/nets")
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
