"""A full disk gives a clear error and loses nothing."""

import resource
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from imaging_service import dimse_settings

from flip_common.wire import StudyState
from flip_trust.imaging.ledger import Ledger
from flip_trust.imaging.stores import Peer

PROJECT = uuid4()

# pynetdicom 3.0 leaves the socket of a connection that failed to the garbage collector, which warns.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.usefixtures("lost_connections"),
]


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
        settings = dimse_settings(pacs_of(source, own).port, own)
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


async def test_a_reserve_stays_free_whatever_wants_in(service_of: Any, make: Any, source: Path) -> None:
    make.series(source, "A1", slices=3)
    settings = {"imaging_store": "folder", "imaging_folder": source}
    async with service_of(**settings, disk_reserve_bytes=1 << 60) as service:
        study = (await service.imports(PROJECT, "A1"))["A1"]
        assert (study["state"], study["attempts"]) == ("FAILED", 1)
        assert f"DISK_RESERVE_BYTES={1 << 60} must stay: make room, then retry" in study["reason"]
    async with service_of(**settings) as service:
        await service.client.post(f"/imports/{PROJECT}/retry")
        assert (await service.done(PROJECT))["A1"]["state"] == "IMPORTED"
    async with service_of(**settings, disk_reserve_bytes=1 << 60) as service:
        where = {"project_id": str(PROJECT), "name": "x"}
        answer = await service.client.put("/studies/A1/resources", params=where, content=b"derived")
        assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
        assert "DISK_RESERVE_BYTES" in answer.json()["detail"]
        assert (await service.files(PROJECT, "A1")).status_code == 200


def test_a_ledger_from_before_bytes_were_counted_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("ALTER TABLE study DROP COLUMN held")
    for _ in range(2):
        ledger = Ledger(path)
        ledger.add(PROJECT, [("A1", StudyState.QUEUED, "")])
        assert ledger.update(PROJECT, "A1", StudyState.IMPORTED, held=7)
        assert ledger.held(PROJECT) == 7
        ledger.close()
