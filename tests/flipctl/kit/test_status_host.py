"""`flipctl status` on a host: its kit, its ways to the hub, its disks and backups."""

import json
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvicorn
from pydantic import SecretStr
from status_containers import well

from flip_fl.certs import make_net_certificates
from flip_fl.ledger import Ledger
from flip_trust.api.app import create_app
from flip_trust.api.poller import Poller
from flip_trust.api.settings import TrustApiSettings
from flipctl.kit.model import parse
from flipctl.status import host

CONTAINER = well("flip-trust", "trust-api", "flip/trust-api:0.1.0")


def verdicts(rows: Iterator[Any]) -> dict[str, str]:
    return {row.check: row.verdict for row in rows}


def test_a_sound_kit(kit: Path) -> None:
    rows = list(host.check_kit(kit))
    assert verdicts(iter(rows)) == {"kit": "ok", "certificate ca.pem": "ok"}
    assert "Trust_3, serial 1" in rows[0].found


def test_no_kit_an_open_one_and_half_a_one_are_faults(kit: Path, tmp_path: Path) -> None:
    assert verdicts(host.check_kit(tmp_path / "none")) == {"kit": "fault"}
    (kit / "trust.env").chmod(0o644)
    (wrong,) = [row for row in host.check_kit(kit) if row.verdict == "fault"]
    assert wrong.remedy.startswith(f"chmod go= {kit / 'trust.env'}")
    (kit / "trust.env").unlink()
    (row,) = host.check_kit(kit)
    assert (row.verdict, "lacks trust.env" in row.found) == ("fault", True)


def test_a_certificate_that_ends_soon_or_has_ended(kit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "SOON", timedelta(days=10_000))
    assert verdicts(host.check_kit(kit))["certificate ca.pem"] == "warning"
    at = SimpleNamespace(now=lambda zone: datetime.now(zone) + timedelta(days=10_000))
    monkeypatch.setattr(host, "datetime", at)
    assert verdicts(host.check_kit(kit))["certificate ca.pem"] == "fault"


Serve = Callable[..., None]


