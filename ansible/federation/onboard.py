"""The hub's engineer at work: the first administrator, and for each trust a kit sealed for its operator's key."""

import json
import os
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

import httpx

from federation.docker import FederationError, inside, run
from federation.plan import API_URL, FL_SERVER, FOLDER, HUB, ROOT, Site
from flipctl.api import Api, hub_tls

ADMIN = "admin@federation.test"
API = f"https://{HUB.host}/api"
"""Where the people on this machine reach the hub: its certificate is for this address, too."""
HUB_CONTAINER = "flip-hub-hub-1"
HUB_CA = "/opt/flip/config/certificates/ca.crt"
START_SECONDS = 120
_FLIPCTL = ROOT / ".venv" / "bin" / "flipctl"


def kits() -> Path:
    """Where certificates, keys and kits lie: beside the playbook, readable by its operator alone."""
    folder = FOLDER / "kits"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def hub_ca() -> Path:
    """The hub's own authority, carried to this machine by its engineer."""
    path = kits() / "hub-ca.pem"
    path.write_text(inside(HUB.container(), "cat", HUB_CA), encoding="ascii")
    return path


def make_admin(ca: Path) -> Api:
    """Waits for the hub's API, makes the first administrator on the hub's host and signs in."""
    wait_for_hub(ca)
    password = secrets.token_urlsafe(18)
    make = ["python3", "-m", "flip_hub", "create-admin", "--email", ADMIN, "--env-file", "/config/service.env"]
    inside(HUB.container(), "docker", "exec", "--interactive", HUB_CONTAINER, *make, feed=f"{password}\n")
    password_file().unlink(missing_ok=True)
    password_file().touch(mode=0o600)
    password_file().write_text(password, encoding="ascii")
    return Api.sign_in(API, ADMIN, password, ca)


def password_file() -> Path:
    """The administrator's password, for whoever looks around in a federation that was kept."""
    return kits() / "admin-password"


def wait_for_hub(ca: Path) -> None:
    """Until the hub's public API answers over TLS that its own authority vouches for."""
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(verify=hub_tls(ca), timeout=5, trust_env=False) as client:
        while True:
            try:
                if client.get(f"{API}/health").is_success:
                    return
                said = "it answers, but is not healthy"
            except httpx.TransportError as error:
                said = str(error)
            if time.monotonic() > deadline:
                raise FederationError(f"{API} is not up within {START_SECONDS} s: {said}")
            time.sleep(0.5)


def onboard(trusts: Iterable[Site], ca: Path, admin_password: str) -> None:
    """Makes the key that signs kits, a key for each trust's operator, and the kits."""
    folder = kits()
    signing = folder / "signing"
    made = json.loads(_flipctl("kit", "keygen", str(signing), "--json"))
    (folder / "fingerprint").write_text(made["fingerprint"], encoding="ascii")
    for trust in trusts:
        identity = folder / f"{trust.trust}.key"
        _flipctl("kit", "keygen", str(identity))
        _flipctl(
            "trust", "onboard", trust.trust, "--hub", API_URL, "--via", API, "--hub-ca", str(ca), "--email", ADMIN,
            "--fl-server", FL_SERVER, "--fl-ca", str(ca), "--to", f"{identity}.pub",
            "--signing-key", str(signing), "--out", str(folder / f"{trust.trust}.flipkit"),
            password=admin_password,
        )  # fmt: skip


def _flipctl(*arguments: str, password: str = "") -> str:
    return run(_FLIPCTL, *arguments, environment={**os.environ, "FLIP_PASSWORD": password})
