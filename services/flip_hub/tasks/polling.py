"""The long poll for tasks: holds no database connection while it waits, and loses no wake-up."""

import asyncio
from contextlib import ExitStack, suppress
from datetime import datetime

from fastapi import Request

from flip_common.wire import LeaseRequest, LeaseResponse
from flip_hub.db import utcnow
from flip_hub.state import Hub
from flip_hub.tasks import service
from flip_hub.trusts.keys import identify

MIN_PAUSE_SECONDS = 0.05
"""Between two looks: a task that is due but locked by another poll is not looked for in a busy loop."""


async def poll(hub: Hub, request: Request, api_key: str, body: LeaseRequest) -> LeaseResponse:
    """Answers at once when there is work, else when there is, else empty after `wait_seconds`.

    Ends early, and takes nothing, when the caller hangs up or the hub stops. The key is checked at every look:
    one that was retired meanwhile gets nothing.

    Raises:
        Problem: 401 or 403, see `identify`.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + body.wait_seconds
    wake: asyncio.Event | None = None
    gone: asyncio.Task[None] | None = None
    with ExitStack() as stack:
        while True:
            async with hub.db.transaction() as session:
                caller = await identify(session, api_key)
                # Waiting starts before looking, so that what arrives in between wakes the next round.
                wake = wake or stack.enter_context(hub.bus.waiter(caller.trust_id))
                wake.clear()
                tasks = await service.lease(session, hub, caller, body.max)
                due = None if tasks else await service.next_offer(session, hub, caller.trust_id)
            left = deadline - clock()
            if tasks or left <= 0 or hub.bus.closing:
                return LeaseResponse(tasks=tasks)
            if gone is None:
                gone = asyncio.create_task(_hang_up(request, wake))
                stack.callback(gone.cancel)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, _until(due))):
                    await wake.wait()
            if gone.done():
                return LeaseResponse(tasks=[])


def _until(due: datetime | None) -> float:
    if due is None:
        return float("inf")
    return max((due - utcnow()).total_seconds(), MIN_PAUSE_SECONDS)


async def _hang_up(request: Request, wake: asyncio.Event) -> None:
    """Ends when the caller has hung up. The body has been read, so nothing else can arrive."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    wake.set()
