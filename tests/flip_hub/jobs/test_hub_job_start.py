"""Starting and stopping: what has to hold before anything starts, and what is written down."""

import asyncio
from hashlib import sha256
from typing import Any

import pytest
from fl_api_double import FlApi
from hub_world import QUERY, Run, World, app_zip, ok, problem, until

from flip_common.wire import JobStatus


async def refused(world: World, model_id: str, status: int, code: str, **body: Any) -> dict[str, Any]:
    before = await world.get_model(model_id)
    found = problem(await world.owner.client.post(f"/api/models/{model_id}/start", json=body), status, code)
    assert await world.get_model(model_id) == before, "a refused start changes nothing"
    return found


async def test_what_a_start_needs(world: World) -> None:
    model_id = await world.model()
    await refused(world, model_id, 409, "not_approved")
    await world.staged()
    await refused(world, model_id, 409, "not_approved")
    first, second = world.sites
    await world.decide(first, "APPROVED")
    await refused(world, model_id, 409, "no_trust_ready")
    await first.work()
    assert "public key" in (await refused(world, model_id, 409, "trust_not_ready"))["detail"]
    await world.give_fl_key(first)
    for trusts, why in ((["Trust-A", "Trust-B"], "its decision is PENDING"), (["Trust-X"], "not staged to it")):
        found = await refused(world, model_id, 409, "trust_not_ready", trusts=trusts)
        assert found["trusts"] == trusts[-1:]
        assert why in found["detail"]
    await world.decide(second, "REJECTED")
    await refused(world, model_id, 409, "trust_not_ready", trusts=["Trust-B"])
    await refused(world, model_id, 422, "too_few_trusts", min_sites=2)
    await refused(world, await world.model(app=b""), 409, "no_app")
    await refused(world, await world.model(backend="nvflare"), 409, "no_net")
    started = await world.start(model_id)
    assert started["job"]["trusts"] == ["Trust-A"]
    assert started["status"] == "INITIATED"


async def test_a_disabled_trust_takes_no_part(world: World) -> None:
    await world.approved()
    model_id = await world.model()
    ok(await world.admin.client.patch(f"/api/trusts/{world.sites[0].trust_id}", json={"enabled": False}))
    found = await refused(world, model_id, 409, "trust_not_ready", trusts=["Trust-A"])
    assert "disabled" in found["detail"]
    assert (await world.start(model_id))["job"]["trusts"] == ["Trust-B"]


async def test_run_config_holds_to_what_the_app_declares(world: World, fl_api: FlApi) -> None:
    await world.approved()
    model_id = await world.model()
    for config, word in (
        ({"epochs": 3}, "not declared"),
        ({"flip-model-id": "x"}, "set by the platform"),
        ({"rounds": "3"}, "declared as int"),
        ({"rounds": 3.5}, "declared as int"),
        ({"rounds": True}, "declared as int"),
        ({"rounds": 2**63}, "declared as int"),
        ({"verbose": 1}, "declared as bool"),
    ):
        assert word in (await refused(world, model_id, 422, "invalid_run_config", run_config=config))["detail"]
    for config in ({"note": "a\u0000b"}, {"1st": 1}, {"rounds": None}, {"rounds": [1]}):
        await refused(world, model_id, 422, "invalid_request", run_config=config)
    good = {"rounds": 5, "rate": 1, "verbose": True, "note": "token: none"}
    started = await world.start(model_id, run_config=good, round_timeout_seconds=60, min_sites=2)
    assert started["job"]["run_config"] == good

    async def submitted() -> bool:
        return len(fl_api.specs) == 1

    await until(submitted)
    [spec] = fl_api.specs.values()
    assert spec.run_config == good
    assert (spec.round_timeout_seconds, spec.min_sites) == (60, 2)


async def test_nan_is_no_run_config(world: World) -> None:
    model_id = await world.model()
    headers = {"content-type": "application/json"}
    response = await world.owner.client.post(
        f"/api/models/{model_id}/start", content=b'{"run_config": {"rate": NaN}}', headers=headers
    )
    problem(response, 422, "invalid_request")


async def test_digests_are_fixed_before_anything_starts(world: World, fl_api: FlApi) -> None:
    await world.approved()
    fl_api.down = True
    model_id = await world.model()
    job = (await world.start(model_id))["job"]
    assert job["app_sha256"] == sha256(app_zip()).hexdigest()
    assert job["query_sha256"] == sha256(QUERY.encode()).hexdigest()
    assert [a["trust"] for a in job["approvals"]] == ["Trust-A", "Trust-B"]
    assert {a["query_sha256"] for a in job["approvals"]} == {job["query_sha256"]}
    assert job["approvals"][0]["cohort_digest"] == sha256(b"Trust-A").hexdigest()
    [entry] = await world.audit("job.create")
    assert entry["after"]["approvals_sha256"] == job["approvals_sha256"]
    assert job["submitted_at"] is None


async def test_two_starts_at_once_make_one_job(world: World, fl_api: FlApi) -> None:
    await world.approved()
    model_id = await world.model()
    start = f"/api/models/{model_id}/start"
    answers = await asyncio.gather(*(world.owner.client.post(start, json={}) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409]
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"job_running"}
    assert len(await world.audit("job.create")) == 1


async def test_a_model_runs_once(run: Run) -> None:
    run.api.change(run.job_id, JobStatus.FINISHED)
    await run.world.status_is(run.model_id, "RESULTS_UPLOADED")
    await refused(run.world, run.model_id, 409, "already_ran")


async def test_stopping_stops_at_the_fl_server(run: Run) -> None:
    stop = f"/api/models/{run.model_id}/stop"
    for _ in range(2):
        ok(await run.world.owner.client.post(stop), 202)
    await run.world.status_is(run.model_id, "STOPPED")
    assert set(run.api.stops) == {run.job_id}
    last = (await run.world.events(run.model_id, "STATUS"))[-1]
    assert last["detail"]["reason"] == "stopped by owner@example.org"
    problem(await run.world.owner.client.post(stop), 409, "no_running_job")
    assert len(await run.world.audit("job.stop")) == 1


async def test_a_model_that_never_started_cannot_be_stopped(world: World) -> None:
    model_id = await world.model()
    problem(await world.owner.client.post(f"/api/models/{model_id}/stop"), 409, "no_running_job")


async def test_withdrawal_stops_the_job_and_keeps_the_trust_out_of_the_next(run: Run) -> None:
    world = run.world
    await world.decide(world.sites[0], "WITHDRAWN")
    model = await world.status_is(run.model_id, "STOPPED")
    assert model["job"]["reason"] == "trust Trust-A withdrew its approval"
    again = await world.model()
    await refused(world, again, 409, "trust_not_ready", trusts=["Trust-A"])
    assert (await world.start(again))["job"]["trusts"] == ["Trust-B"]


@pytest.mark.parametrize("withdraws", [0, 1])
async def test_a_job_without_the_withdrawing_trust_runs_on(world: World, fl_api: FlApi, withdraws: int) -> None:
    await world.approved()
    model_id = await world.model()
    await world.start(model_id, trusts=["Trust-B"])
    await world.decide(world.sites[withdraws], "WITHDRAWN")
    asked = (await world.get_model(model_id))["job"]["stop_requested_at"]
    assert (asked is not None) is (withdraws == 1)
