"""A job from its start to every end, as the hub's watcher sees it through a real FL API."""

import hashlib

from hub_world import QUERY, Run, app_zip, ok

from flip_common.wire import JobStatus


async def test_a_job_runs_and_leaves_everything_at_the_hub(run: Run) -> None:
    world, api = run.world, run.api
    spec = api.specs[run.job_id]
    assert spec.trusts == ["Trust-A", "Trust-B"]
    assert spec.cohort_query == QUERY
    assert spec.app_digest == hashlib.sha256(app_zip()).hexdigest()
    for status in ("INITIATED", "PREPARED", "TRAINING_STARTED"):
        assert ok(await run.claim(status)) == {"status": status}
    ok(await run.point("Trust-A", "dice", 0.5, 1), 204)
    content = b"weights" * 1000
    ok(await run.internal.put(f"{run.url}/results/out/model.pt", content=content))
    api.logs[run.job_id] = [f"line {n}" for n in range(10)]
    api.change(run.job_id, JobStatus.FINISHED, round=3)
    model = await world.status_is(run.model_id, "RESULTS_UPLOADED")
    assert model["job"]["status"] == "FINISHED"
    assert model["job"]["round"] == 3
    get = world.owner.client.get
    logs = ok(await get(f"/api/models/{run.model_id}/logs", params={"offset": 2}))
    assert logs["lines"] == [f"line {n}" for n in range(2, 10)]
    assert logs["next_offset"] == 10
    [series] = ok(await get(f"/api/models/{run.model_id}/metrics"))
    assert (series["trust"], series["label"]) == ("Trust-A", "dice")
    assert [(p["round"], p["value"]) for p in series["points"]] == [(1, 0.5)]
    got = await get(f"/api/models/{run.model_id}/results/out/model.pt")
    assert got.content == content
    statuses = [event["detail"]["status"] for event in await world.events(run.model_id, "STATUS")]
    assert statuses == ["INITIATED", "PREPARED", "TRAINING_STARTED", "RESULTS_UPLOADED"]
