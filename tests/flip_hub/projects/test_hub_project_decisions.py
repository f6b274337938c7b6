"""A trust decides: approval, freezing, images, withdrawal; by its owner alone."""

import asyncio

import pytest
from hub_world import COUNT, World, ok, problem

from flip_common.wire import FreezeCohortResult, TaskType


def of(project: dict, name: str) -> dict:  # type: ignore[type-arg]  # JSON
    return next(trust for trust in project["trusts"] if trust["trust"] == name)


async def test_approval_freezes_the_cohort_and_brings_the_images(world: World) -> None:
    await world.staged()
    site = world.sites[0]
    decided = await world.decide(site, "APPROVED")
    trust = of(decided, "Trust-A")
    assert decided["status"] == "APPROVED"
    assert (trust["decision"], trust["cohort_state"]) == ("APPROVED", "FREEZING")
    assert trust["approved_query_sha256"] == decided["staged_query_sha256"]
    assert await site.work() == [TaskType.FREEZE_COHORT, TaskType.CREATE_IMAGING]
    trust = of(await world.project(), "Trust-A")
    assert trust["cohort_state"] == "FROZEN"
    assert trust["cohort"]["subjects"] == COUNT.model_dump()
    assert of(await world.project(), "Trust-B")["decision"] == "PENDING"
    [imaging] = ok(await site.owner.client.get(f"{world.url}/imaging"))
    assert imaging["result"]["state"] == "DONE"
    assert imaging["pending"] is None


async def test_two_approvals_at_once_freeze_once(world: World) -> None:
    await world.staged()
    site = world.sites[0]
    await asyncio.gather(*(world.decide(site, "APPROVED") for _ in range(4)))
    assert [task.type for task in await site.tasks()] == [TaskType.FREEZE_COHORT]
    assert len(await world.audit("project.decision")) == 1


async def test_both_trusts_approve_at_once(world: World) -> None:
    await world.staged()
    await asyncio.gather(*(world.decide(site, "APPROVED") for site in world.sites))
    project = await world.project()
    assert [trust["decision"] for trust in project["trusts"]] == ["APPROVED", "APPROVED"]


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ([], "WITHDRAWN"),
        (["REJECTED"], "WITHDRAWN"),
        (["APPROVED"], "REJECTED"),
        (["APPROVED", "WITHDRAWN"], "REJECTED"),
    ],
)
async def test_decisions_that_cannot_follow(world: World, first: list[str], then: str) -> None:
    await world.staged()
    for decision in first:
        await world.decide(world.sites[0], decision)
    path = f"{world.url}/trusts/{world.sites[0].trust_id}/decision"
    response = await world.sites[0].owner.client.post(path, json={"decision": then})
    problem(response, 409, "wrong_decision")


async def test_pending_is_no_decision(world: World) -> None:
    await world.staged()
    path = f"{world.url}/trusts/{world.sites[0].trust_id}/decision"
    problem(await world.sites[0].owner.client.post(path, json={"decision": "PENDING"}), 422, "invalid_request")


async def test_only_the_trusts_own_owner_decides(world: World) -> None:
    await world.staged()
    path = f"{world.url}/trusts/{world.sites[0].trust_id}/decision"
    body = {"decision": "APPROVED"}
    for caller in (world.owner, world.admin, world.sites[1].owner):
        problem(await caller.client.post(path, json=body), 403, "forbidden")
    assert of(await world.project(), "Trust-A")["decision"] == "PENDING"


async def test_an_owner_of_a_trust_the_project_is_not_staged_to(world: World) -> None:
    await world.ask()
    body = {"query_id": world.query_id, "trust_ids": [world.sites[0].trust_id]}
    ok(await world.owner.client.post(f"{world.url}/stage", json=body))
    path = f"{world.url}/trusts/{world.sites[1].trust_id}/decision"
    response = await world.sites[1].owner.client.post(path, json={"decision": "APPROVED"})
    problem(response, 404, "not_found")


