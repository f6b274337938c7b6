"""Volumes of known geometry, a PACS, a staging Orthanc, and imaging-api over them."""

import gc
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import highdicom
import httpx
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydantic import SecretStr
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, RLELossless, generate_uid

from flip_trust.imaging.app import create_app
from flip_trust.imaging.settings import ImagingSettings
from flip_trust.imaging.store import ImagingStore
from flip_trust.imaging.stores import DimseStore, FolderStore, OrthancStore, Peer, StagingOrthanc
from flipctl.pacs import Pacs

ORTHANC = Path("/usr/sbin/Orthanc")
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
KEY = "an-internal-key-for-tests-only"
KEY_HEADER = "X-Trust-Internal-Service-Key"
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass
class Phantom:
    """A generated series: voxels [column, row, slice] in scanner units, and their affine to RAS millimetres."""

    accession: str
    study_uid: str
    series_uid: str
    voxels: NDArray[np.int32]
    affine: NDArray[np.float64]
    files: list[Path] = field(default_factory=list)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(name="free_port")
def free_port_fixture() -> Callable[[], int]:
    return free_port


def oblique(angle_x: float = 0.2, angle_z: float = -0.15) -> NDArray[np.float64]:
    """A right-handed set of row, column and slice directions that is parallel to no axis."""
    cx, sx, cz, sz = np.cos(angle_x), np.sin(angle_x), np.cos(angle_z), np.sin(angle_z)
    turn_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    turn_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return turn_x @ turn_z


