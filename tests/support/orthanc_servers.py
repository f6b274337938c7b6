"""Real Orthancs as processes: a hospital's PACS, and FLIP's staging Orthanc that may fetch from it."""

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ORTHANC = Path("/usr/sbin/Orthanc")
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass
class Orthanc:
    """A running Orthanc."""

    ae_title: str
    http_port: int
    dicom_port: int
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """Ends it at once; what it stored is the caller's to throw away."""
        self.process.kill()
        self.process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, auth=("svc", "svcpass"), trust_env=False, timeout=30)

    def upload(self, files: list[Path]) -> None:
        with self.client() as client:
            for path in files:
                client.post("/instances", content=path.read_bytes()).raise_for_status()

    def studies(self, accession: str) -> list[str]:
        with self.client() as client:
            body = {"Level": "Study", "Query": {"AccessionNumber": accession}}
            found: list[str] = client.post("/tools/find", json=body).raise_for_status().json()
            return found


def start_orthanc(
    folder: Path,
    ae_title: str,
    ports: tuple[int, int],
    modalities: dict[str, Any],
    extra: dict[str, Any] | None = None,
) -> Orthanc:
    folder.mkdir(parents=True)
    http_port, dicom_port = ports
    configuration = {
        "Name": ae_title,
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "Plugins": [str(DICOMWEB)],
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "DicomAet": ae_title,
        "DicomCheckCalledAet": True,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {"svc": "svcpass"},
        "RemoteAccessAllowed": False,
        "HttpCompressionEnabled": False,
        "SyncStorageArea": False,
        "OverwriteInstances": True,
        "DicomModalities": modalities,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        **(extra or {}),
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    process = subprocess.Popen(
        [str(ORTHANC), str(folder / "orthanc.json")],
        env={**os.environ, "TCP_NODELAY": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    orthanc = Orthanc(ae_title, http_port, dicom_port, process)
    deadline = time.monotonic() + 20
    with orthanc.client() as client:
        while True:
            try:
                client.get("/system").raise_for_status()
                return orthanc
            except httpx.HTTPError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


@dataclass
class OrthancPair:
    """The hospital's PACS and the staging Orthanc."""

    pacs: Orthanc
    staging: Orthanc


def orthanc_settings(pair: OrthancPair) -> dict[str, Any]:
    return {
        "imaging_store": "orthanc",
        "orthanc_url": pair.staging.url,
        "orthanc_username": "svc",
        "orthanc_password": "svcpass",
        "orthanc_pacs": "pacs",
        "orthanc_ae_title": "STAGING",
    }
