"""What must not lose a job: an FL API that is down, forgets, refuses or talks nonsense; a hub that is killed."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from fl_api_double import KEY, FlApi
from hub_world import Run, World, both_places, ok, until
from sqlalchemy import update

from flip_common.wire import JobLogs, JobStatus
from flip_hub.app import open_hub
from flip_hub.jobs import settle, watch
from flip_hub.jobs.tables import Job
from flip_hub.models.files import FileName, Kind
from flip_hub.settings import HubSettings
from flip_hub.state import Hub


@pytest.fixture
def settings_changes(fl_api: FlApi) -> dict[str, Any]:
    net = {"name": "net1", "backend": "flower", "url": fl_api.url}
    return {"fl_nets": [net], "fl_api_key": KEY, "fl_poll_seconds": 0.05, "fl_unreachable_seconds": 0.2}


async def told(world: World, model_id: str, count: int) -> list[dict[str, Any]]:
    async def there() -> list[dict[str, Any]] | None:
        events = await world.events(model_id, "FL_API")
        return events if len(events) >= count else None

    return list(await until(there))


async def test_an_fl_api_that_is_down_is_told_once_and_waited_for(run: Run) -> None:
    for fault in ("down", "garbled"):
        before = len(await run.world.events(run.model_id, "FL_API"))
        setattr(run.api, fault, True)
        lost = (await told(run.world, run.model_id, before + 1))[-1]
        assert lost["detail"]["reachable"] is False
        assert "net1" in lost["detail"]["reason"]
        assert await run.world.status(run.model_id) == "INITIATED"
        setattr(run.api, fault, False)
        back = await told(run.world, run.model_id, before + 2)
        assert back[-1]["detail"] == {"reachable": True}
    run.api.change(run.job_id, JobStatus.FINISHED)
    await run.world.status_is(run.model_id, "RESULTS_UPLOADED")


async def test_a_job_is_submitted_when_the_fl_api_comes_back(world: World, fl_api: FlApi) -> None:
    await world.approved()
    fl_api.down = True
    model_id = await world.model()
    job_id = UUID((await world.start(model_id))["job"]["id"])
    await told(world, model_id, 1)
    fl_api.down = False
    await told(world, model_id, 2)
    assert fl_api.submissions[0] == job_id


async def test_a_lost_answer_submits_again_but_runs_once(world: World, fl_api: FlApi) -> None:
    await world.approved()
    fl_api.lose_answer = True
    model_id = await world.model()
    await world.start(model_id)

    async def twice() -> bool:
        return len(fl_api.submissions) >= 2

    await until(twice)
    fl_api.lose_answer = False

    async def noted() -> bool:
        return (await world.get_model(model_id))["job"]["submitted_at"] is not None

    await until(noted)
    assert len(fl_api.jobs) == 1
    assert len(await world.audit("job.submit")) == 1


async def test_a_refused_job_is_an_error_with_the_reason(world: World, fl_api: FlApi) -> None:
    await world.approved()
    fl_api.refuse = "app_not_runnable"
    model_id = await world.model()
    await world.start(model_id)
    model = await world.status_is(model_id, "ERROR")
    assert "app_not_runnable: not like this" in model["job"]["reason"]


async def test_a_job_the_fl_api_forgot_is_an_error_with_the_reason(run: Run) -> None:
    run.api.jobs.clear()
    model = await run.world.status_is(run.model_id, "ERROR")
    assert "does not know the job" in model["job"]["reason"]


async def test_a_stopped_job_that_the_fl_api_never_had_is_stopped(world: World, fl_api: FlApi) -> None:
    await world.approved()
    fl_api.down = True
    model_id = await world.model()
    await world.start(model_id)
    ok(await world.owner.client.post(f"/api/models/{model_id}/stop"), 202)
    fl_api.down = False
    await world.status_is(model_id, "STOPPED")
    # A submission that was on its way when the stop came may have arrived, but it does not run.
    assert all(state.status is JobStatus.STOPPED for state in fl_api.jobs.values())


@both_places
async def test_an_app_that_is_gone_is_an_error_with_the_reason(world: World, fl_api: FlApi, hub: Hub) -> None:
    await world.approved()
    model_id = await world.model()
    digest = (await world.get_model(model_id))["app_sha256"]
    await hub.files.remove(FileName(UUID(model_id), Kind.APP, digest))
    await world.start(model_id)
    model = await world.status_is(model_id, "ERROR")
    assert f"gone from {hub.files.where}; make a new model" in model["job"]["reason"]


async def test_a_net_that_was_taken_away_keeps_the_job(run: Run, hub: Hub) -> None:
    async with hub.db.transaction() as session:
        await session.execute(update(Job).values(net="net9"))
    [event] = await told(run.world, run.model_id, 1)
    assert "FL_NETS" in event["detail"]["reason"]
    assert await run.world.status(run.model_id) == "INITIATED"


async def test_failures_are_told_per_trust_as_they_grow(run: Run) -> None:
    run.api.change(run.job_id, JobStatus.RUNNING, failures={"Trust-A": 1}, round=1)
    wanted = [("Trust-A", 1), ("Trust-A", 3), ("Trust-B", 1)]

    async def events(count: int) -> list[tuple[str, int]] | None:
        found = await run.world.events(run.model_id, "FAILURES")
        return [(e["detail"]["trust"], e["detail"]["failures"]) for e in found] if len(found) >= count else None

    assert await until(lambda: events(1)) == wanted[:1]
    run.api.change(run.job_id, JobStatus.FINISHED, failures={"Trust-A": 3, "Trust-B": 1}, round=2)
    assert await until(lambda: events(3)) == wanted
    model = await run.world.status_is(run.model_id, "RESULTS_UPLOADED")
    assert model["job"]["failures"] == {"Trust-A": 3, "Trust-B": 1}


async def test_logs_come_in_once_and_have_an_end(run: Run, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "MAX_LOG_LINES", 6)
    lines = [f"line {n}\0" + "x" * 5000 for n in range(10)]
    path = f"/api/models/{run.model_id}/logs"

    async def kept() -> list[str]:
        return list(ok(await run.world.owner.client.get(path))["lines"])

    async def four_are_there() -> bool:
        return len(await kept()) == 4

    run.api.logs[run.job_id] = lines[:4]
    await until(four_are_there)
    await settle.add_logs(hub, JobLogs(job_id=run.job_id, offset=0, next_offset=1, lines=["again"]))
    assert len(await kept()) == 4
    run.api.logs[run.job_id] = lines
    run.api.change(run.job_id, JobStatus.FINISHED)
    await run.world.status_is(run.model_id, "RESULTS_UPLOADED")
    found = await kept()
    assert len(found) == 6
    assert found[0] == ("line 0" + "x" * 5000)[: settle.MAX_LINE_CHARS]
    assert "rest stays at the FL server" in found[-1]


async def test_whatever_is_said_after_the_end_changes_nothing(run: Run, hub: Hub) -> None:
    state = run.api.jobs[run.job_id]
    run.api.change(run.job_id, JobStatus.FINISHED)
    before = await run.world.status_is(run.model_id, "RESULTS_UPLOADED")
    await settle.progressed(hub, state.model_copy(update={"status": JobStatus.FAILED}))
    await settle.ended(hub, run.job_id, JobStatus.FAILED, "late")
    await settle.unreachable(hub, run.job_id, "late")
    await settle.reachable(hub, run.job_id)
    assert await settle.submitted(hub, run.job_id) is False
    assert await run.world.get_model(run.model_id) == before


async def test_a_hub_that_died_before_submitting_submits_once_after_its_restart(
    world: World, fl_api: FlApi, hub_settings: Callable[..., HubSettings], settings_changes: dict[str, Any]
) -> None:
    """The job's row is there and the FL API holds the job, but the hub died before it could note that."""
    await world.approved()
    fl_api.lose_answer = True
    model_id = await world.model()
    await world.start(model_id)

    async def held() -> bool:
        return len(fl_api.jobs) == 1

    await until(held)
    fl_api.lose_answer = False
    async with open_hub(hub_settings(**settings_changes)):

        async def noted() -> bool:
            return (await world.get_model(model_id))["job"]["submitted_at"] is not None

        await until(noted)
    assert len(fl_api.jobs) == 1


