"""No row ever names a file that is not there, and no file stays that nothing names: refusals, races, interruptions."""

from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest
from fl_api_double import FlApi
from hub_world import Run, World, app_zip, both_places, files, ok, problem, until

from flip_hub.models import apps, leftovers, runs
from flip_hub.models.files import FileName, Kind, Spooled, StorageUnavailable
from flip_hub.models.files.receiving import discard
from flip_hub.state import Hub

OTHER = {"app/more.py": "x = 1\n"}


async def refuse(*_: Any) -> None:
    raise StorageUnavailable("SlowDown")


async def app_of(world: World, model_id: str) -> FileName:
    return FileName(UUID(model_id), Kind.APP, (await world.get_model(model_id))["app_sha256"])


async def left_behind(hub: Hub, model_id: UUID, kind: Kind, content: bytes) -> FileName:
    """A file whose hub died between sending it and naming it."""
    folder = hub.files.spool(model_id)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid4()}.part"
    path.write_bytes(content)
    name = FileName(model_id, kind, sha256(content).hexdigest())
    spooled = Spooled(path, len(content), name.sha256)
    await hub.files.send(name, spooled)
    await hub.files.keep(name, spooled)
    await discard(spooled)
    return name


@both_places
async def test_an_upload_whose_transaction_is_refused_leaves_nothing(
    world: World, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_id = await world.model()
    before = await files(hub, model_id)
    path = f"/api/models/{model_id}/app"

    async def broken(*_: Any) -> None:
        raise RuntimeError("a fault of our own")

    for content in (app_zip(**OTHER), app_zip()):
        with monkeypatch.context() as patch:
            patch.setattr(apps, "record", broken)
            problem(await world.owner.client.put(path, content=content), 500, "internal_error")
        assert await files(hub, model_id) == before, "also the one that a row names stays"


@pytest.mark.parametrize("file_settings", ["bucket"], indirect=True)
async def test_an_app_for_a_model_deleted_meanwhile_leaves_nothing(
    world: World, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_id = await world.model()
    replace = apps._replace

    async def late(given_hub: Hub, principal: Any, name: FileName, spooled: Spooled, *rest: Any) -> Any:
        ok(await world.owner.client.delete(f"/api/models/{model_id}"), 204)
        # As if sending had ended only now, when the deletion has removed what it found.
        await given_hub.files.keep(name, spooled)
        return await replace(given_hub, principal, name, spooled, *rest)

    monkeypatch.setattr(apps, "_replace", late)
    answer = await world.owner.client.put(f"/api/models/{model_id}/app", content=app_zip())
    problem(answer, 404, "not_found")
    assert await files(hub, model_id) == []


@both_places
async def test_removing_and_keeping_the_same_bytes_at_once_loses_nothing(
    world: World, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_id = await world.model(app=app_zip(**OTHER))
    path = f"/api/models/{model_id}/app"
    replace, rounds = apps._replace, 0

    async def overtaken(*given: Any) -> Any:
        nonlocal rounds
        earlier = await replace(*given)
        if rounds == 0:
            # The first upload has replaced the app and not yet removed it, when the second brings it back.
            rounds = 1
            ok(await world.owner.client.put(path, content=app_zip(**OTHER)))
        return earlier

    monkeypatch.setattr(apps, "_replace", overtaken)
    ok(await world.owner.client.put(path, content=app_zip()))
    name = await app_of(world, model_id)
    assert name.sha256 == sha256(app_zip(**OTHER)).hexdigest()
    assert await hub.files.read(name) == app_zip(**OTHER)
    assert await files(hub, model_id) == [name.last]


@both_places
async def test_a_file_that_goes_after_it_was_sent_is_kept(
    world: World, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_id = await world.model(app=b"")
    replace = apps._replace

    async def removed(given_hub: Hub, principal: Any, name: FileName, *rest: Any) -> Any:
        await leftovers.drop_unused(given_hub, name)
        return await replace(given_hub, principal, name, *rest)

    monkeypatch.setattr(apps, "_replace", removed)
    ok(await world.owner.client.put(f"/api/models/{model_id}/app", content=app_zip()))
    assert await hub.files.read(await app_of(world, model_id)) == app_zip()


@both_places
async def test_the_sweep_takes_what_nothing_names_and_leaves_the_rest(
    world: World, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, deleted = await world.model(), await world.model()
    stranger = uuid4()
    remains = [await left_behind(hub, UUID(named), kind, b"remains") for kind in Kind]
    await left_behind(hub, stranger, Kind.RESULT, b"of another hub")
    remove_model = hub.files.remove_model

    monkeypatch.setattr(hub.files, "remove_model", refuse)
    ok(await world.owner.client.delete(f"/api/models/{deleted}"), 204)
    monkeypatch.setattr(hub.files, "remove_model", remove_model)
    assert len(await files(hub, deleted)) == 1
    await leftovers.sweep(hub)
    assert await files(hub, deleted) == []
    assert len(await files(hub, named)) == 1 + len(remains), "an upload may be on its way to naming them"
    monkeypatch.setattr(leftovers, "MAX_AGE", timedelta(days=-1))
    await leftovers.sweep(hub)
    assert await files(hub, named) == [(await app_of(world, named)).last]
    assert len(await hub.files.listed(stranger)) == 1, "of a model that this database does not know"


async def test_storage_that_is_down_is_said_and_loses_nothing(
    world: World, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_id = await world.model()
    before = await files(hub, model_id)
    path = f"/api/models/{model_id}/app"

    for call in ("send", "keep"):
        with monkeypatch.context() as patch:
            patch.setattr(hub.files, call, refuse)
            answer = await world.owner.client.put(path, content=app_zip(**OTHER))
        assert "SlowDown" in problem(answer, 503, "storage_unavailable")["detail"]
        assert await files(hub, model_id) == before
        assert (await app_of(world, model_id)).last == before[0]
    with monkeypatch.context() as patch:
        patch.setattr(hub.files, "remove", refuse)
        app = ok(await world.owner.client.put(path, content=app_zip(**OTHER)))
    assert (await app_of(world, model_id)).sha256 == app["sha256"], "what was replaced is left to the sweep"


async def test_a_result_that_is_refused_leaves_nothing_and_counts_as_failed(
    run: Run, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("a fault of our own")

    async def sent_already(name: FileName, spooled: Spooled) -> None:
        await hub.files.keep(name, spooled)
        spooled.path.write_bytes(b"x")

    before = await files(hub, run.model_id)
    with monkeypatch.context() as patch:
        patch.setattr(hub.files, "send", sent_already)
        patch.setattr(runs, "record", broken)
        problem(await run.internal.put(f"{run.url}/results/a", content=b"x"), 500, "internal_error")
    assert await files(hub, run.model_id) == before
    with monkeypatch.context() as patch:
        patch.setattr(hub.files, "send", refuse)
        problem(await run.internal.put(f"{run.url}/results/a", content=b"x"), 503, "storage_unavailable")
    [event] = await run.world.events(run.model_id, "UPLOAD_FAILED")
    assert event["detail"] == {"filename": "a", "code": "storage_unavailable"}


async def test_a_job_waits_for_its_app_while_storage_is_down(
    world: World, fl_api: FlApi, hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await world.approved()
    model_id = await world.model()
    asked = 0

    async def count(*_: Any) -> None:
        nonlocal asked
        asked += 1
        raise StorageUnavailable("SlowDown")

    monkeypatch.setattr(hub.files, "read", count)
    job_id = UUID((await world.start(model_id))["job"]["id"])

    async def twice() -> bool:
        return asked > 1

    await until(twice)
    assert await world.status(model_id) == "INITIATED"
    assert "looking at job" not in caplog.text, "it is no fault of the hub's"
    monkeypatch.undo()

    async def submitted() -> bool:
        return job_id in fl_api.jobs

    await until(submitted)
