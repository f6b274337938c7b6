"""What each task does, what is answered, and what is said when it cannot be done."""

from uuid import UUID, uuid4

import pytest
from fastapi import Response
from trust_api_standins import count, problem, until

from flip_common.envelope import Binding, seal
from flip_common.keys import PayloadKey
from flip_common.wire import (
    CohortQueryPayload,
    CreateImagingPayload,
    DeleteImagingPayload,
    FreezeCohortPayload,
    ImagingResult,
    ImagingStatusPayload,
    ReimportStudiesPayload,
    StudyState,
    TaskType,
    UpdateUserProfilePayload,
)
from flip_trust.api.backoff import Backoff

PROJECT = uuid4()
ORDER = ["POST /cohort/accessions", "POST /imports"]
QUERY = CohortQueryPayload(query_id=uuid4(), project_id=PROJECT, query="SELECT person_id FROM omop.person")


async def test_cohort_tasks_go_to_data_access(hub, site, start) -> None:
    query = hub.add(TaskType.COHORT_QUERY, QUERY)
    freeze = hub.add(TaskType.FREEZE_COHORT, FreezeCohortPayload(project_id=PROJECT, query="SELECT 1"))
    await start()
    assert (await hub.opened(query)).subjects.value == 30
    assert (await hub.opened(freeze)).project_id == PROJECT
    assert sorted(site.finished) == ["POST /cohort/freeze", "POST /cohort/statistics"]
    assert QUERY.model_dump(mode="json") in site.bodies
    assert {UUID(text) for text in site.request_ids} == {query, freeze}, "calls carry the task's id"


async def test_imaging_tasks_answer_disclosed_counts_only(hub, site, start) -> None:
    await start(TASK_CONCURRENCY="1")
    for task_type, payload, calls in (
        (TaskType.CREATE_IMAGING, CreateImagingPayload, ORDER),
        (TaskType.GET_IMAGING_STATUS, ImagingStatusPayload, [f"GET /imports/{PROJECT}"]),
        (TaskType.REIMPORT_STUDIES, ReimportStudiesPayload, [*ORDER, f"POST /imports/{PROJECT}/retry"]),
    ):
        site.finished.clear()
        result = await hub.opened(hub.add(task_type, payload(project_id=PROJECT)))
        assert site.finished == calls
        assert isinstance(result, ImagingResult)
        assert result.total.value == 30, "25 studies, rounded to tens"
        assert set(result.studies) == set(StudyState), "a state that is left out would tell that it is empty"
        assert result.studies[StudyState.IMPORTED].value == 20
        assert result.studies[StudyState.FAILED].suppressed
        assert result.studies[StudyState.MISSING].suppressed
    assert {"project_id": str(PROJECT), "accessions": ["ACC1", "ACC2"]} in site.bodies


async def test_deleting_and_profiles(hub, site, start) -> None:
    gone = hub.add(TaskType.DELETE_IMAGING, DeleteImagingPayload(project_id=PROJECT))
    profile = UpdateUserProfilePayload(username="a/b@c", email="a@c.org", enabled=True)
    user = hub.add(TaskType.UPDATE_USER_PROFILE, profile)
    await start()
    result = await hub.opened(gone)
    assert (result.state, result.total.suppressed) == ("NONE", True)
    assert (await hub.opened(user)).reason == "this store has no users"
    assert set(site.finished) == {f"DELETE /imports/{PROJECT}", "PUT /users/a%2Fb%40c"}


@pytest.mark.parametrize(
    ("reply", "code", "detail"),
    [
        (problem(422, "query_refused", "table pg_class is not allowed"), "query_refused", "pg_class"),
        (problem(401, "unauthenticated", "x"), "service_key_refused", "TRUST_INTERNAL_SERVICE_KEY"),
        (problem(422, "invalid_request", "John Smith is no number"), "service_failed", "status 422"),
        (problem(400, "Bad Code", "John Smith"), "service_failed", "status 400"),
        (Response("John Smith", status_code=418), "service_failed", "status 418"),
        (Response("[1]", status_code=404), "service_failed", "status 404"),
        (Response('{"query_id": "John Smith"}'), "service_answer_invalid", "same release"),
    ],
)
async def test_a_refusal_reaches_the_hub_in_flips_words(hub, site, start, reply, code, detail) -> None:
    site.reply = reply
    task = hub.add(TaskType.COHORT_QUERY, QUERY)
    await start()
    error = (await hub.answer(task)).error
    assert error.code == code
    assert detail in error.detail
    assert not error.retryable
    assert "John Smith" not in error.model_dump_json()


async def test_a_service_that_fails_or_is_away_is_tried_again(hub, site, start) -> None:
    site.reply = problem(503, "database_busy", "try later")
    task = hub.add(TaskType.COHORT_QUERY, QUERY)
    running = await start()
    await until(lambda: hub.posted, "a result")
    assert hub.posted[0][1].error.code == "database_busy"
    assert hub.posted[0][1].error.retryable
    site.server.stop()
    await until(lambda: hub.posted[-1][1].error.code == "service_unavailable", "the service is away")
    assert hub.posted[-1][1].error.retryable
    assert not hub.heartbeats[-1].services["imaging-api"] or await until(
        lambda: not hub.heartbeats[-1].services["imaging-api"], "the heartbeat says so"
    )
    site.reply = None
    site.server.start()
    assert (await hub.opened(task)).query_id == QUERY.query_id
    await running.stopped()


