"""What the FL server may report of a running model: claims, metrics, exceptions, results."""

import asyncio
import errno
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import httpx
import pytest
from fl_api_double import FlApi
from hub_world import Run, World, both_places, files, ok, problem, start_run

from flip_common.wire import JobStatus, ModelStatus
from flip_hub.models import runs
from flip_hub.models.files import receiving
from flip_hub.models.status import may_follow
from flip_hub.state import Hub

S = ModelStatus
ORDER = [S.PENDING, S.INITIATED, S.PREPARED, S.TRAINING_STARTED]
ENDS = [S.RESULTS_UPLOADED, S.ERROR, S.STOPPED, S.RESULTS_UPLOAD_FAILED]


def test_status_moves_forward_only_and_an_end_is_final() -> None:
    for now in S:
        for then in S:
            ahead = then in ENDS or (then in ORDER and now in ORDER and ORDER.index(then) > ORDER.index(now))
            assert may_follow(now, then) is (now not in ENDS and ahead), (now, then)


async def test_claims_move_the_model_forward_only(run: Run) -> None:
    assert ok(await run.claim("PREPARED")) == {"status": "PREPARED"}
    assert ok(await run.claim("PREPARED")) == {"status": "PREPARED"}
    problem(await run.claim("INITIATED"), 409, "status_backwards")
    problem(await run.claim("PENDING"), 409, "status_backwards")
    problem(await run.claim("DONE"), 422, "invalid_request")
    assert len(await run.world.events(run.model_id, "STATUS")) == 2


async def test_a_final_claim_is_noted_and_nothing_follows_it(run: Run) -> None:
    assert ok(await run.claim("RESULTS_UPLOADED")) == {"status": "INITIATED"}
    ok(await run.claim("RESULTS_UPLOADED"))
    problem(await run.claim("ERROR"), 409, "status_final")
    problem(await run.claim("PREPARED"), 409, "status_final")
    [event] = await run.world.events(run.model_id, "CLAIM")
    assert event["detail"] == {"status": "RESULTS_UPLOADED"}


ENDINGS = [
    (JobStatus.FINISHED, "", "RESULTS_UPLOADED"),
    (JobStatus.FINISHED, "RESULTS_UPLOADED", "RESULTS_UPLOADED"),
    (JobStatus.FINISHED, "ERROR", "ERROR"),
    (JobStatus.FINISHED, "STOPPED", "STOPPED"),
    (JobStatus.FINISHED, "RESULTS_UPLOAD_FAILED", "RESULTS_UPLOAD_FAILED"),
    (JobStatus.FAILED, "RESULTS_UPLOADED", "ERROR"),
    (JobStatus.FAILED, "", "ERROR"),
    (JobStatus.STOPPED, "RESULTS_UPLOADED", "STOPPED"),
]


async def test_how_the_job_ended_comes_before_what_the_app_said(
    world: World, fl_api: FlApi, internal_client: httpx.AsyncClient
) -> None:
    await world.approved()
    for end, claim, status in ENDINGS:
        run = await start_run(world, fl_api, internal_client)
        if claim:
            ok(await run.claim(claim))
        reason = "" if end is JobStatus.FINISHED else "a site was lost"
        run.api.change(run.job_id, end, reason=reason)
        model = await world.status_is(run.model_id, *(status.value for status in ENDS))
        assert (model["status"], model["job"]["status"]) == (status, end), (end, claim)
        last = (await world.events(run.model_id, "STATUS"))[-1]
        assert last["detail"]["status"] == status
        assert reason in last["detail"]["reason"]


async def test_metrics_sent_twice_count_once_and_the_last_wins(run: Run) -> None:
    for value in (0.1, 0.2, 0.2):
        ok(await run.point("Trust-A", "dice", value, 1), 204)
    points = [
        {"trust": trust, "label": "loss", "value": value, "round": number}
        for trust, value, number in [("Trust-A", 1.0, 1), ("Trust-B", 2.0, 1), ("Trust-A", 3.0, 1), ("Trust-A", 4, 2)]
    ]
    for _ in range(2):
        ok(await run.internal.post(f"{run.url}/metrics", json={"points": points}), 204)
    path = f"/api/models/{run.model_id}/metrics"

    async def get(**filters: object) -> dict[tuple[str, str], list[tuple[int, float]]]:
        found = ok(await run.world.owner.client.get(path, params=filters))
        return {(s["trust"], s["label"]): [(p["round"], p["value"]) for p in s["points"]] for s in found}

    assert await get() == {
        ("Trust-A", "dice"): [(1, 0.2)],
        ("Trust-A", "loss"): [(1, 3.0), (2, 4.0)],
        ("Trust-B", "loss"): [(1, 2.0)],
    }
    assert await get(trust="Trust-B") == {("Trust-B", "loss"): [(1, 2.0)]}
    assert await get(label="loss", from_round=2) == {("Trust-A", "loss"): [(2, 4.0)]}


