"""Real concurrency: many connections of two hubs draw from one trust's tasks."""

import asyncio
from collections import Counter

from flip_hub.app import open_hub
from flip_hub.tasks import service
from flip_hub.trusts.keys import identify


async def test_no_task_is_handed_out_twice(register_trust, domain, hub, hub_settings):
    trust = await register_trust("A")
    asked = {await domain.ask(trust.trust_id) for _ in range(120)}
    got: Counter = Counter()

    async def draw(of_hub, limit):
        (key,) = trust.headers.values()
        while True:
            async with of_hub.db.transaction() as session:
                caller = await identify(session, key)
                tasks = await service.lease(session, of_hub, caller, limit)
                await asyncio.sleep(0.002)  # the locks are held while the others look
            if not tasks:
                return
            got.update(task.task_id for task in tasks)

    async with open_hub(hub_settings()) as other:
        await asyncio.gather(*(draw(of_hub, limit) for of_hub in (hub, other) for limit in (1, 2, 3, 1, 5, 1, 2, 4)))
    # A poll that saw only locked rows went away empty-handed; whatever is left is still there to be had.
    got.update(task.task_id for task in await trust.lease(limit=100))
    assert set(got) == asked
    assert set(got.values()) == {1}
