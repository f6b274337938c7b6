"""The SDK at a site, against services that answer over real HTTP."""

import os
import stat
import subprocess
import sys
import threading
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import flip
from flip import FLIP
from flip.constants import ResourceType

from .conftest import KEY, PROJECT, Service, study_zip

NIFTI = {"input_1.nii.gz": b"image", "label_1.nii.gz": b"label"}


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_dataframe_has_the_columns_and_dtypes_the_service_names(service: Service, site: FLIP) -> None:
    kinds = ["int64", "int64", "float64", "bool", "bool", "string", "date", "datetime"]
    columns = [{"name": f"c{i}", "dtype": kind} for i, kind in enumerate(kinds)]
    rows = [
        [1, None, None, True, None, "x", "2020-02-29", "2020-02-29T12:30:00"],
        [2, 7, 0.5, False, True, None, None, "2021-01-01T00:00:00.250000"],
    ]
    service.table = {"columns": columns, "rows": rows}
    frame = site.get_dataframe(project_id=PROJECT, query="SELECT 1")
    dtypes = [str(dtype) for dtype in frame.dtypes]
    assert dtypes[:6] == ["int64", "Int64", "float64", "bool", "boolean", "string"]
    assert all(dtype.startswith("datetime64") for dtype in dtypes[6:])
    assert frame["c1"].tolist() == [pd.NA, 7]
    assert frame["c6"][0] == pd.Timestamp("2020-02-29")
    assert pd.isna(frame["c6"][1])
    method, path, _, body = service.calls[0]
    assert (method, path) == ("POST", "/cohort/dataframe")
    assert body == f'{{"project_id":"{PROJECT}","query":"SELECT 1"}}'.encode()
    assert service.keys == [KEY]


def test_an_empty_dataframe_keeps_its_columns(service: Service, site: FLIP) -> None:
    service.table = {"columns": [{"name": "accession_id", "dtype": "string"}], "rows": []}
    frame = site.get_dataframe(PROJECT, "SELECT 1")
    assert list(frame.columns) == ["accession_id"]
    assert list(site.iter_studies(PROJECT, frame)) == []


@pytest.mark.parametrize(
    "table",
    [
        {"rows": []},
        [],
        {"columns": [{"name": "a", "dtype": "complex"}], "rows": []},
        {"columns": [{"name": "a", "dtype": "int64"}], "rows": [["SECRET"]]},
        {"columns": [{"name": "a", "dtype": "int64"}], "rows": [[1, 2]]},
    ],
)
def test_a_table_that_does_not_fit_is_refused_without_its_values(service: Service, site: FLIP, table: Any) -> None:
    service.table = table
    with pytest.raises(flip.BadAnswerError) as caught:
        site.get_dataframe(PROJECT, "SELECT 1")
    assert "SECRET" not in str(caught.value)


def test_a_study_is_downloaded_once_and_then_comes_from_the_cache(service: Service, site: FLIP, tmp_path: Path) -> None:
    service.studies["A1"] = study_zip(NIFTI)
    first = site.get_by_accession_number(PROJECT, "A1")
    second = site.get_by_accession_number(PROJECT, "A1", resource_type=[ResourceType.NIFTI])
    assert first == second == tmp_path / "images" / PROJECT / "A1" / "NIFTI"
    assert (first / "label_1.nii.gz").read_bytes() == b"label"
    assert [call[:3] for call in service.calls] == [
        ("GET", "/studies/A1/files", {"project_id": PROJECT, "resource": "NIFTI"})
    ]
    assert files_below(tmp_path / "images") == {
        f"{PROJECT}/A1/.NIFTI.lock",
        *(f"{PROJECT}/A1/NIFTI/{name}" for name in (*NIFTI, ".complete")),
    }


def test_several_resources_lie_in_one_folder(service: Service, site: FLIP) -> None:
    service.studies["A1"] = study_zip({"seg/1.dcm": b"seg"})
    with pytest.raises(flip.BadAnswerError):  # the stand-in sends the same names for both
        site.get_by_accession_number(PROJECT, "A1", [ResourceType.SEGMENTATION, ResourceType.NIFTI])
    assert [call[2]["resource"] for call in service.calls] == ["NIFTI", "SEG"]
    folder = site.get_by_accession_number(PROJECT, "A1", [ResourceType.ALL, ResourceType.NIFTI])
    assert folder.name == "ALL"


