"""Accession to NIfTI, 200 slices of 512 x 512, out of a real Orthanc: imaging-api against the same steps by hand.

    python benchmarks/imaging_import.py [--runs 5] [--slices 200]

By hand: C-FIND and C-MOVE to a staging Orthanc, WADO-RS, dcm2niix to `.nii.gz`. Through imaging-api: `POST /imports`
until the study is IMPORTED, then `GET /studies/.../files?resource=NIFTI`. Both start with an empty staging Orthanc;
runs alternate, medians are compared. The goal is a ratio of 1.25 at most. Needs Debian's orthanc and orthanc-dicomweb.
"""

import argparse
import io
import json
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import dcm2niix
import httpx
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

ACCESSION, KEY, ACCOUNT = "BENCH1", "a-key-for-the-benchmark", ("svc", "svcpass")
PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
GOAL = 1.25


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def make_slices(count: int) -> list[bytes]:
    """A CT of a body with noise, as DICOM files in memory."""
    rng, side = np.random.default_rng(1), 512
    y, x = np.ogrid[:side, :side]
    body = np.where(((x - 256) / 215) ** 2 + ((y - 256) / 154) ** 2 < 1, 1064, 24)
    study, series = generate_uid(), generate_uid()
    files = []
    for index in range(count):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = Dataset()
        data.file_meta = meta
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data.StudyInstanceUID, data.SeriesInstanceUID, data.AccessionNumber = study, series, ACCESSION
        data.PatientID, data.PatientName, data.Modality, data.Manufacturer = "P", "A^B", "CT", "GE"
        data.StudyDate, data.StudyTime, data.SeriesNumber, data.InstanceNumber = "20240101", "101500", 2, index + 1
        data.ImageOrientationPatient, data.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.7, 0.7]
        data.ImagePositionPatient, data.SliceThickness = [-179.0, -179.0, 1.5 * index], 1.5
        data.Rows = data.Columns = side
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 0
        data.RescaleSlope, data.RescaleIntercept = 1, -1024
        data.PixelData = np.clip(body + rng.normal(0, 12, (side, side)), 0, 4000).astype("<u2").tobytes()
        buffer = io.BytesIO()
        data.save_as(buffer, enforce_file_format=True)
        files.append(buffer.getvalue())
    return files


