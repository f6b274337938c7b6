"""The contributor's federation, up for real: connected, debugged, given new keys, and gone.

Needs Docker and the images of this checkout (`make build`): run by `make image-tests` and `make hosts`. It uses the
checkout's own federation, so none may be up.
"""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from flipctl import envfile
from flipctl.api import Api, wait_for

ROOT = Path(__file__).resolve().parents[3]
DEV = ROOT / ".flip" / "dev"

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]


def make(verb: str, *variables: str) -> str:
    done = subprocess.run(["make", verb, *variables], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def containers(*options: str) -> set[str]:
    command = ["docker", "ps", *options, "--filter", "name=^flipdev-", "--format", "{{.Names}}"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.fixture(scope="module")
def admin() -> Iterator[Api]:
    if containers("--all") or (DEV / "hub").exists():
        pytest.skip("a federation of this checkout is up: make down, make clean")
    try:
        make("up")
        password = envfile.read(DEV / "secrets.env")["ADMIN_PASSWORD"]
        ca = DEV / "certificates" / "ca.crt"
        with Api.sign_in("https://localhost:8000/api", "admin@dev.example", password, ca) as api:
            yield api
    finally:
        subprocess.run([ROOT / ".venv/bin/flipctl", "dev", "down", "--data"], check=True)
    assert not containers("--all")


def test_both_trusts_are_connected(admin: Api) -> None:
    assert [trust["name"] for trust in admin.get("/trusts") if trust["online"]] == ["Trust_1", "Trust_2"]
    assert len(containers()) == 15
    status = [
        ROOT / ".venv/bin/flipctl",
        "status",
        "--hub",
        "https://localhost:8000/api",
        "--email",
        "admin@dev.example",
    ]
    password = envfile.read(DEV / "secrets.env")["ADMIN_PASSWORD"]
    env = {**os.environ, "FLIP_PASSWORD": password}
    done = subprocess.run(
        [*status, "--ca", DEV / "certificates/ca.crt"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_a_debugged_service_waits_on_5678(admin: Api) -> None:
    make("debug", "SERVICE=trust-api")
    address = ("127.0.0.1", 5678)
    said = wait_for("the debugger's door opens", lambda: _greeting(address), 60)
    assert b'"debugpy"' in said
    make("debug-off", "SERVICE=trust-api")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, 5).close()


def _greeting(address: tuple[str, int]) -> bytes | None:
    try:
        with socket.create_connection(address, 5) as door:
            body = b'{"seq":1,"type":"request","command":"initialize","arguments":{"adapterID":"test"}}'
            door.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            return door.recv(65536) or None
    except OSError:
        return None


def test_trusts_get_new_keys_and_the_old_ones_end(admin: Api) -> None:
    before = {key["key_id"] for trust in admin.get("/trusts") for key in _live(admin, trust["trust_id"])}
    make("generate-trust-api-keys")
    after = [key for trust in admin.get("/trusts") for key in _live(admin, trust["trust_id"])]
    assert len(after) == 2
    assert not before & {key["key_id"] for key in after}


def _live(admin: Api, trust_id: str) -> list[dict[str, str]]:
    return [key for key in admin.get(f"/trusts/{trust_id}/keys") if key["retired_at"] is None]


def test_the_internal_key_is_another(admin: Api) -> None:
    before = envfile.read(DEV / "secrets.env")["INTERNAL_SERVICE_KEY"]
    make("generate-internal-service-key")
    given = (DEV / "hub/fl-server/service.env").read_text()
    assert before not in given
    wait_for("the net answers again", lambda: True if admin.get("/nets")[0]["reachable"] else None, 60)


def test_down_keeps_data_and_restart_brings_them_back(admin: Api) -> None:
    trust_ids = [trust["trust_id"] for trust in admin.get("/trusts")]
    make("down")
    assert not containers("--all")
    make("up")
    assert [trust["trust_id"] for trust in admin.get("/trusts")] == trust_ids
