"""Cohort queries: to whom, how many, and answers kept as they came."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hub_world import COUNT, QUERY, World, ok, problem
from sqlalchemy import update

from flip_common.wire import CohortQueryResult, TaskType
from flip_hub.cohorts.tables import CohortQuery
from flip_hub.db import utcnow
from flip_hub.state import Hub

BUDGET = 5


@pytest.fixture
def settings_changes() -> dict[str, Any]:
    return {"cohort_queries_per_day": BUDGET}


async def ask(world: World, **body: Any) -> Any:
    body = {"name": "q", "query": QUERY, **body}
    return await world.owner.client.post(f"{world.url}/cohort-queries", json=body)


async def test_every_trust_is_asked_and_answers_are_kept(world: World) -> None:
    query = ok(await ask(world), 201)
    assert [answer["state"] for answer in query["answers"]] == ["PENDING", "PENDING"]
    first, second = world.sites
    assert await first.work() == [TaskType.COHORT_QUERY]
    [task] = await second.tasks()
    assert second.side.payload(task).query == QUERY
    await second.side.fail(task, "query_refused")
    got = ok(await world.owner.client.get(f"{world.url}/cohort-queries/{query['id']}"))
    a, b = got["answers"]
    assert (a["state"], a["result"]["subjects"]) == ("ANSWERED", COUNT.model_dump())
    assert (b["state"], b["error"]["code"], b["result"]) == ("FAILED", "query_refused", None)
    [listed] = ok(await world.owner.client.get(f"{world.url}/cohort-queries"))
    assert listed == got
    [entry] = await world.audit("cohort_query.create")
    assert entry["after"]["query"] == QUERY
    actors = {entry["actor"] for entry in await world.audit("cohort_query.answer")}
    assert actors == {"trust:Trust-A", "trust:Trust-B"}


async def test_only_the_named_trusts_are_asked(world: World) -> None:
    query = ok(await ask(world, trust_ids=[world.sites[1].trust_id]), 201)
    assert [answer["trust"] for answer in query["answers"]] == ["Trust-B"]
    assert await world.sites[0].tasks() == []
    problem(await ask(world, trust_ids=[str(uuid4())]), 404, "not_found")


async def test_a_disabled_trust_is_left_out_or_refused_by_name(world: World) -> None:
    trust_id = world.sites[0].trust_id
    ok(await world.admin.client.patch(f"/api/trusts/{trust_id}", json={"enabled": False}))
    assert [answer["trust"] for answer in ok(await ask(world), 201)["answers"]] == ["Trust-B"]
    problem(await ask(world, trust_ids=[trust_id]), 409, "trust_disabled")
    ok(await world.admin.client.patch(f"/api/trusts/{world.sites[1].trust_id}", json={"enabled": False}))
    problem(await ask(world), 409, "no_trust")


async def test_a_trust_that_cannot_be_asked_fails_alone(world: World) -> None:
    side = world.sites[0].side
    ok(await world.admin.client.delete(f"/api/trusts/{side.trust_id}/keys/{side.key_id}"))
    a, b = ok(await ask(world), 201)["answers"]
    assert (a["state"], a["error"]["code"]) == ("FAILED", "trust_without_key")
    assert b["state"] == "PENDING"
    problem(await ask(world, trust_ids=[str(side.trust_id)]), 409, "trust_without_key")


@pytest.mark.parametrize("query", ["SELECT 1; DROP TABLE x", ";", "SELECT ';' AS a; SELECT 2"])
async def test_more_than_one_statement_is_refused(world: World, query: str) -> None:
    problem(await ask(world, query=query), 422, "not_one_statement")


@pytest.mark.parametrize("query", ["SELECT 1;", "SELECT ';' AS a", 'SELECT 1 AS "a;b"', "SELECT 'it''s;' AS a ; "])
async def test_one_statement_is_enough_for_the_hub(world: World, query: str) -> None:
    assert ok(await ask(world, query=query), 201)["query"] == query.strip().removesuffix(";").rstrip()


@pytest.mark.parametrize("query", ["", "SELECT '\u0000'", "x" * 10_001, 7])
async def test_what_is_no_query_text_is_refused(world: World, query: Any) -> None:
    problem(await ask(world, query=query), 422, "invalid_request")


async def test_the_budget_holds_for_concurrent_queries_and_comes_back(world: World, hub: Hub) -> None:
    answers = await asyncio.gather(*(ask(world) for _ in range(BUDGET + 3)))
    assert sorted(answer.status_code for answer in answers) == [201] * BUDGET + [429] * 3
    spent = problem(await ask(world), 429, "query_budget_spent")
    assert "COHORT_QUERIES_PER_DAY" in spent["detail"]
    other = ok(await world.owner.client.post("/api/projects", json={"name": "other"}), 201)["id"]
    body = {"name": "q", "query": QUERY}
    ok(await world.owner.client.post(f"/api/projects/{other}/cohort-queries", json=body), 201)
    async with hub.db.transaction() as session:
        await session.execute(update(CohortQuery).values(created_at=utcnow() - timedelta(hours=24, seconds=1)))
    ok(await ask(world), 201)


async def test_an_answer_to_another_query_is_a_failure(world: World) -> None:
    query = ok(await ask(world), 201)
    wrong = CohortQueryResult(query_id=uuid4(), subjects=COUNT)
    await world.sites[0].work({TaskType.COHORT_QUERY: wrong})
    got = ok(await world.owner.client.get(f"{world.url}/cohort-queries/{query['id']}"))
    assert got["answers"][0]["error"]["code"] == "wrong_answer"


async def test_a_query_of_another_project_is_not_found(world: World) -> None:
    query = ok(await ask(world), 201)
    other = ok(await world.owner.client.post("/api/projects", json={"name": "other"}), 201)["id"]
    path = f"/api/projects/{other}/cohort-queries/{query['id']}"
    problem(await world.owner.client.get(path), 404, "not_found")
