"""XNAT between the PACS and imaging-api: what it is asked, what it holds afterwards, and what goes wrong on the way."""

import asyncio
import io
import zipfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pydicom
import pytest
from imaging_service import intake_to
from pydicom.uid import generate_uid

from flip_trust.imaging.store import StoreError, StoreUnavailable, StudyMissing
from flip_trust.imaging.stores import Peer

PROJECT = uuid4()

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.usefixtures("lost_connections"),
]

HASHES = """version "6.3"
(0010,0010) := subject  // the accession number
- (0008,0050)
- (0008,0080)
(0008,0018) := hashUID[(0008,0018)]
(0020,000D) := hashUID[(0020,000D)]
"""

OURS = Path(__file__).parents[3] / "ansible/roles/flip_xnat/files/anonymization.das"


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


@pytest.fixture
async def store(xnat: Any) -> Any:
    made = xnat.store()
    await made.start()
    yield made
    await made.stop()


async def test_from_the_pacs_to_nifti_by_way_of_a_private_project(
    xnat: Any, service_of: Any, make: Any, source: Path, tmp_path: Path, world_values: Any
) -> None:
    phantom = make.series(source, "A1")
    async with service_of(**xnat.settings()) as service:
        studies = await service.imports(PROJECT, "A1", "GONE", "A*")
        assert {name: study["state"] for name, study in studies.items()} == {
            "A1": "IMPORTED",
            "GONE": "MISSING",
            "A*": "FAILED",
        }
        assert studies["A1"]["images"] == 12
        archive = tmp_path / "study.zip"
        archive.write_bytes((await service.files(PROJECT, "A1")).content)
        found = xnat.rows("/data/experiments")
        assert [(item["project"], item["subject"], item["label"]) for item in found] == [(str(PROJECT), "A1", "A1")]
        with xnat.client() as client:
            assert client.get(f"/data/projects/{PROJECT}/accessibility").text == "private"
            assert client.get(f"/data/projects/{PROJECT}/prearchive_code").text == "4"
        assert xnat.rows(f"/data/prearchive/projects/{PROJECT}") == []
        assert (await service.client.delete(f"/imports/{PROJECT}")).status_code == 204
    assert xnat.rows("/data/projects") == []
    assert xnat.rows("/data/experiments") == []
    assert len(list(source.iterdir())) == 12
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "out")
    np.testing.assert_array_equal(world_values(tmp_path / "out/input_2.nii.gz", phantom), phantom.voxels)


@pytest.mark.parametrize("accession", ["*", "A?", "A\\B", ""])
async def test_a_wildcard_never_reaches_xnat(xnat: Any, store: Any, into: Path, accession: str) -> None:
    with pytest.raises(StudyMissing):
        await store.fetch(PROJECT, accession, intake_to(into))
    for call in (store.remove(PROJECT, accession), store.attach(PROJECT, accession, "x", into)):
        with pytest.raises(StoreError, match="refused"):
            await call
    assert xnat.asked == []


async def test_several_studies_are_told_apart(
    xnat: Any, store: Any, make: Any, source: Path, into: Path, tmp_path: Path
) -> None:
    make.series(source, "A1", slices=2)
    make.series(source, "A1", slices=3, number=7, study_uid=generate_uid())
    await store.fetch(PROJECT, "A1", intake_to(into))
    labels = sorted(item["label"] for item in xnat.rows("/data/experiments"))
    assert len(labels) == 2
    assert all(label.startswith("A1_") and len(label) == 11 for label in labels)
    derived = tmp_path / "mask.json"
    derived.write_text("{}")
    await store.attach(PROJECT, "A1", derived.name, derived)
    await store.remove(PROJECT, "A1")
    assert xnat.rows("/data/experiments") == []


async def test_what_is_archived_is_not_asked_for_again(
    xnat: Any, store: Any, make: Any, source: Path, into: Path
) -> None:
    make.series(source, "A1", slices=2)
    for _ in range(2):
        await store.fetch(PROJECT, "A1", intake_to(into))
    assert xnat.asked.count("POST /xapi/dqr/import") == 1


async def test_what_xnat_derives_beside_the_dicom_is_left_there(
    xnat: Any, store: Any, make: Any, source: Path, into: Path
) -> None:
    make.series(source, "A1", slices=2)
    await store.fetch(PROJECT, "A1", intake_to(into))
    scan = f"{xnat.rows('/data/experiments')[0]['URI']}/scans/2/resources/NIFTI"
    with xnat.client() as client:
        client.put(scan).raise_for_status()
        client.put(f"{scan}/files/2.nii.gz?inbody=true", content=b"nifti").raise_for_status()
    for path in into.iterdir():
        path.unlink()
    await store.fetch(PROJECT, "A1", intake_to(into))
    assert len(list(into.iterdir())) == 2