def test_a_folder_without_its_sentinel_is_fetched_anew(service: Service, site: FLIP) -> None:
    service.studies["A1"] = study_zip(NIFTI)
    folder = site.get_by_accession_number(PROJECT, "A1")
    (folder / ".complete").unlink()
    (folder / "input_1.nii.gz").write_bytes(b"half")
    killed = folder.with_name(".NIFTI.0.part")
    killed.mkdir()
    assert site.get_by_accession_number(PROJECT, "A1") == folder
    assert (folder / "input_1.nii.gz").read_bytes() == b"image"
    assert not killed.exists()


def test_threads_that_want_one_study_download_it_once(service: Service, site: FLIP) -> None:
    service.studies["A1"] = study_zip(NIFTI)
    barrier, folders = threading.Barrier(6), []

    def fetch() -> None:
        barrier.wait()
        folders.append(site.get_by_accession_number(PROJECT, "A1"))

    threads = [threading.Thread(target=fetch) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(folders)) == 1
    assert len(folders) == 6
    assert len(service.calls) == 1


def test_processes_that_want_one_study_download_it_once(service: Service, tmp_path: Path) -> None:
    service.studies["A1"] = study_zip(NIFTI)
    script = f"from flip import FLIP; print(FLIP().get_by_accession_number({PROJECT!r}, 'A1'))"
    environ = {
        **os.environ,
        "DATA_ACCESS_API_URL": service.url,
        "IMAGING_API_URL": service.url,
        "TRUST_INTERNAL_SERVICE_KEY": KEY,
        "IMAGES_DIR": str(tmp_path),
    }
    command = [sys.executable, "-c", script]
    started = [subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = {process.communicate(timeout=60)[0].strip() for process in started}
    assert answers == {str(tmp_path / PROJECT / "A1" / "NIFTI")}
    assert len(service.calls) == 1


def link_zip() -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("input_1.nii.gz")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    return buffer.getvalue()


def damaged_zip() -> bytes:
    return study_zip({"a": b"x" * 100}).replace(b"x" * 100, b"x" * 99 + b"y")


@pytest.mark.parametrize(
    "content",
    [
        study_zip({"../../escaped": b"x"}),
        study_zip({"/tmp/absolute": b"x"}),
        study_zip({"a\\..\\b": b"x"}),
        link_zip(),
        damaged_zip(),
        b"no zip at all",
        b"",
    ],
)
def test_an_unsafe_or_broken_archive_leaves_nothing(
    service: Service, site: FLIP, tmp_path: Path, content: bytes
) -> None:
    service.studies["A1"] = content
    with pytest.raises(flip.BadAnswerError):
        site.get_by_accession_number(PROJECT, "A1")
    assert files_below(tmp_path) == {f"images/{PROJECT}/A1/.NIFTI.lock"}


def test_a_disk_that_refuses_gives_a_clear_error(service: Service, site: FLIP, tmp_path: Path) -> None:
    (tmp_path / "images").write_text("a file where the folder should be")
    service.studies["A1"] = study_zip(NIFTI)
    with pytest.raises(flip.StorageError, match="cannot write"):
        site.get_by_accession_number(PROJECT, "A1")


def test_a_study_that_is_not_there_is_a_reason_and_not_the_end(service: Service, site: FLIP) -> None:
    service.studies = {"A1": study_zip(NIFTI), "A4": b"broken"}
    found = {study.accession_id: study for study in site.iter_studies(PROJECT, ["A1", "A2", "bad/name", "A4", "A1"])}
    assert list(found) == ["A1", "A2", "bad/name", "A4"]
    assert found["A1"].path is not None
    assert [(image.name, label.name) for image, label in found["A1"].pairs()] == [("input_1.nii.gz", "label_1.nii.gz")]
    assert found["A2"].path is None
    assert "MISSING: the PACS does not know it" in found["A2"].reason
    assert found["A2"].pairs() == []
    assert "bad/name" in found["bad/name"].reason
    assert "unpacked" in found["A4"].reason
    with pytest.raises(flip.StudyNotAvailableError, match="MISSING"):
        site.get_by_accession_number(PROJECT, "A2")


def test_studies_come_from_a_dataframe_each_once_without_gaps(service: Service, site: FLIP) -> None:
    frame = pd.DataFrame({"accession_id": ["A2", None, "A1", "A2"]})
    assert [study.accession_id for study in site.iter_studies(PROJECT, frame)] == ["A2", "A1"]
    with pytest.raises(ValueError, match="accession_id"):
        site.iter_studies(PROJECT, pd.DataFrame({"other": [1]}))


def test_a_derived_file_is_put_beside_the_study(service: Service, site: FLIP, tmp_path: Path) -> None:
    file = tmp_path / "mask.nii.gz"
    file.write_bytes(b"derived")
    site.add_resource(PROJECT, "A1", "3", "NIFTI", [str(file)])
    site.add_resource(PROJECT, "A1", files=file)
    names = [call[2]["name"] for call in service.calls]
    assert names == ["3_NIFTI_mask.nii.gz", "mask.nii.gz"]
    assert service.calls[0][:2] == ("PUT", "/studies/A1/resources")
    assert service.calls[0][3] == b"derived"
    with pytest.raises(ValueError, match="is no file"):
        site.add_resource(PROJECT, "A1", files=[tmp_path / "absent"])


def test_cleanup_removes_inside_images_dir_only(service: Service, site: FLIP, tmp_path: Path) -> None:
    service.studies["A1"] = study_zip(NIFTI)
    folder = site.get_by_accession_number(PROJECT, "A1")
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "images" / "link").symlink_to(outside)
    for path in (outside, tmp_path / "images", tmp_path / "images" / "link", tmp_path / "images/../outside"):
        with pytest.raises(flip.StorageError, match="not inside IMAGES_DIR"):
            site.cleanup(path)
    assert outside.is_dir()
    site.cleanup(folder)
    assert not folder.exists()
    site.cleanup(folder)
    site.cleanup(str(tmp_path / "images" / PROJECT))
    assert not (tmp_path / "images" / PROJECT).exists()


