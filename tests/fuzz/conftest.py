"""The services over real parts, each listening on a port of its own in the test's event loop."""

import asyncio
import io
import shutil
import socket
import tempfile
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
import uvicorn
from argon2 import PasswordHasher
from fastapi import FastAPI
from fl_api_double import KEY, FlApi, serving
from hub_world import Site, World, start_run

from flip_common.envelope import Binding, open_sealed, seal
from flip_common.keys import PayloadKey, generate_api_key, hash_api_key
from flip_common.wire import (
    PAYLOADS,
    JobLogs,
    JobSpec,
    JobState,
    JobStatus,
    LeasedTask,
    LeaseResponse,
    Role,
    SiteState,
    WireModel,
)
from flip_fl.backend import Backend, JobConflictError, JobRefusedError, UnknownJobError
from flip_fl.store import utc_now
from flip_hub.app import create_app, create_internal_app, open_hub
from flip_hub.embedded import EmbeddedServer
from flip_hub.settings import HubSettings
from flip_hub.state import Hub
from flip_hub.users import accounts, passwords
from flip_hub.users.schemas import CreateUser
from flip_hub.users.service import open_session

PASSWORD = "correct horse battery"
Listen = Callable[..., Awaitable[str]]


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    """`await listen(app)` serves an app as the product does, and says at which URL."""
    async with AsyncExitStack() as stack:

        async def start(app: FastAPI, *, lifespan: bool = True) -> str:
            return await stack.enter_async_context(_listening(app, lifespan))

        yield start


