"""imaging-api as the trust's other services call it, in the test's process or one of its own; and parts of it."""

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from flip_trust.imaging.intake import Intake, IntakeLimits, ProjectMeter
from flip_trust.imaging.library import REPORT
from flip_trust.imaging.room import Room
from flip_trust.imaging.stores import Peer

KEY = "an-internal-key-for-tests-only"
KEY_HEADER = "X-Trust-Internal-Service-Key"


def intake_to(
    folder: Path, *, instance: int = 10**9, study: int = 10**9, project: int = 10**9, reserve: int = 0
) -> Intake:
    """A way into `folder` that lets this many bytes pass."""
    return Intake(folder, IntakeLimits(instance, study, project), ProjectMeter(0, project), Room(folder, reserve))


def dimse_settings(pacs_port: int, own: Peer) -> dict[str, Any]:
    """Settings of an imaging-api that fetches from this PACS."""
    return {
        "imaging_store": "dimse",
        "pacs_ae_title": "PACS",
        "pacs_host": "127.0.0.1",
        "pacs_port": pacs_port,
        "imaging_ae_title": own.ae_title,
        "imaging_ae_host": own.host,
        "imaging_ae_port": own.port,
    }


class Conversion:
    """What `convert_study` made: the names of its files in `folder`, and the reason for what is not there."""

    def __init__(self, folder: Path) -> None:
        report = json.loads((folder / REPORT).read_text())
        self.folder, self.files, self.reason = folder, sorted(report["files"]), report["reason"]


class Service:
    """imaging-api, called as the trust's other services call it."""

    def __init__(self, client: httpx.AsyncClient, app: Any) -> None:
        self.client, self.app = client, app

    async def imports(self, project: Any, *accessions: str) -> dict[str, Any]:
        """Imports and waits for the end; the studies by accession."""
        body = {"project_id": str(project), "accessions": list(accessions)}
        answer = await self.client.post("/imports", json=body)
        assert answer.status_code == 202, answer.text
        return await self.done(project)

    async def done(self, project: Any, timeout: float = 60) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        while True:
            status = (await self.client.get(f"/imports/{project}")).json()
            if status["state"] != "RUNNING":
                return {study["accession"]: study for study in status["studies"]}
            assert time.monotonic() < deadline, status
            await asyncio.sleep(0.02)

    async def files(self, project: Any, accession: str, resource: str = "NIFTI") -> httpx.Response:
        return await self.client.get(
            f"/studies/{accession}/files", params={"project_id": str(project), "resource": resource}
        )


@dataclass
class Process:
    """imaging-api as an operating system process."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers={KEY_HEADER: KEY}, trust_env=False, timeout=30
        )

    def wait_for(self, done: Callable[[httpx.Client], Any], timeout: float = 60) -> Any:
        deadline = time.monotonic() + timeout
        with self.client() as client:
            while True:
                try:
                    if found := done(client):
                        return found
                except httpx.TransportError:
                    assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.02)

    def imports(self, project: Any, *accessions: str) -> None:
        with self.client() as client:
            body = {"project_id": str(project), "accessions": list(accessions)}
            client.post("/imports", json=body).raise_for_status()

    def done(self, project: Any) -> dict[str, Any]:
        def status(client: httpx.Client) -> dict[str, Any] | None:
            found = client.get(f"/imports/{project}").raise_for_status().json()
            return found if found["state"] == "DONE" else None

        return {study["accession"]: study for study in self.wait_for(status)["studies"]}

    def kill(self, signal_number: int = signal.SIGKILL) -> int:
        self.process.send_signal(signal_number)
        return self.process.wait(20)
