"""Parts below a net, each alone: processes, certificates, settings, membership, listeners, launchers."""

import asyncio
import os
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import pytest
import typer
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from flwr.common.constant import NOOP_FLWR_AID, SUPERLINK_NODE_ID
from typer.testing import CliRunner

from flip_common.settings import SettingsError
from flip_fl import __main__ as api_command
from flip_fl.certs import make_net_certificates
from flip_fl.flower import internals, site, supernode
from flip_fl.flower.files import RunFiles
from flip_fl.flower.site import Site, app_environment, ensure_site_key
from flip_fl.flower.superexec import AppLauncher
from flip_fl.flower.superlink import FleetOnly, HubOnly
from flip_fl.processes import ProcessId, Supervisor, child_environment, free_port, kill_tree
from flip_fl.settings import FlApiSettings, SiteSettings

SLEEP = "import time; time.sleep(60)"
PARENT = (
    f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '{SLEEP}']); print('up', flush=True); {SLEEP}"
)
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); {SLEEP}"


@contextmanager
def child(code: str) -> Iterator[tuple[subprocess.Popen[bytes], ProcessId]]:
    """A Python process that says `up`."""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            identity = ProcessId.of(process.pid)
            assert identity is not None
            yield process, identity
        finally:
            process.kill()


async def until(condition: Callable[[], Any], timeout: float = 20.0) -> None:
    """Waits for a condition."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def test_a_tree_is_ended() -> None:
    with child(PARENT) as (process, identity):
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) == 1
        assert kill_tree(identity) == 2
        assert not family[0].is_running() or family[0].status() == psutil.STATUS_ZOMBIE
        assert process.wait(5) == -9
        assert kill_tree(identity) == 0


def test_who_does_not_hear_sigterm_gets_sigkill() -> None:
    with child(DEAF) as (process, identity):
        kill_tree(identity, grace=0.3)
        assert process.wait(5) == -9


def test_another_process_of_the_same_pid_is_left_alone() -> None:
    assert kill_tree(ProcessId(os.getpid(), 1.0)) == 0
    assert ProcessId.of(2**22 + 1) is None
    assert ProcessId(2**22 + 1, 1.0).find() is None
    me = ProcessId.of(os.getpid())
    assert me is not None
    assert ProcessId.from_json(me.to_json()) == me


def test_a_child_ends_with_its_parent() -> None:
    orphan = "from flip_fl.processes import end_with_parent; end_with_parent(); print('up', flush=True); "
    code = (
        "import subprocess, sys; "
        f"child = subprocess.Popen([sys.executable, '-c', {(orphan + SLEEP)!r}], stdout=subprocess.PIPE); "
        f"child.stdout.readline(); print('up', flush=True); {SLEEP}"
    )
    with child(code) as (process, _):
        below = psutil.Process(process.pid).children()[0]
        process.kill()
        process.wait()
        deadline = time.monotonic() + 10
        while below.is_running() and below.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.05)


async def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    code = f"print('hello', flush=True); {SLEEP}"
    supervisor = Supervisor("test", [sys.executable, "-c", code], {}, tmp_path / "log")
    await supervisor.start()
    try:
        first = supervisor.pid
        assert first is not None
        await until(lambda: (tmp_path / "log").read_text().count("hello") == 1)
        psutil.Process(first).kill()
        await until(lambda: supervisor.pid not in (None, first))
        assert supervisor.restarts == 1
        await until(lambda: (tmp_path / "log").read_text().count("hello") == 2)
    finally:
        await supervisor.stop()
    assert supervisor.pid is None


def test_children_inherit_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FL_API_KEY", "secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    environment = child_environment({"A": "1"}, ("HTTPS_PROXY", "ABSENT"))
    assert environment["A"] == "1"
    assert environment["HTTPS_PROXY"] == "http://proxy"
    assert "FL_API_KEY" not in environment
    assert "PATH" in environment


def test_certificates_serve_the_names_given(tmp_path: Path) -> None:
    files = make_net_certificates(tmp_path / "c", ["fl.example.org", "10.1.2.3"])
    certificate = x509.load_pem_x509_certificate(files.cert.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "fl.example.org"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "10.1.2.3"]
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    assert {path.name for path in files.ca.parent.iterdir()} == {"ca.crt", "server.crt", "server.key"}
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(files.ca.read_bytes()))
    ssl.create_default_context(cafile=str(files.ca))


@pytest.fixture
def site_env(tmp_path: Path) -> dict[str, str]:
    """Settings of a site."""
    return {
        "SUPERNODE_NAME": "Trust_A",
        "FL_SERVER_ADDRESS": f"localhost:{free_port()}",
        "FL_SERVER_CA_FILE": str(make_net_certificates(tmp_path / "certificates").ca),
        "FL_SITE_DIR": str(tmp_path / "site"),
        "FL_POLL_SECONDS": "0.2",
        "DATA_ACCESS_API_URL": "http://127.0.0.1:8010",
        "IMAGING_API_URL": "http://127.0.0.1:8001",
        "TRUST_APP_SERVICE_KEY": "flip_trust_key_0123456789",
        "IMAGES_DIR": str(tmp_path / "images"),
    }


def env_file(path: Path, values: dict[str, str]) -> Path:
    """Writes an env file."""
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SUPERNODE_NAME", "a b"),
        ("FL_SERVER_ADDRESS", "localhost"),
        ("FL_SERVER_CA_FILE", "/nowhere/ca.crt"),
        ("DATA_ACCESS_API_URL", "ftp://x"),
        ("FL_POLL_SECONDS", "60"),
        ("FL_TYPO", "1"),
    ],
)
def test_wrong_site_settings_are_named(tmp_path: Path, site_env: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        SiteSettings.load(env_file(tmp_path / "env", site_env | {name: value}))
    assert name in str(caught.value)


def test_wrong_api_settings_are_named(tmp_path: Path) -> None:
    files = make_net_certificates(tmp_path / "c")
    values = {
        "FL_API_KEY": "short",
        "FL_STATE_DIR": str(tmp_path),
        "FL_SERVER_PORT": "0",
        "FL_SERVER_CERT_FILE": str(files.cert),
        "FL_SERVER_KEY_FILE": str(files.key),
        "FLIP_API_INTERNAL_URL": "hub",
    }
    with pytest.raises(SettingsError) as caught:
        FlApiSettings.load(env_file(tmp_path / "env", values))
    for name in ("FL_API_KEY", "FL_SERVER_PORT", "FLIP_API_INTERNAL_URL", "INTERNAL_SERVICE_KEY"):
        assert name in str(caught.value)
    assert "short" not in str(caught.value)


def test_a_front_without_certificate_is_refused(tmp_path: Path) -> None:
    values = {
        "FL_API_KEY": "flip_0123456789012345678",
        "INTERNAL_SERVICE_KEY": "flip_0123456789012345678",
        "FL_STATE_DIR": str(tmp_path),
        "FL_SERVER_PORT": "9000",
        "FL_SERVER_CERT_FILE": str(tmp_path / "absent.crt"),
        "FL_SERVER_KEY_FILE": str(tmp_path / "absent.key"),
        "FLIP_API_INTERNAL_URL": "http://hub/api/internal",
    }
    with pytest.raises(SettingsError, match=r"FL_SERVER_CERT_FILE: .*absent\.crt is no file"):
        FlApiSettings.load(env_file(tmp_path / "env", values))


def test_the_sites_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "site.key"
    public = ensure_site_key(path)
    assert public.startswith(b"ecdsa-sha2-nistp384 ")
    assert ensure_site_key(path) == public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (tmp_path / "keys" / "site.key.pub").read_bytes().strip() == public
    # One key, however it is written.
    pem = serialization.load_ssh_public_key(public).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert internals.normalise_public_key(pem) == internals.normalise_public_key(public + b" comment")


def test_an_app_is_told_what_it_needs(tmp_path: Path, site_env: dict[str, str]) -> None:
    environment = app_environment(SiteSettings.load(env_file(tmp_path / "env", site_env)))
    assert {name: environment[name] for name in ("SUPERNODE_NAME", "DATA_ACCESS_API_URL")} == {
        "SUPERNODE_NAME": "Trust_A",
        "DATA_ACCESS_API_URL": "http://127.0.0.1:8010",
    }
    assert environment["TRUST_INTERNAL_SERVICE_KEY"] == "flip_trust_key_0123456789"
    assert not [name for name in environment if name.startswith("FL_")]


@pytest.mark.flower
async def test_a_site_ends_what_it_started_and_what_was_left(tmp_path: Path, site_env: dict[str, str]) -> None:
    client = Site(SiteSettings.load(env_file(tmp_path / "env", site_env)))
    runs = RunFiles(tmp_path / "site" / "runs", 5)
    with child(f"print('up', flush=True); {SLEEP}") as (process, identity):
        runs.add_process(identity)
        stop = asyncio.Event()
        running = asyncio.create_task(client.run_until(stop))
        await until(lambda: client.supernode.pid and client.superexec.pid)
        assert process.wait(5) == -9
        stop.set()
        await running
    assert client.supernode.pid is None
    assert client.superexec.pid is None
    assert not list((tmp_path / "site" / "runs").glob("*.process"))


def test_commands_explain_themselves(tmp_path: Path, site_env: dict[str, str]) -> None:
    for module in (site, api_command):
        command = [sys.executable, "-m", module.__name__.removesuffix(".__main__"), "--help"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "Example: python -m flip_fl" in done.stdout
    broken = env_file(tmp_path / "env", site_env | {"SUPERNODE_NAME": "a b"})
    command = [sys.executable, "-m", "flip_fl.flower.site", "--env-file", str(broken)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "SUPERNODE_NAME" in done.stderr
    assert "Traceback" not in done.stderr


def test_members_are_those_of_the_roster() -> None:
    nodes = [
        SimpleNamespace(node_id=11, name="A", status="online"),
        SimpleNamespace(node_id=12, name="B", status="offline"),
        SimpleNamespace(node_id=13, name="C", status="online"),
        SimpleNamespace(node_id=14, name="A", status="unregistered"),
        SimpleNamespace(node_id=15, name="A", status="registered"),
    ]
    rosters = {"job": frozenset({"A", "B"})}
    manager = internals.make_federation_manager(rosters.get)
    manager.linkstate = SimpleNamespace(
        get_node_info=lambda node_ids: [node for node in nodes if node.node_id in node_ids]
    )
    everyone = {node.node_id for node in nodes} | {SUPERLINK_NODE_ID}
    assert manager.filter_nodes(everyone, "job") == {11, 12, SUPERLINK_NODE_ID}
    assert manager.filter_nodes({12, 13}, "other job") == set()
    assert manager.has_node(12, "job")
    assert not manager.has_node(13, "job")
    assert not manager.has_node(14, "job")
    assert (manager.exists("job"), manager.exists("default")) == (True, False)
    assert manager.has_member(NOOP_FLWR_AID, "job")
    assert not manager.has_member(NOOP_FLWR_AID, "default")
    assert manager.get_simulation_config("job") is None


async def _echo(scope: Any, _: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/fleet/pull-messages", 200),
        ("GET", "/v1/fleet/pull-messages", 404),
        ("POST", "/v1/fleet/pull%2Dmessages", 404),
        ("POST", "/v1/fleet/other", 404),
        ("POST", "/v1/control/list-runs", 404),
    ],
)
async def test_the_front_compares_the_wire(method: str, path: str, status: int) -> None:
    app = FleetOnly(_echo, frozenset({"/v1/fleet/pull-messages"}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        assert (await client.request(method, path)).status_code == status
    sent: list[Any] = []
    await app({"type": "websocket", "path": path}, sent.append, sent.append)
    assert sent == []


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/v1/control/list-runs", "right", 200),
        ("/v1/control/list-runs", "wrong", 404),
        ("/v1/control/list-runs", "", 404),
        ("/v1/runtime/acquire-task", "", 200),
        ("/v1/fleet/pull-messages", "right", 404),
        ("/docs", "right", 404),
        ("/v1/responses", "right", 404),
    ],
)
async def test_the_loopback_listener_asks_for_the_key(path: str, key: str, status: int) -> None:
    app = HubOnly(_echo, "right")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        assert (await client.post(path, headers={"x-flip-control-key": key})).status_code == status


def test_fleet_paths_are_those_a_supernode_needs() -> None:
    paths = internals.fleet_paths()
    assert "/v1/fleet/pull-messages" in paths
    assert "/v1/fleet/register-node" not in paths
    assert all(path.startswith("/v1/fleet/") for path in paths)


def test_an_app_process_is_recorded_and_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "echo_token.py").write_text("print('token', input()); input()")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("flip_fl.flower.superexec.MODULES", {"kind": "echo_token"})
    launcher, files = AppLauncher(tmp_path), RunFiles(tmp_path, 3)
    launcher.launch_app("kind", 3, ["--x"], "tok-en")
    process = files.processes()[0]
    assert "tok-en" not in psutil.Process(process.pid).cmdline()
    deadline = time.monotonic() + 20
    while list(tmp_path.glob("*.process")):
        launcher.reap()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "token tok-en" in files.log.read_text()
    with pytest.raises(KeyError):
        launcher.launch_app("flwr-simulation", 3, [], "tok-en")


class Pending:
    """A message whose answer a SuperNode waits for."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.run_id, self.answers, self.given_up = 3, list(answers), threading.Event()

    def run_ended(self) -> bool:
        """The answers in turn, the last one for ever."""
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def give_up(self) -> None:
        """The SuperNode may go on."""
        self.given_up.set()


