"""People, trusts and a project at every stage, made through the hub's API alone."""

import asyncio
import io
import time
import zipfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID

import httpx
import pytest
from fl_api_double import KEY, FlApi, serving

from flip_common.wire import (
    CohortQueryPayload,
    CohortQueryResult,
    DisclosedCount,
    FreezeCohortPayload,
    FreezeCohortResult,
    ImagingResult,
    JobStatus,
    LeasedTask,
    Role,
    TaskType,
    UpdateUserProfileResult,
    WireModel,
)
from flip_hub.state import Hub

COUNT = DisclosedCount(suppressed=False, value=40, threshold=10, rounding=10)
QUERY = "SELECT p.person_id FROM omop.person p WHERE p.year_of_birth > 1950"
FL_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI-the-public-key-of-{}"
PYPROJECT = """
[project]
name = "tiny"
version = "1.0.0"

[tool.flwr.app]
publisher = "tests"

[tool.flwr.app.components]
serverapp = "app.server_app:app"
clientapp = "app.client_app:app"

[tool.flwr.app.config]
flip-model-id = ""
flip-project-id = ""
flip-cohort-query = ""
rounds = 3
rate = 0.1
verbose = false
note = "plain"
"""
SERVER = """
from flwr.serverapp import ServerApp

from flip import FLIP
from flip.constants.flip_constants import ModelStatus

app = ServerApp()


@app.main()
def main(grid, context):
    model_id = str(context.run_config["flip-model-id"])
    flip = FLIP()
    flip.update_status(model_id, ModelStatus.INITIATED)
    flip.update_status(model_id, ModelStatus.PREPARED)
    flip.update_status(model_id, ModelStatus.TRAINING_STARTED)
    flip.update_status(model_id, ModelStatus.RESULTS_UPLOADED)
"""
CLIENT = """
from flwr.app import Message
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message, context):
    return Message(message.content, reply_to=message)
"""


def app_zip(**changes: str) -> bytes:
    """A small Flower app; keyword arguments add or replace files."""
    files = {
        "pyproject.toml": PYPROJECT,
        "app/__init__.py": "",
        "app/server_app.py": SERVER,
        "app/client_app.py": CLIENT,
    }
    files |= changes
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 30) -> Any:
    """What `condition` gives once it is true."""
    end = time.monotonic() + seconds
    while not (value := await condition()):
        assert time.monotonic() < end, f"not within {seconds} s"
        await asyncio.sleep(0.02)
    return value


def ok(response: httpx.Response, status: int = 200) -> Any:
    """The JSON of an answer that must have this status."""
    assert response.status_code == status, response.text
    return response.json() if response.content else None


async def files(hub: Hub, model_id: str) -> list[str]:
    """Names of the model's files, and of what uploads left in the spool folder."""
    folder = hub.files.spool(UUID(model_id))
    spooled = {path.name for path in folder.rglob("*")} if folder.exists() else set()
    return sorted({name.last for name in await hub.files.listed(UUID(model_id))} | spooled)


both_places = pytest.mark.parametrize("file_settings", ["folder", "bucket"], indirect=True)
"""Runs a test on a hub that keeps models' files in a folder, and on one that keeps them in a bucket."""


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of an answer that must be this one."""
    assert response.status_code == status, response.text
    body = response.json()
    assert response.headers["content-type"].startswith("application/problem+json")
    assert body["code"] == code, body
    assert body["detail"]
    return dict(body)


@dataclass
class Site:
    """A trust, its own software played by the test, and its owner."""

    side: Any
    owner: Any

    @property
    def trust_id(self) -> str:
        return str(self.side.trust_id)

    @property
    def name(self) -> str:
        return str(self.side.name)

    async def tasks(self) -> list[LeasedTask]:
        """The open tasks. Users' profiles are taken in passing: they come with every approval."""
        leased = await self.side.lease(50)
        for task in leased:
            if task.type is TaskType.UPDATE_USER_PROFILE:
                await self.side.answer(task, UpdateUserProfileResult(applied=True))
        return [task for task in leased if task.type is not TaskType.UPDATE_USER_PROFILE]

    async def work(self, results: dict[TaskType, WireModel] | None = None) -> list[TaskType]:
        """Answers every open task well (or as `results` says), also those that answers bring about."""
        done: list[TaskType] = []
        while tasks := await self.tasks():
            for task in tasks:
                payload = self.side.payload(task)
                answer = (results or {}).get(task.type) or self.good(task, payload)
                response = await self.side.answer(task, answer)
                assert response.is_success, response.text
                done.append(task.type)
        return done

    def good(self, task: LeasedTask, payload: Any) -> WireModel:
        if isinstance(payload, CohortQueryPayload):
            return CohortQueryResult(query_id=payload.query_id, subjects=COUNT)
        if isinstance(payload, FreezeCohortPayload):
            digest = sha256(self.name.encode()).hexdigest()
            return FreezeCohortResult(
                project_id=payload.project_id, subjects=COUNT, accessions=COUNT, cohort_digest=digest
            )
        return ImagingResult(project_id=payload.project_id, state="DONE", total=COUNT)