async def test_a_service_that_hangs_up_or_takes_too_long(hub, site, start) -> None:
    site.hold = True
    task = hub.add(TaskType.COHORT_QUERY, QUERY)
    await start(SERVICE_TIMEOUT_SECONDS="1")
    error = (await hub.answer(task)).error
    assert (error.code, error.retryable) == ("service_timeout", False)


@pytest.mark.parametrize(
    ("task_type", "payload", "reply"),
    [
        (TaskType.COHORT_QUERY, QUERY, {"query_id": str(uuid4()), "subjects": count(10)}),
        (
            TaskType.FREEZE_COHORT,
            FreezeCohortPayload(project_id=PROJECT, query="SELECT 1"),
            {
                "project_id": str(uuid4()),
                "subjects": count(10),
                "accessions": count(10),
                "cohort_digest": "0" * 64,
            },
        ),
        (
            TaskType.CREATE_IMAGING,
            CreateImagingPayload(project_id=PROJECT),
            {"project_id": str(uuid4()), "accessions": []},
        ),
        (
            TaskType.GET_IMAGING_STATUS,
            ImagingStatusPayload(project_id=PROJECT),
            {"project_id": str(uuid4()), "state": "DONE", "studies": []},
        ),
    ],
)
async def test_an_answer_about_something_else_is_no_answer(hub, site, start, task_type, payload, reply) -> None:
    import json

    site.reply = Response(json.dumps(reply))
    task = hub.add(task_type, payload)
    await start()
    assert (await hub.answer(task)).error.code == "service_answer_invalid"


async def test_envelopes_that_do_not_open(hub, site, start) -> None:
    other_task = Binding(hub.trust_id, uuid4(), TaskType.COHORT_QUERY, "to-trust")
    stranger = PayloadKey.generate()
    cases = {
        hub.add(TaskType.COHORT_QUERY, QUERY, payload="junk"): "envelope_refused",
        hub.add(TaskType.COHORT_QUERY, QUERY, payload=seal(QUERY, hub.key, other_task)): "envelope_refused",
        hub.add(TaskType.COHORT_QUERY, QUERY, type="freeze_cohort"): "envelope_refused",
        hub.add(TaskType.COHORT_QUERY, DeleteImagingPayload(project_id=PROJECT)): "payload_invalid",
    }
    foreign = hub.add(TaskType.COHORT_QUERY, QUERY)
    own = Binding(hub.trust_id, foreign, TaskType.COHORT_QUERY, "to-trust")
    hub.tasks[foreign].payload = seal(QUERY, stranger, own)
    cases[foreign] = "envelope_refused"
    good = hub.add(TaskType.COHORT_QUERY, QUERY)
    await start()
    for task, code in cases.items():
        assert (await hub.answer(task)).error.code == code
    assert (await hub.opened(good)).query_id == QUERY.query_id
    assert site.finished == ["POST /cohort/statistics"]


async def test_payloads_sealed_with_either_live_key_open(hub, start) -> None:
    newer = PayloadKey.generate()
    old = hub.add(TaskType.COHORT_QUERY, QUERY)
    await start(AES_KEY_BASE64=f"{hub.key.to_base64()},{newer.to_base64()}")
    assert (await hub.opened(old)).query_id == QUERY.query_id


async def test_tasks_of_a_newer_hub_do_not_spoil_the_others(hub, start, caplog) -> None:
    unknown = hub.add(TaskType.COHORT_QUERY, QUERY, type="teleport")
    extra = hub.add(TaskType.COHORT_QUERY, QUERY, colour="red")
    hub.add(TaskType.COHORT_QUERY, QUERY, task_id="no id")
    good = hub.add(TaskType.COHORT_QUERY, QUERY)
    await start()
    assert (await hub.answer(unknown)).error.code == "unknown_task_type"
    assert (await hub.answer(extra)).error.code == "task_malformed"
    assert (await hub.opened(good)).query_id == QUERY.query_id
    assert "cannot be answered" in caplog.text


async def test_what_nobody_thought_of_is_told_without_its_text(hub, start, monkeypatch, caplog) -> None:
    async def broken(self, task_type, payload):
        raise ZeroDivisionError("John Smith")

    monkeypatch.setattr("flip_trust.api.handlers.Handlers.handle", broken)
    task = hub.add(TaskType.COHORT_QUERY, QUERY)
    await start()
    answer = await hub.answer(task)
    assert answer.error.code == "internal_error"
    assert "John Smith" not in answer.model_dump_json()
    assert "ZeroDivisionError" in caplog.text


async def test_wrong_kind_and_size_of_result(hub, start, monkeypatch) -> None:
    async def wrong(self, task_type, payload):
        return payload

    monkeypatch.setattr("flip_trust.api.handlers.Handlers.handle", wrong)
    task = hub.add(TaskType.COHORT_QUERY, QUERY)
    await start()
    assert (await hub.answer(task)).error.code == "internal_error"
    monkeypatch.undo()
    monkeypatch.setattr("flip_trust.api.attempt.MAX_ENVELOPE_CHARS", 10)
    big = hub.add(TaskType.COHORT_QUERY, QUERY)
    assert (await hub.answer(big)).error.code == "result_too_large"


def test_backoff_doubles_up_to_its_ceiling_and_starts_anew() -> None:
    backoff = Backoff(1, 5)
    for longest in (1, 2, 4, 5, 5):
        assert longest / 2 <= backoff.next() <= longest
    backoff.reset()
    assert backoff.next() <= 1
