"""The imaging tests' stores, PACS, Orthancs and imaging-api."""

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest
from dicom_series import Phantom, world_values, write_segmentation, write_series
from imaging_service import KEY, KEY_HEADER, Conversion, Process, Service
from numpy.typing import NDArray
from orthanc_servers import DICOMWEB, ORTHANC, Orthanc, OrthancPair, orthanc_settings, start_orthanc
from pydantic import SecretStr
from tls_issuer import issuer
from xnat_servers import Xnat, start_xnat

from flip_fl.processes import free_port
from flip_trust.imaging.app import create_app
from flip_trust.imaging.convert import ConversionLimits, convert_study
from flip_trust.imaging.library import Library
from flip_trust.imaging.room import Room
from flip_trust.imaging.settings import ImagingSettings
from flip_trust.imaging.store import ImagingStore
from flip_trust.imaging.stores import DimseStore, FolderStore, OrthancStore, Peer, StagingOrthanc, TlsFiles
from flipctl.pacs import Pacs


@pytest.fixture(name="free_port")
def free_port_fixture() -> Callable[[], int]:
    return free_port


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

    pacs = start_orthanc(root / "pacs", "PACS", pacs_ports, {"staging": modality("STAGING", staging_ports[1])})
    staging = start_orthanc(root / "staging", "STAGING", staging_ports, {"pacs": modality("PACS", pacs_ports[1])})
    yield OrthancPair(pacs, staging)
    for orthanc in (pacs, staging):
        orthanc.kill()


@pytest.fixture(name="orthanc_settings")
def orthanc_settings_fixture(orthancs: OrthancPair) -> dict[str, Any]:
    return orthanc_settings(orthancs)


@pytest.fixture
def tls_files(tmp_path: Path) -> Callable[[str], TlsFiles]:
    """Issues certificates for `localhost`, by one CA."""
    return issuer(tmp_path / "tls")


@pytest.fixture
def xnat(tmp_path: Path, source: Path, pacs_of: PacsFactory) -> Iterator[Xnat]:
    """XNAT's stand-in before a PACS over the folder `source`."""
    receiver = Peer("XNAT", "127.0.0.1", free_port())
    pacs = pacs_of(source, receiver)
    started = start_xnat(tmp_path / "xnat", Peer("PACS", "127.0.0.1", pacs.port), receiver)
    yield started
    started.stand_in.stop()


@dataclass
class World:
    """A store, and the way to put files into the source behind it."""

    store: ImagingStore
    add: Callable[[list[Path]], None]
    source_files: Callable[[str], int]
    has_users: bool = False


@pytest.fixture(params=["folder", "dimse", "xnat", pytest.param("orthanc", marks=pytest.mark.orthanc)])
async def world(request: pytest.FixtureRequest, source: Path, pacs_of: PacsFactory) -> AsyncIterator[World]:
    """Every store there is, over its own source."""
    if request.param == "orthanc":
        pair: OrthancPair = request.getfixturevalue("orthancs")
        staging = StagingOrthanc(pair.staging.url, "svc", SecretStr("svcpass"), "pacs", "STAGING")
        store: ImagingStore = OrthancStore(staging, timeout_seconds=20)

        def count(accession: str) -> int:
            return len(pair.pacs.studies(accession))

        add = pair.pacs.upload
    else:

        def add(files: list[Path]) -> None:
            for path in files:
                (source / path.name).write_bytes(path.read_bytes())

        def count(accession: str) -> int:
            return len(list(source.glob(f"{accession}_*")))

        if request.param == "folder":
            store = FolderStore(source)
        elif request.param == "xnat":
            store = request.getfixturevalue("xnat").store()
        else:
            own = Peer("FLIP", "127.0.0.1", free_port())
            pacs = pacs_of(source, own)
            store = DimseStore(pacs=Peer("PACS", "127.0.0.1", pacs.port), own=own, timeout_seconds=20)
    await store.start()
    yield World(store, add, count, has_users=request.param == "xnat")
    await store.stop()


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
def source(tmp_path: Path) -> Path:
    """The folder behind the PACS, or the folder store."""
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
async def folder_service(source: Path, service_of: ServiceFactory) -> AsyncIterator[Service]:
    """imaging-api over the folder `source`."""
    async with service_of(imaging_store="folder", imaging_folder=source) as service:
        yield service


@pytest.fixture(name="world_values")
def world_values_fixture() -> Callable[[Path, Phantom], NDArray[np.float64]]:
    return world_values


@pytest.fixture
def process_of(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts `python -m flip_trust.imaging` with these settings over quick defaults."""
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
        started.append(start_orthanc(folder, "PACS", (free_port(), free_port()), modalities, extra))
        return started[-1]

    yield start
    for orthanc in started:
        orthanc.kill()


@pytest.fixture
def lost_connections() -> Iterator[None]:
    """Collects, while the test's warning filter holds, the sockets that pynetdicom forgot to close."""
    yield
    gc.collect()


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path / "library")
    library.open()
    yield library
    library.close()


@pytest.fixture
def convert(library: Library, tmp_path: Path) -> Callable[..., Conversion]:
    """Commits these files as a study and converts it."""

    def run(files: list[Path], **limits: Any) -> Conversion:
        fetched, out = tmp_path / f"f{uuid4()}", tmp_path / f"o{uuid4()}"
        fetched.mkdir()
        out.mkdir()
        for number, path in enumerate(files):
            shutil.copy(path, fetched / f"{number}.dcm")
        within = replace(ConversionLimits(60, 10**9, 2 * 10**9), **limits)
        convert_study(library.commit(UUID(int=1), "A1", fetched), out, within, Room(tmp_path, 0))
        return Conversion(out)

    return run


@pytest.fixture
def own() -> Peer:
    """The AE that imaging-api listens with."""
    return Peer("FLIP", "127.0.0.1", free_port())
