"""A real PostgreSQL for the session, a fresh migrated database and hub for every test, people and trusts."""

import asyncio
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import asyncpg
import httpx
import pytest
from argon2 import PasswordHasher
from aws_stand_in import REGION, aws, moto_server
from fastapi import FastAPI

from flip_common.envelope import Binding, open_sealed, seal
from flip_common.keys import PayloadKey, generate_api_key, hash_api_key
from flip_common.wire import PAYLOADS, LeasedTask, LeaseResponse, Role, WireModel
from flip_hub import aws as aws_clients
from flip_hub.app import create_app, create_internal_app, open_hub
from flip_hub.embedded import EmbeddedServer
from flip_hub.migrations import upgrade
from flip_hub.settings import HubSettings
from flip_hub.state import Hub
from flip_hub.trusts.service import register
from flip_hub.users import accounts, passwords
from flip_hub.users.schemas import CreateUser
from flip_hub.users.service import open_session

PASSWORD = "correct horse battery"
__all__ = ["aws", "moto_server"]  # fixtures that live elsewhere


class PgCluster:
    """One running PostgreSQL and its databases. Durability is off: nothing here outlives the tests."""

    def __init__(self, folder: Path) -> None:
        self._server = EmbeddedServer(folder)
        self._server.start()
        asyncio.run(
            self.execute(
                "ALTER SYSTEM SET fsync = off",
                "ALTER SYSTEM SET synchronous_commit = off",
                "ALTER SYSTEM SET full_page_writes = off",
                "SELECT pg_reload_conf()",
                "CREATE DATABASE flip_template",
            )
        )
        asyncio.run(upgrade(self.url("flip_template")))

    def url(self, database: str) -> str:
        return self._server.url(database)

    async def execute(self, *statements: str) -> None:
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture(scope="session")
def pg_cluster() -> Iterator[PgCluster]:
    # Not pytest's own folder: a second pytest takes its permissions back from under the server's user.
    folder = Path(tempfile.mkdtemp(prefix="flip-pg-"))
    cluster = PgCluster(folder)
    yield cluster
    cluster.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session", autouse=True)
def _cheap_passwords() -> None:
    """The real cost would be most of the run; a hash names its own cost, so all else stays as it is."""
    passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
async def empty_pg_url(pg_cluster: PgCluster) -> AsyncIterator[str]:
    """A database without any table."""
    async for url in _database(pg_cluster, "template0"):
        yield url


@pytest.fixture
async def pg_url(pg_cluster: PgCluster) -> AsyncIterator[str]:
    """A migrated database of this test's own."""
    async for url in _database(pg_cluster, "flip_template"):
        yield url


async def _database(cluster: PgCluster, template: str) -> AsyncIterator[str]:
    name = f"t_{secrets.token_hex(6)}"
    await cluster.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield cluster.url(name)
    await cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def internal_key() -> str:
    """The key the FL server calls the internal API with."""
    return generate_api_key()


@pytest.fixture
def bucket(aws: str) -> str:
    """An empty bucket of this test's own."""
    name = f"flip-{secrets.token_hex(8)}"
    aws_clients.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


@pytest.fixture
def file_settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Where the hub keeps models' files: a folder, unless the test asks for a `bucket` (`hub_world.both_places`)."""
    if getattr(request, "param", "folder") == "folder":
        return {}
    return {"hub_files_bucket": request.getfixturevalue("bucket"), "hub_files_prefix": "flip/hub1"}


@pytest.fixture
def hub_settings(
    tmp_path: Path, pg_url: str, internal_key: str, file_settings: dict[str, Any]
) -> Callable[..., HubSettings]:
    """Settings on this test's database; keyword arguments change them."""

    def make(**changes: Any) -> HubSettings:
        values: dict[str, Any] = {
            "hub_data_dir": tmp_path / "hub",
            "database_url": pg_url,
            "internal_service_key_hash": hash_api_key(internal_key),
            **file_settings,
        }
        return HubSettings(**{**values, **changes})

    return make


@pytest.fixture
def settings_changes() -> dict[str, Any]:
    """Overridden by tests that need other settings for `hub`."""
    return {}


@pytest.fixture
async def hub(hub_settings: Callable[..., HubSettings], settings_changes: dict[str, Any]) -> AsyncIterator[Hub]:
    """An open hub, background work included."""
    async with open_hub(hub_settings(**settings_changes)) as opened:
        yield opened


def client_of(app: Any, **options: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 40000))
    return httpx.AsyncClient(transport=transport, base_url="http://hub", timeout=30, **options)


@pytest.fixture(scope="session")
def public_routes() -> FastAPI:
    """The public API without a hub: its routes are the same for each, and making them takes 0.1 s."""
    return create_app(cast(Hub, None))


@pytest.fixture
def public_app(public_routes: FastAPI, hub: Hub) -> Iterator[FastAPI]:
    """The public API of this test's hub."""
    public_routes.state.hub = hub
    yield public_routes
    public_routes.state.hub = None


