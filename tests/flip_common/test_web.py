"""Problem documents, request ids, body limits and service keys."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from flip_common.keys import generate_api_key, hash_api_key
from flip_common.logs import client_request_id, request_id
from flip_common.web import PROBLEM_JSON, Problem, install, not_found, require_key

KEY = generate_api_key()


class Body(BaseModel):
    password: int


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    install(app, max_body_bytes=100, large_paths=(r"/large/.*",))

    @app.get("/problem")
    async def problem() -> None:
        raise Problem(409, "busy", "trust Trust_1 is busy; try later", trust="Trust_1")

    @app.get("/missing")
    async def missing() -> None:
        raise not_found("project", "p-1")

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError("patient 12345")

    @app.post("/body")
    async def body(body: Body) -> int:
        return body.password

    @app.post("/large/{name}")
    async def large(name: str, request: Request) -> int:
        return len(await request.body())

    @app.post("/count")
    async def count(request: Request) -> int:
        return len(await request.body())

    @app.get("/guarded", dependencies=[Depends(require_key("X-Key", (hash_api_key(KEY),)))])
    async def guarded() -> str:
        return "in"

    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_a_problem_is_a_problem_document(client: httpx.AsyncClient) -> None:
    answer = await client.get("/problem", headers={"X-Request-Id": "abc"})
    assert answer.status_code == 409
    assert answer.headers["content-type"] == PROBLEM_JSON
    assert answer.json() == {
        "type": "urn:flip:problem:busy",
        "title": "Conflict",
        "status": 409,
        "code": "busy",
        "detail": "trust Trust_1 is busy; try later",
        "request_id": answer.headers["x-request-id"],
        "trust": "Trust_1",
    }


async def test_routing_errors_are_problem_documents_too(client: httpx.AsyncClient) -> None:
    assert (await client.get("/nowhere")).json()["code"] == "not_found"
    answer = await client.delete("/problem")
    assert answer.json()["code"] == "method_not_allowed"
    assert answer.headers["allow"] == "GET"
    assert (await client.get("/missing")).json()["detail"].startswith("project p-1 does not exist")


async def test_a_crash_shows_no_text(client: httpx.AsyncClient) -> None:
    answer = await client.get("/crash", headers={"X-Request-Id": "abc"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == PROBLEM_JSON
    assert answer.json()["code"] == "internal_error"
    assert "12345" not in answer.text


async def test_a_crash_is_logged_under_the_id_that_the_answer_names(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    seen = []
    ids = request_id, client_request_id
    caplog.handler.addFilter(lambda record: seen.append((record.levelname, *(of.get() for of in ids))) or True)
    answer = await client.get("/crash", headers={"X-Request-Id": "abc"})
    ours = answer.headers["x-request-id"]
    assert ("ERROR", ours, "abc") in seen
    assert answer.json()["request_id"] == ours
    assert ours in answer.json()["detail"]
    assert (request_id.get(), client_request_id.get()) == ("-", "")


async def test_a_crash_after_the_answer_began_ends_the_connection(app: FastAPI) -> None:
    @app.get("/half")
    async def half() -> StreamingResponse:
        async def content() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError("the rest is missing")

        return StreamingResponse(content())

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        with pytest.raises(RuntimeError, match="the rest"):
            await client.get("/half")


async def test_invalid_bodies_are_explained_without_their_values(client: httpx.AsyncClient) -> None:
    answer = await client.post("/body", json={"password": "hunter2-hunter2"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] == "body/password"
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("theirs", ["abc", "a b\t<script>", "x" * 65, "", "\xff"])
async def test_a_request_id_is_always_our_own(app: FastAPI, client: httpx.AsyncClient, theirs: str) -> None:
    @app.get("/ids")
    async def ids() -> list[str]:
        return [request_id.get(), client_request_id.get()]

    answers = [await client.get("/ids", headers={"X-Request-Id": theirs.encode("latin-1")}) for _ in range(2)]
    assert [answer.headers["x-request-id"] for answer in answers] == [answer.json()[0] for answer in answers]
    first, second = (answer.json() for answer in answers)
    assert first[0] != second[0]
    assert len(first[0]) == 32
    assert first[1] == ("abc" if theirs == "abc" else ""), "only a plain one is noted beside ours"


@pytest.mark.parametrize("path", ["/problem", "/crash", "/nowhere", "/guarded", "/openapi.json"])
async def test_no_answer_may_be_taken_for_another_type(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).headers.get_list("x-content-type-options") == ["nosniff"]
    assert (await client.post("/count", content=b"x" * 101)).headers["x-content-type-options"] == "nosniff"


async def test_bodies_over_the_limit_are_refused_by_their_declared_length(client: httpx.AsyncClient) -> None:
    assert (await client.post("/count", content=b"x" * 100)).json() == 100
    answer = await client.post("/count", content=b"x" * 101)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_bodies_over_the_limit_are_refused_while_they_stream(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b"x" * 10

    answer = await client.post("/count", content=chunks())
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_large_paths_limit_themselves(client: httpx.AsyncClient) -> None:
    assert (await client.post("/large/a", content=b"x" * 1000)).json() == 1000


@pytest.mark.parametrize("headers", [{}, {"X-Key": ""}, {"X-Key": generate_api_key()}, {"X-Other": KEY}])
async def test_no_entry_without_the_key(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await client.get("/guarded", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_entry_with_the_key(client: httpx.AsyncClient) -> None:
    assert (await client.get("/guarded", headers={"X-Key": KEY})).json() == "in"
