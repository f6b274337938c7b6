"""Models: made, changed, deleted; and their apps, received whole or not at all."""

import errno
import hashlib
import io
import zipfile
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fl_api_double import KEY, FlApi
from hub_world import Run, World, app_zip, both_places, files, ok, problem, until

from flip_common.wire import JobStatus
from flip_hub.models.files import receiving
from flip_hub.state import Hub

LIMIT = 50_000


@pytest.fixture
def settings_changes(fl_api: FlApi) -> dict[str, Any]:
    net = {"name": "net1", "backend": "flower", "url": fl_api.url}
    return {"fl_nets": [net], "fl_api_key": KEY, "fl_poll_seconds": 0.05, "hub_app_max_bytes": LIMIT}


@both_places
async def test_a_model_is_made_changed_listed_and_deleted(world: World, hub: Hub) -> None:
    model_id = await world.model(job_type="evaluation")
    model = await world.get_model(model_id)
    assert (model["name"], model["status"], model["job_type"], model["job"]) == ("net", "PENDING", "evaluation", None)
    changed = ok(await world.owner.client.patch(f"/api/models/{model_id}", json={"name": "net 2"}))
    assert changed["name"] == "net 2"
    [listed] = ok(await world.owner.client.get(f"{world.url}/models"))
    assert listed == changed
    ok(await world.owner.client.delete(f"/api/models/{model_id}"), 204)
    problem(await world.owner.client.get(f"/api/models/{model_id}"), 404, "not_found")
    problem(await world.owner.client.delete(f"/api/models/{model_id}"), 404, "not_found")
    assert ok(await world.owner.client.get(f"{world.url}/models")) == []
    assert await files(hub, model_id) == []
    [entry] = await world.audit("model.delete")
    assert entry["before"]["name"] == "net 2"


@both_places
async def test_a_model_that_ran_takes_app_and_results_along(run: Run, hub: Hub) -> None:
    for name in ("model.pt", "sub/metrics.json"):
        ok(await run.internal.put(f"{run.url}/results/{name}", content=name.encode()))
    assert len(await files(hub, run.model_id)) == 3
    run.api.change(run.job_id, JobStatus.FINISHED)
    await run.world.status_is(run.model_id, "RESULTS_UPLOADED")
    path = f"/api/models/{run.model_id}"
    problem(await run.world.sites[0].owner.client.delete(path), 403, "forbidden")
    assert len(await files(hub, run.model_id)) == 3
    ok(await run.world.owner.client.delete(path), 204)
    assert await files(hub, run.model_id) == []
    problem(await run.world.owner.client.get(f"{path}/results/model.pt"), 404, "not_found")


async def test_a_running_model_or_its_project_cannot_be_deleted(run: Run) -> None:
    problem(await run.world.owner.client.delete(f"/api/models/{run.model_id}"), 409, "job_running")
    problem(await run.world.owner.client.delete(run.world.url), 409, "job_running")


@both_places
async def test_an_app_is_kept_with_its_report(world: World, hub: Hub) -> None:
    model_id = await world.model(app=b"")
    path = f"/api/models/{model_id}/app"
    problem(await world.owner.client.get(path), 404, "not_found")
    content = app_zip()
    app = ok(await world.owner.client.put(path, content=content))
    assert app["sha256"] == hashlib.sha256(content).hexdigest()
    assert app["bytes"] == len(content)
    assert app["report"]["ok"] is True
    assert app["report"]["run_config"]["rounds"] == 3
    assert ok(await world.owner.client.get(path)) == app
    other = app_zip(**{"app/more.py": "x = 1\n"})
    ok(await world.owner.client.put(path, content=other))
    assert await files(hub, model_id) == [f"app-{hashlib.sha256(other).hexdigest()}.zip"], "the earlier one is gone"
    assert [entry["after"]["bytes"] for entry in await world.audit("model.app")] == [len(other), len(content)]


def climbing() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../evil.py", "")
    return buffer.getvalue()


@pytest.mark.parametrize("content", [b"", b"no zip", climbing(), app_zip(**{"pyproject.toml": ""}), app_zip()[:300]])
async def test_a_refused_app_replaces_nothing(world: World, hub: Hub, content: bytes) -> None:
    model_id = await world.model()
    before = await files(hub, model_id)
    refused = problem(await world.owner.client.put(f"/api/models/{model_id}/app", content=content), 422, "app_refused")
    assert refused["findings"][0]["message"]
    assert await files(hub, model_id) == before
    assert (await world.get_model(model_id))["app_sha256"] == before[0][4:-4]


@both_places
async def test_an_app_over_the_limit_is_cut_off(world: World, hub: Hub) -> None:
    model_id = await world.model()
    before = await files(hub, model_id)
    path = f"/api/models/{model_id}/app"
    problem(await world.owner.client.put(path, content=b"x" * (LIMIT + 1)), 413, "too_large")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(LIMIT // 1000 + 1):
            yield b"x" * 1000

    problem(await world.owner.client.put(path, content=chunks()), 413, "too_large")
    assert await files(hub, model_id) == before


@both_places
@pytest.mark.parametrize("step", ["_open_part", "_write", "_finish"])
async def test_a_full_disk_is_said_and_loses_nothing(
    world: World, hub: Hub, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    model_id = await world.model()
    before = await files(hub, model_id)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(receiving, step, full)
    path = f"/api/models/{model_id}/app"
    refused = problem(await world.owner.client.put(path, content=app_zip()), 507, "insufficient_storage")
    assert "HUB_DATA_DIR" in refused["detail"]
    monkeypatch.undo()
    assert await files(hub, model_id) == before
    assert ok(await world.owner.client.get(path))["sha256"] == before[0][4:-4]


async def test_another_fault_of_the_disk_is_a_crash_and_leaves_no_part(
    world: World, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_id = await world.model()
    before = await files(hub, model_id)

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(receiving, "_write", broken)
    answer = await world.owner.client.put(f"/api/models/{model_id}/app", content=app_zip())
    problem(answer, 500, "internal_error")
    assert await files(hub, model_id) == before


async def test_after_the_start_the_app_stays(run: Run) -> None:
    path = f"/api/models/{run.model_id}/app"
    problem(await run.world.owner.client.put(path, content=app_zip()), 409, "already_started")


@both_places
async def test_a_deleted_project_takes_its_models_files_along(world: World, hub: Hub) -> None:
    model_id = await world.model()
    ok(await world.owner.client.delete(world.url), 204)

    async def gone() -> bool:
        return await files(hub, model_id) == []

    await until(gone)
    problem(await world.owner.client.get(f"/api/models/{model_id}"), 404, "not_found")
