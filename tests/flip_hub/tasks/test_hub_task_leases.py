"""Leasing: who gets a task, when, and how often."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from flip_common.web import Problem
from flip_common.wire import CreateImagingPayload, TaskType
from flip_hub.tasks import service
from flip_hub.tasks.registry import HANDLERS, on_result
from flip_hub.tasks.sweeper import sweep


async def test_a_trust_gets_its_task_sealed_for_it(register_trust, domain, payload):
    trust = await register_trust("St-Elsewhere")
    task_id = await domain.ask(trust.trust_id)
    (task,) = await trust.lease()
    assert task.task_id == task_id
    assert (task.attempt, task.type) == (1, TaskType.UPDATE_USER_PROFILE)
    assert task.lease_seconds == 60
    assert trust.payload(task) == payload
    assert payload.username not in task.payload


async def test_a_trust_never_gets_another_trusts_task(register_trust, domain):
    mine, other = await register_trust("A"), await register_trust("B")
    await domain.ask(mine.trust_id)
    assert await other.lease(limit=100) == []
    assert len(await mine.lease(limit=100)) == 1


async def test_a_leased_task_is_not_offered_again_before_its_lease_ends(register_trust, domain, expire):
    trust = await register_trust("A")
    task_id = await domain.ask(trust.trust_id)
    (first,) = await trust.lease()
    assert await trust.lease() == []
    await expire(task_id)
    (second,) = await trust.lease()
    assert (second.task_id, second.attempt) == (first.task_id, 2)
    assert await trust.lease() == []


async def test_oldest_first_and_no_more_than_asked_for(register_trust, domain):
    trust = await register_trust("A")
    asked = [await domain.ask(trust.trust_id) for _ in range(5)]
    first = await trust.lease(limit=3)
    second = await trust.lease(limit=3)
    assert [task.task_id for task in first + second] == asked


@pytest.mark.parametrize("settings_changes", [{"task_max_attempts": 2}])
async def test_after_the_last_attempt_the_domain_learns_it_once(register_trust, domain, expire, hub):
    trust = await register_trust("A")
    task_id = await domain.ask(trust.trust_id, query="q1")
    for attempt in (1, 2):
        (task,) = await trust.lease()
        assert task.attempt == attempt
        assert await sweep(hub) == 0, "a task that is still leased must not be ended"
        await expire(task_id)
    assert await trust.lease() == []
    assert sum(await asyncio.gather(*(sweep(hub) for _ in range(5)))) <= 1
    while not domain.outcomes:
        await asyncio.sleep(0.02)  # the hub's own sweeper was first
    assert await sweep(hub) == 0
    (outcome,) = domain.outcomes
    assert outcome.error is not None
    assert (outcome.error.code, outcome.context) == ("attempts_exhausted", {"query": "q1"})
    assert (await domain.task(task_id)).status == "FAILED"


@pytest.mark.parametrize("settings_changes", [{"task_max_attempts": 1}])
async def test_a_domain_that_fails_keeps_only_its_own_tasks_open(register_trust, domain, expire, hub, monkeypatch):
    trust = await register_trust("A")
    task_id = await domain.ask(trust.trust_id)
    await trust.lease()
    domain.raises = RuntimeError("the domain is broken")
    await expire(task_id)
    assert await sweep(hub) == 0
    assert (await domain.task(task_id)).status == "LEASED"
    domain.raises = None
    while not domain.outcomes:
        await sweep(hub)
    assert len(domain.outcomes) == 1


async def test_renewal_extends_the_lease_from_now(register_trust, domain, expire):
    trust = await register_trust("A")
    task_id = await domain.ask(trust.trust_id)
    (task,) = await trust.lease()
    await expire(task_id)  # late, but nobody else has it
    response = await trust.post(f"tasks/{task_id}/renew", {"attempt": task.attempt})
    assert response.status_code == 200
    assert datetime.fromisoformat(response.json()["expires_at"]) > datetime.now(UTC) + timedelta(seconds=50)
    assert await trust.lease() == []


async def test_what_cannot_be_renewed(register_trust, domain, expire, result):
    trust, other = await register_trust("A"), await register_trust("B")
    task_id = await domain.ask(trust.trust_id)
    (task,) = await trust.lease()

    async def renew(side, attempt, of=task_id):
        return (await side.post(f"tasks/{of}/renew", {"attempt": attempt})).json()

    assert (await renew(other, 1))["code"] == "not_your_task"
    assert (await renew(trust, 1, uuid4()))["code"] == "not_found"
    assert (await renew(trust, 2))["code"] == "stale_attempt"
    await expire(task_id)
    await trust.lease()
    stale = await renew(trust, 1)
    assert (stale["code"], stale["status"], stale["current_attempt"]) == ("stale_attempt", 409, 2)
    await trust.answer(task.model_copy(update={"attempt": 2}), result)
    assert (await renew(trust, 2))["code"] == "task_ended"


async def test_enqueue_refuses_what_cannot_be_delivered(register_trust, domain, hub, payload, monkeypatch):
    trust = await register_trust("A")
    async with hub.db.transaction() as session:
        with pytest.raises(Problem, match="does not exist"):
            await service.enqueue(session, hub, uuid4(), TaskType.UPDATE_USER_PROFILE, payload, {})
        wrong = CreateImagingPayload(project_id=uuid4())
        with pytest.raises(TypeError, match="takes UpdateUserProfilePayload, not CreateImagingPayload"):
            await service.enqueue(session, hub, trust.trust_id, TaskType.UPDATE_USER_PROFILE, wrong, {})
        monkeypatch.delitem(HANDLERS, TaskType.UPDATE_USER_PROFILE)
        with pytest.raises(LookupError, match="nobody takes the results"):
            await service.enqueue(session, hub, trust.trust_id, TaskType.UPDATE_USER_PROFILE, payload, {})


async def test_nothing_is_enqueued_for_a_disabled_trust_and_it_gets_nothing(register_trust, domain, sign_in_as):
    trust = await register_trust("A")
    admin = await sign_in_as("ADMIN")
    await domain.ask(trust.trust_id)
    await admin.client.patch(f"/api/trusts/{trust.trust_id}", json={"enabled": False})
    with pytest.raises(Problem, match="is disabled"):
        await domain.ask(trust.trust_id)
    refused = await trust.post("tasks/lease", {"max": 1})
    assert (refused.status_code, refused.json()["code"]) == (403, "trust_disabled")
    await admin.client.patch(f"/api/trusts/{trust.trust_id}", json={"enabled": True})
    assert len(await trust.lease()) == 1


async def test_a_rolled_back_enqueue_leaves_nothing(register_trust, domain, hub, payload):
    trust = await register_trust("A")
    async with hub.db.transaction() as session:
        await service.enqueue(session, hub, trust.trust_id, TaskType.UPDATE_USER_PROFILE, payload, {})
        await session.rollback()
    assert await trust.lease() == []


def test_a_task_type_has_one_handler(monkeypatch):
    async def handler(session, hub, task, result, error):
        raise NotImplementedError

    monkeypatch.delitem(HANDLERS, TaskType.UPDATE_USER_PROFILE, raising=False)
    assert on_result(TaskType.UPDATE_USER_PROFILE)(handler) is handler
    with pytest.raises(ValueError, match="has a handler already"):
        on_result(TaskType.UPDATE_USER_PROFILE)(handler)


async def test_admins_see_tasks_page_by_page_without_contents(register_trust, domain, sign_in_as):
    trust = await register_trust("A")
    asked = [str(await domain.ask(trust.trust_id, secret="context")) for _ in range(5)]
    (task,) = await trust.lease()
    await trust.fail(task, "no_such_user")
    admin = await sign_in_as("ADMIN")
    path = f"/api/trusts/{trust.trust_id}/tasks"
    seen = (await admin.client.get(path, params={"limit": 2})).json()
    while page := (await admin.client.get(path, params={"limit": 2, "before": seen[-1]["task_id"]})).json():
        seen += page
    assert [item["task_id"] for item in seen] == asked[::-1]
    (failed,) = (await admin.client.get(path, params={"status": "FAILED"})).json()
    assert (failed["task_id"], failed["error"]["code"]) == (asked[0], "no_such_user")
    assert set(failed) == {"task_id", "type", "status", "attempt", "offer_at", "created_at", "ended_at", "error"}
    assert (await admin.client.get(f"/api/trusts/{uuid4()}/tasks")).status_code == 404
