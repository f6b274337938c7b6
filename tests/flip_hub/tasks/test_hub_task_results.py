"""Results: once, twice, late, stale, from the wrong trust, damaged."""

import asyncio
from uuid import uuid4

import pytest

from flip_common.wire import ImagingResult, TaskError


async def test_a_result_reaches_the_domain_that_asked(register_trust, domain, result):
    trust = await register_trust("A")
    task_id = await domain.ask(trust.trust_id, user="u1")
    (task,) = await trust.lease()
    assert (await trust.answer(task, result)).status_code == 204
    (outcome,) = domain.outcomes
    assert (outcome.task_id, outcome.context, outcome.result, outcome.error) == (task_id, {"user": "u1"}, result, None)
    assert (await domain.task(task_id)).status == "SUCCEEDED"


async def test_repeating_a_result_is_harmless(register_trust, domain, result):
    trust = await register_trust("A")
    await domain.ask(trust.trust_id)
    (task,) = await trust.lease()
    responses = [await trust.answer(task, result) for _ in range(3)]
    responses += await asyncio.gather(*(trust.answer(task, result) for _ in range(5)))
    assert {response.status_code for response in responses} == {204}
    assert len(domain.outcomes) == 1


async def test_results_that_arrive_at_the_same_time_count_once(register_trust, domain, result):
    trust = await register_trust("A")
    await domain.ask(trust.trust_id)
    (task,) = await trust.lease()
    responses = await asyncio.gather(*(trust.answer(task, result) for _ in range(10)))
    assert {response.status_code for response in responses} == {204}
    assert len(domain.outcomes) == 1


async def test_another_outcome_for_an_ended_task_is_refused(register_trust, domain, result):
    trust = await register_trust("A")
    await domain.ask(trust.trust_id)
    (task,) = await trust.lease()
    await trust.answer(task, result)
    refused = await trust.fail(task)
    assert (refused.status_code, refused.json()["code"]) == (409, "task_ended")
    assert len(domain.outcomes) == 1


async def test_a_late_result_counts_until_the_task_is_leased_again(register_trust, domain, result, expire):
    trust = await register_trust("A")
    late = await domain.ask(trust.trust_id)
    (task,) = await trust.lease()
    await expire(late)
    assert (await trust.answer(task, result)).status_code == 204
    assert await trust.lease() == []

    stale = await domain.ask(trust.trust_id)
    (first,) = await trust.lease()
    await expire(stale)
    (second,) = await trust.lease()
    refused = await trust.answer(first, result)
    assert (refused.status_code, refused.json()["code"]) == (409, "stale_attempt")
    assert (await trust.answer(second, result)).status_code == 204
    assert [outcome.task_id for outcome in domain.outcomes] == [late, stale]


async def test_nobody_answers_for_another_trust(register_trust, domain, result):
    trust, other = await register_trust("A"), await register_trust("B")
    await domain.ask(trust.trust_id)
    (task,) = await trust.lease()
    refused = await other.answer(task, result)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_your_task")
    assert (await trust.answer(task.model_copy(update={"task_id": uuid4()}), result)).status_code == 404
    assert domain.outcomes == []


async def test_an_envelope_that_does_not_open_leaves_the_task_leased(register_trust, domain, result):
    trust, other = await register_trust("A"), await register_trust("B")
    task_id = await domain.ask(trust.trust_id)
    (task,) = await trust.lease()
    sealed = trust.sealed(task, result)
    body = {"attempt": 1, "outcome": "SUCCEEDED"}
    damaged = sealed[:-4] + ("AAAA" if not sealed.endswith("AAAA") else "BBBB")
    forged = {
        "damaged": damaged,
        "no envelope": "hello",
        "sealed with another trust's key": other.sealed(task, result),
        "for another task": trust.sealed(task.model_copy(update={"task_id": uuid4()}), result),
        "the hub's own payload sent back": task.payload,
    }
    for name, envelope in forged.items():
        refused = await trust.post(f"tasks/{task_id}/result", {**body, "result": envelope})
        assert (refused.status_code, refused.json()["code"]) == (422, "envelope_not_opened"), name
    count = {"suppressed": True, "threshold": 10, "rounding": 5}
    wrong = ImagingResult.model_validate({"project_id": uuid4(), "state": "NONE", "total": count})
    refused = await trust.answer(task, wrong)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_result")
    assert domain.outcomes == []
    assert (await domain.task(task_id)).status == "LEASED"
    assert (await trust.answer(task, result)).status_code == 204


