"""The long poll: wakes at once, misses nothing, holds nothing while it waits."""

import asyncio
import time

import pytest
from sqlalchemy import text

from flip_hub.state import Hub
from flip_hub.tasks import service


async def until_waiting(hub: Hub, number: int) -> None:
    async with asyncio.timeout(10):
        while hub.bus.waiting != number or hub.db.engine.pool.checkedout():
            await asyncio.sleep(0.01)


async def test_without_work_it_answers_empty_after_the_wait(register_trust, hub):
    trust = await register_trust("A")
    began = time.monotonic()
    assert await trust.lease(wait=0.3) == []
    assert time.monotonic() - began >= 0.3
    assert hub.bus.waiting == 0


async def test_a_new_task_ends_the_wait(register_trust, domain, hub):
    trust, other = await register_trust("A"), await register_trust("B")
    polls = [asyncio.create_task(side.lease(wait=20)) for side in (trust, other)]
    await until_waiting(hub, 2)
    task_id = await domain.ask(trust.trust_id)
    async with asyncio.timeout(5):
        (task,) = await polls[0]
    assert task.task_id == task_id
    assert not polls[1].done()
    hub.bus.stop_waiting()
    assert await polls[1] == []


async def test_no_wake_up_is_lost_between_looking_and_waiting(register_trust, domain):
    """The task is enqueued at ever other moments of the poll's start."""
    trust = await register_trust("A")
    for step in range(40):
        poll = asyncio.create_task(trust.lease(wait=20))
        await asyncio.sleep(step * 0.0005)
        task_id = await domain.ask(trust.trust_id)
        async with asyncio.timeout(5):
            (task,) = await poll
        assert task.task_id == task_id
        await trust.fail(task)


async def test_a_task_that_comes_while_the_poll_looks_ends_the_wait(register_trust, domain, hub, monkeypatch):
    """At the worst moment: after the look for due tasks has found none, before the wait has begun."""
    trust = await register_trust("A")
    look, asked = service.next_offer, []

    async def look_while_a_task_comes(session, of_hub, trust_id):
        due = await look(session, of_hub, trust_id)
        if not asked:
            with hub.bus.waiter(trust_id) as heard:
                asked.append(await domain.ask(trust_id))
                await heard.wait()
        return due

    monkeypatch.setattr(service, "next_offer", look_while_a_task_comes)
    async with asyncio.timeout(5):
        (task,) = await trust.lease(wait=20)
    assert [task.task_id] == asked


async def test_a_wake_up_without_work_costs_one_look(register_trust, domain, hub, monkeypatch):
    trust = await register_trust("A")
    lease, looks = service.lease, []

    async def counted(*arguments):
        looks.append(arguments)
        return await lease(*arguments)

    monkeypatch.setattr(service, "lease", counted)
    poll = asyncio.create_task(trust.lease(wait=1.5))
    await until_waiting(hub, 1)
    for _ in range(3):
        async with hub.db.transaction() as session:
            await hub.bus.announce(session, trust.trust_id)
        await asyncio.sleep(0.1)
    assert await poll == []
    assert len(looks) <= 5


async def test_waiting_holds_no_database_connection(register_trust, domain, hub):
    sides = [await register_trust(f"T{number}") for number in range(40)]  # more than the pool has connections
    polls = [asyncio.create_task(side.lease(wait=20)) for side in sides]
    await until_waiting(hub, 40)
    assert hub.db.engine.pool.checkedout() == 0
    for side in sides:
        await domain.ask(side.trust_id)
    async with asyncio.timeout(10):
        assert all([len(await poll) == 1 for poll in polls])
    assert hub.bus.waiting == 0


@pytest.mark.parametrize("settings_changes", [{"task_lease_seconds": 1}])
async def test_a_waiting_poll_gets_the_task_of_a_killed_one_when_its_lease_ends(register_trust, domain):
    trust = await register_trust("A")
    await domain.ask(trust.trust_id)
    await trust.lease()
    began = time.monotonic()
    (task,) = await trust.lease(wait=20)
    assert task.attempt == 2
    assert 0.5 < time.monotonic() - began < 5


async def test_retiring_the_key_or_disabling_the_trust_ends_the_wait(register_trust, hub, sign_in_as):
    trust, other = await register_trust("A"), await register_trust("B")
    admin = await sign_in_as("ADMIN")
    polls = [asyncio.create_task(side.post("tasks/lease", {"wait_seconds": 20})) for side in (trust, other)]
    await until_waiting(hub, 2)
    await admin.client.delete(f"/api/trusts/{trust.trust_id}/keys/{trust.key_id}")
    await admin.client.patch(f"/api/trusts/{other.trust_id}", json={"enabled": False})
    async with asyncio.timeout(5):
        assert [(await poll).status_code for poll in polls] == [401, 403]


async def test_a_stopping_hub_sends_waiting_trusts_away(register_trust, hub):
    trust = await register_trust("A")
    poll = asyncio.create_task(trust.lease(wait=20))
    await until_waiting(hub, 1)
    hub.bus.stop_waiting()
    async with asyncio.timeout(5):
        assert await poll == []
        assert await trust.lease(wait=20) == []


async def test_a_poll_that_hung_up_takes_no_task(register_trust, domain, hub, pg_url, write_env, start_hub):
    """Over real sockets: the poll waits in a hub process, the task is enqueued in this one."""
    trust = await register_trust("A")
    process = start_hub(write_env(database_url=pg_url))
    host, port = process.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    ((header, key),) = trust.headers.items()
    body = '{"max": 1, "wait_seconds": 30}'
    request = f"POST /api/trust/tasks/lease HTTP/1.1\r\nHost: hub\r\n{header}: {key}\r\nContent-Type: application/json"
    writer.write(f"{request}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    await writer.drain()

    async def key_was_used() -> bool:
        async with hub.db.transaction() as session:
            used = text("SELECT first_used_at FROM trust_keys WHERE id = :id")
            return await session.scalar(used, {"id": trust.key_id}) is not None

    async with asyncio.timeout(10):
        while not await key_was_used():
            await asyncio.sleep(0.05)
    writer.close()
    await writer.wait_closed()
    assert await reader.read() == b""
    async with process.client() as remote:
        assert (await remote.get("/api/health")).status_code == 200  # sent after the hang-up, so seen after it
    await domain.ask(trust.trust_id)
    (task,) = await trust.lease(wait=5)
    assert task.attempt == 1