async def test_a_session_that_lacks_a_file_is_imported_anew(
    xnat: Any, store: Any, make: Any, source: Path, into: Path
) -> None:
    make.series(source, "A1", slices=4)
    await store.fetch(PROJECT, "A1", intake_to(into))
    archived = sorted((xnat.stand_in.archive.root / "archive").rglob("*.dcm"))
    archived[0].unlink()
    for path in into.iterdir():
        path.unlink()
    await store.fetch(PROJECT, "A1", intake_to(into))
    assert len(list(into.iterdir())) == 4
    assert xnat.asked.count("POST /xapi/dqr/import") == 2


async def test_what_an_earlier_try_left_in_the_prearchive_is_thrown_away(
    xnat: Any, store: Any, make: Any, source: Path, into: Path
) -> None:
    make.series(source, "A1", slices=2)
    row = {"project": str(PROJECT), "name": "A1", "subject": "A1", "timestamp": "20240101_000000", "status": "ERROR"}
    row["url"] = f"/prearchive/projects/{PROJECT}/20240101_000000/A1"
    with xnat.stand_in.state.change() as document:
        document["prearchive"].append(row)
    await store.fetch(PROJECT, "A1", intake_to(into))
    assert len(list(into.iterdir())) == 2
    assert xnat.rows(f"/data/prearchive/projects/{PROJECT}") == []


async def test_an_order_that_waits_is_not_placed_twice(
    xnat: Any, store: Any, make: Any, source: Path, into: Path
) -> None:
    phantom = make.series(source, "A1", slices=2)
    order = {
        "id": 900,
        "username": "flip-imaging",
        "pacsId": xnat.stand_in.state.document["pacs"][0]["id"],
        "xnatProject": str(PROJECT),
        "studyInstanceUid": phantom.study_uid,
        "accessionNumber": "A1",
        "relabelMap": {"Subject": "A1", "Session": "A1"},
        "destinationAeTitle": "XNAT",
        "status": "QUEUED",
        "queuedTime": 1,
    }
    with xnat.stand_in.state.change() as document:
        document["queue"].append(order)
    fetching = asyncio.create_task(store.fetch(PROJECT, "A1", intake_to(into)))
    while xnat.asked.count("GET /xapi/dqr/import/queue") < 3:
        await asyncio.sleep(0.01)
    xnat.stand_in.dimse.wake()
    await fetching
    assert "POST /xapi/dqr/import" not in xnat.asked
    assert len(list(into.iterdir())) == 2


async def test_removing_takes_the_order_off_the_queue(xnat: Any, store: Any) -> None:
    row = {"username": "flip-imaging", "xnatProject": str(PROJECT), "studyInstanceUid": "1.2"}
    with xnat.stand_in.state.change() as document:
        document["queue"] += [{**row, "id": 900, "accessionNumber": "A1"}, {**row, "id": 901, "accessionNumber": "A2"}]
    await store.remove(PROJECT, "A1")
    assert [item["id"] for item in xnat.stand_in.state.document["queue"]] == [901]


async def test_a_pacs_that_knows_another_receiver_is_named(
    xnat: Any, store: Any, make: Any, source: Path, into: Path, pacs_of: Any
) -> None:
    make.series(source, "A1", slices=2)
    xnat.stand_in.state.document["pacs"][0]["queryRetrievePort"] = pacs_of(source, Peer("XNAT", "127.0.0.1", 1)).port
    with pytest.raises(StoreUnavailable, match="does it know AE title XNAT"):
        await store.fetch(PROJECT, "A1", intake_to(into))


async def test_a_receiver_that_cannot_relabel_gets_no_study_under_the_patients_name(
    xnat: Any, store: Any, make: Any, source: Path, into: Path
) -> None:
    make.series(source, "A1", slices=2)
    xnat.stand_in.state.document["receivers"][0]["customProcessing"] = False
    with pytest.raises(StoreError, match="400 to POST /xapi/dqr/import"):
        await store.fetch(PROJECT, "A1", intake_to(into))
    assert xnat.stand_in.state.document["history"] == []


