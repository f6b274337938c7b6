"""`flipctl doctor` finds faults, names them and says what to do."""

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import typer
from typer.testing import CliRunner

from flipctl import doctor
from flipctl.doctor import Service, check_host, check_hub, check_python, check_service, settings_class


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(doctor.doctor)
    return app


class Hub(BaseHTTPRequestHandler):
    date = "Wed, 01 Jan 2020 00:00:00 GMT"

    def do_GET(self) -> None:
        self.send_response_only(200 if self.path == "/api/health" else 404)
        self.send_header("Date", self.date)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def hub_url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Hub)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_sound_install_has_no_fault(app: typer.Typer) -> None:
    done = CliRunner().invoke(app, ["--json"])
    report = json.loads(done.stdout)
    assert (done.exit_code, report["faults"]) == (0, 0), report


def test_every_service_can_be_checked() -> None:
    for service in Service:
        assert settings_class(service).names()


def test_bad_settings_are_faults_with_a_remedy(tmp_path: Path) -> None:
    env = tmp_path / "hub.env"
    env.write_text("HUB_DATA_DIR=/x\nTASK_MAX_ATTEMPTS=many\nNONSENSE=1\n")
    env.chmod(0o644)
    found = list(check_service(Service.HUB, env))
    text = "\n".join(finding.found for finding in found)
    assert "TASK_MAX_ATTEMPTS" in text
    assert "NONSENSE" in text
    assert "INTERNAL_SERVICE_KEY_HASH: not set" in text
    assert all(finding.verdict == "fault" and finding.remedy for finding in found)
    assert found[-1].remedy == f"chmod 600 {env}"


def test_good_settings(tmp_path: Path) -> None:
    env = tmp_path / "hub.env"
    env.write_text(f"HUB_DATA_DIR={tmp_path}\nINTERNAL_SERVICE_KEY_HASH={'0' * 64}\n")
    env.chmod(0o600)
    assert [finding.verdict for finding in check_service(Service.HUB, env)] == ["ok", "ok"]


def test_a_hub_with_another_clock(hub_url: str) -> None:
    hub, clock = check_hub(hub_url)
    assert hub.verdict == "ok"
    assert (clock.verdict, clock.remedy) == ("warning", "set the time by NTP")


def test_a_wrong_path_is_a_fault(hub_url: str) -> None:
    (finding,) = check_hub(hub_url + "/nowhere")
    assert finding.verdict == "fault"
    assert "404" in finding.found


def test_no_hub_is_a_fault(app: typer.Typer) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/api"
    done = CliRunner().invoke(app, ["--hub", url])
    assert done.exit_code == 1
    assert "1 fault found" in done.stdout


def test_full_disk_and_little_memory_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MIN_FREE_BYTES", 2**62)
    monkeypatch.setattr(doctor, "MIN_MEMORY_BYTES", 2**62)
    findings = {finding.check: finding for finding in check_host()}
    assert (findings["disk"].verdict, findings["memory"].verdict) == ("fault", "warning")
    assert findings["disk"].remedy.startswith("free ")


def test_wrong_package_versions_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda _: ["pydantic>=99", "not-installed-at-all>=1"])
    findings = {finding.check: finding for finding in check_python()}
    assert findings["packages"].verdict == "fault"
    assert "pydantic" in findings["packages"].found
    assert "not-installed" not in findings["packages"].found