async def test_a_failure_is_final_unless_it_is_retryable(register_trust, domain):
    trust = await register_trust("A")
    await domain.ask(trust.trust_id)
    (task,) = await trust.lease()
    assert (await trust.fail(task, "no_such_user")).status_code == 204
    (outcome,) = domain.outcomes
    assert outcome.error == TaskError(code="no_such_user", detail="it did not work")
    assert outcome.result is None


@pytest.mark.parametrize("settings_changes", [{"task_max_attempts": 2}])
async def test_a_retryable_failure_is_offered_again_after_a_pause(register_trust, domain, expire, result):
    trust = await register_trust("A")
    task_id = await domain.ask(trust.trust_id)
    (task,) = await trust.lease()
    for _ in range(2):  # repeating it is harmless
        assert (await trust.fail(task, "pacs_down", retryable=True)).status_code == 204
    conflict = await trust.answer(task, result)
    assert (conflict.status_code, conflict.json()["code"]) == (409, "task_ended")
    assert domain.outcomes == []
    assert await trust.lease() == [], "not before the pause is over"
    await expire(task_id)
    (again,) = await trust.lease()
    assert again.attempt == 2
    assert (await trust.fail(again, "pacs_down", retryable=True)).status_code == 204
    (outcome,) = domain.outcomes
    assert outcome.error is not None
    assert outcome.error.code == "pacs_down"


async def test_a_domain_that_fails_leaves_the_task_open(register_trust, domain, result):
    trust = await register_trust("A")
    task_id = await domain.ask(trust.trust_id)
    (task,) = await trust.lease()
    domain.raises = RuntimeError("the domain is broken")
    assert (await trust.answer(task, result)).status_code == 500
    assert (await domain.task(task_id)).status == "LEASED"
    domain.raises = None
    assert (await trust.answer(task, result)).status_code == 204


async def test_outcomes_are_in_the_audit_trail(register_trust, domain, result, sign_in_as):
    trust = await register_trust("A")
    task_id = await domain.ask(trust.trust_id)
    (task,) = await trust.lease()
    await trust.answer(task, result)
    admin = await sign_in_as("ADMIN")
    (event,) = (await admin.client.get("/api/audit", params={"entity_id": str(task_id)})).json()["events"]
    assert (event["actor"], event["action"]) == ("trust:A", "task.succeeded")
    assert (event["before"], event["after"]["status"]) == ({"status": "LEASED"}, "SUCCEEDED")


@pytest.mark.parametrize(
    "body",
    [
        {"attempt": 1, "outcome": "SUCCEEDED"},
        {"attempt": 1, "outcome": "FAILED", "result": "x"},
        {"attempt": 0, "outcome": "FAILED", "error": {"code": "a"}},
        {"attempt": 1, "outcome": "FAILED", "error": {"code": "Not A Code"}},
        {"attempt": 1, "outcome": "FAILED", "error": {"code": "a", "detail": "PostgreSQL keeps no \0"}},
        {"attempt": 1, "outcome": "SUCCEEDED", "result": "x", "more": 1},
    ],
)
async def test_malformed_results_are_refused_at_the_door(register_trust, body):
    trust = await register_trust("A")
    assert (await trust.post(f"tasks/{uuid4()}/result", body)).status_code == 422


async def test_rotation_strands_no_task(register_trust, domain, sign_in_as, open_kit, payload, result):
    """Sealed for the old kit, fetched with the new one, answered with the new key after the old one is retired."""
    old = await register_trust("A")
    admin = await sign_in_as("ADMIN")
    await domain.ask(old.trust_id)
    new = open_kit((await admin.client.post(f"/api/trusts/{old.trust_id}/keys")).json())
    await domain.ask(old.trust_id)  # the new kit is not in use yet, so this is for the old one
    (with_old,) = await old.lease()
    assert old.payload(with_old) == payload
    (with_new,) = await new.lease()
    assert new.payload(with_new) == payload
    await domain.ask(old.trust_id)
    assert (await old.answer(with_old, result)).status_code == 204
    retired = await admin.client.delete(f"/api/trusts/{old.trust_id}/keys/{old.key_id}")
    assert retired.json()["retired_at"]
    assert (await old.post("tasks/lease", {})).status_code == 401
    (last,) = await new.lease()
    assert new.payload(last) == payload
    by_retired = {"attempt": 1, "outcome": "SUCCEEDED", "result": old.sealed(last, result)}
    refused = await new.post(f"tasks/{last.task_id}/result", by_retired)
    assert (refused.status_code, refused.json()["code"]) == (422, "envelope_not_opened")
    assert (await new.answer(last, result)).status_code == 204