async def test_a_failed_freeze_is_tried_again_by_approving_again(world: World) -> None:
    await world.staged()
    site = world.sites[0]
    await world.decide(site, "APPROVED")
    [task] = await site.tasks()
    await site.side.fail(task, "database_down")
    trust = of(await world.project(), "Trust-A")
    assert (trust["cohort_state"], trust["cohort_error"]["code"]) == ("FAILED", "database_down")
    assert await site.tasks() == []
    await world.decide(site, "APPROVED")
    await site.work()
    assert of(await world.project(), "Trust-A")["cohort_state"] == "FROZEN"


async def test_an_answer_for_another_project_does_not_freeze(world: World) -> None:
    await world.staged()
    site = world.sites[0]
    await world.decide(site, "APPROVED")
    wrong = FreezeCohortResult(project_id=site.side.trust_id, subjects=COUNT, accessions=COUNT, cohort_digest="0" * 64)
    await site.work({TaskType.FREEZE_COHORT: wrong})
    trust = of(await world.project(), "Trust-A")
    assert (trust["cohort_state"], trust["cohort_error"]["code"]) == ("FAILED", "wrong_answer")


async def test_withdrawal_deletes_the_images_and_approval_can_follow(world: World) -> None:
    await world.approved()
    site = world.sites[0]
    project = await world.decide(site, "WITHDRAWN")
    trust = of(project, "Trust-A")
    assert (trust["cohort_state"], trust["cohort"], trust["approved_query_sha256"]) == ("NONE", None, None)
    path = f"{world.url}/trusts/{site.trust_id}/decision"
    problem(await site.owner.client.post(path, json={"decision": "APPROVED"}), 409, "images_being_deleted")
    assert await site.work() == [TaskType.DELETE_IMAGING]
    [imaging] = ok(await site.owner.client.get(f"{world.url}/imaging"))
    assert (imaging["result"], imaging["pending"]) == (None, None)
    await world.decide(site, "APPROVED")
    assert await site.work() == [TaskType.FREEZE_COHORT, TaskType.CREATE_IMAGING]


async def test_a_freeze_that_ends_after_the_withdrawal_brings_no_images(world: World) -> None:
    await world.staged()
    site = world.sites[0]
    await world.decide(site, "APPROVED")
    [task] = await site.tasks()
    await world.decide(site, "WITHDRAWN")
    await site.side.answer(task, site.good(task, site.side.payload(task)))
    assert await site.tasks() == []
    assert of(await world.project(), "Trust-A")["cohort_state"] == "NONE"


async def test_images_that_arrive_after_the_withdrawal_are_deleted_again(world: World) -> None:
    await world.staged()
    site = world.sites[0]
    await world.decide(site, "APPROVED")
    [freeze] = await site.tasks()
    await site.side.answer(freeze, site.good(freeze, site.side.payload(freeze)))
    [create] = await site.tasks()
    await world.decide(site, "WITHDRAWN")
    [delete] = await site.tasks()
    await site.side.answer(delete, site.good(delete, site.side.payload(delete)))
    await site.side.answer(create, site.good(create, site.side.payload(create)))
    assert await site.work() == [TaskType.DELETE_IMAGING]
    [imaging] = ok(await site.owner.client.get(f"{world.url}/imaging"))
    assert imaging["result"] is None


async def test_a_failed_deletion_is_tried_again_by_withdrawing_again(world: World) -> None:
    await world.approved()
    site = world.sites[0]
    await world.decide(site, "WITHDRAWN")
    [task] = await site.tasks()
    await site.side.fail(task, "disk_broken")
    [imaging] = ok(await site.owner.client.get(f"{world.url}/imaging"))
    assert imaging["error"]["code"] == "disk_broken"
    await world.decide(site, "WITHDRAWN")
    assert await site.work() == [TaskType.DELETE_IMAGING]
    await world.decide(site, "WITHDRAWN")
    assert await site.tasks() == []