async def test_of_two_hubs_one_watches_and_the_other_takes_over(
    run: Run,
    hub: Hub,
    hub_settings: Callable[..., HubSettings],
    settings_changes: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "STANDBY_SECONDS", 0.1)
    stepping: list[Hub] = []
    step = watch.advance

    async def seen(watching: Hub, *rest: Any) -> None:
        stepping.append(watching)
        await step(watching, *rest)

    monkeypatch.setattr(watch, "advance", seen)
    async with open_hub(hub_settings(**settings_changes)) as second:

        async def first_works() -> bool:
            return len(stepping) > 5

        await until(first_works)
        assert all(watching is hub for watching in stepping)
        # The first loses its connection, and with it the lock.
        async with second.db.transaction() as session:
            await session.connection()
            await session.execute(_kill_lock_holder())

        async def working_on() -> bool:
            run.api.change(run.job_id, JobStatus.FINISHED)
            return await run.world.status(run.model_id) == "RESULTS_UPLOADED"

        await until(working_on)


def _kill_lock_holder() -> Any:
    from sqlalchemy import text

    return text(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted "
        "AND (classid::bigint << 32 | objid::bigint) = :key"
    ).bindparams(key=watch.LOCK_KEY)


async def test_a_crash_in_one_look_does_not_end_the_watch(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looked = asyncio.Event()

    async def crash(*_: Any) -> None:
        looked.set()
        raise RuntimeError("a fault of our own")

    with monkeypatch.context() as patch:
        patch.setattr(settle, "progressed", crash)
        await asyncio.wait_for(looked.wait(), 30)
    run.api.change(run.job_id, JobStatus.FINISHED)
    await run.world.status_is(run.model_id, "RESULTS_UPLOADED")
    assert "looking at job" in caplog.text
