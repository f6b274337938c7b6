"""The SDK on a laptop, and how it finds out where it is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import flip
from flip import FLIP
from flip.constants import ModelStatus, ResourceType
from flip.environment import Laptop, Server, Site, detect

SITE = {
    "DATA_ACCESS_API_URL": "http://127.0.0.1:8010/",
    "IMAGING_API_URL": "http://127.0.0.1:8001",
    "TRUST_INTERNAL_SERVICE_KEY": "secret-of-the-site",
    "IMAGES_DIR": "/images",
}
SERVER = {"FLIP_API_INTERNAL_URL": "https://hub/api/internal", "INTERNAL_SERVICE_KEY": "secret-of-the-hub"}


def test_a_laptop_reads_a_csv_and_folders(laptop: FLIP) -> None:
    frame = laptop.get_dataframe(project_id="uuid", query="*")
    assert frame["age"].tolist() == [50, 60, 70, 50]
    found = {study.accession_id: study for study in laptop.iter_studies("uuid", frame)}
    assert list(found) == ["A1", "A2", "A3"]
    assert len(found["A1"].pairs()) == 1
    assert found["A2"].pairs() == []
    assert "DEV_IMAGES_DIR" in found["A3"].reason
    folder = laptop.get_by_accession_number("uuid", "A1", resource_type=[ResourceType.NIFTI])
    assert sorted(path.name for path in folder.rglob("input_*.nii.gz")) == ["input_1.nii.gz"]


def test_accessions_that_look_like_numbers_stay_text(laptop: FLIP, tmp_path: Path) -> None:
    (tmp_path / "cohort.csv").write_text("accession_id\n00017\n")
    assert laptop.get_dataframe("p", "q")["accession_id"].tolist() == ["00017"]


def test_a_laptop_records_what_the_hub_would_be_told(laptop: FLIP, tmp_path: Path) -> None:
    (tmp_path / "w.npz").write_bytes(b"weights")
    with laptop.run_model("uuid") as run:
        run.prepared()
        laptop.send_metrics("Trust_1", "uuid", "loss", 0.25, 1)
        run.upload_results(tmp_path / "w.npz")
    laptop.send_handled_exception("ValueError: x", "Trust_1", "uuid")
    laptop.add_resource("p", "A1", files=[tmp_path / "w.npz"])
    record = [json.loads(line) for line in (tmp_path / "out" / "calls.jsonl").read_text().splitlines()]
    assert [entry["call"] for entry in record] == [
        *("update_status", "update_status", "send_metrics", "upload_results", "update_status"),
        *("send_handled_exception", "add_resource"),
    ]
    assert record[2]["value"] == 0.25
    assert record[4]["status"] == ModelStatus.RESULTS_UPLOADED
    assert (tmp_path / "out" / "results" / "uuid" / "w.npz").read_bytes() == b"weights"
    assert (tmp_path / "out" / "resources" / "A1" / "w.npz").is_file()


def test_a_laptop_keeps_results_of_an_app_whose_model_id_nobody_set(laptop: FLIP, tmp_path: Path) -> None:
    (tmp_path / "w.npz").write_bytes(b"weights")
    with laptop.run_model("") as run:
        run.upload_results(tmp_path / "w.npz")
    assert run.status == ModelStatus.RESULTS_UPLOADED
    assert (tmp_path / "out" / "results" / "laptop" / "w.npz").read_bytes() == b"weights"
    with pytest.raises(ValueError, match=r"\.\./x"):
        laptop.upload_results(tmp_path / "w.npz", "../x")


def test_a_laptop_never_loses_the_authors_images(laptop: FLIP, tmp_path: Path) -> None:
    laptop.cleanup(tmp_path / "dev" / "A1")
    assert (tmp_path / "dev" / "A1" / "input_1.nii.gz").is_file()


def test_a_laptop_names_what_is_not_set() -> None:
    empty = FLIP({"LOCAL_DEV": "true"})
    with pytest.raises(flip.ConfigurationError, match="DEV_DATAFRAME"):
        empty.get_dataframe("p", "q")
    with pytest.raises(flip.ConfigurationError, match="DEV_IMAGES_DIR"):
        list(empty.iter_studies("p", ["A1"]))


def test_the_side_is_found_from_the_environment() -> None:
    assert isinstance(detect({"LOCAL_DEV": "true", **SITE, **SERVER}), Laptop)
    assert isinstance(detect({"DEV_IMAGES_DIR": "/x"}), Laptop)
    assert isinstance(detect({**SITE, "LOCAL_DEV": "false", "DEV_IMAGES_DIR": "/x"}), Site)
    assert isinstance(detect(SERVER), Server)
    site = detect(SITE)
    assert isinstance(site, Site)
    assert site.data_access_url == "http://127.0.0.1:8010"
    assert "secret" not in repr(site) + repr(detect(SERVER))


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, "LOCAL_DEV=true"),
        ({"LOCAL_DEV": "false", "DEV_DATAFRAME": "x.csv"}, "LOCAL_DEV=true"),
        ({"LOCAL_DEV": "maybe"}, "LOCAL_DEV"),
        ({**SITE, **SERVER}, "both"),
        ({**SITE, "IMAGES_DIR": ""}, "IMAGES_DIR"),
        ({**SITE, "TRUST_INTERNAL_SERVICE_KEY": ""}, "TRUST_INTERNAL_SERVICE_KEY"),
        ({**SITE, "IMAGING_API_URL": "localhost:8001"}, "IMAGING_API_URL"),
        ({**SERVER, "FLIP_API_INTERNAL_URL": "https://user:pw@hub"}, "FLIP_API_INTERNAL_URL"),
        ({"FLIP_API_INTERNAL_URL": "https://hub"}, "INTERNAL_SERVICE_KEY"),
    ],
)
def test_what_is_missing_is_named_at_the_first_call_and_never_before(environ: dict[str, str], named: str) -> None:
    app = FLIP(environ)
    with pytest.raises(flip.ConfigurationError, match=named) as caught:
        app.update_status("m", "INITIATED")
    assert "secret" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_importing_flip_needs_httpx_and_pandas_alone() -> None:
    script = (
        "import sys\n"
        "def fresh(): return {name.split('.')[0] for name in sys.modules}\n"
        "import httpx, pandas\n"
        "before = fresh()\n"
        "import flip, flip.site, flip.server, flip.constants.flip_constants\n"
        "flip.FLIP()\n"
        "print(sorted(fresh() - before - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['flip']"