@pytest.mark.parametrize("accession", ["../A1", "", "a/b", ".hidden", "x" * 65, "a b"])
def test_odd_accessions_never_become_paths(service: Service, site: FLIP, accession: str) -> None:
    with pytest.raises(ValueError, match="accession_id"):
        site.get_by_accession_number(PROJECT, accession)
    assert service.calls == []


def test_arguments_of_the_wrong_type_are_refused(service: Service, site: FLIP) -> None:
    with pytest.raises(TypeError, match="accession_id"):
        site.get_by_accession_number(PROJECT, 17)  # type: ignore[arg-type] # what is tested
    with pytest.raises(ValueError, match="project_id"):
        site.get_by_accession_number("../other", "A1")
    with pytest.raises(TypeError, match="query"):
        site.get_dataframe(PROJECT, None)  # type: ignore[arg-type] # what is tested
    with pytest.raises(ValueError, match="JPEG"):
        site.get_by_accession_number(PROJECT, "A1", "JPEG")
    with pytest.raises(ValueError, match="resource_type"):
        site.get_by_accession_number(PROJECT, "A1", [])
    assert service.calls == []


def test_the_hub_is_not_told_anything_from_a_site(site: FLIP, tmp_path: Path) -> None:
    (tmp_path / "w").write_text("w")
    calls = [
        lambda: site.update_status("m", "INITIATED"),
        lambda: site.send_metrics("T", "m", "loss", 1.0, 1),
        lambda: site.send_handled_exception("x", "T", "m"),
        lambda: site.upload_results(tmp_path / "w", "m"),
    ]
    for call in calls:
        with pytest.raises(flip.NotAvailableHereError, match="does not work in a ClientApp at a site"):
            call()
