"""A real net for tests: the FL API with its SuperLink, sites, and a small server in the hub's place."""

import asyncio
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Coroutine, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil
import pytest
import uvicorn

from flip_common.wire import JobSpec, JobState
from flip_fl import processes
from flip_fl.app import create_app
from flip_fl.certs import make_net_certificates
from flip_fl.flower.backend import FlowerBackend
from flip_fl.flower.site import Site, ensure_site_key
from flip_fl.processes import ProcessId, child_environment, free_port, kill_tree
from flip_fl.settings import FlApiSettings, SiteSettings

API_KEY = "flip_test_fl_api_key_0123456789"
SERVICE_KEY = "flip_test_service_key_0123456789"
TRUST_KEY = "flip_test_trust_key_0123456789"

PYPROJECT = """
[project]
name = "test-app"
version = "1.0.0"
dependencies = ["flwr[simulation]>=1.20", "a-package-that-is-nowhere"]

[tool.flwr.app]
publisher = "tests"

[tool.flwr.app.components]
serverapp = "app.server_app:app"
clientapp = "app.client_app:app"

[tool.flwr.app.config]
flip-model-id = ""
flip-project-id = ""
flip-cohort-query = ""
num-rounds = 1
rate = 0.5
mode = "good"
at = ""
round-seconds = 0.0
"""

SERVER_APP = """
import os, sys, time
import numpy as np
from flwr.app import ArrayRecord, Context, Message, RecordDict, ConfigRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()

@app.main()
def main(grid: Grid, context: Context) -> None:
    config = context.run_config
    print("server mode", config["mode"], "key", os.environ.get("INTERNAL_SERVICE_KEY"))
    print("forbidden", sorted(name for name in os.environ if name.startswith(("FL_", "FLIP_CONTROL"))))
    if config["mode"] == "server-raises":
        raise RuntimeError("server trouble")
    if config["mode"] == "server-hangs":
        while True:
            time.sleep(1)
    strategy = FedAvg(fraction_evaluate=1.0, min_available_nodes=1, min_train_nodes=1, min_evaluate_nodes=1)
    strategy.start(
        grid=grid, initial_arrays=ArrayRecord([np.zeros(4, dtype=np.float32)]), num_rounds=config["num-rounds"]
    )
"""

CLIENT_APP = """
import os, sys, time
import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()
SECRET = "patient_id=SECRET" + "123"

def work(message, context, kind):
    config = context.run_config
    me = os.environ["SUPERNODE_NAME"]
    print("client prints", SECRET)
    assert "INTERNAL_SERVICE_KEY" not in os.environ
    if config["mode"] == "client-raises" and config["at"] in ("", me):
        raise KeyError(SECRET)
    if config["mode"] == "client-exits" and config["at"] in ("", me):
        sys.exit(SECRET)
    if config["mode"] == "client-slow" and config["at"] in ("", me):
        time.sleep(120)
    arrays = message.content["arrays"].to_numpy_ndarrays()
    metrics = {"loss": 1.0 + len(me), "num-examples": 10, "name-claimed": 1.0, "curve.x_7": 0.25, "bad": float("nan")}
    if config["mode"] == "liar":
        context.node_config["site-name"] = "Trust_Z"
        os.environ["SUPERNODE_NAME"] = "Trust_Z"
    records = {"metrics": MetricRecord(metrics)}
    if kind == "train":
        records["arrays"] = ArrayRecord([array + 1 for array in arrays])
    return Message(RecordDict(records), reply_to=message)

@app.train()
def train(message: Message, context: Context) -> Message:
    return work(message, context, "train")

@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    return work(message, context, "evaluate")
"""


def wait_until(what: str, condition: Callable[[], Any], timeout: float = 60.0) -> Any:
    """Waits for a condition and returns what it gave."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.1)


def make_zip(files: dict[str, str | bytes]) -> bytes:
    """A zip of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def app_files() -> dict[str, str | bytes]:
    """A small app without torch."""
    return {
        "pyproject.toml": PYPROJECT,
        "app/__init__.py": "",
        "app/server_app.py": SERVER_APP,
        "app/client_app.py": CLIENT_APP,
    }


@pytest.fixture(scope="session")
def zip_of() -> Callable[[dict[str, str | bytes]], bytes]:
    """Packs files."""
    return make_zip


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., JobSpec]:
    """Makes a specification for an app."""

    def make(app: bytes, **changes: Any) -> JobSpec:
        values: dict[str, Any] = {
            "job_id": uuid4(),
            "model_id": uuid4(),
            "project_id": uuid4(),
            "backend": "flower",
            "job_type": "standard",
            "cohort_query": "SELECT person_id FROM omop.person WHERE name = 'a''b'",
            "trusts": ["Trust_A", "Trust_B"],
            "min_sites": 2,
            "round_timeout_seconds": 60,
            "app_digest": hashlib.sha256(app).hexdigest(),
        }
        return JobSpec.model_validate(values | changes)

    return make


class HubStandIn:
    """Takes what the FL server reports, as the hub's internal API would."""

    def __init__(self) -> None:
        self.metrics: dict[str, list[dict[str, Any]]] = {}
        self.exceptions: dict[str, list[dict[str, Any]]] = {}
        self.refuse = 0
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                _, _, _, models, model, what = self.path.split("/")
                status = stand_in.refuse or 204
                if self.headers["X-Internal-Service-Key"] != SERVICE_KEY or models != "models":
                    status = 401
                if status == 204 and what == "metrics":
                    stand_in.metrics.setdefault(model, []).extend(body["points"])
                if status == 204 and what == "exceptions":
                    stand_in.exceptions.setdefault(model, []).append(body)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/internal"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="session")
def hub_stand_in() -> Iterator[HubStandIn]:
    """One for all tests."""
    stand_in = HubStandIn()
    yield stand_in
    stand_in.close()


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
        self._thread.join(30)
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
            timeout=90.0,
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

        wait_until("the FL API answers", answers, 120)

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

    def ended(self, job_id: UUID, timeout: float = 90.0) -> JobState:
        """Waits for the job's end."""

        def state() -> JobState | None:
            found = self.state(job_id)
            return found if found.status.terminal else None

        try:
            return wait_until(f"job {job_id} ends", state, timeout)
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
                service.wait(30)
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


@pytest.fixture(scope="session", autouse=True)
def _measure_children() -> Iterator[None]:
    # What coverage tells its child processes must pass through the environment that ours are given.
    names = tuple(name for name in os.environ if name.startswith("COVERAGE_"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "INHERITED", (*processes.INHERITED, *names))
        yield


@pytest.fixture(scope="session")
def make_net() -> type[Net]:
    """Makes a net with nothing running yet."""
    return Net


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory, hub_stand_in: HubStandIn) -> Iterator[Net]:
    """A net with two sites online."""
    net = Net(tmp_path_factory.mktemp("net"), hub_stand_in)
    try:
        net.start_api()
        net.start_site("Trust_A")
        net.start_site("Trust_B")
        wait_until("both sites are online", lambda: net.online("Trust_A", "Trust_B"), 120)
        yield net
    finally:
        net.close()