@pytest.fixture
def trust_api(kit: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serves trust-api's own application with the kit's key, knowing of this last heartbeat."""
    lines = (kit / "trust.env").read_text().splitlines()
    key = dict(line.split("=", 1) for line in lines)["TRUST_INTERNAL_SERVICE_KEY"]
    settings = TrustApiSettings.model_construct(
        trust_internal_service_key=SecretStr(key), trust_internal_service_key_header="X-Trust-Internal-Service-Key"
    )
    poller = SimpleNamespace(identity=None, tasks_running=0, last_heartbeat_at=None, heartbeat_problem="")
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(settings, cast(Poller, poller))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    monkeypatch.setattr(host, "TRUST_API_PORT", listener.getsockname()[1])

    def knows(last: datetime | None, problem: str = "") -> None:
        poller.last_heartbeat_at, poller.heartbeat_problem = last, problem
        poller.identity = last and SimpleNamespace(trust_id="1", trust_name="Trust_3", hub_version="1")

    yield knows
    server.should_exit = True
    thread.join(timeout=10)
    listener.close()
    assert not thread.is_alive()


def test_the_last_heartbeat_is_told(kit: Path, trust_api: Serve) -> None:
    trust_api(datetime.now(UTC))
    found = host.check_heartbeat(kit, [CONTAINER])
    assert (found.verdict, "knows this trust as Trust_3" in found.found) == ("ok", True)


def test_a_heartbeat_that_has_failed_since_is_no_good_one(kit: Path, trust_api: Serve) -> None:
    trust_api(datetime.now(UTC) - timedelta(seconds=40), "hub not reachable (ConnectTimeout)")
    found = host.check_heartbeat(kit, [CONTAINER])
    assert (found.verdict, found.found) == (
        "warning",
        "last 40 s ago, and not since: hub not reachable (ConnectTimeout)",
    )


def test_a_heartbeat_long_ago_or_never_is_a_fault_with_its_reason(kit: Path, trust_api: Serve) -> None:
    trust_api(datetime.now(UTC) - timedelta(hours=5), "certificate verify failed")
    old = host.check_heartbeat(kit, [CONTAINER])
    assert (old.verdict, old.found) == ("fault", "last 5 h ago: certificate verify failed")
    trust_api(None, "401")
    never = host.check_heartbeat(kit, [CONTAINER])
    assert (never.verdict, never.found) == ("fault", "none yet: 401")
    assert never.remedy.startswith("docker logs ")


def test_a_name_that_the_containers_do_not_know_has_its_remedy(kit: Path, trust_api: Serve) -> None:
    trust_api(None, "hub not reachable (ConnectError: [Errno -2] Name or service not known)")
    assert "flip_trust_hosts" in host.check_heartbeat(kit, [CONTAINER]).remedy


def test_a_trust_api_that_does_not_run_or_takes_another_key(kit: Path, trust_api: Serve) -> None:
    assert host.check_heartbeat(kit, []).remedy == "systemctl restart flip-trust"
    (kit / "trust.env").write_text("TRUST_INTERNAL_SERVICE_KEY=another\n")
    refused = host.check_heartbeat(kit, [CONTAINER])
    assert refused.verdict == "fault"
    assert "401" in refused.found
    assert "another" not in refused.found


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A TLS server on localhost: its port, and the CA of its certificate."""
    files = make_net_certificates(tmp_path / "tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    taken, _ = listener.accept()
                except OSError:
                    return
                with taken:
                    try:
                        context.wrap_socket(taken, server_side=True).close()
                    except OSError:
                        continue  # the client did not like the certificate

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], files.ca
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_the_fl_server_is_held_to_the_kits_ca(kit: Path, tls_server: tuple[int, Path]) -> None:
    port, ca = tls_server
    (kit / "fl-site.env").write_text(f"FL_SERVER_ADDRESS=localhost:{port}\n")
    assert verdicts(host.check_link(kit.parent, []))["FL server"] == "fault", "the certificate is of another CA"
    shutil.copy(ca, kit / "ca.pem")
    assert verdicts(host.check_link(kit.parent, []))["FL server"] == "ok"


def test_the_ledger_says_whether_the_fl_client_is_connected(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    assert host.check_egress(file).verdict == "fault"
    ledger = Ledger(file, 10_000_000)
    ledger.write("started")
    assert "did not dial" in host.check_egress(file).found
    ledger.write("opened", {"connection": "a", "bytes_out": 0})
    new = host.check_egress(file)
    assert (new.verdict, "just begun" in new.found) == ("warning", True), "the FL server may refuse the client yet"
    ledger.write("unreachable", {"connection": "b", "bytes_out": 0, "reason": "refused"})
    ledger.write("continues", {"connection": "a", "bytes_out": 2_000_000})
    found = host.check_egress(file)
    assert (found.verdict, found.found) == ("ok", "1 open, 2.0 MB out when last counted")
    ledger.write("closed", {"connection": "a", "bytes_out": 2_000_000, "reason": "idle"})
    assert host.check_egress(file).found == "none is open; closed 0 s ago: idle"
    ledger.write("unreachable", {"connection": "d", "reason": "[Errno -2] Name or service not known"})
    assert "flip_fl_client_hosts" in host.check_egress(file).remedy
    ledger.write("opened", {"connection": "c", "bytes_out": 0})
    ledger.write("started")
    assert "did not dial" in host.check_egress(file).found, "what was open before a start is not"
    ledger.close()


def test_a_connection_that_stays_is_a_good_one(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    opened = datetime.now(UTC) - host.SETTLED_AFTER
    line = {"at": f"{opened.isoformat()[:23]}Z", "event": "opened", "connection": "a", "bytes_out": 0}
    file.write_text(json.dumps(line) + "\n", encoding="utf-8")
    assert host.check_egress(file).verdict == "ok"


def test_of_a_long_ledger_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ledger.jsonl"
    ledger = Ledger(file, 10_000_000)
    for number in range(50):
        ledger.write("opened", {"connection": str(number), "bytes_out": 0})
    ledger.close()
    monkeypatch.setattr(host, "TAIL_BYTES", 250)
    assert host.check_egress(file).found.startswith("2 open")


def test_a_hub_that_cannot_be_reached_is_a_fault(kit: Path) -> None:
    about = json.loads((kit / "kit.json").read_text())
    about["header"]["hub_api_url"] = "https://127.0.0.1:1/api"
    (kit / "kit.json").write_text(json.dumps(about))
    parse(host.Installed, (kit / "kit.json").read_bytes(), "kit.json")
    assert verdicts(host.check_link(kit.parent, []))["hub"] == "fault"


def test_published_ports_show_their_certificates(tls_server: tuple[int, Path]) -> None:
    port, _ = tls_server
    hub = replace(CONTAINER, project="flip-hub", service="hub", published={8000: port})
    (row,) = host.check_published([hub])
    assert (row.verdict, row.check) == ("ok", f"flip-hub/hub on port {port}")
    assert verdicts(host.check_published([replace(hub, published={8000: 1})])) == {"flip-hub/hub on port 1": "fault"}


def test_a_disk_is_judged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [tmp_path, tmp_path / "none", tmp_path]
    assert len(list(host.check_disks(folders))) == 1
    monkeypatch.setattr(host, "MIN_FREE_BYTES", 2**62)
    (row,) = host.check_disks(folders)
    assert (row.verdict, row.remedy != "") == ("fault", True)


def test_backups_age(tmp_path: Path) -> None:
    def made(days_ago: int) -> str:
        return f"trust-{datetime.now(UTC) - timedelta(days=days_ago):%Y%m%dT%H%M%SZ}"

    assert host.check_backup(tmp_path / "none").verdict == "warning"
    (tmp_path / f".{made(0)}.part").mkdir()
    assert host.check_backup(tmp_path).verdict == "warning", "one that was interrupted is none"
    (tmp_path / made(9)).mkdir()
    old = host.check_backup(tmp_path)
    assert (old.verdict, old.found, old.remedy != "") == ("warning", "last 9 d ago", True)
    (tmp_path / made(1)).mkdir()
    assert host.check_backup(tmp_path).verdict == "ok"
