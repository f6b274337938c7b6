"""What breaks: the PACS, the network, the disk, the process."""

import datetime
import resource
import signal
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydicom import Dataset, dcmread
from pynetdicom import AE
from pynetdicom.sop_class import MRImageStorage, Verification

from flip_trust.imaging.store import StoreError, StoreUnavailable
from flip_trust.imaging.stores import DimseStore, Peer, TlsFiles
from flipctl.pacs import Pacs

PROJECT = uuid4()


# pynetdicom 3.0 leaves the socket of a connection that failed to the garbage collector, which warns.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.usefixtures("lost_connections"),
]


class DroppingPacs(Pacs):
    """Breaks its first C-MOVE off after two instances."""

    drops = 1

    def _move(self, event: Any) -> Iterator[Any]:
        for number, step in enumerate(super()._move(event)):
            yield step
            if number == 3 and self.drops:
                self.drops -= 1
                event.assoc.abort()
                return


class BoastingPacs(Pacs):
    """Says it has one instance more than it has."""

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        for status, answer in super()._find(event):
            if answer is not None:
                answer.NumberOfStudyRelatedInstances += 1
            yield status, answer


class LenientPacs(Pacs):
    """Ignores what it is asked for, as a PACS does that does not know the key."""

    def _matching(self, query: Dataset) -> list[tuple[Path, Dataset]]:
        return list(self._instances()) if query.get("AccessionNumber") else super()._matching(query)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
def own(free_port: Any) -> Peer:
    return Peer("FLIP", "127.0.0.1", free_port())


def dimse(pacs_port: int, own: Peer) -> dict[str, Any]:
    return {
        "imaging_store": "dimse",
        "pacs_ae_title": "PACS",
        "pacs_host": "127.0.0.1",
        "pacs_port": pacs_port,
        "imaging_ae_title": own.ae_title,
        "imaging_ae_host": own.host,
        "imaging_ae_port": own.port,
    }


async def test_a_pacs_that_is_down_then_up(
    service_of: Any, pacs_of: Any, make: Any, source: Path, own: Peer, free_port: Any
) -> None:
    make.series(source, "A1", slices=3)
    port = free_port()
    async with service_of(**dimse(port, own)) as service:
        study = (await service.imports(PROJECT, "A1"))["A1"]
        assert (study["state"], study["attempts"]) == ("FAILED", 2)
        assert study["reason"] == f"PACS PACS at 127.0.0.1:{port} is away"
        pacs_of(source, own, port=port)
        await service.client.post(f"/imports/{PROJECT}/retry")
        study = (await service.done(PROJECT))["A1"]
        assert (study["state"], study["reason"], study["attempts"]) == ("IMPORTED", "", 3)


async def test_a_pacs_that_comes_back_during_the_attempts(
    service_of: Any, pacs_of: Any, make: Any, source: Path, own: Peer, free_port: Any
) -> None:
    make.series(source, "A1", slices=3)
    port = free_port()
    settings = {**dimse(port, own), "import_attempts": 50}
    async with service_of(**settings) as service:
        body = {"project_id": str(PROJECT), "accessions": ["A1"]}
        await service.client.post("/imports", json=body)
        while (await service.client.get(f"/imports/{PROJECT}")).json()["studies"][0]["attempts"] < 2:
            pass
        pacs_of(source, own, port=port)
        assert (await service.done(PROJECT))["A1"]["state"] == "IMPORTED"


async def test_a_pacs_that_drops_in_the_middle_of_c_move(service_of: Any, make: Any, source: Path, own: Peer) -> None:
    make.series(source, "A1")
    pacs = DroppingPacs("PACS", source, [own], host="127.0.0.1", port=0)
    try:
        async with service_of(**dimse(pacs.port, own)) as service:
            study = (await service.imports(PROJECT, "A1"))["A1"]
            assert (study["state"], study["images"], study["attempts"]) == ("IMPORTED", 12, 2)
            pacs.drops = 9
            make.series(source, "A2")
            study = (await service.imports(PROJECT, "A2"))["A2"]
            assert (study["state"], study["images"]) == ("FAILED", 0)
            assert "broke off" in study["reason"]
    finally:
        pacs.stop()


