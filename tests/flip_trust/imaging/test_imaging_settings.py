"""Settings name what is missing for the store that was chosen."""

from pathlib import Path
from typing import Any

import pytest

from flip_common.settings import SettingsError
from flip_trust.imaging.settings import ImagingSettings
from flip_trust.imaging.stores import DimseStore, FolderStore, OrthancStore, XnatStore, make_store

BASE = {"IMAGING_DATA_DIR": "/data", "TRUST_INTERNAL_SERVICE_KEY": "0123456789abcdef"}
DIMSE = {
    "IMAGING_STORE": "dimse",
    "PACS_AE_TITLE": "PACS",
    "PACS_HOST": "pacs",
    "PACS_PORT": "104",
    "IMAGING_AE_TITLE": "FLIP",
    "IMAGING_AE_PORT": "11112",
}
ORTHANC = {
    "IMAGING_STORE": "orthanc",
    "ORTHANC_URL": "http://127.0.0.1:8042",
    "ORTHANC_USERNAME": "svc",
    "ORTHANC_PASSWORD": "not-to-be-shown",
    "ORTHANC_PACS": "pacs",
    "ORTHANC_AE_TITLE": "STAGING",
}
XNAT = {
    "IMAGING_STORE": "xnat",
    "XNAT_URL": "http://xnat-web:8080",
    "XNAT_USERNAME": "flip-imaging",
    "XNAT_PASSWORD": "not-to-be-shown",
    "XNAT_PACS": "PACS",
    "XNAT_AE_TITLE": "XNAT",
    "XNAT_AE_PORT": "8104",
}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(values: dict[str, str]) -> ImagingSettings:
        for name in ImagingSettings.names():
            monkeypatch.delenv(name, raising=False)
        for name, value in (BASE | values).items():
            monkeypatch.setenv(name, value)
        return ImagingSettings.load()

    return run


@pytest.mark.parametrize("given", [DIMSE, ORTHANC, XNAT])
def test_each_missing_setting_of_a_store_is_named(load: Any, given: dict[str, str]) -> None:
    assert load(given)
    for name in given.keys() - {"IMAGING_STORE"}:
        with pytest.raises(SettingsError, match=f"IMAGING_STORE={given['IMAGING_STORE']} also needs {name}"):
            load({key: value for key, value in given.items() if key != name})


def test_all_missing_settings_are_named_at_once(load: Any) -> None:
    with pytest.raises(SettingsError, match="PACS_AE_TITLE, PACS_HOST, PACS_PORT, IMAGING_AE_TITLE"):
        load({"IMAGING_STORE": "dimse"})


def test_the_folder_must_be_there(load: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="also needs IMAGING_FOLDER"):
        load({"IMAGING_STORE": "folder"})
    with pytest.raises(SettingsError, match="is not a folder"):
        load({"IMAGING_STORE": "folder", "IMAGING_FOLDER": str(tmp_path / "no")})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IMAGING_STORE", "tape"),
        ("PACS_PORT", "0"),
        ("PACS_AE_TITLE", "MORE THAN SIXTEEN CHARACTERS"),
        ("IMPORT_CONCURRENCY", "0"),
        ("LOG_LEVEL", "loud"),
        ("TRUST_INTERNAL_SERVICE_KEY", "short"),
    ],
)
def test_a_malformed_value_is_refused_by_name(load: Any, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load(DIMSE | {name: value})


def test_dicom_tls_is_all_or_nothing(load: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not set: PACS_TLS_CERTIFICATE, PACS_TLS_KEY"):
        load(DIMSE | {"PACS_TLS_CA": "ca.pem"})


def test_no_secret_shows(load: Any) -> None:
    for values in (ORTHANC, XNAT):
        assert "not-to-be-shown" not in repr(load(values))
    assert BASE["TRUST_INTERNAL_SERVICE_KEY"] not in repr(load(ORTHANC))


def test_every_setting_is_described() -> None:
    assert all(field.description for field in ImagingSettings.model_fields.values())


async def test_the_store_chosen_is_the_store_made(load: Any, tmp_path: Path) -> None:
    folder = {"IMAGING_STORE": "folder", "IMAGING_FOLDER": str(tmp_path)}
    kinds = ((folder, FolderStore), (DIMSE, DimseStore), (ORTHANC, OrthancStore), (XNAT, XnatStore))
    for values, kind in kinds:
        store = make_store(load(values))
        assert type(store) is kind
        await store.stop()
