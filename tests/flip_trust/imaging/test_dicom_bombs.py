"""Studies that are huge when unpacked, or huge on the wire, take neither service nor disk down."""

import os
import struct
import time
import zlib
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pydicom
import pytest
from dicom_series import write_series
from faulty_pacs import DroppingPacs
from imaging_service import dimse_settings, intake_to
from pydicom.uid import DeflatedExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.sop_class import MRImageStorage

from flip_trust.imaging import dicom
from flip_trust.imaging.dicom import UnreadableFile, read_instance, study_of
from flip_trust.imaging.intake import TooLarge
from flip_trust.imaging.room import NoRoom
from flip_trust.imaging.store import StoreUnavailable
from flip_trust.imaging.stores import Peer
from flip_trust.imaging.stores.landing import Landing

PROJECT = uuid4()
# pynetdicom 3.0 leaves the socket of a connection that failed to the garbage collector, which warns.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.usefixtures("lost_connections"),
]


def declare(path: Path, **elements: Any) -> None:
    """Makes the header say something else; the pixel data stay."""
    data = pydicom.dcmread(path)
    for keyword, value in elements.items():
        setattr(data, keyword, value)
    data.save_as(path)


def deflated(folder: Path, pixel_bytes: int) -> Path:
    """A deflated file whose zeros take a thousandth of what they come to."""
    path = write_series(folder, "A1", slices=1).files[0]
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data.Rows, data.Columns = 1000, pixel_bytes // 2000
    data.PixelData = bytes(pixel_bytes)
    data.save_as(path)
    return path