async def test_fewer_instances_than_announced_are_not_a_study(
    make: Any, source: Path, own: Peer, tmp_path: Path
) -> None:
    make.series(source, "A1", slices=3)
    pacs = BoastingPacs("PACS", source, [own], host="127.0.0.1", port=0)
    store = DimseStore(pacs=Peer("PACS", "127.0.0.1", pacs.port), own=own, timeout_seconds=5)
    await store.start()
    try:
        with pytest.raises(StoreUnavailable, match="3 of the study's 4 instances arrived"):
            await store.fetch(PROJECT, "A1", tmp_path / "source")
    finally:
        await store.stop()
        pacs.stop()


async def test_a_pacs_that_ignores_the_accession_brings_nothing_foreign(
    service_of: Any, make: Any, source: Path, own: Peer
) -> None:
    for accession in ("A1", "A2", "A3"):
        make.series(source, accession, slices=2)
    pacs = LenientPacs("PACS", source, [own], host="127.0.0.1", port=0)
    try:
        async with service_of(**dimse(pacs.port, own)) as service:
            studies = await service.imports(PROJECT, "A1", "A9")
            assert studies["A9"]["state"] == "MISSING"
            assert (studies["A1"]["state"], studies["A1"]["images"]) == ("IMPORTED", 2)
    finally:
        pacs.stop()


async def test_a_pacs_that_does_not_know_us(service_of: Any, pacs_of: Any, make: Any, source: Path, own: Peer) -> None:
    make.series(source, "A1", slices=2)
    stranger = pacs_of(source, Peer("OTHER", "127.0.0.1", 1))
    async with service_of(**dimse(stranger.port, own)) as service:
        assert "does it know our AE title" in (await service.imports(PROJECT, "A1"))["A1"]["reason"]


async def test_a_pacs_that_cannot_reach_us_back(
    service_of: Any, pacs_of: Any, make: Any, source: Path, own: Peer, free_port: Any
) -> None:
    make.series(source, "A1", slices=2)
    pacs = pacs_of(source, Peer(own.ae_title, own.host, free_port()))
    async with service_of(**dimse(pacs.port, own)) as service:
        study = (await service.imports(PROJECT, "A1"))["A1"]
        assert study["state"] == "FAILED"
        assert "C-MOVE" in study["reason"]


async def test_an_own_port_that_is_taken_stops_the_start(service_of: Any, pacs_of: Any, tmp_path: Path) -> None:
    taken = pacs_of(tmp_path / "pacs", Peer("X", "127.0.0.1", 1)).port
    with pytest.raises(StoreError, match=f"cannot listen for the PACS on 127.0.0.1:{taken}"):
        async with service_of(**dimse(1, Peer("FLIP", "127.0.0.1", taken))):
            pass


@pytest.mark.parametrize(("calling", "called"), [("STRANGER", "FLIP"), ("PACS", "OTHER")])
async def test_strangers_cannot_associate(service_of: Any, own: Peer, calling: str, called: str) -> None:
    async with service_of(**dimse(1, own)):
        application = AE(ae_title=calling)
        application.add_requested_context(Verification)
        association = application.associate(own.host, own.port, ae_title=called)
        assert association.is_rejected


async def test_what_was_not_asked_for_is_not_taken(service_of: Any, make: Any, tmp_path: Path, own: Peer) -> None:
    phantom = make.series(tmp_path / "made", "A1", slices=1)
    async with service_of(**dimse(1, own)):
        application = AE(ae_title="PACS")
        application.add_requested_context(MRImageStorage)
        association = application.associate(own.host, own.port, ae_title=own.ae_title)
        assert association.send_c_store(dcmread(phantom.files[0])).Status == 0x0124
        association.release()
    assert list((tmp_path / "data").rglob("*.dcm")) == []


