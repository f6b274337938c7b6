"""The quiesce switch: no job starts while it is on, none is lost, and it says when all have ended."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from fl_api_double import FlApi
from hub_world import Run, World, ok, problem, until

from flip_common.wire import JobStatus, Role
from flip_hub.app import open_hub
from flip_hub.jobs import quiesce, settle
from flip_hub.jobs.tables import Job
from flip_hub.state import Hub

URL = "/api/jobs/quiesce"
OFF = {"on": False, "since": None, "by": "", "reason": "", "running": 0, "waiting": 0, "drained": False}
POLLS = 0.4
"""Time for several looks of the watcher, which pauses 0.05 s."""


async def turn(world: World, on: bool, reason: str = "") -> dict[str, Any]:
    return dict(ok(await world.admin.client.put(URL, json={"on": on, "reason": reason})))


async def state(world: World) -> dict[str, Any]:
    return dict(ok(await world.owner.client.get(URL)))


async def started(world: World) -> tuple[str, UUID]:
    model_id = await world.model()
    return model_id, UUID((await world.start(model_id))["job"]["id"])


async def has(fl_api: FlApi, job_id: UUID) -> None:
    async def there() -> bool:
        return job_id in fl_api.jobs

    await until(there)


async def test_jobs_wait_while_it_is_on_and_start_when_it_is_off(run: Run) -> None:
    world, api = run.world, run.api
    assert await state(world) == {**OFF, "running": 1}
    on = await turn(world, True, " an upgrade ")
    assert on == {**OFF, "on": True, "since": on["since"], "by": world.admin.email, "reason": "an upgrade"} | {
        "running": 1
    }
    model_id, job_id = await started(world)
    await asyncio.sleep(POLLS)
    assert job_id not in api.jobs
    assert (await state(world))["waiting"] == 1
    assert await world.status(model_id) == "INITIATED"
    [held] = await world.events(model_id, "HELD")
    assert held["detail"] == {"since": held["detail"]["since"], "reason": "an upgrade"}
    assert not (await state(world))["drained"]
    api.change(run.job_id, JobStatus.FINISHED)
    await world.status_is(run.model_id, "RESULTS_UPLOADED")
    assert await state(world) == {**on, "running": 0, "waiting": 1, "drained": True}
    assert await turn(world, False) == {**OFF, "waiting": 1}
    await has(api, job_id)
    assert await world.events(model_id, "HELD") == [held]


async def test_who_may_see_it_and_who_may_turn_it(world: World) -> None:
    viewer = await world.sign_in_as(Role.VIEWER)
    problem(await viewer.client.get(URL), 403, "forbidden")
    assert await state(world) == OFF
    for person in (viewer, world.owner, world.sites[0].owner):
        problem(await person.client.put(URL, json={"on": True}), 403, "forbidden")
    for body in ({}, {"on": True, "reason": "a\0b"}, {"on": True, "reason": "x" * 501}, {"on": True, "off": True}):
        problem(await world.admin.client.put(URL, json=body), 422, "invalid_request")
    assert await state(world) == OFF


async def test_turning_it_twice_changes_the_reason_only_and_every_change_is_recorded(world: World) -> None:
    another = await world.sign_in_as(Role.ADMIN, email="eve@example.org")
    first = await turn(world, True, "an upgrade")
    assert await turn(world, True, "an upgrade") == first
    second = ok(await another.client.put(URL, json={"on": True, "reason": "a longer upgrade"}))
    assert second == {**first, "reason": "a longer upgrade"}, "since when and by whom stay those of the first"
    await turn(world, False, "words that mean nothing")
    await turn(world, False)
    found = [(entry["actor"], entry["before"], entry["after"]) for entry in await world.audit("jobs.quiesce")]
    assert found == [
        (world.admin.email, {"on": True, "reason": "a longer upgrade"}, {"on": False, "reason": ""}),
        ("eve@example.org", {"on": True, "reason": "an upgrade"}, {"on": True, "reason": "a longer upgrade"}),
        (world.admin.email, {"on": False, "reason": ""}, {"on": True, "reason": "an upgrade"}),
    ]


async def test_hubs_on_one_database_agree_also_after_a_restart(
    world: World, fl_api: FlApi, hub_settings: Any, settings_changes: dict[str, Any], hub: Hub
) -> None:
    await world.approved()
    before = await turn(world, True, "an upgrade")
    async with open_hub(hub_settings(**settings_changes)) as second:
        _, job_id = await started(world)
        async with second.db.transaction() as session:
            found = await quiesce.state(session)
        assert (found.on, found.reason, found.waiting) == (True, "an upgrade", 1)
        assert str(found.since)[:19] == before["since"][:19].replace("T", " ")
        assert not await settle.may_submit(second, job_id), "whichever hub watches"
        await asyncio.sleep(POLLS)
        assert fl_api.jobs == {}


async def test_a_submission_under_way_counts_as_running_and_is_carried_through(world: World, fl_api: FlApi) -> None:
    await world.approved()
    fl_api.lose_answer = True
    _, job_id = await started(world)
    await has(fl_api, job_id)
    now = await turn(world, True)
    assert (now["running"], now["waiting"], now["drained"]) == (1, 0, False)
    fl_api.lose_answer = False
    fl_api.change(job_id, JobStatus.FINISHED)

    async def drained() -> bool:
        return bool((await state(world))["drained"])

    await until(drained)


async def test_what_a_hub_of_the_release_before_submitted_counts_as_running(
    world: World, fl_api: FlApi, hub: Hub
) -> None:
    """An upgrade replaces hubs one by one: such a one may submit a job after the migration."""
    await world.approved()
    _, job_id = await started(world)
    await has(fl_api, job_id)

    async def submitted() -> bool:
        async with hub.db.transaction() as session:
            job = await session.get_one(Job, job_id)
            job.submission_began_at = None
            return job.submitted_at is not None

    await until(submitted)
    now = await turn(world, True)
    assert (now["running"], now["waiting"], now["drained"]) == (1, 0, False)


async def test_turning_it_on_waits_for_whoever_has_just_seen_it_off(
    world: World, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a job could begin after the switch had said that none runs."""
    seen_off, go_on = asyncio.Event(), asyncio.Event()

    async def slow(*_: Any) -> None:
        seen_off.set()
        await go_on.wait()

    monkeypatch.setattr(settle, "locked", slow)
    submitting = asyncio.create_task(settle.may_submit(hub, uuid4()))
    await seen_off.wait()
    turning = asyncio.create_task(turn(world, True))
    await asyncio.sleep(0.3)
    assert not turning.done()
    assert not (await state(world))["on"]
    go_on.set()
    assert (await turning)["on"]
    await submitting


async def test_a_job_that_waits_can_be_stopped(world: World, fl_api: FlApi) -> None:
    await world.approved()
    await turn(world, True)
    model_id, job_id = await started(world)
    ok(await world.owner.client.post(f"/api/models/{model_id}/stop"), 202)
    await world.status_is(model_id, "STOPPED")
    assert fl_api.submissions == []
    await turn(world, False)
    await asyncio.sleep(POLLS)
    assert job_id not in fl_api.jobs


@pytest.mark.parametrize("on", [True, False])
async def test_a_hub_without_jobs_is_drained_when_it_is_on(world: World, on: bool) -> None:
    assert (await turn(world, on))["drained"] is on
