"""Every route of projects, cohorts, models and nets: who may not call it."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from hub_world import World, app_zip, ok

from flip_common.wire import Role

P, M = "/api/projects/{project}", "/api/models/{model}"
# What each kind of caller gets at the least level that is needed: SEE, READ, WORK, OWN.
OUTSIDERS = {"anonymous": 401, "researcher": 404, "viewer": 404, "foreign_trust": 404}
SEE = OUTSIDERS
READ = {**OUTSIDERS, "trust": 403}
WORK = {**READ, "member_viewer": 403}
OWN = {**WORK, "member": 403}
ROUTES: list[tuple[str, str, Any, dict[str, int]]] = [
    ("POST", "/api/projects", {"name": "x"}, {"anonymous": 401, "viewer": 403, "trust": 403}),
    ("GET", "/api/projects", None, {"anonymous": 401}),
    ("GET", P, None, SEE),
    ("PATCH", P, {"name": "x"}, OWN),
    ("DELETE", P, None, OWN),
    ("GET", P + "/members", None, READ),
    ("POST", P + "/members", {"email": "a@example.org"}, OWN),
    ("DELETE", P + "/members/{user}", None, OWN),
    ("POST", P + "/stage", {"query_id": str(uuid4())}, OWN),
    ("POST", P + "/unstage", None, OWN),
    (
        "POST",
        P + "/trusts/{trust}/decision",
        {"decision": "APPROVED"},
        {"anonymous": 401, "owner": 403, "admin": 403, "member": 403, "researcher": 403, "foreign_trust": 404},
    ),
    ("GET", P + "/imaging", None, SEE),
    ("POST", P + "/imaging/refresh", None, WORK),
    ("POST", P + "/imaging/reimport", None, WORK),
    ("POST", P + "/cohort-queries", {"name": "q", "query": "SELECT 1"}, WORK),
    ("GET", P + "/cohort-queries", None, READ),
    ("GET", P + "/cohort-queries/{query}", None, READ),
    ("POST", P + "/models", {"name": "m"}, WORK),
    ("GET", P + "/models", None, SEE),
    ("GET", M, None, SEE),
    ("PATCH", M, {"name": "m"}, WORK),
    ("DELETE", M, None, WORK),
    ("PUT", M + "/app", app_zip(), WORK),
    ("GET", M + "/app", None, SEE),
    ("POST", M + "/start", {}, WORK),
    ("POST", M + "/stop", None, WORK),
    ("GET", M + "/metrics", None, READ),
    ("GET", M + "/events", None, SEE),
    ("GET", M + "/logs", None, READ),
    ("GET", M + "/results", None, READ),
    ("GET", M + "/results/model.pt", None, READ),
    ("GET", "/api/nets", None, {"anonymous": 401, "viewer": 403, "trust": 403}),
]
INTERNAL: list[tuple[str, str, Any]] = [
    ("PUT", "status", {"status": "PREPARED"}),
    ("POST", "metrics", {"points": []}),
    ("POST", "exceptions", {"code": "E", "digest": "0" * 64}),
    ("PUT", "results/model.pt", b"bytes"),
]


@pytest.fixture
async def callers(world: World, client: httpx.AsyncClient) -> dict[str, httpx.AsyncClient]:
    """Everyone there can be, around a staged project with a model."""
    await world.ask()
    body = {"query_id": world.query_id, "trust_ids": [world.sites[0].trust_id]}
    ok(await world.owner.client.post(f"{world.url}/stage", json=body))
    member = await world.sign_in_as(Role.RESEARCHER, email="member@example.org")
    member_viewer = await world.sign_in_as(Role.VIEWER, email="reader@example.org")
    for person in (member, member_viewer):
        ok(await world.owner.client.post(f"{world.url}/members", json={"email": person.email}), 201)
    return {
        "anonymous": client,
        "owner": world.owner.client,
        "admin": world.admin.client,
        "member": member.client,
        "member_viewer": member_viewer.client,
        "researcher": (await world.sign_in_as(Role.RESEARCHER)).client,
        "viewer": (await world.sign_in_as(Role.VIEWER)).client,
        "trust": world.sites[0].owner.client,
        "foreign_trust": world.sites[1].owner.client,
    }


async def call(client: httpx.AsyncClient, method: str, path: str, body: Any) -> httpx.Response:
    if isinstance(body, bytes):
        return await client.request(method, path, content=body)
    return await client.request(method, path, json=body)


async def test_who_may_not_call_what(world: World, callers: dict[str, httpx.AsyncClient]) -> None:
    model_id = await world.model()
    names = {
        "project": world.project_id,
        "model": model_id,
        "trust": world.sites[0].trust_id,
        "user": str(uuid4()),
        "query": world.query_id,
    }
    wrong = []
    for method, path, body, refused in ROUTES:
        for caller, status in refused.items():
            got = (await call(callers[caller], method, path.format(**names), body)).status_code
            if got != status:
                wrong.append(f"{method} {path} by {caller}: {got}, not {status}")
    assert wrong == []
    # None of these calls changed anything.
    assert (await world.project())["name"] == "Brain"
    assert (await world.get_model(model_id))["status"] == "PENDING"


async def test_those_who_may_only_see_can_see(world: World, callers: dict[str, httpx.AsyncClient]) -> None:
    model_id = await world.model()
    for path in (world.url, f"{world.url}/imaging", f"{world.url}/models", f"/api/models/{model_id}"):
        ok(await callers["trust"].get(path))
    for path in (f"{world.url}/cohort-queries", f"{world.url}/members", f"/api/models/{model_id}/metrics"):
        ok(await callers["member_viewer"].get(path))
    ok(await callers["member"].post(f"{world.url}/models", json={"name": "of a member"}), 201)
    ok(await callers["admin"].patch(world.url, json={"name": "Brain 2"}))


async def test_every_route_is_in_the_table(client: httpx.AsyncClient) -> None:
    document = ok(await client.get("/api/openapi.json"))
    mine = ("/api/projects", "/api/models", "/api/nets")
    published = {
        (method.upper(), _shape(path))
        for path, methods in document["paths"].items()
        if path.startswith(mine)
        for method in methods
    }
    tabled = {(method, _shape(path.replace("model.pt", "{file}"))) for method, path, _, _ in ROUTES}
    assert published == tabled


def _shape(path: str) -> tuple[str, ...]:
    return tuple("*" if part.startswith("{") else part for part in path.split("/"))


@pytest.mark.parametrize("key", ["", "wrong"])
async def test_the_internal_api_needs_its_key(internal_client: httpx.AsyncClient, key: str) -> None:
    header = next(name for name in internal_client.headers if name.endswith("service-key"))
    for method, path, body in INTERNAL:
        url = f"/api/internal/models/{uuid4()}/{path}"
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        response = await internal_client.request(method, url, headers={header: key}, **content)
        assert response.status_code == 401, (method, path)


async def test_the_internal_api_is_not_public(world: World) -> None:
    for method, path, body in INTERNAL:
        url = f"/api/internal/models/{uuid4()}/{path}"
        assert (await call(world.admin.client, method, url, body)).status_code == 404
