"""Each trust's hospital PACS: an Orthanc beside the host, not on it, with the demo's studies."""

import io
import json
import os
import secrets
import time
import zipfile
from pathlib import Path

import httpx

from federation.docker import FederationError, start
from federation.plan import FOLDER, PACS_AE, PACS_PORT, Site

ORTHANC_ID = 10003
REST_PORT = 8042
START_SECONDS = 60


def configuration(site: Site, user: str, password: str) -> dict[str, object]:
    """The PACS answers C-FIND and sends, by C-MOVE, to the one destination that the site's imaging has."""
    return {
        "DicomAet": PACS_AE,
        "DicomPort": PACS_PORT,
        "DicomModalities": {"flip": [site.staging_ae, site.host, site.staging_port]},
        "DicomAlwaysAllowEcho": False,
        "DicomAlwaysAllowStore": False,
        "DicomCheckModalityHost": True,
        "HttpPort": REST_PORT,
        "RemoteAccessAllowed": True,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {user: password},
        "StorageDirectory": "/data",
        "IndexDirectory": "/data",
        "StorageCompression": False,
    }


def raise_pacs(site: Site, image: str, studies: Path) -> int:
    """Starts the PACS and gives it every study of the trust; returns how many instances it has."""
    folder = FOLDER / "pacs" / site.name
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    user, password = "hospital", secrets.token_urlsafe(24)
    file = folder / "orthanc.json"
    file.unlink(missing_ok=True)
    file.touch(mode=0o400)
    file.write_text(json.dumps(configuration(site, user, password)), encoding="utf-8")
    os.chown(file, ORTHANC_ID, ORTHANC_ID)
    start(
        site.container("pacs"), site.network, site.pacs, image, "--read-only", "--tmpfs", "/tmp", "--volume", "/data",
        "--volume", f"{folder}:/config:ro",
    )  # fmt: skip
    with httpx.Client(
        base_url=f"http://{site.pacs}:{REST_PORT}", auth=(user, password), timeout=120, trust_env=False
    ) as rest:
        _wait(rest, site)
        for study in sorted({path.parent for path in studies.rglob("*.dcm")}):
            rest.post("/instances", content=_zipped(study)).raise_for_status()
        count: int = rest.get("/statistics").json()["CountInstances"]
    return count


def _zipped(study: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(study.glob("*.dcm")):
            archive.write(path, path.name)
    return buffer.getvalue()


def _wait(rest: httpx.Client, site: Site) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if rest.get("/system").is_success:
                return
        except httpx.TransportError:
            pass  # it does not listen yet
        if time.monotonic() > deadline:
            raise FederationError(f"{site.container('pacs')} does not answer within {START_SECONDS} s")
        time.sleep(0.25)
