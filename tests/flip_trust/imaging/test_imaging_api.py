"""imaging-api from outside: who may call what, what comes back, what is refused."""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import numpy as np
import pydicom
import pytest

from flip_trust.imaging.library import LibraryInUse
from flip_trust.imaging.store import StoreError
from flip_trust.imaging.stores import FolderStore

PROJECT = uuid4()
ROUTES = [
    ("POST", "/imports"),
    ("GET", f"/imports/{PROJECT}"),
    ("POST", f"/imports/{PROJECT}/retry"),
    ("DELETE", f"/imports/{PROJECT}"),
    ("GET", f"/studies/A1/files?project_id={PROJECT}&resource=NIFTI"),
    ("PUT", f"/studies/A1/resources?project_id={PROJECT}&name=x.json"),
    ("PUT", "/users/u"),
]


def unzip(answer: httpx.Response) -> dict[str, bytes]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("key", [None, "", "wrong", "an-internal-key-for-tests-onlyX"])
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_no_route_works_without_the_key(folder_service: Any, method: str, path: str, key: str | None) -> None:
    folder_service.client.headers.pop("X-Trust-Internal-Service-Key")
    headers = {} if key is None else {"X-Trust-Internal-Service-Key": key}
    answer = await folder_service.client.request(method, path, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthenticated"


async def test_the_list_of_routes_above_is_whole(folder_service: Any) -> None:
    listed = {(method, path.split("?")[0]) for method, path in ROUTES}
    known = folder_service.app.openapi()["paths"]
    assert sum(len(methods) for methods in known.values()) == len(listed) + 1  # and /health


async def test_an_apps_key_opens_studies_and_nothing_else(service_of: Any, tmp_path: Path) -> None:
    key, project = "a-key-for-the-apps-of-this-site", uuid4()
    async with service_of(imaging_store="folder", imaging_folder=tmp_path, trust_app_service_key=key) as service:
        service.client.headers["X-Trust-Internal-Service-Key"] = key
        files = f"/studies/A1/files?project_id={project}&resource=NIFTI"
        derived = f"/studies/A1/resources?project_id={project}&name=x.txt"
        assert (await service.client.get(files)).status_code == 403  # let in; the project has no such study
        assert (await service.client.put(derived, content=b"x")).status_code == 403
        closed = [
            service.client.post("/imports", json={"project_id": str(project), "accessions": ["A1"]}),
            service.client.get(f"/imports/{project}"),
            service.client.post(f"/imports/{project}/retry"),
            service.client.delete(f"/imports/{project}"),
            service.client.put("/users/ada", json={"username": "ada", "email": "a@b", "enabled": True}),
        ]
        assert [(await call).status_code for call in closed] == [401] * len(closed)


async def test_health_needs_no_key_and_says_nothing_else(folder_service: Any) -> None:
    folder_service.client.headers.pop("X-Trust-Internal-Service-Key")
    assert (await folder_service.client.get("/health")).json() == {"status": "ok"}
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert (await folder_service.client.get(path)).status_code == 404


async def test_import_to_files(folder_service: Any, make: Any, source: Path, tmp_path: Path, world_values: Any) -> None:
    phantom = make.series(source, "A1")
    labels = (phantom.voxels == 2000).astype(np.uint8)
    make.segmentation(source, phantom, labels)
    (source / "readme.txt").write_text("not DICOM")
    studies = await folder_service.imports(PROJECT, "A1", "GONE", "A1")
    assert studies == {
        "A1": {"accession": "A1", "state": "IMPORTED", "reason": "", "images": 13, "attempts": 1},
        "GONE": {
            "accession": "GONE",
            "state": "MISSING",
            "reason": "no file in the image folder has this accession number",
            "images": 0,
            "attempts": 1,
        },
    }
    nifti = unzip(await folder_service.files(PROJECT, "A1"))
    assert sorted(nifti) == ["input_2.nii.gz", "label_2.nii.gz"]
    for name, content in nifti.items():
        (tmp_path / name).write_bytes(content)
    np.testing.assert_array_equal(world_values(tmp_path / "input_2.nii.gz", phantom), phantom.voxels)
    np.testing.assert_array_equal(world_values(tmp_path / "label_2.nii.gz", phantom), labels)
    dicom = unzip(await folder_service.files(PROJECT, "A1", "DICOM"))
    assert list(dicom) == [f"dicom/{n:06d}.dcm" for n in range(1, 13)]
    numbers = [pydicom.dcmread(io.BytesIO(content)).InstanceNumber for content in dicom.values()]
    assert numbers == sorted(numbers)
    assert list(unzip(await folder_service.files(PROJECT, "A1", "SEG"))) == ["seg/000001.dcm"]
    everything = unzip(await folder_service.files(PROJECT, "A1", "ALL"))
    assert len(everything) == 2 + 12 + 1


async def test_status_of_an_unknown_project_is_none(folder_service: Any) -> None:
    answer = await folder_service.client.get(f"/imports/{PROJECT}")
    assert answer.json() == {"project_id": str(PROJECT), "state": "NONE", "studies": []}


@pytest.mark.parametrize("bad", ["*", "A*", "A?1", "A\\B", "", " ", "../x", "a/b", "x" * 65, "Ä1", "-a"])
async def test_a_refused_accession_fails_alone(folder_service: Any, make: Any, source: Path, bad: str) -> None:
    make.series(source, "A1", slices=3)
    studies = await folder_service.imports(PROJECT, bad, "A1")
    assert studies.pop("A1")["state"] == "IMPORTED"
    [refused] = studies.values()
    assert refused["state"] == "FAILED"
    assert "refused" in refused["reason"]
    await folder_service.client.post(f"/imports/{PROJECT}/retry")
    assert (await folder_service.done(PROJECT))[refused["accession"]]["attempts"] == 0


async def test_importing_again_imports_only_what_is_new(folder_service: Any, make: Any, source: Path) -> None:
    make.series(source, "A1", slices=3)
    await folder_service.imports(PROJECT, "A1")
    make.series(source, "A2", slices=3)
    studies = await folder_service.imports(PROJECT, "A1", "A2")
    assert [(s["accession"], s["attempts"]) for s in studies.values()] == [("A1", 1), ("A2", 1)]


async def test_retry_brings_what_was_missing(folder_service: Any, make: Any, source: Path) -> None:
    assert (await folder_service.imports(PROJECT, "A1"))["A1"]["state"] == "MISSING"
    make.series(source, "A1", slices=3)
    answer = await folder_service.client.post(f"/imports/{PROJECT}/retry")
    assert answer.json()["state"] == "RUNNING"
    assert (await folder_service.done(PROJECT))["A1"]["state"] == "IMPORTED"


async def test_retry_fetches_anew_what_could_not_be_converted(folder_service: Any, make: Any, source: Path) -> None:
    phantom = make.series(source, "A1")
    lost = phantom.files[5].read_bytes()
    phantom.files[5].unlink()
    study = (await folder_service.imports(PROJECT, "A1"))["A1"]
    assert study["state"] == "IMPORTED"
    assert study["reason"].startswith("series 2 cannot be converted: slices are missing")
    answer = await folder_service.files(PROJECT, "A1")
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["state"]) == (404, "study_not_available", "IMPORTED")
    assert problem["reason"] == study["reason"]
    assert len(unzip(await folder_service.files(PROJECT, "A1", "DICOM"))) == 11
    phantom.files[5].write_bytes(lost)
    await folder_service.client.post(f"/imports/{PROJECT}/retry")
    study = (await folder_service.done(PROJECT))["A1"]
    assert (study["state"], study["reason"], study["images"]) == ("IMPORTED", "", 12)
    assert len(unzip(await folder_service.files(PROJECT, "A1"))) == 1