def start_orthanc(stack: ExitStack, folder: Path, title: str, ports: tuple[int, int], peer: Any) -> httpx.Client:
    folder.mkdir()
    rights = dict.fromkeys(("AllowEcho", "AllowFind", "AllowMove", "AllowStore"), True)
    configuration = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "Plugins": [PLUGIN],
        "HttpPort": ports[0], "DicomPort": ports[1], "DicomAet": title, "AuthenticationEnabled": True,
        "RegisteredUsers": dict([ACCOUNT]), "HttpCompressionEnabled": False, "SyncStorageArea": False,
        "DicomModalities": {"peer": {"AET": peer[0], "Host": "127.0.0.1", "Port": peer[1], **rights}},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    process = subprocess.Popen(
        ["/usr/sbin/Orthanc", str(folder / "orthanc.json")],
        env={**os.environ, "TCP_NODELAY": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    stack.callback(process.wait)
    stack.callback(process.kill)
    client = httpx.Client(base_url=f"http://127.0.0.1:{ports[0]}", auth=ACCOUNT, trust_env=False, timeout=120)
    stack.callback(client.close)
    client.headers["Accept-Encoding"] = "identity"
    wait_for(client, "/system")
    return client


def wait_for(client: httpx.Client, path: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            client.get(path).raise_for_status()
            return
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def by_hand(staging: httpx.Client, scratch: Path) -> int:
    """The plain way; returns the size of the NIfTI."""
    query = staging.post(
        "/modalities/peer/query",
        json={"Level": "Study", "Query": {"AccessionNumber": ACCESSION, "StudyInstanceUID": ""}},
    ).json()
    [answer] = staging.get(f"{query['Path']}/answers?expand&simplify").json()
    body = {"TargetAet": "STAGING", "Synchronous": True}
    staging.post(f"{query['Path']}/retrieve", json=body).raise_for_status()
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    response = staging.get(f"/dicom-web/studies/{answer['StudyInstanceUID']}", headers={"Accept": accept})
    boundary = re.search(r'boundary="?([^";]+)', response.headers["Content-Type"])
    assert boundary
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        source, out = Path(folder, "in"), Path(folder, "out")
        source.mkdir()
        out.mkdir()
        for number, part in enumerate(response.content.split(b"--" + boundary[1].encode())):
            start = part.find(b"\r\n\r\n")
            if start > 0:
                (source / f"{number:05d}.dcm").write_bytes(part[start + 4 : -2])
        subprocess.run(
            [dcm2niix.bin, "-z", "y", "-b", "n", "-f", "%s", "-o", str(out), str(source)],
            check=True, capture_output=True,
        )  # fmt: skip
        [made] = out.glob("*.nii.gz")
        return len(made.read_bytes())


def by_service(service: httpx.Client) -> int:
    """Through imaging-api; returns the size of the NIfTI."""
    project = str(uuid4())
    service.post("/imports", json={"project_id": project, "accessions": [ACCESSION]}).raise_for_status()
    while (status := service.get(f"/imports/{project}").json())["state"] == "RUNNING":
        time.sleep(0.02)
    assert status["studies"][0]["state"] == "IMPORTED", status
    parameters = {"project_id": project, "resource": "NIFTI"}
    answer = service.get(f"/studies/{ACCESSION}/files", params=parameters).raise_for_status()
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return len(archive.read("input_2.nii.gz"))


def empty(staging: httpx.Client) -> None:
    for patient in staging.get("/patients").json():
        staging.delete(f"/patients/{patient}").raise_for_status()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--slices", type=int, default=200)
    options = parser.parse_args()
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pacs_ports, staging_ports = (free_port(), free_port()), (free_port(), free_port())
        pacs = start_orthanc(stack, root / "pacs", "PACS", pacs_ports, ("STAGING", staging_ports[1]))
        staging = start_orthanc(stack, root / "staging", "STAGING", staging_ports, ("PACS", pacs_ports[1]))
        for content in make_slices(options.slices):
            pacs.post("/instances", content=content).raise_for_status()
        port = free_port()
        settings = {
            "IMAGING_STORE": "orthanc", "IMAGING_DATA_DIR": root / "data", "TRUST_INTERNAL_SERVICE_KEY": KEY,
            "ORTHANC_URL": str(staging.base_url), "ORTHANC_USERNAME": ACCOUNT[0], "ORTHANC_PASSWORD": ACCOUNT[1],
            "ORTHANC_PACS": "peer", "ORTHANC_AE_TITLE": "STAGING", "LOG_LEVEL": "WARNING",
        }  # fmt: skip
        (root / "env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        command = ["-m", "flip_trust.imaging", "--port", str(port), "--env-file", str(root / "env")]
        process = subprocess.Popen([sys.executable, *command])
        stack.callback(process.wait)
        stack.callback(process.terminate)
        headers = {"X-Trust-Internal-Service-Key": KEY}
        service = stack.enter_context(
            httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=120)
        )
        wait_for(service, "/health")
        seconds: dict[str, list[float]] = {"by hand": [], "imaging-api": []}
        sizes = {}
        for run in range(options.runs + 1):  # the first warms both up
            for name, taken in seconds.items():
                empty(staging)
                start = time.perf_counter()
                sizes[name] = by_hand(staging, root) if name == "by hand" else by_service(service)
                if run:
                    taken.append(time.perf_counter() - start)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        for name, values in seconds.items():
            spread = f"{min(values):.2f} to {max(values):.2f}"
            print(f"{name:12} median {medians[name]:.2f} s ({spread}), NIfTI {sizes[name] / 1e6:.1f} MB")
        ratio = medians["imaging-api"] / medians["by hand"]
        load = os.getloadavg()[0]
        print(f"ratio {ratio:.2f} (goal {GOAL} at most), {options.slices} slices, {options.runs} runs")
        print(f"machine: {os.cpu_count()} cores, load {load:.1f}, {platform.platform()}, {platform.python_version()}")
        raise SystemExit(ratio > GOAL)


if __name__ == "__main__":
    main()
