"""A real net for tests: the FL API with its SuperLink, and sites."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil
import uvicorn
from fl_hub_stand_in import SERVICE_KEY, HubStandIn

from flip_common.wire import JobSpec, JobState
from flip_fl.app import create_app
from flip_fl.certs import make_net_certificates
from flip_fl.flower.backend import FlowerBackend
from flip_fl.flower.site import Site
from flip_fl.processes import ProcessId, child_environment, free_port, kill_tree
from flip_fl.settings import FlApiSettings, SiteSettings
from flip_fl.site_key import ensure_site_key

API_KEY = "flip_test_fl_api_key_0123456789"
TRUST_KEY = "flip_test_trust_key_0123456789"
# How long anything is waited for: what a slow and busy machine needs. What hangs is found all the same.
PATIENCE_SECONDS = 300.0


def wait_until(what: str, condition: Callable[[], Any], timeout: float = PATIENCE_SECONDS) -> Any:
    """Waits for a condition and returns what it gave."""
    deadline = time.monotonic() + timeout
    while True:
        asked = time.monotonic()
        found = condition()
        if found:
            return found
        now = time.monotonic()
        assert now < deadline, f"not within {timeout} s: {what}"
        # A look at all processes takes time, of which those that are waited for want most.
        time.sleep(max(0.1, 5 * (now - asked)))


class Here:
    """A service that runs in a thread of this process, with an event loop of its own."""

    def __init__(self, run: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
        self._loop, self._stop = asyncio.new_event_loop(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.error: BaseException | None = None

        def body() -> None:
            asyncio.set_event_loop(self._loop)
            try:
                self._loop.run_until_complete(run(self._stop))
            except BaseException as error:  # noqa: BLE001 - shown by `stop`
                self.error = error
            finally:
                self._loop.close()

        self._thread = threading.Thread(target=body, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the service; it must end well."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()
        assert self.error is None, repr(self.error)


class Net:
    """A hub's FL side and its sites: their services in this process, Flower's processes below it."""

    def __init__(self, root: Path, hub: HubStandIn) -> None:
        self.root, self.hub = root, hub
        self.front_port, self.api_port = free_port(), free_port()
        self.certificates = make_net_certificates(root / "certificates")
        self.services: dict[str, Here | subprocess.Popen[bytes]] = {}
        self.api = httpx.Client(
            base_url=f"http://127.0.0.1:{self.api_port}",
            headers={"X-Fl-Api-Key": API_KEY},
            trust_env=False,
            timeout=PATIENCE_SECONDS,
        )
        self.api_env = self._write(
            "fl-api",
            FL_API_KEY=API_KEY,
            FL_STATE_DIR=root / "fl",
            FL_SERVER_PORT=self.front_port,
            FL_SERVER_CERT_FILE=self.certificates.cert,
            FL_SERVER_KEY_FILE=self.certificates.key,
            FLIP_API_INTERNAL_URL=hub.url,
            INTERNAL_SERVICE_KEY=SERVICE_KEY,
            FL_WATCH_SECONDS=0.3,
            FL_GRID_POLL_SECONDS=0.2,
            FL_SITE_GRACE_SECONDS=3,
        )

    def start_api(self, *, apart: bool = False) -> None:
        """Starts the FL API, here or as a process, and waits until it answers."""
        if apart:
            self._spawn("fl", "-m", "flip_fl", "--port", str(self.api_port), "--env-file", str(self.api_env))
        else:
            settings = FlApiSettings.load(self.api_env)
            app = create_app(FlowerBackend(settings), API_KEY, settings.fl_max_app_bytes)
            config = uvicorn.Config(app, port=self.api_port, log_config=None, ws="none")
            server = uvicorn.Server(config)

            async def serve(stop: asyncio.Event) -> None:
                serving = asyncio.create_task(server._serve())
                stopping = asyncio.create_task(stop.wait())
                await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
                server.should_exit = True
                stopping.cancel()
                await serving

            self.services["fl"] = Here(serve)

        def answers() -> bool:
            service = self.services["fl"]
            assert isinstance(service, Here) or service.poll() is None, self.output("fl")
            assert not isinstance(service, Here) or service.error is None, service.error
            try:
                return self.api.get("/health").is_success
            except httpx.TransportError:
                return False

        wait_until("the FL API answers", answers)

    def start_site(self, trust: str, *, apart: bool = False) -> None:
        """Registers a site's key and starts its client, here or as a process."""
        env_file = self._write(
            trust,
            SUPERNODE_NAME=trust,
            FL_SERVER_ADDRESS=f"localhost:{self.front_port}",
            FL_SERVER_CA_FILE=self.certificates.ca,
            FL_SITE_DIR=self.root / trust,
            FL_POLL_SECONDS=0.3,
            DATA_ACCESS_API_URL="http://127.0.0.1:1",
            IMAGING_API_URL="http://127.0.0.1:1",
            TRUST_APP_SERVICE_KEY=TRUST_KEY,
            IMAGES_DIR=self.root / trust / "images",
        )
        settings = SiteSettings.load(env_file)
        if apart:
            key = self._run("-m", "flip_fl.flower.site", "--env-file", str(env_file), "--print-public-key")
        else:
            key = ensure_site_key(settings.key_file).decode()
        answer = self.api.put(f"/sites/{trust}", json={"public_key": key})
        assert answer.status_code == 200, answer.text
        if apart:
            self._spawn(trust, "-m", "flip_fl.flower.site", "--env-file", str(env_file))
        else:
            self.services[trust] = Here(Site(settings).run_until)

    def online(self, *trusts: str) -> bool:
        """Whether the clients of these trusts are connected."""
        states = {site["trust"]: site["online"] for site in self.api.get("/sites").json()}
        return all(states.get(trust) for trust in trusts)

    def submit(self, app: bytes, spec: JobSpec) -> httpx.Response:
        """`POST /jobs`."""
        return self.api.post("/jobs", data={"spec": spec.model_dump_json()}, files={"app": ("app.zip", app)})

    def run(self, app: bytes, spec: JobSpec) -> UUID:
        """Submits a job that must be taken."""
        answer = self.submit(app, spec)
        assert answer.status_code == 201, answer.text
        return spec.job_id

    def state(self, job_id: UUID) -> JobState:
        """`GET /jobs/{id}`."""
        return JobState.model_validate_json(self.api.get(f"/jobs/{job_id}").content)

    def ended(self, job_id: UUID) -> JobState:
        """Waits for the job's end."""

        def state() -> JobState | None:
            found = self.state(job_id)
            return found if found.status.terminal else None

        try:
            return wait_until(f"job {job_id} ends", state)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.state(job_id)}\n{self.logs(job_id)}") from None

    def logs(self, job_id: UUID) -> str:
        """All log lines of a job."""
        lines, offset = [], 0
        while True:
            page = self.api.get(f"/jobs/{job_id}/logs", params={"offset": offset}).json()
            if page["next_offset"] == offset:
                return "\n".join(lines)
            lines += page["lines"]
            offset = page["next_offset"]

    def output(self, name: str) -> str:
        """What a process wrote."""
        return (self.root / f"{name}.out").read_text(errors="replace")[-6000:]

    def processes(self, name: str, module: str) -> list[psutil.Process]:
        """Living processes of the FL server (`fl`) or of a site that run this module."""
        found = []
        for process in psutil.Process().children(recursive=True):
            try:
                title = " ".join(process.cmdline())
                ours = module in title.split() and f"{self.root / name}/" in title
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found

    def kill(self, name: str) -> None:
        """SIGKILL to a service that runs as a process, its children left alone."""
        service = self.services.pop(name)
        assert isinstance(service, subprocess.Popen)
        service.kill()
        service.wait()

    def stop(self, name: str) -> None:
        """Ends a service as SIGTERM does. All its processes must be gone then."""
        service = self.services.pop(name)
        if isinstance(service, Here):
            service.stop()
        else:
            service.terminate()
            try:
                service.wait(PATIENCE_SECONDS)
            finally:
                identity = ProcessId.of(service.pid)
                if identity is not None:
                    kill_tree(identity)
        left = [
            process.cmdline()
            for process in psutil.Process().children(recursive=True)
            if any(str(self.root / name) in part for part in process.cmdline())
        ]
        assert not left

    def close(self) -> None:
        """Ends everything."""
        try:
            for name in reversed(list(self.services)):
                self.stop(name)
        finally:
            self.api.close()

    def _write(self, name: str, **settings: object) -> Path:
        path = self.root / f"{name}.env"
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        return path

    def _run(self, *arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, capture_output=True, check=True, env=self._environment(), text=True)
        return done.stdout.strip()

    def _spawn(self, name: str, *arguments: str) -> None:
        with (self.root / f"{name}.out").open("ab") as output:
            self.services[name] = subprocess.Popen(
                [sys.executable, *arguments],
                stdout=output,
                stderr=output,
                env=self._environment(),
                cwd=self.root,
            )

    def _environment(self) -> dict[str, str]:
        return child_environment({"HOME": str(self.root)})