async def test_retry_leaves_alone_what_is_good(folder_service: Any, make: Any, source: Path) -> None:
    make.series(source, "A1", slices=3)
    empty = make.series(source, "A1", slices=1, number=9)
    data = pydicom.dcmread(empty.files[0])
    del data.PixelData
    data.save_as(empty.files[0])
    assert (await folder_service.imports(PROJECT, "A1"))["A1"]["reason"] == ("series 9 is left out: it is empty")
    await folder_service.client.post(f"/imports/{PROJECT}/retry")
    assert (await folder_service.done(PROJECT))["A1"]["attempts"] == 1


async def test_only_the_projects_own_studies_may_be_read(folder_service: Any, make: Any, source: Path) -> None:
    make.series(source, "A1", slices=3)
    await folder_service.imports(PROJECT, "A1")
    for project, accession in ((uuid4(), "A1"), (PROJECT, "A2"), (PROJECT, "..")):
        answer = await folder_service.files(project, accession, "ALL")
        assert answer.status_code in {403, 404}
        answer = await folder_service.client.put(
            f"/studies/{accession}/resources", params={"project_id": str(project), "name": "x"}, content=b"x"
        )
        assert answer.status_code in {403, 404}
    answer = await folder_service.files(uuid4(), "A1")
    assert (answer.status_code, answer.json()["code"]) == (403, "study_not_in_project")