async def test_a_poisoned_study_never_stops_the_others(folder_service: Any, make: Any, source_of: Path) -> None:
    good = [f"GOOD{number}" for number in range(4)]
    for accession in good:
        make.series(source_of, accession, slices=3)
    poisoned = make.series(source_of, "POISON", slices=3)
    poisoned.files[1].write_bytes(poisoned.files[1].read_bytes()[:-200])
    studies = await folder_service.imports(PROJECT, "POISON", "GONE", "A*", *good)
    assert {name: studies[name]["state"] for name in studies} == {
        **dict.fromkeys(good, "IMPORTED"),
        "POISON": "IMPORTED",
        "GONE": "MISSING",
        "A*": "FAILED",
    }
    assert "cut short" in studies["POISON"]["reason"]
    assert (await folder_service.files(PROJECT, "POISON")).status_code == 404


@pytest.fixture
def source_of(tmp_path: Path) -> Path:
    return tmp_path / "source"


async def test_an_unforeseen_error_is_one_studys_trouble(
    folder_service: Any, make: Any, source_of: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.series(source_of, "A1", slices=3)
    make.series(source_of, "A2", slices=3)
    fetch = folder_service.app.state.store.fetch

    async def explode(project: Any, accession: str, folder: Path) -> None:
        if accession == "A1":
            raise ZeroDivisionError
        await fetch(project, accession, folder)

    monkeypatch.setattr(folder_service.app.state.store, "fetch", explode)
    studies = await folder_service.imports(PROJECT, "A1", "A2")
    assert studies["A1"]["state"] == "FAILED"
    assert studies["A1"]["reason"].startswith("unforeseen ZeroDivisionError")
    assert studies["A2"]["state"] == "IMPORTED"


def test_kill_9_in_the_middle_then_a_restart_finishes(
    process_of: Any, pacs_of: Any, make: Any, source: Path, own: Peer, tmp_path: Path
) -> None:
    accessions = [f"A{number:02d}" for number in range(8)]
    for accession in accessions:
        make.series(source, accession, slices=4)
    settings = {**dimse(pacs_of(source, own).port, own), "import_concurrency": 2}
    first = process_of(**settings)
    first.imports(PROJECT, *accessions)

    def midway(client: Any) -> bool:
        states = [study["state"] for study in client.get(f"/imports/{PROJECT}").json()["studies"]]
        return "IMPORTED" in states and "IMPORTING" in states

    first.wait_for(midway)
    first.kill()
    (tmp_path / "data" / "incoming" / "left").mkdir()
    second = process_of(**settings)
    studies = second.done(PROJECT)
    assert {(study["state"], study["images"]) for study in studies.values()} == {("IMPORTED", 4)}
    assert list((tmp_path / "data" / "incoming").iterdir()) == []
    with second.client() as client:
        for accession in accessions:
            for wanted, members in (("NIFTI", 1), ("DICOM", 4)):
                answer = client.get(
                    f"/studies/{accession}/files", params={"project_id": str(PROJECT), "resource": wanted}
                )
                with zipfile.ZipFile(BytesIO(answer.content)) as archive:
                    assert len(archive.namelist()) == members
    assert second.kill(signal.SIGTERM) in {0, -signal.SIGTERM}


def limit_files(process: Any, size: int) -> None:
    _, hard = resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, (size, hard))


@pytest.mark.parametrize("kind", ["folder", "dimse"])
def test_a_full_disk_fails_the_study_clearly_and_room_cures_it(
    process_of: Any, pacs_of: Any, make: Any, source: Path, own: Peer, tmp_path: Path, kind: str
) -> None:
    make.series(source, "BIG", slices=2, shape=(600, 600))
    make.series(source, "SMALL", slices=2)
    settings: dict[str, Any] = {"imaging_store": "folder", "imaging_folder": source}
    if kind == "dimse":
        settings = dimse(pacs_of(source, own).port, own)
    process = process_of(**settings)
    limit_files(process, 500_000)
    process.imports(PROJECT, "BIG", "SMALL")
    studies = process.done(PROJECT)
    assert studies["SMALL"]["state"] == "IMPORTED"
    assert studies["BIG"]["state"] == "FAILED"
    assert studies["BIG"]["reason"] == "the disk is full: make room in IMAGING_DATA_DIR, then retry"
    assert list((tmp_path / "data").rglob("BIG/*")) == []
    assert list((tmp_path / "data" / "incoming").iterdir()) == []
    limit_files(process, resource.RLIM_INFINITY)
    with process.client() as client:
        client.post(f"/imports/{PROJECT}/retry").raise_for_status()
    assert process.done(PROJECT)["BIG"]["state"] == "IMPORTED"


