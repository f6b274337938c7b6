"""The processes of a federation on one machine; everything listens on the loopback interface only.

Each trust has its own database server, PACS, data-access-api, imaging-api, trust-api and FL client, and is given
its secrets in env files, as on a host of its own.
"""

import asyncio
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncpg
import httpx

from flip_common.keys import generate_api_key, hash_api_key
from flip_common.logs import redact
from flip_fl.certs import make_net_certificates
from flip_hub.embedded import EmbeddedDatabaseError, EmbeddedServer
from flipctl import envfile
from flipctl.api import Api
from flipctl.data import Manifest, load_omop
from flipctl.processes import Processes, ProcessFailedError

START_SECONDS = 90
ADMIN = "admin@demo.example"
PACS_AE, NET = "PACS", "net1"
# What a child inherits; nothing else of the caller's environment reaches it.
INHERITED = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE")


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Whether the service under this URL says it is healthy."""
    try:
        return httpx.get(f"{url}/health", timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False


@dataclass(frozen=True)
class Command:
    """How a process was started, so that it can be started again."""

    argv: Sequence[str]
    env: Mapping[str, str]


class Stack:
    """A hub, an FL server and one set of processes for each trust, under `folder`.

    Use within `Processes`, which ends them, and as a context manager, which stops the trusts' database servers.
    """

    def __init__(self, folder: Path, processes: Processes, trusts: Sequence[str]) -> None:
        self.folder, self.processes, self.trusts = folder, processes, tuple(trusts)
        self.trust_ids: dict[str, str] = {}
        self.admin_password = secrets.token_urlsafe(12)
        self.hub_port, self._internal_port, self._fl_port, self._front_port = (free_port() for _ in range(4))
        self.api_url = f"http://127.0.0.1:{self.hub_port}/api"
        self._internal_key, self._fl_key = generate_api_key(), generate_api_key()
        self._commands: dict[str, Command] = {}
        self._databases = ExitStack()
        self._base = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self._base["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), self._base.get("PATH", os.defpath)])

    def __enter__(self) -> "Stack":
        return self

    def __exit__(self, *_: object) -> None:
        self._databases.close()

    def start_hub(self) -> None:
        """The hub, and the FL server beside it; does not wait for them."""
        hub, fl = self.folder / "hub", self.folder / "fl-server"
        certificates = make_net_certificates(fl / "certificates")
        net = f'[{{"name":"{NET}","backend":"flower","url":"http://127.0.0.1:{self._fl_port}"}}]'
        self._service(
            "hub",
            ("flip_hub", "serve", "--port", str(self.hub_port), "--internal-port", str(self._internal_port)),
            {
                "HUB_DATA_DIR": hub / "data",
                "INTERNAL_SERVICE_KEY_HASH": hash_api_key(self._internal_key),
                "FL_NETS": net,
                "FL_API_KEY": self._fl_key,
            },
        )
        self._service(
            "fl-server",
            ("flip_fl", "--port", str(self._fl_port)),
            {
                "FL_API_KEY": self._fl_key,
                "FL_STATE_DIR": fl / "state",
                "FL_SERVER_PORT": self._front_port,
                "FL_SERVER_CERT_FILE": certificates.cert,
                "FL_SERVER_KEY_FILE": certificates.key,
                "FLIP_API_INTERNAL_URL": f"http://127.0.0.1:{self._internal_port}/api/internal",
                "INTERNAL_SERVICE_KEY": self._internal_key,
            },
        )
        self._ca = certificates.ca

    def sign_in_admin(self) -> Api:
        """Waits for the hub, makes its first administrator and signs in."""
        self.processes.wait_until("the hub answers", lambda: answers(self.api_url), START_SECONDS)
        env_file = self.folder / "hub" / "hub.env"
        done = subprocess.run(
            [sys.executable, "-m", "flip_hub", "create-admin", "--email", ADMIN, "--env-file", str(env_file)],
            input=f"{self.admin_password}\n{self.admin_password}\n",
            text=True,
            capture_output=True,
            env=self._env(self.folder / "hub"),
            check=False,
        )
        if done.returncode:
            raise ProcessFailedError(f"create-admin: {redact(done.stderr)}")
        return Api.sign_in(self.api_url, ADMIN, self.admin_password)

    def start_trust(self, name: str, kit: Mapping[str, str], manifest: Manifest, data: Path) -> None:
        """Loads the trust's database and starts its processes with the kit the hub gave; does not wait for them."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        self.trust_ids[name] = kit["trust_id"]
        keys = {name: generate_api_key() for name in ("TRUST_INTERNAL_SERVICE_KEY", "TRUST_APP_SERVICE_KEY")}
        urls = self._load_database(folder, manifest, name)
        data_port, imaging_port = free_port(), free_port()
        data_url, imaging_url = f"http://127.0.0.1:{data_port}", f"http://127.0.0.1:{imaging_port}"
        self._data_access(name, data_port, keys, urls)
        self._imaging(name, imaging_port, keys, data / name)
        urls_inside = {"DATA_ACCESS_API_URL": data_url, "IMAGING_API_URL": imaging_url}
        self._service(
            f"{name}.fl-client",
            ("flip_fl.flower.site",),
            {
                "SUPERNODE_NAME": name,
                "FL_SERVER_ADDRESS": f"localhost:{self._front_port}",
                "FL_SERVER_CA_FILE": self._ca,
                "FL_SITE_DIR": folder / "fl",
                "IMAGES_DIR": folder / "images",
                "TRUST_APP_SERVICE_KEY": keys["TRUST_APP_SERVICE_KEY"],
                **urls_inside,
            },
        )
        public_key = folder / "fl" / "site.key.pub"
        self.processes.wait_until(f"{name}'s FL key is there", public_key.exists, START_SECONDS)
        self._service(
            f"{name}.trust-api",
            ("flip_trust.api", "--port", "0"),
            {
                "CENTRAL_HUB_API_URL": self.api_url,
                "TRUST_API_KEY": kit["api_key"],
                "AES_KEY_BASE64": kit["aes_key_base64"],
                "EXPECTED_TRUST_ID": kit["trust_id"],
                "FL_PUBLIC_KEY_FILE": public_key,
                "HEARTBEAT_INTERVAL_SECONDS": 5,
                "TRUST_INTERNAL_SERVICE_KEY": keys["TRUST_INTERNAL_SERVICE_KEY"],
                **urls_inside,
            },
        )

    def _load_database(self, folder: Path, manifest: Manifest, name: str) -> tuple[str, str]:
        server = EmbeddedServer(folder / "postgres")
        try:
            server.start()
        except EmbeddedDatabaseError as error:
            raise ProcessFailedError(f"{name}'s database: {error}") from error
        self._databases.callback(server.stop)
        asyncio.run(_create_database(server.url("postgres"), "omop"))
        owner_url = server.url("omop")
        asyncio.run(load_omop(owner_url, manifest, name))
        socket_folder = quote(str((folder / "postgres").resolve()))
        return owner_url, f"postgresql://omop_reader:{secrets.token_urlsafe(24)}@/omop?host={socket_folder}"

    def _data_access(self, name: str, port: int, keys: Mapping[str, str], urls: tuple[str, str]) -> None:
        service = f"{name}.data-access"
        owner_url, reader_url = urls
        command = self._service(
            service,
            ("flip_trust.data_access", "--port", str(port)),
            {
                "DATA_ACCESS_DATABASE_URL": reader_url,
                "DATA_ACCESS_OWNER_DATABASE_URL": owner_url,
                # What every answer takes, however soon it is there: these databases are small, the machine may be busy.
                "COHORT_QUERY_SECONDS": 5,
                **keys,
            },
            start=False,
        )
        prepare = [*command.argv[:3], "prepare-database", *command.argv[-2:]]
        done = subprocess.run(prepare, env=dict(command.env), capture_output=True, text=True, check=False)
        if done.returncode:
            raise ProcessFailedError(f"{service}: prepare-database: {redact(done.stderr)}")
        self.start(service)

    def _imaging(self, name: str, port: int, keys: Mapping[str, str], dicom: Path) -> None:
        folder = self.folder / name
        own_ae, own_port, pacs_port = f"{name.upper()[:11]}_IMG", free_port(), free_port()
        argv = [sys.executable, "-m", "flipctl.pacs", "--aet", PACS_AE, "--port", str(pacs_port)]
        argv += ["--folder", str(dicom), "--peer", f"{own_ae}=127.0.0.1:{own_port}"]
        self._commands[f"{name}.pacs"] = Command(argv, self._env(folder))
        self.start(f"{name}.pacs")
        self._service(
            f"{name}.imaging",
            ("flip_trust.imaging", "--port", str(port)),
            {
                "IMAGING_DATA_DIR": folder / "imaging",
                "IMAGING_STORE": "dimse",
                "PACS_AE_TITLE": PACS_AE,
                "PACS_HOST": "127.0.0.1",
                "PACS_PORT": pacs_port,
                "IMAGING_AE_TITLE": own_ae,
                "IMAGING_AE_HOST": "127.0.0.1",
                "IMAGING_AE_PORT": own_port,
                **keys,
            },
        )

    def _service(
        self, name: str, module: Sequence[str], settings: Mapping[str, object], *, start: bool = True
    ) -> Command:
        folder = self.folder / name.partition(".")[0]
        env_file = folder / f"{name.rpartition('.')[2]}.env"
        envfile.update(env_file, {key: str(value) for key, value in settings.items()})
        command = Command([sys.executable, "-m", *module, "--env-file", str(env_file)], self._env(folder))
        self._commands[name] = command
        if start:
            self.start(name)
        return command

    def start(self, name: str) -> None:
        """Starts a process of the stack, or starts one again that ended, in the same way."""
        command = self._commands[name]
        self.processes.start(name, command.argv, command.env)

    def _env(self, folder: Path) -> dict[str, str]:
        home = folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        return {**self._base, "HOME": str(home)}


async def _create_database(url: str, name: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