@asynccontextmanager
async def _listening(app: FastAPI, lifespan: bool) -> AsyncIterator[str]:
    config = uvicorn.Config(
        app,
        lifespan="on" if lifespan else "off",
        log_config=None,
        access_log=False,
        ws="none",
        timeout_graceful_shutdown=5,
    )
    # With its protocol named: asyncio turns Nagle's delay off for such sockets only.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        # The socket listens already: a call that comes before the server is ready waits in its queue.
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await running


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedServer]:
    # Not pytest's own folder: a second pytest takes its permissions back from under the server's user.
    folder = Path(tempfile.mkdtemp(prefix="flip-fuzz-"))
    server = EmbeddedServer(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
async def new_database(postgres: EmbeddedServer) -> Callable[[str], Awaitable[str]]:
    """`await new_database("name")` makes an empty database and says its URL."""

    async def make(name: str) -> str:
        connection = await asyncpg.connect(postgres.url("postgres"))
        try:
            await connection.execute("ALTER SYSTEM SET fsync = off")  # nothing here outlives the test
            await connection.execute("SELECT pg_reload_conf()")
            await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        finally:
            await connection.close()
        return postgres.url(name)

    return make


@dataclass
class Caller:
    """Somebody who is signed in."""

    user_id: UUID
    headers: dict[str, str] = field(repr=False)
    client: httpx.AsyncClient = field(repr=False)


class Kit:
    """A trust's side, as its kit lets it speak."""

    def __init__(self, kit: dict[str, Any], client: httpx.AsyncClient) -> None:
        self.trust_id, self.key_id, self.name = UUID(kit["trust_id"]), kit["key_id"], kit["trust_name"]
        self.headers = {kit["api_key_header"]: kit["api_key"]}
        self._key, self._client = PayloadKey.from_base64(kit["aes_key_base64"]), client

    async def lease(self, limit: int = 1) -> list[LeasedTask]:
        body = {"max": limit, "wait_seconds": 0}
        answer = await self._client.post("/api/trust/tasks/lease", json=body, headers=self.headers)
        return LeaseResponse.model_validate_json(answer.raise_for_status().content).tasks

    def payload(self, task: LeasedTask) -> WireModel:
        return open_sealed(task.payload, PAYLOADS[task.type], [self._key], self._binding(task, "to-trust"))

    async def answer(self, task: LeasedTask, result: WireModel) -> httpx.Response:
        sealed = seal(result, self._key, self._binding(task, "to-hub"))
        body = {"attempt": task.attempt, "outcome": "SUCCEEDED", "result": sealed}
        return await self._client.post(f"/api/trust/tasks/{task.task_id}/result", json=body, headers=self.headers)

    def _binding(self, task: LeasedTask, direction: Any) -> Binding:
        return Binding(self.trust_id, task.task_id, task.type, direction)


@dataclass
class HubInUse:
    """A hub with people, two trusts, an approved project with a running model, and a task under lease."""

    hub: Hub
    public: FastAPI
    internal: FastAPI
    internal_headers: dict[str, str]
    people: dict[Role, Caller]
    trust: Kit
    ids: dict[str, Any]


@pytest.fixture
async def hub_in_use(
    tmp_path: Path, new_database: Callable[[str], Awaitable[str]], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[HubInUse]:
    # The real cost would be most of the run; a hash names its own cost, so all else stays as it is.
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    key = generate_api_key()
    async with AsyncExitStack() as stack:
        fl_api = stack.enter_context(serving(FlApi()))
        settings = HubSettings(
            hub_data_dir=tmp_path / "hub",
            database_url=await new_database("hub"),
            internal_service_key_hash=hash_api_key(key),
            task_lease_seconds=600,
            task_max_attempts=100,
            cohort_queries_per_day=10_000,
            fl_nets=[{"name": "net1", "backend": "flower", "url": fl_api.url}],
            fl_api_key=KEY,
            fl_poll_seconds=0.5,
        )
        hub = await stack.enter_async_context(open_hub(settings))
        public, internal = create_app(hub), create_internal_app(hub)

        def client(app: FastAPI, headers: dict[str, str]) -> httpx.AsyncClient:
            transport = httpx.ASGITransport(app)
            return httpx.AsyncClient(transport=transport, base_url="http://hub", headers=headers, timeout=30)

        async def person(role: Role, trust_ids: set[UUID]) -> Caller:
            body = CreateUser(email=f"{role.lower()}@example.org", password=PASSWORD, roles={role}, trust_ids=trust_ids)
            async with hub.db.transaction() as session:
                user = await accounts.create(session, "test", body)
                token = (await open_session(session, hub, user.user_id)).token
            headers = {"Authorization": f"Bearer {token}"}
            return Caller(user.user_id, headers, await stack.enter_async_context(client(public, headers)))

        anonymous = await stack.enter_async_context(client(public, {}))
        headers = {settings.internal_service_key_header: key}
        fl_server = await stack.enter_async_context(client(internal, headers))
        people = {role: await person(role, set()) for role in (Role.ADMIN, Role.RESEARCHER, Role.VIEWER)}
        admin, owner = people[Role.ADMIN], people[Role.RESEARCHER]
        kits = []
        for name in ("Trust-A", "Trust-B"):
            made = await admin.client.post("/api/trusts", json={"name": name})
            kits.append(Kit(made.raise_for_status().json(), anonymous))
        people[Role.TRUST_OWNER] = await person(Role.TRUST_OWNER, {kit.trust_id for kit in kits})
        project = await owner.client.post("/api/projects", json={"name": "Brain"})
        world = World(
            owner=owner,
            admin=admin,
            sign_in_as=None,
            client=anonymous,
            sites=[Site(kit, people[Role.TRUST_OWNER]) for kit in kits],
            project_id=project.raise_for_status().json()["id"],
        )
        run = await start_run(await world.approved(), fl_api, fl_server)
        (await fl_server.put(f"{run.url}/results/model.pt", content=b"weights" * 100)).raise_for_status()
        await world.owner.client.post(f"{world.url}/imaging/refresh")
        task, *_ = await kits[0].lease()
        ids = {
            "user_id": str(people[Role.VIEWER].user_id),
            "trust_id": str(kits[1].trust_id),
            "key_id": kits[1].key_id,
            "project_id": world.project_id,
            "query_id": world.query_id,
            "task_id": str(task.task_id),
            "attempt": task.attempt,
            "model_id": run.model_id,
            "trust": kits[0].name,
            "filename": "model.pt",
        }
        yield HubInUse(hub, public, internal, headers, people, kits[0], ids)


class MemoryBackend(Backend):
    """A net without Flower that keeps the contract: jobs wait until they are stopped."""

    def __init__(self) -> None:
        self._jobs: dict[UUID, JobState] = {}
        self._specs: dict[UUID, JobSpec] = {}
        self._keys: dict[str, str] = {}

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def submit(self, spec: JobSpec, app: Path) -> tuple[JobState, bool]:
        if spec.job_id in self._jobs:
            if self._specs[spec.job_id] != spec:
                raise JobConflictError(f"job {spec.job_id} exists with other content")
            return self._jobs[spec.job_id], False
        content = app.read_bytes()
        if sha256(content).hexdigest() != spec.app_digest or not zipfile.is_zipfile(io.BytesIO(content)):
            raise JobRefusedError("app_digest", "the app is another than the spec says")
        self._specs[spec.job_id] = spec
        self._jobs[spec.job_id] = JobState(job_id=spec.job_id, status=JobStatus.PENDING, created_at=utc_now())
        return self._jobs[spec.job_id], True

    async def state(self, job_id: UUID) -> JobState:
        if job_id not in self._jobs:
            raise UnknownJobError(job_id)
        return self._jobs[job_id]

    async def logs(self, job_id: UUID, offset: int) -> JobLogs:
        await self.state(job_id)
        return JobLogs(job_id=job_id, offset=offset, next_offset=offset, lines=[])

    async def stop(self, job_id: UUID) -> JobState:
        stopped = {"status": JobStatus.STOPPED, "ended_at": utc_now()}
        self._jobs[job_id] = (await self.state(job_id)).model_copy(update=stopped)
        return self._jobs[job_id]

    async def sites(self) -> list[SiteState]:
        return [SiteState(trust=trust, online=False) for trust in self._keys]

    async def register_site(self, trust: str, public_key: str) -> SiteState:
        if public_key in {key for name, key in self._keys.items() if name != trust}:
            raise JobRefusedError("key_in_use", "the key belongs to another trust")
        self._keys[trust] = public_key
        return SiteState(trust=trust, online=False)

    async def remove_site(self, trust: str) -> None:
        self._keys.pop(trust, None)


@pytest.fixture
def backend() -> Backend:
    return MemoryBackend()