async def test_fewer_than_the_pacs_said_is_not_a_study(
    xnat: Any, store: Any, make: Any, source: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.series(source, "A1", slices=4)
    receive = xnat.stand_in.archive.receive

    def lose_one(row: Any, dataset: Any) -> None:
        if dataset.InstanceNumber != 2:
            receive(row, dataset)

    monkeypatch.setattr(xnat.stand_in.archive, "receive", lose_one)
    with pytest.raises(StoreUnavailable, match="3 of the study's 4 instances arrived"):
        await store.fetch(PROJECT, "A1", intake_to(into))
    monkeypatch.undo()
    await store.fetch(PROJECT, "A1", intake_to(into))
    assert len(list(into.iterdir())) == 4


async def test_a_pacs_that_counts_nothing_is_believed_when_all_is_quiet(
    xnat: Any, store: Any, make: Any, source: Path, into: Path
) -> None:
    make.series(source, "A1", slices=3)
    xnat.stand_in.faults.append(("POST", "/xapi/dqr/query/series", 404))
    await store.fetch(PROJECT, "A1", intake_to(into))
    assert len(list(into.iterdir())) == 3


async def test_an_import_that_takes_too_long_says_where_it_stands(
    xnat: Any, make: Any, source: Path, into: Path
) -> None:
    make.series(source, "A1", slices=2)
    store = xnat.store(import_seconds=0.3)
    await store.start()
    xnat.stand_in.dimse.wake = lambda: None
    with pytest.raises(StoreUnavailable, match=r"within XNAT_IMPORT_SECONDS=0: its order is QUEUED"):
        await store.fetch(PROJECT, "A1", intake_to(into))
    await store.stop()


async def test_a_study_that_xnat_holds_back_is_reported(
    xnat: Any, store: Any, make: Any, source: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.series(source, "A1", slices=2)
    monkeypatch.setattr(xnat.stand_in.archive, "archive", lambda row: xnat.stand_in.archive._status(row, "CONFLICT"))
    with pytest.raises(StoreUnavailable, match="holds the study back in its prearchive: CONFLICT"):
        await store.fetch(PROJECT, "A1", intake_to(into))


async def test_what_xnat_anonymises_stays_anonymised(
    xnat: Any, store: Any, make: Any, source: Path, into: Path
) -> None:
    phantom = make.series(source, "A1", slices=3)
    with xnat.client() as client:
        client.put("/xapi/anonymize/site", content=HASHES).raise_for_status()
        client.put("/xapi/anonymize/site/enabled", json=True).raise_for_status()
    await store.fetch(PROJECT, "A1", intake_to(into))
    found = [pydicom.dcmread(path) for path in into.iterdir()]
    assert len({item.SOPInstanceUID for item in found}) == 3
    assert {str(item.PatientName) for item in found} == {"A1"}
    assert all("AccessionNumber" not in item and "InstitutionName" not in item for item in found)
    assert phantom.study_uid not in {item.StudyInstanceUID for item in found}


async def test_a_label_is_found_after_the_roles_own_anonymisation(
    xnat: Any, service_of: Any, make: Any, source: Path, tmp_path: Path, world_values: Any
) -> None:
    phantom = make.series(source, "A1")
    labels = (phantom.voxels == 2000).astype(np.uint8)
    make.segmentation(source, phantom, labels)
    with xnat.client() as client:
        client.put("/xapi/anonymize/site", content=OURS.read_bytes()).raise_for_status()
        client.put("/xapi/anonymize/site/enabled", json=True).raise_for_status()
    async with service_of(**xnat.settings()) as service:
        studies = await service.imports(PROJECT, "A1")
        assert studies["A1"]["images"] == 13
        with zipfile.ZipFile(io.BytesIO((await service.files(PROJECT, "A1")).content)) as packed:
            packed.extractall(tmp_path / "out")
    np.testing.assert_array_equal(world_values(tmp_path / "out/label_2.nii.gz", phantom), labels)


@pytest.mark.parametrize("attempts", [2, 50], ids=["after its import was given up", "while it is still being tried"])
async def test_an_xnat_that_goes_away_in_mid_import_and_comes_back(
    xnat: Any, service_of: Any, make: Any, source: Path, attempts: int
) -> None:
    make.series(source, "A1", slices=3)
    xnat.stand_in.dimse.wake = lambda: None  # what is ordered waits
    async with service_of(**xnat.settings(), import_attempts=attempts) as service:
        await service.client.post("/imports", json={"project_id": str(PROJECT), "accessions": ["A1"]})
        while not xnat.stand_in.state.document["queue"]:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(xnat.stand_in.stop)
        if attempts == 2:
            study = (await service.done(PROJECT))["A1"]
            assert (study["state"], study["attempts"]) == ("FAILED", 2)
            assert study["reason"] == f"XNAT at {xnat.stand_in.url} does not answer (ConnectError)"
        else:
            while (study := await _study(service))["attempts"] < 3:
                assert study["state"] == "IMPORTING", study
                await asyncio.sleep(0.01)
        await asyncio.to_thread(xnat.come_back)
        if attempts == 2:
            await service.client.post(f"/imports/{PROJECT}/retry")
        study = (await service.done(PROJECT))["A1"]
        assert (study["state"], study["reason"], study["images"]) == ("IMPORTED", "", 3)
    # The order that it had taken was not placed again.
    assert "POST /xapi/dqr/import" not in xnat.asked


async def _study(service: Any) -> Any:
    return (await service.client.get(f"/imports/{PROJECT}")).json()["studies"][0]
