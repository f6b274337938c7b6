"""The processes of a net's FL server: SuperLink (with its front) and SuperExec."""

import asyncio
import logging
import secrets
import sys
from pathlib import Path
from uuid import UUID

import httpx

from flip_fl.certs import make_net_certificates, write_private
from flip_fl.flower import internals
from flip_fl.flower.files import Rosters
from flip_fl.flower.serverapp import POLL_VARIABLE, ROSTERS_VARIABLE
from flip_fl.flower.superlink import CONTROL_KEY_HEADER, CONTROL_KEY_VARIABLE
from flip_fl.processes import ProcessId, Supervisor, child_environment, free_port, kill_tree
from flip_fl.settings import FlApiSettings

log = logging.getLogger(__name__)

START_SECONDS = 60.0
START_TRIES = 3
SUPEREXEC_POLL_SECONDS = "0.25"


class FlowerServer:
    """SuperLink and SuperExec of one net, in one folder:

    `superlink.sqlite` (state), `runs/` (records, logs, events of runs), `rosters/`, `apps/`, `loopback/`
    (certificates for the loopback listener, made anew at each start), `home/` (HOME of every process).
    """

    def __init__(self, settings: FlApiSettings) -> None:
        root = settings.fl_state_dir.resolve()
        self.runs, self._apps, self._home = root / "runs", root / "apps", root / "home"
        for folder in (root, self.runs, self._apps, self._home):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        root.chmod(0o700)
        self.rosters = Rosters(root / "rosters")
        files = make_net_certificates(root / "loopback")
        secret = root / "superexec.secret"
        write_private(secret, secrets.token_bytes(32))
        port, key = free_port(), secrets.token_urlsafe(32)
        self.control = internals.Control(f"127.0.0.1:{port}", files.ca, CONTROL_KEY_HEADER, key)
        self._marks = {name: root / f"{name}.process" for name in ("superlink", "superexec")}
        common = {"HOME": str(self._home), "FLWR_HOME": str(self._home / ".flwr"), **internals.QUIET}
        self.superlink = Supervisor(
            "SuperLink",
            [
                *(sys.executable, "-m", "flip_fl.flower.superlink"),
                f"--host={settings.fl_server_host}",
                f"--port={settings.fl_server_port}",
                f"--cert={settings.fl_server_cert_file.resolve()}",
                f"--key={settings.fl_server_key_file.resolve()}",
                f"--internal-port={port}",
                f"--internal-certificates={files.ca.parent}",
                f"--database={root / 'superlink.sqlite'}",
                f"--rosters={root / 'rosters'}",
                f"--superexec-secret={secret}",
            ],
            child_environment(common | {CONTROL_KEY_VARIABLE: key}),
            root / "superlink.log",
        )
        self.superexec = Supervisor(
            "SuperExec",
            [
                *(sys.executable, "-m", "flip_fl.flower.superexec"),
                f"--folder={self.runs}",
                f"--address=127.0.0.1:{port}",
                f"--secret={secret}",
                f"--ca={files.ca}",
            ],
            child_environment(common | self._app_environment(settings, root / "rosters")),
            root / "superexec.log",
        )

    def app_file(self, job_id: UUID) -> Path:
        """Where a job's app lies until the job has ended."""
        return self._apps / f"{job_id}.fab"

    async def start(self) -> None:
        """Ends what an earlier instance left, starts both processes, and waits until the SuperLink answers.

        Raises:
            RuntimeError: it does not; its log says why.
        """
        for mark in self._marks.values():
            if mark.is_file():
                await asyncio.to_thread(kill_tree, ProcessId.from_json(mark.read_text()))
        await self.superlink.start()
        self._mark("superlink", self.superlink)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_SECONDS
        while True:
            try:
                await asyncio.to_thread(self.control.members)
                break
            except httpx.HTTPError as error:
                if loop.time() > deadline or self.superlink.restarts > START_TRIES:
                    await self.superlink.stop()
                    raise RuntimeError(
                        f"the SuperLink does not answer ({type(error).__name__}); see {self.superlink.log_file}"
                    ) from error
                await asyncio.sleep(0.2)
        await self.superexec.start()
        self._mark("superexec", self.superexec)

    async def close(self) -> None:
        """Ends both processes and everything they started."""
        await self.superexec.stop()
        await self.superlink.stop()
        self.control.close()

    def _mark(self, name: str, child: Supervisor) -> None:
        identity = ProcessId.of(child.pid) if child.pid else None
        if identity is not None:
            write_private(self._marks[name], identity.to_json().encode())

    @staticmethod
    def _app_environment(settings: FlApiSettings, rosters: Path) -> dict[str, str]:
        """What a ServerApp's process is told."""
        environment = {
            "FLIP_API_INTERNAL_URL": settings.flip_api_internal_url,
            "INTERNAL_SERVICE_KEY": settings.internal_service_key.get_secret_value(),
            "INTERNAL_SERVICE_KEY_HEADER": settings.internal_service_key_header,
            "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": SUPEREXEC_POLL_SECONDS,
            POLL_VARIABLE: str(settings.fl_grid_poll_seconds),
            ROSTERS_VARIABLE: str(rosters),
        }
        if settings.flip_api_ca_file is not None:
            environment["FLIP_API_CA_FILE"] = str(settings.flip_api_ca_file.resolve())
        return environment
