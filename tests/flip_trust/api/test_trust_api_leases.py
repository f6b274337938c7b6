"""Leases: concurrency, renewal, loss, results against a hub that fails, and identity."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from trust_api_standins import until

from flip_common.wire import CohortQueryPayload, DeleteImagingPayload, SiteKey, TaskOutcome, TaskType
from flip_trust.api.poller import IdentityMismatch

QUERY = CohortQueryPayload(query_id=uuid4(), project_id=uuid4(), query="SELECT 1")


def add(hub, **changed):
    # Each of a project of its own: queries of one project take turns.
    return hub.add(TaskType.COHORT_QUERY, QUERY.model_copy(update={"project_id": uuid4()}), **changed)


async def test_tasks_run_side_by_side_up_to_the_limit(hub, site, start) -> None:
    site.hold = True
    tasks = [add(hub) for _ in range(5)]
    await start(TASK_CONCURRENCY="3")
    await until(lambda: len(site.started) == 3, "three tasks run")
    await until(lambda: hub.heartbeats[-1].tasks_running == 3, "the heartbeat says three")
    beats = len(hub.heartbeats)
    await until(lambda: len(hub.heartbeats) > beats + 3, "heartbeats go on while all slots are taken")
    assert len(site.started) == 3
    assert hub.lease_requests[0].max == 3
    site.hold = False
    for task in tasks:
        await hub.opened(task)
    assert all(request.max <= 3 for request in hub.lease_requests)


async def test_queries_of_one_project_take_turns_and_no_slots(hub, site, start) -> None:
    site.hold = True
    queries = [hub.add(TaskType.COHORT_QUERY, QUERY) for _ in range(6)]
    await start(TASK_CONCURRENCY="2")
    await until(lambda: hub.heartbeats[-1:] and hub.heartbeats[-1].tasks_running == 6, "all six are leased")
    assert len(site.started) == 1, "one at a time"
    other = add(hub)
    await until(lambda: len(site.started) == 2, "another project's query starts")
    gone = hub.add(TaskType.DELETE_IMAGING, DeleteImagingPayload(project_id=uuid4()))
    beats = len(hub.heartbeats)
    await until(lambda: len(hub.heartbeats) > beats + 3, "time passes")
    assert len(site.started) == 2, "two tasks run, so the limit holds"
    site.hold = False
    for task in (*queries, other, gone):
        await hub.opened(task)
    calls = [site.bodies[i]["project_id"] for i, call in enumerate(site.started) if call == "POST /cohort/statistics"]
    assert calls.count(str(QUERY.project_id)) == 6, "each once"
    assert all(request.max <= 2 for request in hub.lease_requests)


async def test_a_query_whose_lease_is_lost_gives_up_its_turn(hub, site, start) -> None:
    hub.lease_seconds, site.hold = 0.6, True
    queries = [hub.add(TaskType.COHORT_QUERY, QUERY) for _ in range(3)]
    await start(TASK_CONCURRENCY="2")
    await until(lambda: hub.heartbeats[-1:] and hub.heartbeats[-1].tasks_running == 3, "all three are leased")
    hub.take_away(queries[1])  # while it waits
    await until(lambda: hub.heartbeats[-1].tasks_running == 2, "it waits no more")
    hub.take_away(queries[0])  # while it runs
    await until(lambda: len(site.started) == 2 and len(site.abandoned) == 1, "the third has the turn")
    site.hold = False
    await hub.opened(queries[2])
    assert len(site.started) == 2


async def test_a_long_task_keeps_its_lease(hub, site, start) -> None:
    hub.lease_seconds, site.hold = 0.6, True
    task = add(hub)
    await start()
    started = time.monotonic()
    await until(lambda: len(hub.renewals) >= 5, "five renewals")
    assert time.monotonic() - started > 0.8, "renewed at a third of the lease, not in a hurry"
    assert hub.tasks[task].attempt == 1
    site.hold = False
    await hub.opened(task)
    assert set(hub.renewals) == {(task, 1)}
    assert site.started == ["POST /cohort/statistics"]


@pytest.mark.parametrize("hours", [-1000, 1000])
async def test_clock_skew_changes_nothing(hub, site, start, caplog, hours) -> None:
    hub.clock_ahead, hub.lease_seconds, site.hold = timedelta(hours=hours), 0.6, True
    task = add(hub)
    await start()
    await until(lambda: len(hub.renewals) >= 2, "two renewals")
    site.hold = False
    assert (await hub.answer(task)).attempt == 1
    assert len(hub.renewals) < 10
    assert "check the time service" in caplog.text


async def test_a_lost_lease_stops_the_attempt(hub, site, start, caplog) -> None:
    hub.lease_seconds, site.hold = 0.6, True
    task = add(hub)
    await start()
    await until(lambda: site.started, "the task runs")
    hub.take_away(task)
    await until(lambda: site.abandoned, "the call is abandoned")
    await until(lambda: hub.heartbeats[-1].tasks_running == 0, "the slot is free")
    assert hub.posted == []
    assert "lost its lease" in caplog.text


async def test_a_new_lease_ends_the_earlier_attempt(hub, site, start) -> None:
    hub.lease_seconds, site.hold = 300.0, True  # no renewal comes in time to stop it
    task = add(hub)
    await start()
    await until(lambda: site.started, "the task runs")
    hub.tasks[task].leased_until = 0.0
    await until(lambda: len(site.started) == 2, "the second attempt runs")
    await until(lambda: len(site.abandoned) == 1, "the first is abandoned")
    site.hold = False
    assert (await hub.answer(task)).attempt == 2
    assert [result.attempt for _, result in hub.posted] == [2]


async def test_an_unreachable_hub_does_not_stop_the_work(hub, site, start) -> None:
    hub.lease_seconds, site.hold = 2.0, True
    task = add(hub)
    await start()
    await until(lambda: site.started, "the task runs")
    hub.refuse["renew"] = [503, 500, 429]
    await until(lambda: len(hub.renewals) >= 1, "a renewal gets through")
    hub.refuse["result"] = [503, 502, 401]
    site.hold = False
    assert (await hub.answer(task)).attempt == 1
    assert hub.refuse["result"] == []
    assert len(hub.posted) == 1
    assert site.started == ["POST /cohort/statistics"], "done once, handed in until it was taken"


async def test_a_result_whose_receipt_is_lost_is_sent_again(hub, start) -> None:
    hub.lose_answers = 2
    task = add(hub)
    await start()
    await until(lambda: len(hub.posted) == 3, "sent three times")
    await until(lambda: hub.heartbeats[-1].tasks_running == 0, "and then no more")
    assert len({result.model_dump_json() for _, result in hub.posted}) == 1, "the same each time"
    await hub.opened(task)


@pytest.mark.parametrize(("status", "level"), [(409, "WARNING"), (404, "WARNING"), (403, "ERROR")])
async def test_a_result_nobody_wants_is_dropped(hub, start, caplog, status, level) -> None:
    hub.refuse["result"] = [status]
    add(hub)
    await start()
    await until(lambda: "result dropped" in caplog.text, "it is dropped")
    record = next(record for record in caplog.records if "result dropped" in record.message)
    assert record.levelname == level
    assert hub.posted == []


async def test_a_result_that_is_refused_for_good_becomes_a_failure(hub, start, caplog) -> None:
    hub.refuse["result"] = [422]
    task = add(hub)
    await start()
    answer = await hub.answer(task)
    assert (answer.outcome, answer.error.code) == (TaskOutcome.FAILED, "result_refused")
    hub.refuse["result"] = [422, 422]
    add(hub)
    await until(lambda: "refuses the result of attempt 1 for good" in caplog.text, "then it is left")


async def test_the_hub_may_be_away_at_first_and_in_between(hub, site, start) -> None:
    hub.server.stop()
    early = add(hub)
    running = await start()
    async with httpx.AsyncClient(trust_env=False) as client:

        async def healthy() -> bool:
            return (await client.get(f"{running.url}/health")).json() == {"status": "ok"}

        assert await healthy(), "alive without a hub"
        before = await status(client, running, site)
        assert (before["trust_id"], before["last_heartbeat_at"]) == (None, None)
        hub.server.start()
        await hub.opened(early)
        after = await status(client, running, site)
        assert (after["trust_id"], after["heartbeat_problem"]) == (str(hub.trust_id), "")
        assert datetime.now(UTC) - datetime.fromisoformat(after["last_heartbeat_at"]) < timedelta(minutes=1)
        hub.server.stop()
        later = add(hub)
        assert await healthy()
        async with asyncio.timeout(10):
            while not (await status(client, running, site))["heartbeat_problem"]:
                await asyncio.sleep(0.05)
    hub.server.start()
    await hub.opened(later)


async def status(client, running, site):
    headers = {"X-Trust-Internal-Service-Key": site.key}
    return (await client.get(f"{running.url}/status", headers=headers)).json()


async def test_nothing_but_health_is_served_without_the_key(site, start) -> None:
    running = await start()
    headers = {"X-Trust-Internal-Service-Key": site.key}
    async with httpx.AsyncClient(trust_env=False, base_url=running.url) as client:
        for path in ("/status", "/docs", "/openapi.json", "/imports", "/"):
            assert (await client.get(path)).status_code == 401, path
        assert (await client.post("/status")).status_code == 401
        assert (await client.get("/imports", headers=headers)).status_code == 404


async def test_a_refused_key_is_said_clearly_and_tried_again(hub, start, caplog) -> None:
    hub.refuse["heartbeat"], hub.refuse["lease"] = [401, 403], [401]
    task = add(hub)
    await start()
    await hub.opened(task)
    refusals = [record for record in caplog.records if "check TRUST_API_KEY" in record.message]
    assert len(refusals) == 3
    assert {record.levelname for record in refusals} == {"ERROR"}


async def test_something_else_in_the_hubs_place(hub, start, caplog, monkeypatch) -> None:
    task = add(hub)
    monkeypatch.setattr("flip_trust.api.hub.HubClient.put_fl_key", None)
    await start(CENTRAL_HUB_API_URL=f"{hub.server.url}/nothing/api")
    await until(lambda: "heartbeat failed" in caplog.text, "it complains")
    assert hub.tasks[task].attempt == 0


async def test_an_answer_that_is_no_heartbeat(hub, start, caplog) -> None:
    hub.trust_id = "not an id"
    await start()
    await until(lambda: "answer not understood at trust_id" in caplog.text, "it complains")


async def test_a_hub_that_takes_the_trust_for_another_later_ends_everything(hub, site, start) -> None:
    site.hold = True
    add(hub)
    running = await start()
    await until(lambda: site.started, "the task runs")
    first, hub.trust_id = hub.trust_id, uuid4()
    with pytest.raises(IdentityMismatch) as caught:
        await asyncio.wait_for(running.task, 10)
    assert str(first) in str(caught.value)
    assert str(hub.trust_id) in str(caught.value)
    assert hub.posted == []
    await until(lambda: site.abandoned, "its work is dropped")


async def test_the_fl_key_is_sent_until_the_hub_has_it(hub, start) -> None:
    hub.refuse["fl-key"] = [503, 401]
    key = "ssh-ed25519 " + "A" * 60
    await start(fl_key=SiteKey(public_key=key))
    await until(lambda: hub.fl_keys == [key], "the key arrives")


async def test_an_fl_key_the_hub_does_not_want_stops_nothing(hub, start, caplog) -> None:
    hub.refuse["fl-key"] = [422]
    await start(fl_key=SiteKey(public_key="ssh-ed25519 " + "A" * 60))
    await until(lambda: "does not take the FL client's public key" in caplog.text, "it is said")
    await hub.opened(add(hub))
    assert hub.fl_keys == []


async def test_draining_finishes_what_runs_and_leases_no_more(hub, site, start) -> None:
    site.hold = True
    task = add(hub)
    running = await start()
    await until(lambda: site.started, "the task runs")
    running.stop.set()
    await until(lambda: hub.heartbeats, "a heartbeat")
    beats, polls = len(hub.heartbeats), len(hub.lease_requests)
    later = add(hub)
    await until(lambda: len(hub.heartbeats) > beats + 2, "heartbeats go on while it drains")
    site.hold = False
    await hub.opened(task)
    await asyncio.wait_for(running.task, 10)
    assert len(hub.lease_requests) <= polls + 1
    assert hub.tasks[later].accepted is None


async def test_what_does_not_end_in_time_is_given_up_and_offered_again(hub, site, start) -> None:
    site.hold = True
    task = add(hub)
    running = await start(DRAIN_SECONDS="0.2")
    await until(lambda: site.started, "the task runs")
    await running.stopped()
    assert [(posted, result.error.code) for posted, result in hub.posted] == [(task, "site_stopping")]
    assert hub.posted[0][1].error.retryable
    assert hub.tasks[task].accepted is None
    site.hold = False
    await start()
    assert (await hub.answer(task)).attempt == 2


async def test_giving_up_without_a_hub_ends_all_the_same(hub, site, start, caplog) -> None:
    site.hold = True
    add(hub)
    running = await start(DRAIN_SECONDS="0.1")
    await until(lambda: site.started, "the task runs")
    hub.refuse["result"] = [503]
    await running.stopped()
    assert "given up unheard" in caplog.text


async def test_an_idle_poller_stops_at_once(hub, start) -> None:
    running = await start(LEASE_WAIT_SECONDS="30")
    await until(lambda: hub.lease_requests, "it polls")
    before = time.monotonic()
    await running.stopped()
    assert time.monotonic() - before < 3


async def test_empty_polls_of_a_hub_that_does_not_wait_are_paced(hub, start) -> None:
    running = await start(LEASE_WAIT_SECONDS="0", POLL_INTERVAL_SECONDS="0.2")
    started = time.monotonic()
    await until(lambda: len(hub.lease_requests) >= 5, "five polls")
    assert time.monotonic() - started > 0.7
    await running.stopped()