@dataclass
class World:
    """One owner, one project, some sites."""

    owner: Any
    admin: Any
    sign_in_as: Any = field(repr=False)
    client: httpx.AsyncClient = field(repr=False)
    sites: list[Site]
    project_id: str
    query_id: str = ""

    @property
    def url(self) -> str:
        return f"/api/projects/{self.project_id}"

    async def project(self) -> dict[str, Any]:
        return dict(ok(await self.owner.client.get(self.url)))

    async def ask(self, query: str = QUERY, answer: bool = True) -> str:
        """Puts a cohort query, has every site answer it, and returns its id."""
        body = {"name": "over seventy", "query": query}
        created = ok(await self.owner.client.post(f"{self.url}/cohort-queries", json=body), 201)
        self.query_id = created["id"]
        if answer:
            for site in self.sites:
                await site.work()
        return self.query_id

    async def staged(self) -> "World":
        await self.ask()
        ok(await self.owner.client.post(f"{self.url}/stage", json={"query_id": self.query_id}))
        return self

    async def decide(self, site: Site, decision: str, status: int = 200) -> dict[str, Any]:
        path = f"{self.url}/trusts/{site.trust_id}/decision"
        return dict(ok(await site.owner.client.post(path, json={"decision": decision}), status))

    async def approved(self) -> "World":
        """Approved by every site, cohorts frozen, images in, FL keys known."""
        await self.staged()
        for site in self.sites:
            await self.decide(site, "APPROVED")
            await site.work()
            await self.give_fl_key(site)
        return self

    async def give_fl_key(self, site: Site) -> None:
        key = {"public_key": FL_KEY.format(site.name)}
        ok(await self.client.put("/api/trust/fl-key", json=key, headers=site.side.headers), 204)

    async def model(self, app: bytes | None = None, **fields: str) -> str:
        """A model, with its app unless `app` is empty."""
        created = await self.owner.client.post(f"{self.url}/models", json={"name": "net", **fields})
        model_id = str(ok(created, 201)["id"])
        content = app_zip() if app is None else app
        if content:
            ok(await self.owner.client.put(f"/api/models/{model_id}/app", content=content))
        return model_id

    async def start(self, model_id: str, status: int = 202, **body: Any) -> dict[str, Any]:
        response = await self.owner.client.post(f"/api/models/{model_id}/start", json=body)
        return dict(ok(response, status))

    async def get_model(self, model_id: str) -> dict[str, Any]:
        return dict(ok(await self.owner.client.get(f"/api/models/{model_id}")))

    async def status(self, model_id: str) -> str:
        return str((await self.get_model(model_id))["status"])

    async def status_is(self, model_id: str, *wanted: str) -> dict[str, Any]:
        """The model once its status is one of these."""

        async def reached() -> dict[str, Any] | None:
            model = await self.get_model(model_id)
            return model if model["status"] in wanted else None

        return dict(await until(reached))

    async def events(self, model_id: str, kind: str = "") -> list[dict[str, Any]]:
        found = ok(await self.owner.client.get(f"/api/models/{model_id}/events"))
        return [event for event in found if kind in ("", event["kind"])]

    async def audit(self, action: str) -> list[dict[str, Any]]:
        """Audit entries of this action, newest first."""
        found = ok(await self.admin.client.get("/api/audit", params={"action": action}))
        return list(found["events"] if isinstance(found, dict) else found)


@pytest.fixture
async def world(sign_in_as: Any, open_kit: Any, client: httpx.AsyncClient) -> World:
    """An UNSTAGED project of a researcher, and two trusts with an owner each."""
    owner = await sign_in_as(Role.RESEARCHER, email="owner@example.org")
    admin = await sign_in_as(Role.ADMIN, email="admin@example.org")
    sites = []
    for name in ("Trust-A", "Trust-B"):
        side = open_kit(ok(await admin.client.post("/api/trusts", json={"name": name}), 201))
        person = await sign_in_as(Role.TRUST_OWNER, trust_ids=[side.trust_id], email=f"ig@{name}.org".lower())
        sites.append(Site(side, person))
    created = ok(await owner.client.post("/api/projects", json={"name": "Brain", "description": "MR"}), 201)
    return World(owner, admin, sign_in_as, client, sites, created["id"])


@pytest.fixture
def fl_api() -> Iterator[FlApi]:
    """An FL API that answers."""
    with serving(FlApi()) as api:
        yield api


@pytest.fixture
def settings_changes(fl_api: FlApi) -> dict[str, Any]:
    """The hub has one Flower net."""
    net = {"name": "net1", "backend": "flower", "url": fl_api.url}
    return {"fl_nets": [net], "fl_api_key": KEY, "fl_poll_seconds": 0.05}


@dataclass
class Run:
    """A model whose job the FL API holds."""

    world: World
    api: FlApi
    model_id: str
    job_id: UUID
    internal: httpx.AsyncClient

    @property
    def url(self) -> str:
        return f"/api/internal/models/{self.model_id}"

    async def claim(self, status: str) -> httpx.Response:
        return await self.internal.put(f"{self.url}/status", json={"status": status})

    async def point(self, trust: str, label: str, value: float, round_: int) -> httpx.Response:
        point = {"trust": trust, "label": label, "value": value, "round": round_}
        return await self.internal.post(f"{self.url}/metrics", json={"points": [point]})


async def start_run(world: World, fl_api: FlApi, internal_client: httpx.AsyncClient) -> Run:
    """A model of an approved project that is RUNNING at the FL server, and known to be at the hub."""
    model_id = await world.model()
    started = await world.start(model_id)
    job_id = UUID(started["job"]["id"])

    async def submitted() -> bool:
        return job_id in fl_api.jobs

    await until(submitted)
    fl_api.change(job_id, JobStatus.RUNNING)

    async def running() -> bool:
        return bool((await world.get_model(model_id))["job"]["status"] == "RUNNING")

    await until(running)
    return Run(world, fl_api, model_id, job_id, internal_client)


@pytest.fixture
async def run(world: World, fl_api: FlApi, internal_client: httpx.AsyncClient) -> Run:
    """A running model: approved, started, submitted, RUNNING at the FL server."""
    return await start_run(await world.approved(), fl_api, internal_client)