def test_no_room_for_the_conversion_or_a_resource_or_the_ledger(
    process_of: Any, make: Any, source: Path, tmp_path: Path
) -> None:
    make.series(source, "BIG", slices=20, shape=(200, 200))
    process = process_of(imaging_store="folder", imaging_folder=source)
    limit_files(process, 300_000)  # room for each slice, not for the volume
    process.imports(PROJECT, "BIG")
    study = process.done(PROJECT)["BIG"]
    assert (study["state"], study["reason"]) == (
        "FAILED",
        "the disk is full: make room in IMAGING_DATA_DIR, then retry",
    )
    limit_files(process, resource.RLIM_INFINITY)
    with process.client() as client:
        client.post(f"/imports/{PROJECT}/retry").raise_for_status()
        assert process.done(PROJECT)["BIG"]["state"] == "IMPORTED"
        limit_files(process, 300_000)
        answer = client.put(
            "/studies/BIG/resources", params={"project_id": str(PROJECT), "name": "x"}, content=bytes(400_000)
        )
        assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
        limit_files(process, 0)
        body = {"project_id": str(PROJECT), "accessions": ["NEW"]}
        answer = client.post("/imports", json=body)
        assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
        limit_files(process, resource.RLIM_INFINITY)
        client.post("/imports", json=body).raise_for_status()
    studies = process.done(PROJECT)
    assert (studies["BIG"]["state"], studies["NEW"]["state"]) == ("IMPORTED", "MISSING")


@pytest.fixture
def tls_files(tmp_path: Path) -> Any:
    """A CA and certificates for `localhost` by it, as PEM files."""
    folder = tmp_path / "tls"
    folder.mkdir()
    now = datetime.datetime.now(datetime.UTC)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests CA")])

    def write(name: str, subject: x509.Name, key: Any, authority: bool) -> TlsFiles:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        )
        certificate = builder.sign(ca_key, hashes.SHA256())
        paths = TlsFiles(folder / "ca.pem", folder / f"{name}.pem", folder / f"{name}.key")
        paths.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return paths

    write("ca", ca_name, ca_key, authority=True)

    def issue(name: str) -> TlsFiles:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return write(name, subject, ec.generate_private_key(ec.SECP256R1()), authority=False)

    return issue


@pytest.mark.orthanc
async def test_dicom_over_tls_both_ways(
    orthanc_of: Any, tls_files: Any, service_of: Any, make: Any, tmp_path: Path, own: Peer
) -> None:
    theirs, ours = tls_files("pacs"), tls_files("flip")
    rights = dict.fromkeys(("AllowEcho", "AllowFind", "AllowMove", "AllowStore"), True)
    modality = {"AET": own.ae_title, "Host": "localhost", "Port": own.port, "UseDicomTls": True, **rights}
    pacs = orthanc_of(
        {"flip": modality},
        DicomTlsEnabled=True,
        DicomTlsCertificate=str(theirs.certificate),
        DicomTlsPrivateKey=str(theirs.key),
        DicomTlsTrustedCertificates=str(theirs.ca),
        DicomTlsRemoteCertificateRequired=True,
    )
    phantom = make.series(tmp_path / "made", "A1", slices=3)
    pacs.upload(phantom.files)
    settings = {**dimse(pacs.dicom_port, own), "pacs_host": "localhost"}
    settings |= {
        "pacs_tls_ca": ours.ca,
        "pacs_tls_certificate": ours.certificate,
        "pacs_tls_key": ours.key,
    }
    async with service_of(**settings) as service:
        study = (await service.imports(PROJECT, "A1"))["A1"]
        assert (study["state"], study["images"]) == ("IMPORTED", 3)