async def test_a_study_that_is_not_imported_is_404_with_state_and_reason(folder_service: Any) -> None:
    await folder_service.imports(PROJECT, "A1")
    answer = await folder_service.files(PROJECT, "A1")
    problem = answer.json()
    assert answer.status_code == 404
    assert (problem["code"], problem["state"]) == ("study_not_available", "MISSING")
    assert problem["reason"] == "no file in the image folder has this accession number"


async def test_a_study_without_segmentation_has_no_seg(folder_service: Any, make: Any, source: Path) -> None:
    make.series(source, "A1", slices=3)
    await folder_service.imports(PROJECT, "A1")
    answer = await folder_service.files(PROJECT, "A1", "SEG")
    assert (answer.status_code, answer.json()["reason"]) == (404, "it holds no DICOM-SEG")


async def test_imported_is_checked_on_every_read(folder_service: Any, make: Any, source: Path, tmp_path: Path) -> None:
    make.series(source, "A1", slices=3)
    await folder_service.imports(PROJECT, "A1")
    next((tmp_path / "data").glob("projects/*/A1/study/*.dcm")).unlink()
    answer = await folder_service.files(PROJECT, "A1", "DICOM")
    assert (answer.status_code, answer.json()["state"]) == (404, "FAILED")
    study = (await folder_service.done(PROJECT))["A1"]
    assert (study["state"], study["images"]) == ("FAILED", 0)
    await folder_service.client.post(f"/imports/{PROJECT}/retry")
    assert (await folder_service.done(PROJECT))["A1"]["state"] == "IMPORTED"
    assert len(unzip(await folder_service.files(PROJECT, "A1", "DICOM"))) == 3


async def test_a_damaged_conversion_is_made_again(folder_service: Any, make: Any, source: Path, tmp_path: Path) -> None:
    make.series(source, "A1", slices=3)
    await folder_service.imports(PROJECT, "A1")
    wanted = unzip(await folder_service.files(PROJECT, "A1"))
    path = next((tmp_path / "data").glob("projects/*/A1/nifti/*.nii.gz"))
    path.write_bytes(path.read_bytes()[:100])
    assert unzip(await folder_service.files(PROJECT, "A1")) == wanted
    path.unlink()
    assert unzip(await folder_service.files(PROJECT, "A1")) == wanted


async def test_delete_removes_the_project_and_only_it(
    folder_service: Any, make: Any, source: Path, tmp_path: Path
) -> None:
    phantom = make.series(source, "A1", slices=3)
    other = uuid4()
    await folder_service.imports(PROJECT, "A1", "GONE")
    await folder_service.imports(other, "A1")
    assert (await folder_service.client.delete(f"/imports/{PROJECT}")).status_code == 204
    assert (await folder_service.client.get(f"/imports/{PROJECT}")).json()["state"] == "NONE"
    assert (await folder_service.files(PROJECT, "A1")).status_code == 403
    assert [path.name for path in (tmp_path / "data/projects").iterdir()] == [str(other)]
    assert list((tmp_path / "data/incoming").iterdir()) == []
    assert len(unzip(await folder_service.files(other, "A1"))) == 1
    assert all(path.exists() for path in phantom.files)
    assert (await folder_service.client.delete(f"/imports/{uuid4()}")).status_code == 204