def test_the_app_of_a_run_that_ended_is_ended(tmp_path: Path) -> None:
    pending = Pending(httpx.ConnectError("away"), False, True)
    with child(f"print('up', flush=True); {SLEEP}") as (process, identity):
        RunFiles(tmp_path, 3).add_process(identity)
        watched = supernode.watch_app(tmp_path, 0.02)
        watched(pending, lambda: None if pending.given_up.wait(10) else pytest.fail("not given up"))
        assert process.wait(5) == -9


def test_an_app_that_died_is_given_up(tmp_path: Path) -> None:
    pending = Pending(False)
    with child(f"print('up', flush=True); {SLEEP}") as (process, identity):
        RunFiles(tmp_path, 3).add_process(identity)

        def wait() -> None:
            time.sleep(0.2)
            assert not pending.given_up.is_set()
            process.kill()
            process.wait()
            assert pending.given_up.wait(10)

        supernode.watch_app(tmp_path, 0.02)(pending, wait)


def test_an_answer_ends_the_watch(tmp_path: Path) -> None:
    pending = Pending(False)
    supernode.watch_app(tmp_path, 0.02)(pending, lambda: None)
    time.sleep(0.2)
    assert not pending.given_up.is_set()


def test_a_missing_env_file_is_named() -> None:
    app = typer.Typer()
    app.command()(api_command.main)
    result = CliRunner().invoke(app, ["--env-file", "/nowhere/env"])
    assert result.exit_code == 2
    assert "/nowhere/env does not exist" in result.output
