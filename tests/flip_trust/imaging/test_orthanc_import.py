"""The whole way with real Orthancs: hospital PACS, staging, imaging-api, NIfTI; and the multipart it rides on."""

import io
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest
from imaging_service import intake_to
from pydantic import SecretStr

from flip_trust.imaging.store import StoreError, StoreUnavailable
from flip_trust.imaging.stores import OrthancStore, StagingOrthanc
from flip_trust.imaging.stores.multipart import MultipartError, boundary_of, write_parts

PROJECT = uuid4()


@pytest.fixture
def accession() -> str:
    return f"O{uuid4().hex[:12]}"


@pytest.mark.orthanc
async def test_from_the_pacs_to_nifti_and_nothing_stays_in_staging(
    orthancs: Any,
    orthanc_settings: Any,
    service_of: Any,
    make: Any,
    tmp_path: Path,
    world_values: Any,
    accession: str,
) -> None:
    phantom = make.series(tmp_path / "made", accession)
    labels = (phantom.voxels == 2000).astype(np.uint8)
    segmentation = make.segmentation(tmp_path / "made", phantom, labels)
    orthancs.pacs.upload([*phantom.files, segmentation])
    async with service_of(**orthanc_settings) as service:
        studies = await service.imports(PROJECT, accession, "GONE", "O*")
        assert {study["state"] for study in studies.values()} == {"IMPORTED", "MISSING", "FAILED"}
        assert (studies[accession]["state"], studies[accession]["images"]) == ("IMPORTED", 13)
        answer = await service.files(PROJECT, accession)
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            archive.extractall(tmp_path / "out")
        assert orthancs.staging.studies("*") == []
        assert (await service.client.delete(f"/imports/{PROJECT}")).status_code == 204
    np.testing.assert_array_equal(world_values(tmp_path / "out/input_2.nii.gz", phantom), phantom.voxels)
    np.testing.assert_array_equal(world_values(tmp_path / "out/label_2.nii.gz", phantom), labels)
    assert len(orthancs.pacs.studies(accession)) == 1


@pytest.mark.orthanc
async def test_many_studies_at_once(
    orthancs: Any, orthanc_settings: Any, service_of: Any, make: Any, tmp_path: Path, accession: str
) -> None:
    names = [f"{accession}{letter}" for letter in "abcdefgh"]
    for number, name in enumerate(names):
        orthancs.pacs.upload(make.series(tmp_path / "made", name, slices=3 + number).files)
    async with service_of(**orthanc_settings) as service:
        studies = await service.imports(PROJECT, *names)
    assert [studies[name]["images"] for name in names] == list(range(3, 11))


@pytest.mark.orthanc
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"orthanc_password": "wrong"}, "check ORTHANC_USERNAME and ORTHANC_PASSWORD"),
        ({"orthanc_pacs": "unknown"}, "check ORTHANC_PACS"),
        ({"orthanc_ae_title": "NOBODY"}, "does it know AE title NOBODY?"),
        ({"orthanc_url": "http://127.0.0.1:9"}, "does not answer (ConnectError)"),
    ],
)
async def test_a_wrong_setting_is_named_in_the_reason(
    orthancs: Any,
    orthanc_settings: Any,
    service_of: Any,
    make: Any,
    tmp_path: Path,
    accession: str,
    change: dict[str, str],
    reason: str,
) -> None:
    orthancs.pacs.upload(make.series(tmp_path / "made", accession, slices=2).files)
    async with service_of(**(orthanc_settings | change)) as service:
        study = (await service.imports(PROJECT, accession))[accession]
        assert study["state"] == "FAILED"
        assert reason in study["reason"]
        deleted = await service.client.delete(f"/imports/{PROJECT}")
        if "orthanc_url" in change or "orthanc_password" in change:
            assert (deleted.status_code, deleted.json()["code"]) == (503, "store_unavailable")
        else:
            assert deleted.status_code == 204


async def test_a_store_that_was_not_started_says_so(tmp_path: Path) -> None:
    staging = StagingOrthanc("http://127.0.0.1:9", "svc", SecretStr("x"), "pacs", "STAGING")
    store = OrthancStore(staging, timeout_seconds=1)
    with pytest.raises(StoreUnavailable, match="not started"):
        await store.fetch(PROJECT, "A1", intake_to(tmp_path))
    with pytest.raises(StoreError, match="wildcard"):
        await store.release(PROJECT, "*")


async def pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


PARTS = [b"DICM\r\n--not-b\r\n\r\n", b"", bytes(range(256)) * 3, b"\r\n--", b"--b"]
BODY = b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in PARTS) + b"--b--"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
async def test_parts_are_whole_wherever_the_chunks_end(tmp_path: Path, size: int) -> None:
    for preamble in (b"", b"to be ignored\r\n"):
        assert await write_parts(pieces(preamble + BODY, size), b"b", intake_to(tmp_path), "p") == len(PARTS)
        assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == PARTS


@pytest.mark.parametrize("cut", range(0, len(BODY) - 1, 37))
async def test_a_body_that_ends_early_is_an_error(tmp_path: Path, cut: int) -> None:
    with pytest.raises(MultipartError, match="ended before"):
        await write_parts(pieces(BODY[:cut], 50), b"b", intake_to(tmp_path), "p")


async def test_a_part_without_a_sane_header_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MultipartError, match="too long"):
        await write_parts(pieces(b"--b\r\n" + b"x" * 40_000, 9000), b"b", intake_to(tmp_path), "p")
    with pytest.raises(MultipartError, match="no header"):
        await write_parts(pieces(b"--bxx\r\n\r\nbody\r\n--b--", 9000), b"b", intake_to(tmp_path), "p")


def test_the_boundary_comes_from_the_content_type() -> None:
    assert boundary_of('multipart/related; type="application/dicom"; boundary="abc"') == b"abc"
    assert boundary_of("multipart/related; boundary=abc; x=y") == b"abc"
    for bad in ("", "application/json", "multipart/related"):
        with pytest.raises(MultipartError, match="not multipart"):
            boundary_of(bad)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"/modalities/pacs/query": httpx.Response(200, json={})}, "in a form not known"),
        ({"/modalities/pacs/query": httpx.Response(200, text="{")}, "in a form not known"),
        ({"/modalities/pacs/query": httpx.Response(500)}, "answered 500 to POST /modalities/pacs/query"),
    ],
)
async def test_odd_answers_are_errors_with_a_reason(
    tmp_path: Path, answers: dict[str, httpx.Response], reason: str
) -> None:
    staging = StagingOrthanc("http://staging", "svc", SecretStr("x"), "pacs", "STAGING")
    store = OrthancStore(staging, timeout_seconds=1)
    transport = httpx.MockTransport(lambda request: answers[request.url.path])
    store._client = httpx.AsyncClient(base_url="http://staging", transport=transport)
    with pytest.raises(StoreError, match=reason):
        await store.fetch(PROJECT, "A1", intake_to(tmp_path))
    await store.stop()