async def test_concurrent_metrics_do_not_collide(run: Run) -> None:
    answers = await asyncio.gather(*(run.point("Trust-A", "dice", n / 10, 1) for n in range(8)))
    assert {answer.status_code for answer in answers} == {204}


async def test_many_metrics_in_one_call(run: Run) -> None:
    points = [{"trust": "Trust-A", "label": "m", "value": n, "round": n} for n in range(2500)]
    ok(await run.internal.post(f"{run.url}/metrics", json={"points": points}), 204)
    [series] = ok(await run.world.owner.client.get(f"/api/models/{run.model_id}/metrics"))
    assert len(series["points"]) == 2500


async def test_only_taking_part_trusts_are_spoken_of(run: Run) -> None:
    refused = problem(await run.point("Trust-C", "dice", 1, 1), 403, "trust_takes_no_part")
    assert "Trust-C" in refused["detail"]
    error = {"trust": "Trust-C", "code": "ValueError", "digest": "0" * 64}
    problem(await run.internal.post(f"{run.url}/exceptions", json=error), 403, "trust_takes_no_part")


async def test_an_exception_is_a_code_and_a_digest(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for trust in ("Trust-A", None):
        error = {"trust": trust, "code": "ValueError", "digest": "ab" * 32, "round": 2}
        ok(await run.internal.post(f"{run.url}/exceptions", json=error), 204)
    first, second = await run.world.events(run.model_id, "EXCEPTION")
    assert first["detail"] == {"trust": "Trust-A", "code": "ValueError", "digest": "ab" * 32, "round": 2}
    assert second["detail"]["trust"] is None
    text = {"trust": "Trust-A", "code": "E", "digest": "patient Jones", "round": 2}
    problem(await run.internal.post(f"{run.url}/exceptions", json=text), 422, "invalid_request")
    monkeypatch.setattr(runs, "MAX_EXCEPTIONS", 2)
    problem(await run.internal.post(f"{run.url}/exceptions", json=error), 429, "too_many_exceptions")


async def test_without_a_running_job_nothing_can_be_reported(world: World, run: Run) -> None:
    run.api.change(run.job_id, JobStatus.FINISHED)
    await world.status_is(run.model_id, "RESULTS_UPLOADED")
    idle = await world.model()
    for model_id in (run.model_id, idle, str(uuid4())):
        url = f"/api/internal/models/{model_id}"
        put, post = run.internal.put, run.internal.post
        problem(await put(f"{url}/status", json={"status": "PREPARED"}), 409, "no_running_job")
        problem(await post(f"{url}/metrics", json={"points": []}), 409, "no_running_job")
        problem(await post(f"{url}/exceptions", json={"code": "E", "digest": "0" * 64}), 409, "no_running_job")
        problem(await put(f"{url}/results/a", content=b"x"), 409, "no_running_job")
    assert await world.status(run.model_id) == "RESULTS_UPLOADED"


async def put(run: Run, name: str, content: bytes) -> object:
    return ok(await run.internal.put(f"{run.url}/results/{name}", content=content))


async def blobs(hub: Hub, model_id: str) -> list[str]:
    return [name for name in await files(hub, model_id) if name.startswith("result-")]


@both_places
async def test_results_are_listed_and_downloaded_whole_or_in_part(run: Run) -> None:
    await put(run, "global/round_3/model.pt", b"0123456789")
    await put(run, "report.json", b"{}")
    base = f"/api/models/{run.model_id}/results"
    get = run.world.owner.client.get
    listed = ok(await get(base))
    assert [(row["filename"], row["bytes"]) for row in listed] == [("global/round_3/model.pt", 10), ("report.json", 2)]
    whole = await get(f"{base}/global/round_3/model.pt")
    assert whole.content == b"0123456789"
    assert whole.headers["etag"] == f'"{listed[0]["sha256"]}"'
    assert 'filename="model.pt"' in whole.headers["content-disposition"]
    part = await get(f"{base}/global/round_3/model.pt", headers={"range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")
    same = await get(f"{base}/global/round_3/model.pt", headers={"if-none-match": whole.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    problem(await get(f"{base}/other.pt"), 404, "not_found")


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ("bytes=10-", 416, "range_not_satisfiable"),
        ("bytes=3-1", 400, "malformed_range"),
        ("bytes=a-b", 400, "malformed_range"),
        ("lines=1-2", 400, "malformed_range"),
    ],
)
async def test_ranges_that_cannot_be_served(run: Run, asked: str, status: int, code: str) -> None:
    await put(run, "model.pt", b"0123456789")
    url = f"/api/models/{run.model_id}/results/model.pt"
    answer = await run.world.owner.client.get(url, headers={"range": asked})
    assert "10 bytes" in problem(answer, status, code)["detail"]
    assert answer.headers["content-range"] == "bytes */10"


@both_places
async def test_a_result_sent_again_replaces_the_first(run: Run, hub: Hub) -> None:
    await put(run, "a", b"one")
    await put(run, "a", b"one")
    await put(run, "b", b"one")
    assert len(await blobs(hub, run.model_id)) == 1
    await put(run, "a", b"two")
    assert len(await blobs(hub, run.model_id)) == 2, "b still needs the first bytes"
    await put(run, "b", b"two")
    assert len(await blobs(hub, run.model_id)) == 1
    got = await run.world.owner.client.get(f"/api/models/{run.model_id}/results/a")
    assert got.content == b"two"


async def test_names_that_climb_or_hide_are_refused(run: Run, hub: Hub) -> None:
    climbing = ["%2e%2e/evil", "a/%2e%2e/b", "a%2F..%2Fb", "a/b/c/d"]
    for name in [*climbing, ".hidden", "a//b", "a%00b", "x" * 101, "a%5Cb"]:
        response = await run.internal.put(f"{run.url}/results/{name}", content=b"x")
        assert response.status_code == 422, (name, response.text)
    assert await blobs(hub, run.model_id) == []


@both_places
async def test_a_result_that_fails_and_never_succeeds_fails_the_upload(
    run: Run, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(receiving, "_finish", full)
        for name in ("a", "b"):
            response = await run.internal.put(f"{run.url}/results/{name}", content=b"x")
            problem(response, 507, "insufficient_storage")
    await put(run, "a", b"x")
    assert [e["detail"]["filename"] for e in await run.world.events(run.model_id, "UPLOAD_FAILED")] == ["a", "b"]
    run.api.change(run.job_id, JobStatus.FINISHED)
    model = await run.world.status_is(run.model_id, "RESULTS_UPLOADED", "RESULTS_UPLOAD_FAILED")
    assert model["status"] == "RESULTS_UPLOAD_FAILED"
    last = (await run.world.events(run.model_id, "STATUS"))[-1]
    assert last["detail"]["reason"] == "not received completely: b"


async def test_a_broken_disk_counts_as_a_failed_upload(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(receiving, "_finish", broken)
    problem(await run.internal.put(f"{run.url}/results/a", content=b"x"), 500, "internal_error")
    [event] = await run.world.events(run.model_id, "UPLOAD_FAILED")
    assert event["detail"] == {"filename": "a", "code": "OSError"}


@both_places
async def test_a_large_result_is_streamed_in_pieces(run: Run, hub: Hub) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"z" * 65_536

    stored = ok(await run.internal.put(f"{run.url}/results/big", content=chunks()))
    assert stored["bytes"] == 50 * 65_536


async def test_there_are_only_so_many_results(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MAX_RESULTS", 1)
    await put(run, "a", b"1")
    await put(run, "a", b"2")
    problem(await run.internal.put(f"{run.url}/results/b", content=b"x"), 409, "too_many_results")


@both_places
async def test_a_result_that_is_gone_from_the_disk_is_said(run: Run, hub: Hub) -> None:
    await put(run, "a", b"1")
    for name in await hub.files.listed(UUID(run.model_id)):
        await hub.files.remove(name)
    problem(await run.world.owner.client.get(f"/api/models/{run.model_id}/results/a"), 410, "result_gone")