def write_series(
    folder: Path,
    accession: str,
    *,
    slices: int = 12,
    shape: tuple[int, int] = (40, 32),
    number: int = 2,
    study_uid: str | None = None,
    directions: NDArray[np.float64] | None = None,
    reverse: bool = False,
    compress: bool = False,
    seed: int = 0,
    tag: str = "",
) -> Phantom:
    """Writes an MR series of smooth, asymmetric, positive values with a bright block; returns the truth."""
    folder.mkdir(parents=True, exist_ok=True)
    columns, rows = shape
    axes = oblique() if directions is None else directions
    spacing, origin = np.array([0.9, 1.1, 2.5]), np.array([-20.0, 15.0, -30.0])
    rng = np.random.default_rng(seed)
    x, y, z = np.ogrid[:columns, :rows, :slices]
    voxels = (100 + 3 * x + 5 * y + 7 * z + rng.integers(0, 20, (columns, rows, slices))).astype(np.int32)
    voxels[columns // 2 : columns // 2 + 8, 4:10, slices // 2 : slices // 2 + 3] = 2000
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes * spacing, origin
    phantom = Phantom(
        accession,
        study_uid or generate_uid(entropy_srcs=[accession, "study"]),
        generate_uid(entropy_srcs=[accession, str(number), tag, "series"]),
        voxels,
        LPS_TO_RAS @ affine,
    )
    frame = generate_uid(entropy_srcs=[accession, "frame"])
    for index in range(slices):
        data = _slice(phantom, frame, index, number, axes, spacing, origin)
        data.InstanceNumber = slices - index if reverse else index + 1
        if compress:
            data.compress(RLELossless)
        path = folder / f"{accession}_{number}{tag}_{index:04d}.dcm"
        data.save_as(path, enforce_file_format=True)
        phantom.files.append(path)
    return phantom


def _slice(
    phantom: Phantom,
    frame: str,
    index: int,
    number: int,
    axes: NDArray[np.float64],
    spacing: NDArray[np.float64],
    origin: NDArray[np.float64],
) -> Dataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[phantom.series_uid, str(index)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = phantom.study_uid, phantom.series_uid
    data.FrameOfReferenceUID, data.PositionReferenceIndicator = frame, ""
    data.AccessionNumber, data.PatientID, data.PatientName = phantom.accession, "P1", "DOE^JANE"
    data.PatientBirthDate, data.PatientSex, data.StudyID = "19600101", "O", "1"
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = "20240115"
    data.StudyTime = data.SeriesTime = data.AcquisitionTime = data.ContentTime = "101500"
    data.ReferringPhysicianName, data.InstitutionName = "", "St Elsewhere"
    data.StudyDescription, data.SeriesDescription = "BRAIN", "T1 OBLIQUE"
    data.ImageComments = "seen by Dr Who"
    data.Modality, data.Manufacturer, data.ManufacturerModelName = "MR", "SIEMENS", "Phantom"
    data.DeviceSerialNumber, data.SoftwareVersions = "1", "1"
    data.SeriesNumber, data.AcquisitionNumber = number, 1
    data.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    data.ImageOrientationPatient = [*map(float, axes[:, 0]), *map(float, axes[:, 1])]
    data.ImagePositionPatient = [float(value) for value in origin + axes[:, 2] * spacing[2] * index]
    data.PixelSpacing = [float(spacing[1]), float(spacing[0])]
    data.SliceThickness = data.SpacingBetweenSlices = float(spacing[2])
    data.Columns, data.Rows = phantom.voxels.shape[:2]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    data.EchoTime, data.RepetitionTime, data.FlipAngle, data.MagneticFieldStrength = 3.0, 2000.0, 9.0, 3.0
    data.ScanningSequence, data.SequenceVariant, data.ScanOptions, data.MRAcquisitionType = "GR", "SP", "", "3D"
    data.EchoTrainLength = 1
    data.PixelData = np.ascontiguousarray(phantom.voxels[:, :, index].T).astype("<u2").tobytes()
    return data


def write_segmentation(folder: Path, phantom: Phantom, labels: NDArray[np.uint8], number: int = 100) -> Path:
    """Writes `labels` [column, row, slice] as a DICOM-SEG of the phantom's series."""
    sources = [pydicom.dcmread(path) for path in phantom.files]
    descriptions = [
        highdicom.seg.SegmentDescription(
            segment_number=value,
            segment_label=f"label {value}",
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Neoplasm,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for value in range(1, int(labels.max()) + 1)
    ]
    segmentation = highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=np.ascontiguousarray(labels.transpose(2, 1, 0)),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        series_instance_uid=generate_uid(entropy_srcs=[phantom.series_uid, "seg", str(number)]),
        series_number=number,
        sop_instance_uid=generate_uid(entropy_srcs=[phantom.series_uid, "seg instance", str(number)]),
        instance_number=1,
        manufacturer="FLIP",
        manufacturer_model_name="tests",
        software_versions="1",
        device_serial_number="1",
    )
    path = folder / f"{phantom.accession}_seg{number}.dcm"
    segmentation.save_as(path)
    return path


@dataclass
class Make:
    """The generators, for tests."""

    series: Callable[..., Phantom] = write_series
    segmentation: Callable[..., Path] = write_segmentation


@pytest.fixture
def make() -> Make:
    return Make()


PacsFactory = Callable[..., Pacs]


@pytest.fixture
def pacs_of(tmp_path: Path) -> Iterator[PacsFactory]:
    """Starts a PACS over a folder that knows these peers."""
    started: list[Pacs] = []

    def start(folder: Path, *peers: Peer, port: int = 0) -> Pacs:
        folder.mkdir(exist_ok=True)
        started.append(Pacs("PACS", folder, list(peers), host="127.0.0.1", port=port))
        return started[-1]

    yield start
    for pacs in started:
        pacs.stop()


@dataclass
class Orthanc:
    """A running Orthanc."""

    ae_title: str
    http_port: int
    dicom_port: int
    process: subprocess.Popen[bytes]

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


def _start_orthanc(
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


@pytest.fixture(scope="session")
def orthanc_installed() -> None:
    """Skips without Orthanc, but never where everything has to be there."""
    if not (ORTHANC.exists() and DICOMWEB.exists()):
        reason = "Orthanc with its DICOMweb plugin is not installed: apt-get install orthanc orthanc-dicomweb"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def orthancs(tmp_path_factory: pytest.TempPathFactory, orthanc_installed: None) -> Iterator[OrthancPair]:
    root = tmp_path_factory.mktemp("orthanc")
    pacs_ports, staging_ports = (free_port(), free_port()), (free_port(), free_port())

    def modality(ae_title: str, port: int) -> dict[str, Any]:
        rights = dict.fromkeys(("AllowEcho", "AllowFind", "AllowGet", "AllowMove", "AllowStore"), True)
        return {"AET": ae_title, "Host": "127.0.0.1", "Port": port, **rights}

    pacs = _start_orthanc(root / "pacs", "PACS", pacs_ports, {"staging": modality("STAGING", staging_ports[1])})
    staging = _start_orthanc(root / "staging", "STAGING", staging_ports, {"pacs": modality("PACS", pacs_ports[1])})
    yield OrthancPair(pacs, staging)
    for orthanc in (pacs, staging):
        orthanc.process.send_signal(signal.SIGKILL)
        orthanc.process.wait()


def orthanc_settings(pair: OrthancPair) -> dict[str, Any]:
    return {
        "imaging_store": "orthanc",
        "orthanc_url": pair.staging.url,
        "orthanc_username": "svc",
        "orthanc_password": "svcpass",
        "orthanc_pacs": "pacs",
        "orthanc_ae_title": "STAGING",
    }


@pytest.fixture(name="orthanc_settings")
def orthanc_settings_fixture(orthancs: OrthancPair) -> dict[str, Any]:
    return orthanc_settings(orthancs)


@dataclass
class World:
    """A store, and the way to put files into the source behind it."""

    store: ImagingStore
    add: Callable[[list[Path]], None]
    source_files: Callable[[str], int]


@pytest.fixture(params=["folder", "dimse", pytest.param("orthanc", marks=pytest.mark.orthanc)])
async def world(request: pytest.FixtureRequest, tmp_path: Path, pacs_of: PacsFactory) -> AsyncIterator[World]:
    """Every store there is, over its own source."""
    if request.param == "orthanc":
        pair: OrthancPair = request.getfixturevalue("orthancs")
        staging = StagingOrthanc(pair.staging.url, "svc", SecretStr("svcpass"), "pacs", "STAGING")
        store: ImagingStore = OrthancStore(staging, timeout_seconds=20)

        def count(accession: str) -> int:
            return len(pair.pacs.studies(accession))

        add = pair.pacs.upload
    else:
        source = tmp_path / "source"
        source.mkdir()

        def add(files: list[Path]) -> None:
            for path in files:
                (source / path.name).write_bytes(path.read_bytes())

        def count(accession: str) -> int:
            return len(list(source.glob(f"{accession}_*")))

        if request.param == "folder":
            store = FolderStore(source)
        else:
            own = Peer("FLIP", "127.0.0.1", free_port())
            pacs = pacs_of(source, own)
            store = DimseStore(pacs=Peer("PACS", "127.0.0.1", pacs.port), own=own, timeout_seconds=20)
    await store.start()
    yield World(store, add, count)
    await store.stop()


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
            await _pause()

    async def files(self, project: Any, accession: str, resource: str = "NIFTI") -> httpx.Response:
        return await self.client.get(
            f"/studies/{accession}/files", params={"project_id": str(project), "resource": resource}
        )


async def _pause() -> None:
    import asyncio

    await asyncio.sleep(0.02)


class ServiceFactory(Protocol):
    def __call__(self, **settings: Any) -> AbstractAsyncContextManager[Service]: ...


@pytest.fixture
def service_of(tmp_path: Path) -> ServiceFactory:
    """Runs imaging-api in this process, with these settings over quick defaults."""

    @asynccontextmanager
    async def run(**given: Any) -> AsyncIterator[Service]:
        settings: dict[str, Any] = {
            "imaging_data_dir": tmp_path / "data",
            "trust_internal_service_key": KEY,
            "import_backoff_seconds": 0.05,
            "import_attempts": 2,
            "pacs_timeout_seconds": 10,
            **given,
        }
        app = create_app(ImagingSettings(**settings))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://imaging", headers={KEY_HEADER: KEY}) as client,
        ):
            yield Service(client, app)

    return run


@pytest.fixture
async def folder_service(tmp_path: Path, service_of: ServiceFactory) -> AsyncIterator[Service]:
    """imaging-api over the folder `tmp_path/source`."""
    (tmp_path / "source").mkdir()
    async with service_of(imaging_store="folder", imaging_folder=tmp_path / "source") as service:
        yield service


def world_values(nifti: Path, phantom: Phantom) -> NDArray[np.float64]:
    """The NIfTI's voxels in the phantom's order, found through both affines, never through the index."""
    import nibabel

    image = nibabel.load(nifti)
    shape = phantom.voxels.shape
    assert sorted(image.shape) == sorted(shape)
    to_image = np.linalg.inv(image.affine) @ phantom.affine
    grid = np.stack([*np.indices(shape).reshape(3, -1), np.ones(np.prod(shape))])
    found = (to_image @ grid)[:3]
    index = np.rint(found).astype(int)
    assert np.abs(found - index).max() < 0.01
    values: NDArray[np.float64] = image.get_fdata()[tuple(index)].reshape(shape)
    return values


@pytest.fixture(name="world_values")
def world_values_fixture() -> Callable[[Path, Phantom], NDArray[np.float64]]:
    return world_values


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


@pytest.fixture
def process_of(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts `python -m flip_trust.imaging` with these settings over quick defaults."""
    import sys

    started: list[Process] = []

    def start(**given: Any) -> Process:
        settings = {
            "imaging_data_dir": tmp_path / "data",
            "trust_internal_service_key": KEY,
            "import_backoff_seconds": 0.1,
            **given,
        }
        env_file, log, port = tmp_path / "imaging.env", tmp_path / f"log{len(started)}", free_port()
        env_file.write_text("".join(f"{name.upper()}={value}\n" for name, value in settings.items()))
        command = [sys.executable, "-m", "flip_trust.imaging", "--port", str(port), "--env-file", str(env_file)]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        started.append(Process(process, port, log))
        started[-1].wait_for(lambda client: client.get("/health").is_success)
        return started[-1]

    yield start
    for item in started:
        if item.process.poll() is None:
            item.kill()


@pytest.fixture
def orthanc_of(tmp_path: Path, orthanc_installed: None) -> Iterator[Callable[..., Orthanc]]:
    """Starts one more Orthanc PACS, with extra configuration."""
    started: list[Orthanc] = []

    def start(modalities: dict[str, Any], **extra: Any) -> Orthanc:
        folder = tmp_path / f"orthanc{len(started)}"
        started.append(_start_orthanc(folder, "PACS", (free_port(), free_port()), modalities, extra))
        return started[-1]

    yield start
    for orthanc in started:
        orthanc.process.send_signal(signal.SIGKILL)
        orthanc.process.wait()


@pytest.fixture
def lost_connections() -> Iterator[None]:
    """Collects, while the test's warning filter holds, the sockets that pynetdicom forgot to close."""
    yield
    gc.collect()