@pytest.fixture
async def client(public_app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """An anonymous caller of the public API."""
    async with client_of(public_app) as caller:
        yield caller


@pytest.fixture
async def internal_client(hub: Hub, internal_key: str) -> AsyncIterator[httpx.AsyncClient]:
    """The FL server calling the internal API."""
    headers = {hub.settings.internal_service_key_header: internal_key}
    async with client_of(create_internal_app(hub), headers=headers) as caller:
        yield caller


@dataclass
class Person:
    """A signed-in user: `client` sends the token; `headers` are for other clients."""

    user_id: UUID
    email: str
    token: str = field(repr=False)
    client: httpx.AsyncClient = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


SignInAs = Callable[..., Awaitable[Person]]


@pytest.fixture
async def sign_in_as(hub: Hub, public_app: FastAPI) -> AsyncIterator[SignInAs]:
    """`await sign_in_as(Role.ADMIN, Role.VIEWER, trust_ids=[...], email=...)` makes a user and signs them in."""
    people: list[Person] = []

    async def make(*roles: Role, trust_ids: Any = (), email: str = "") -> Person:
        email = email or f"{'-'.join(roles).lower()}-{len(people)}@example.org"
        body = CreateUser(email=email, password=PASSWORD, roles=set(roles), trust_ids=set(trust_ids))
        async with hub.db.transaction() as session:
            user = await accounts.create(session, "test", body)
            signed_in = await open_session(session, hub, user.user_id)
        client = client_of(public_app, headers={"Authorization": f"Bearer {signed_in.token}"})
        people.append(Person(user.user_id, email, signed_in.token, client))
        return people[-1]

    yield make
    for person in people:
        await person.client.aclose()


@dataclass
class TrustSide:
    """A trust as its own software sees it: its kit, and calls to the hub."""

    trust_id: UUID
    name: str
    key_id: UUID
    headers: dict[str, str] = field(repr=False)
    key: PayloadKey = field(repr=False)
    client: httpx.AsyncClient = field(repr=False)

    async def post(self, path: str, json: Any) -> httpx.Response:
        return await self.client.post(f"/api/trust/{path}", json=json, headers=self.headers)

    async def lease(self, limit: int = 1, wait: float = 0) -> list[LeasedTask]:
        response = await self.post("tasks/lease", {"max": limit, "wait_seconds": wait})
        assert response.status_code == 200, response.text
        return LeaseResponse.model_validate_json(response.content).tasks

    def payload(self, task: LeasedTask) -> WireModel:
        binding = Binding(self.trust_id, task.task_id, task.type, "to-trust")
        return open_sealed(task.payload, PAYLOADS[task.type], [self.key], binding)

    def sealed(self, task: LeasedTask, result: WireModel) -> str:
        return seal(result, self.key, Binding(self.trust_id, task.task_id, task.type, "to-hub"))

    async def answer(self, task: LeasedTask, result: WireModel) -> httpx.Response:
        body = {"attempt": task.attempt, "outcome": "SUCCEEDED", "result": self.sealed(task, result)}
        return await self.post(f"tasks/{task.task_id}/result", body)

    async def fail(self, task: LeasedTask, code: str = "broken", *, retryable: bool = False) -> httpx.Response:
        error = {"code": code, "detail": "it did not work", "retryable": retryable}
        body = {"attempt": task.attempt, "outcome": "FAILED", "error": error}
        return await self.post(f"tasks/{task.task_id}/result", body)


RegisterTrust = Callable[[str], Awaitable[TrustSide]]


@pytest.fixture
def register_trust(hub: Hub, client: httpx.AsyncClient) -> RegisterTrust:
    """`await register_trust("St-Elsewhere")` registers a trust and hands over its side."""

    async def make(name: str) -> TrustSide:
        async with hub.db.transaction() as session:
            kit = await register(session, hub, "test", name)
        return trust_side(kit.model_dump(mode="json"), client)

    return make


def trust_side(kit: dict[str, Any], client: httpx.AsyncClient) -> TrustSide:
    return TrustSide(
        trust_id=UUID(kit["trust_id"]),
        name=kit["trust_name"],
        key_id=UUID(kit["key_id"]),
        headers={kit["api_key_header"]: kit["api_key"]},
        key=PayloadKey.from_base64(kit["aes_key_base64"]),
        client=client,
    )


@pytest.fixture
def open_kit(client: httpx.AsyncClient) -> Callable[[dict[str, Any]], TrustSide]:
    """The trust's side of a kit as the hub's API returned it."""
    return lambda kit: trust_side(kit, client)


class HubProcess:
    """`python -m flip_hub serve` as a process of its own, on ports the system chooses."""

    def __init__(self, env_file: Path, *options: str) -> None:
        command = [sys.executable, "-m", "flip_hub", "serve", "--port", "0", "--internal-port", "0"]
        self.process = subprocess.Popen(
            [*command, "--env-file", str(env_file), *options],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self.log: list[str] = []
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            if match := re.search(r"public API on (\S+), internal API on ([^\s\"]+)", line):
                self.url, self.internal_url = (f"http://{address}" for address in match.groups())
                break
        else:
            raise AssertionError("the hub did not start:\n" + "".join(self.log))

    def client(self, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=30, trust_env=False, **options)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends the signal and waits. Returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=30)
        self.log.append(rest)
        return self.process.returncode


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user may pass through, which pytest's, run by root, is not."""
    folder = Path(tempfile.mkdtemp(prefix="flip-hub-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def write_env(tmp_path: Path, open_folder: Path, internal_key: str) -> Callable[..., Path]:
    """`write_env(task_lease_seconds=1)` writes an env file for a hub process; no DATABASE_URL: embedded."""

    def write(**changes: Any) -> Path:
        values = {
            "hub_data_dir": open_folder / "hub-process",
            "internal_service_key_hash": hash_api_key(internal_key),
            **changes,
        }
        path = tmp_path / f"hub-{secrets.token_hex(4)}.env"
        path.write_text("".join(f"{name.upper()}={value}\n" for name, value in values.items()))
        return path

    return write


@pytest.fixture
def start_hub() -> Iterator[Callable[..., HubProcess]]:
    """Starts hub processes from env files; those still running are stopped at the end."""
    started: list[HubProcess] = []

    def start(env_file: Path, *options: str) -> HubProcess:
        started.append(HubProcess(env_file, *options))
        return started[-1]

    yield start
    for process in started:
        process.stop()
