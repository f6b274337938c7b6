"""One study's trouble is never the others', and a kill loses nothing."""

import signal
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from imaging_service import dimse_settings

from flip_trust.imaging.stores import Peer

PROJECT = uuid4()

# pynetdicom 3.0 leaves the socket of a connection that failed to the garbage collector, which warns.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.usefixtures("lost_connections"),
]


async def test_a_poisoned_study_never_stops_the_others(folder_service: Any, make: Any, source: Path) -> None:
    good = [f"GOOD{number}" for number in range(4)]
    for accession in good:
        make.series(source, accession, slices=3)
    poisoned = make.series(source, "POISON", slices=3)
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


async def test_an_unforeseen_error_is_one_studys_trouble(
    folder_service: Any, make: Any, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.series(source, "A1", slices=3)
    make.series(source, "A2", slices=3)
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
    settings = {**dimse_settings(pacs_of(source, own).port, own), "import_concurrency": 2}
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