async def test_an_instance_that_never_ends_is_broken_off(
    service_of: Any, pacs_of: Any, make: Any, source: Path, own: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    make.series(source, "HUGE", slices=1, shape=(3000, 3000))
    make.series(source, "A1", slices=3)
    settings = dimse_settings(pacs_of(source, own).port, own) | {"instance_max_bytes": 1_000_000}
    async with service_of(**settings) as service:
        studies = await service.imports(PROJECT, "HUGE", "A1")
    assert studies["A1"]["state"] == "IMPORTED"
    assert (studies["HUGE"]["state"], studies["HUGE"]["attempts"]) == ("FAILED", 1)
    assert studies["HUGE"]["reason"].startswith("an instance is over INSTANCE_MAX_BYTES=1000000 bytes: raise it")
    assert "broke an association off" in caplog.text


async def test_a_pdu_that_never_ends_is_broken_off(service_of: Any, own: Peer) -> None:
    async with service_of(**dimse_settings(1, own)):
        application = AE(ae_title="PACS")
        application.add_requested_context(MRImageStorage)
        association = application.associate(own.host, own.port, ae_title=own.ae_title)
        assert association.is_established
        association.dul.socket.socket.sendall(struct.pack(">BBL", 4, 0, 2**32 - 1) + bytes(100))
        deadline = time.monotonic() + 5
        while association.is_established:
            assert time.monotonic() < deadline
            time.sleep(0.02)


async def test_a_header_that_declares_gigabytes_is_not_unpacked(folder_service: Any, make: Any, source: Path) -> None:
    for path in make.series(source, "BOMB", slices=2, compress=True).files:
        declare(path, Rows=60_000, Columns=60_000)
    make.series(source, "A1", slices=3)
    studies = await folder_service.imports(PROJECT, "BOMB", "A1")
    assert (studies["A1"]["state"], studies["A1"]["reason"]) == ("IMPORTED", "")
    bomb = studies["BOMB"]
    assert (bomb["state"], bomb["images"]) == ("IMPORTED", 2)
    assert bomb["reason"] == (
        "series 2 cannot be converted: it declares images of 14400000000 bytes, over CONVERSION_MAX_BYTES=4000000000"
    )
    assert (await folder_service.files(PROJECT, "BOMB")).json()["reason"] == bomb["reason"]
    assert (await folder_service.files(PROJECT, "BOMB", "DICOM")).status_code == 200


async def test_frames_count_as_well(convert: Any, make: Any, tmp_path: Path) -> None:
    phantom = make.series(tmp_path / "made", "A1", slices=1, compress=True)
    declare(phantom.files[0], NumberOfFrames=1_000_000)
    assert read_instance(phantom.files[0]).unpacked == 40 * 32 * 2 * 1_000_000
    assert "over CONVERSION_MAX_BYTES=1000000000" in convert(phantom.files).reason


def test_the_converter_gets_no_more_memory_than_allowed(convert: Any, make: Any, tmp_path: Path) -> None:
    phantom = make.series(tmp_path / "made", "A1", slices=40, shape=(800, 800))
    assert convert(phantom.files, memory_bytes=400_000_000).reason == ""
    done = convert(phantom.files, memory_bytes=70_000_000)
    assert done.files == []
    assert done.reason.startswith("series 2 cannot be converted: dcm2niix ended by SIG")
    assert done.reason.endswith("it may take CONVERSION_MEMORY_BYTES=70000000 of memory")


@pytest.fixture
def converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Has this shell command run in the place of dcm2niix, whose output folder is `$8`."""

    def stand_in(command: str) -> None:
        script = tmp_path / "converter"
        script.write_text(f"#!/bin/sh\n{command}\n")
        script.chmod(0o755)
        monkeypatch.setattr("dcm2niix.bin", str(script))

    return stand_in


def test_pixel_data_that_unpack_to_more_than_declared_are_given_up(
    convert: Any, make: Any, tmp_path: Path, converter: Any
) -> None:
    converter('exec /usr/bin/head -c 3000000 /dev/zero > "$8/volume.nii"')
    done = convert(make.series(tmp_path / "made", "A1").files, unpacked_bytes=1_000_000)
    assert done.reason == "series 2 cannot be converted: its volume takes over twice CONVERSION_MAX_BYTES=1000000"


def test_a_conversion_that_fills_the_disk_is_ended(
    convert: Any, make: Any, tmp_path: Path, converter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    converter(f"echo $$ > {tmp_path}/pid; exec /usr/bin/sleep 60")
    free = iter([10**9, 10**9, *[-1] * 100])
    monkeypatch.setattr("flip_trust.imaging.room.shutil.disk_usage", lambda _: type("Usage", (), {"free": next(free)}))
    with pytest.raises(NoRoom, match="DISK_RESERVE_BYTES=0 must stay"):
        convert(make.series(tmp_path / "made", "A1").files)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_deflated_file_is_inflated_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = deflated(tmp_path, 4_000_000)
    assert path.stat().st_size < 10_000
    assert read_instance(path).unpacked == 4_000_000
    monkeypatch.setattr(dicom, "MAX_INFLATED_BYTES", 3_000_000)
    with pytest.raises(UnreadableFile, match="unpacks to over 3000000 bytes"):
        read_instance(path)


def test_the_study_of_a_dataset_is_told_by_its_beginning(make: Any, tmp_path: Path) -> None:
    phantom = make.series(tmp_path, "A1", slices=1)
    data = pydicom.dcmread(phantom.files[0])
    plain = phantom.files[0].read_bytes()[144 + data.file_meta.FileMetaInformationGroupLength :]
    assert study_of(plain, data.file_meta.TransferSyntaxUID) == phantom.study_uid
    assert study_of(plain[:2000], data.file_meta.TransferSyntaxUID) == phantom.study_uid
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(plain + bytes(50_000_000)) + packer.flush()
    assert study_of(packed, DeflatedExplicitVRLittleEndian) == phantom.study_uid
    assert study_of(b"", data.file_meta.TransferSyntaxUID) == ""
    for broken, syntax in ((b"\xff" * 9, DeflatedExplicitVRLittleEndian), (plain, "1.2.3")):
        with pytest.raises(UnreadableFile, match="cannot be read"):
            study_of(broken, syntax)


def test_a_segmentation_that_declares_too_much_is_left_out(make: Any, convert: Any, tmp_path: Path) -> None:
    phantom = make.series(tmp_path / "made", "A1")
    path = make.segmentation(tmp_path / "made", phantom, (phantom.voxels == 2000).astype(np.uint8))
    declare(path, Rows=60_000, Columns=60_000)
    reason = convert([*phantom.files, path]).reason
    assert "segmentation series 100 is left out: it declares frames of" in reason
    assert "over CONVERSION_MAX_BYTES=1000000000" in reason


def test_a_segmentation_that_spans_too_much_is_left_out(make: Any, convert: Any, tmp_path: Path) -> None:
    phantom = make.series(tmp_path / "made", "A1")
    path = make.segmentation(tmp_path / "made", phantom, (phantom.voxels == 2000).astype(np.uint8))
    data = pydicom.dcmread(path)
    first, last = (data.PerFrameFunctionalGroupsSequence[at].PlanePositionSequence[0] for at in (0, -1))
    step = (np.array(last.ImagePositionPatient, float) - np.array(first.ImagePositionPatient, float)) / 2
    away = np.array(first.ImagePositionPatient, float) + step * 1_000_000
    last.ImagePositionPatient = [float(value) for value in away]
    data.save_as(path)
    done = convert([*phantom.files, path])
    assert done.files == ["input_2.nii.gz"]
    assert "segmentation series 100 is left out: it spans" in done.reason


async def test_a_project_holds_no_more_than_allowed(service_of: Any, make: Any, source: Path, tmp_path: Path) -> None:
    names = ["A1", "A2", "A3", "A4"]
    size = 0
    for name in names:
        size = sum(path.stat().st_size for path in make.series(source, name, slices=3).files)
    limit = 2 * size + size // 2
    settings = {"imaging_store": "folder", "imaging_folder": source, "project_max_bytes": limit}
    async with service_of(**settings, import_concurrency=1) as service:
        studies = await service.imports(PROJECT, *names)
        assert [studies[name]["state"] for name in names] == ["IMPORTED", "IMPORTED", "FAILED", "FAILED"]
        assert f"would bring the project over PROJECT_MAX_BYTES={limit} bytes" in studies["A3"]["reason"]
    async with service_of(**settings, import_concurrency=1) as service:  # the ledger remembers
        await service.client.post(f"/imports/{PROJECT}/retry")
        assert (await service.done(PROJECT))["A3"]["state"] == "FAILED"
        assert (await service.imports(uuid4(), "A3"))["A3"]["state"] == "IMPORTED"
        await service.client.delete(f"/imports/{PROJECT}")
        assert (await service.imports(PROJECT, "A3"))["A3"]["state"] == "IMPORTED"
    async with service_of(**settings) as service:  # and all at once are no more than one after the other
        project = uuid4()
        states = [study["state"] for study in (await service.imports(project, *names)).values()]
        assert states.count("IMPORTED") <= 2
        held = sum(path.stat().st_size for path in (tmp_path / "data").glob(f"projects/{project}/*/study/*.dcm"))
        assert held <= limit
        await service.client.post(f"/imports/{project}/retry")  # what came in and was thrown away counts no longer
        states = [study["state"] for study in (await service.done(project)).values()]
        assert 1 <= states.count("IMPORTED") <= 2


async def test_what_a_broken_attempt_brought_counts_no_longer(
    service_of: Any, make: Any, source: Path, own: Peer
) -> None:
    size = sum(path.stat().st_size for path in make.series(source, "A1").files)
    pacs = DroppingPacs("PACS", source, [own], host="127.0.0.1", port=0)
    try:
        async with service_of(**dimse_settings(pacs.port, own), project_max_bytes=size + size // 10) as service:
            study = (await service.imports(PROJECT, "A1"))["A1"]
    finally:
        pacs.stop()
    assert (study["state"], study["reason"], study["attempts"]) == ("IMPORTED", "", 2)


def test_the_limit_is_the_reason_not_what_the_pacs_makes_of_it(own: Peer, tmp_path: Path) -> None:
    landing, intake = Landing(own, "PACS", 5, None), intake_to(tmp_path)

    def move(refused: TooLarge | None) -> None:
        with landing.expect("1.2.3", intake) as arrival:
            arrival.error = refused
            raise StoreUnavailable("the PACS could not send 1 of the study's instances")

    with pytest.raises(TooLarge):
        move(intake.too_large())
    with pytest.raises(StoreUnavailable):
        move(None)
