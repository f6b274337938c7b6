"""A hub that stops or is killed forgets no lease and offers no task twice."""

import asyncio
import signal

import pytest

from flip_hub.app import create_app, open_hub
from flip_hub.tasks.registry import HANDLERS


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_leases_outlive_the_process(register_trust, domain, result, pg_url, write_env, start_hub, number):
    trust = await register_trust("A")
    task_id = await domain.ask(trust.trust_id)
    process = start_hub(write_env(database_url=pg_url, task_lease_seconds=3600))
    async with process.client() as client:
        leased = await client.post("/api/trust/tasks/lease", json={"max": 5}, headers=trust.headers)
    (task,) = leased.json()["tasks"]
    await asyncio.to_thread(process.stop, number)
    again = start_hub(write_env(database_url=pg_url, task_lease_seconds=3600))
    async with again.client() as client:
        nothing = await client.post("/api/trust/tasks/lease", json={"max": 5}, headers=trust.headers)
        renewed = await client.post(f"/api/trust/tasks/{task_id}/renew", json={"attempt": 1}, headers=trust.headers)
    assert (nothing.json(), renewed.status_code) == ({"tasks": []}, 200)
    assert (task["task_id"], (await domain.task(task_id)).attempt) == (str(task_id), 1)


@pytest.mark.parametrize("settings_changes", [{"task_max_attempts": 1}])
async def test_what_ran_out_while_the_hub_was_down_is_ended_after_its_start(
    register_trust, domain, hub, hub_settings, expire, monkeypatch
):
    trust = await register_trust("A")
    task_id = await domain.ask(trust.trust_id)
    await trust.lease()
    handler = HANDLERS[(await domain.task(task_id)).type]
    domain.raises = RuntimeError("this hub is as good as dead: it ends nothing")
    await expire(task_id)
    ended = []

    async def handle(session, of_hub, task, outcome, error):
        ended.append((task.id, error.code))

    monkeypatch.setitem(HANDLERS, (await domain.task(task_id)).type, handle)
    async with open_hub(hub_settings(task_max_attempts=1)) as restarted:
        assert create_app(restarted)
        async with asyncio.timeout(10):
            while not ended:
                await asyncio.sleep(0.02)
    assert ended == [(task_id, "attempts_exhausted")]
    assert handler is not handle
