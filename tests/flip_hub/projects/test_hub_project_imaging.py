"""Asking trusts for the state of a project's images."""

from hub_world import World, ok, problem

from flip_common.wire import TaskType


async def test_a_refresh_asks_each_trust_once(world: World) -> None:
    await world.approved()
    refresh = f"{world.url}/imaging/refresh"
    assert ok(await world.owner.client.post(refresh), 202) == {"asked": ["Trust-A", "Trust-B"], "busy": []}
    assert ok(await world.owner.client.post(refresh), 202) == {"asked": [], "busy": ["Trust-A", "Trust-B"]}
    pending = [row["pending"] for row in ok(await world.owner.client.get(f"{world.url}/imaging"))]
    assert pending == ["get_imaging_status", "get_imaging_status"]
    assert await world.sites[0].work() == [TaskType.GET_IMAGING_STATUS]
    assert ok(await world.owner.client.post(refresh), 202)["asked"] == ["Trust-A"]


async def test_a_reimport_waits_for_what_is_under_way(world: World) -> None:
    await world.approved()
    path = f"{world.url}/imaging/reimport"
    assert ok(await world.owner.client.post(path), 202)["asked"] == ["Trust-A", "Trust-B"]
    busy = problem(await world.owner.client.post(path), 409, "imaging_busy")
    assert "Trust-A" in busy["detail"]
    assert await world.sites[0].work() == [TaskType.REIMPORT_STUDIES]


async def test_a_reimport_begins_again_where_nothing_ever_began(world: World) -> None:
    await world.staged()
    site = world.sites[0]
    await world.decide(site, "APPROVED")
    [freeze] = await site.tasks()
    await site.side.answer(freeze, site.good(freeze, site.side.payload(freeze)))
    [create] = await site.tasks()
    await site.side.fail(create, "pacs_down")
    [row] = ok(await site.owner.client.get(f"{world.url}/imaging"))
    assert row["error"]["code"] == "pacs_down"
    ok(await world.owner.client.post(f"{world.url}/imaging/reimport"), 202)
    assert await site.work() == [TaskType.CREATE_IMAGING]
    [row] = ok(await site.owner.client.get(f"{world.url}/imaging"))
    assert row["error"] is None
    assert row["at"] is not None


async def test_without_a_frozen_cohort_there_are_no_images(world: World) -> None:
    await world.staged()
    for action in ("refresh", "reimport"):
        problem(await world.owner.client.post(f"{world.url}/imaging/{action}"), 409, "no_images")


async def test_an_answer_about_another_project_is_an_error(world: World) -> None:
    from flip_common.wire import ImagingResult

    await world.approved()
    site = world.sites[0]
    ok(await world.owner.client.post(f"{world.url}/imaging/refresh"), 202)
    [task] = await site.tasks()
    good = site.good(task, site.side.payload(task))
    assert isinstance(good, ImagingResult)
    await site.side.answer(task, good.model_copy(update={"project_id": site.side.trust_id}))
    [row] = ok(await site.owner.client.get(f"{world.url}/imaging"))
    assert row["error"]["code"] == "wrong_answer"