async def test_resources_are_stored_beside_the_study(
    folder_service: Any, make: Any, source: Path, tmp_path: Path
) -> None:
    make.series(source, "A1", slices=3)
    await folder_service.imports(PROJECT, "A1")
    content = bytes(range(256)) * 10_000
    for body in (b"first", content):
        answer = await folder_service.client.put(
            "/studies/A1/resources", params={"project_id": str(PROJECT), "name": "seg.nii.gz"}, content=body
        )
        assert answer.json() == {
            "name": "seg.nii.gz",
            "size": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
        }
    everything = unzip(await folder_service.files(PROJECT, "A1", "ALL"))
    assert everything["resources/seg.nii.gz"] == content
    assert list((tmp_path / "data/incoming").iterdir()) == []


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 129, "a\x00b", "a b", "a\n"])
async def test_a_bad_resource_name_is_refused(folder_service: Any, make: Any, source: Path, name: str) -> None:
    make.series(source, "A1", slices=3)
    await folder_service.imports(PROJECT, "A1")
    answer = await folder_service.client.put(
        "/studies/A1/resources", params={"project_id": str(PROJECT), "name": name}, content=b"x"
    )
    assert answer.status_code == 422


async def test_a_resource_over_the_limit_leaves_nothing(
    service_of: Any, make: Any, source: Path, tmp_path: Path
) -> None:
    make.series(source, "A1", slices=3)
    async with service_of(imaging_store="folder", imaging_folder=source, resource_max_bytes=1000) as service:
        await service.imports(PROJECT, "A1")
        answer = await service.client.put(
            "/studies/A1/resources", params={"project_id": str(PROJECT), "name": "x"}, content=b"x" * 1001
        )
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert list((tmp_path / "data").glob("projects/*/A1/resources/*")) == []
        assert list((tmp_path / "data/incoming").iterdir()) == []


async def test_users_of_a_store_without_users(folder_service: Any) -> None:
    body = {"username": "u", "email": "u@x.org", "full_name": "U", "enabled": True}
    answer = await folder_service.client.put("/users/u", json=body)
    assert answer.json() == {"applied": False, "reason": "FolderStore has no users"}
    assert (await folder_service.client.put("/users/v", json=body)).status_code == 422
    slashed = {**body, "username": "a/b@c"}
    assert (await folder_service.client.put("/users/a%2Fb%40c", json=slashed)).json() == answer.json()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/imports", {"project_id": "x", "accessions": []}),
        ("POST", "/imports", {"project_id": str(PROJECT), "accessions": "A1"}),
        ("POST", "/imports", {"project_id": str(PROJECT), "accessions": [], "more": 1}),
        ("GET", "/imports/x", None),
        ("GET", f"/studies/A1/files?project_id={PROJECT}&resource=OTHER", None),
        ("GET", "/studies/A1/files?resource=NIFTI", None),
    ],
)
async def test_malformed_calls_are_422(folder_service: Any, method: str, path: str, body: Any) -> None:
    answer = await folder_service.client.request(method, path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


async def test_two_processes_never_share_a_data_folder(folder_service: Any, service_of: Any, source: Path) -> None:
    with pytest.raises(LibraryInUse, match="in use by another imaging-api"):
        async with service_of(imaging_store="folder", imaging_folder=source):
            pass


async def test_an_image_folder_that_vanished_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not there: mount it, or correct IMAGING_FOLDER"):
        await FolderStore(tmp_path / "gone").start()


async def test_accessions_from_another_project_are_imported_for_each(
    folder_service: Any, make: Any, source: Path
) -> None:
    make.series(source, "A1", slices=3)
    for project in (UUID(int=7), UUID(int=8)):
        assert (await folder_service.imports(project, "A1"))["A1"]["state"] == "IMPORTED"
