"""What every place for models' files must do: one suite for the folder and the bucket."""

import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from hub_world import both_places
from starlette.requests import Request

from flip_common.keys import hash_api_key
from flip_hub.models.download import ResultFile
from flip_hub.models.files import FileLost, FileName, Kind, ModelFiles, Spooled
from flip_hub.models.files.folder import FolderFiles
from flip_hub.models.files.opening import opened_files
from flip_hub.models.files.receiving import receive
from flip_hub.settings import HubSettings

MODEL = UUID("00000000-0000-4000-8000-000000000001")
CONTENT = bytes(range(256)) * 4000
pytestmark = both_places


@pytest.fixture
async def files(file_settings: dict[str, Any], tmp_path: Path) -> AsyncIterator[ModelFiles]:
    settings = HubSettings(hub_data_dir=tmp_path, internal_service_key_hash=hash_api_key("x"), **file_settings)
    async with opened_files(settings) as opened:
        yield opened


async def spooled(files: ModelFiles, content: bytes, model_id: UUID = MODEL) -> Spooled:
    async def body() -> dict[str, Any]:
        return {"type": "http.request", "body": content}

    return await receive(files.spool(model_id), Request({"type": "http", "headers": []}, body), 10**9)


async def put(
    files: ModelFiles, content: bytes = CONTENT, kind: Kind = Kind.RESULT, model_id: UUID = MODEL
) -> FileName:
    upload = await spooled(files, content, model_id)
    name = FileName(model_id, kind, upload.sha256)
    await files.send(name, upload)
    await files.keep(name, upload)
    upload.path.unlink(missing_ok=True)
    return name


def damage(files: Any, name: FileName, content: bytes) -> None:
    """Puts other bytes in the file's place."""
    if isinstance(files, FolderFiles):
        files.path(name).write_bytes(content)
    else:
        files._s3.put_object(Bucket=files._bucket, Key=files._key(name), Body=content)


async def taken(files: ModelFiles, name: FileName, start: int, end: int) -> bytes:
    async with aclosing(files.chunks(name, start, end)) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def test_a_file_is_kept_read_listed_and_removed(files: ModelFiles) -> None:
    began = datetime.now(UTC) - timedelta(seconds=2)
    name, app = await put(files), await put(files, b"zip", Kind.APP)
    assert name.sha256 == sha256(CONTENT).hexdigest()
    kept = await files.found(name)
    assert kept is not None
    assert kept.bytes == len(CONTENT)
    assert began <= kept.at <= datetime.now(UTC) + timedelta(seconds=2)
    assert await files.read(name) == CONTENT
    assert {found: kept.bytes for found, kept in (await files.listed(MODEL)).items()} == {name: len(CONTENT), app: 3}
    assert await files.models() == [MODEL]
    for _ in range(2):
        await files.remove(name)
    assert await files.found(name) is None
    assert list(await files.listed(MODEL)) == [app]


async def test_saying_it_again_is_harmless_and_repairs(files: ModelFiles) -> None:
    name = await put(files)
    damage(files, name, b"short")
    assert await put(files) == name
    assert await files.read(name) == CONTENT


async def test_a_file_removed_since_it_was_sent_is_kept_all_the_same(files: ModelFiles) -> None:
    upload = await spooled(files, CONTENT)
    name = FileName(MODEL, Kind.APP, upload.sha256)
    await files.send(name, upload)
    await files.remove(name)
    await files.keep(name, upload)
    assert await files.read(name) == CONTENT


@pytest.mark.parametrize(("start", "end"), [(0, len(CONTENT)), (0, 1), (255, 258), (700_000, len(CONTENT)), (5, 5)])
async def test_any_part_can_be_taken(files: ModelFiles, start: int, end: int) -> None:
    assert await taken(files, await put(files), start, end) == CONTENT[start:end]


async def test_what_is_lost_is_said(files: ModelFiles) -> None:
    name = await put(files, b"0123456789")
    damage(files, name, b"012345678X")
    with pytest.raises(FileLost, match=f"^damaged: its SHA-256 is not {name.sha256}"):
        await files.read(name)
    damage(files, name, b"01234")
    with pytest.raises(FileLost, match="cut short"):
        await taken(files, name, 2, 10)
    await files.remove(name)
    with pytest.raises(FileLost, match=f"^gone from {files.where}"):
        await files.read(name)
    with pytest.raises(FileLost, match=f"^gone from {files.where}"):
        await taken(files, name, 0, 3)


async def test_an_empty_file_is_a_file(files: ModelFiles) -> None:
    name = await put(files, b"")
    assert await files.read(name) == b""


async def test_a_model_is_removed_whole_and_alone(files: ModelFiles) -> None:
    other = uuid4()
    for content in (b"1", b"2"):
        await put(files, content)
    left = await put(files, b"1", model_id=other)
    for _ in range(2):
        await files.remove_model(MODEL)
    assert await files.listed(MODEL) == {}
    assert await files.models() == [other]
    assert await files.read(left) == b"1"


async def test_what_is_not_the_hubs_own_is_not_listed(files: Any) -> None:
    name = await put(files)
    for last in ("notes.txt", "app-1.zip", f"result-{name.sha256}.zip", f"app-{name.sha256}"):
        if isinstance(files, FolderFiles):
            (files.spool(MODEL) / last).write_text("")
            (files.folder / "lost+found").mkdir(exist_ok=True)
        else:
            files._s3.put_object(Bucket=files._bucket, Key=f"{files._prefix(MODEL)}{last}", Body=b"")
            files._s3.put_object(Bucket=files._bucket, Key=f"{files._root}lost+found/x", Body=b"")
    assert list(await files.listed(MODEL)) == [name]
    assert await files.models() == [MODEL]


async def test_remains_of_uploads_go_after_a_while(files: ModelFiles) -> None:
    old, new = [await spooled(files, b"x") for _ in range(2)]
    os.utime(old.path, (0, 0))
    name = await put(files)
    await files.tidy(datetime.now(UTC) - timedelta(days=1))
    assert (old.path.exists(), new.path.exists()) == (False, True)
    assert await files.read(name) == CONTENT


async def get(files: ModelFiles, name: FileName, headers: dict[str, str]) -> httpx.Response:
    kept = await files.found(name)
    assert kept is not None
    transport = httpx.ASGITransport(ResultFile(files, name, kept, "model.pt"))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
        return await client.get("/", headers=headers)


@pytest.mark.parametrize(
    ("asked", "status", "content_range", "content"),
    [
        (None, 200, None, CONTENT),
        ("bytes=2-4", 206, f"bytes 2-4/{len(CONTENT)}", CONTENT[2:5]),
        ("bytes=-3", 206, f"bytes {len(CONTENT) - 3}-{len(CONTENT) - 1}/{len(CONTENT)}", CONTENT[-3:]),
        ("bytes=1000000-", 206, f"bytes 1000000-{len(CONTENT) - 1}/{len(CONTENT)}", CONTENT[1_000_000:]),
        ("bytes=0-99999999", 206, f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}", CONTENT),
        (f"bytes={len(CONTENT)}-", 416, f"bytes */{len(CONTENT)}", None),
        ("bytes=3-1", 400, f"bytes */{len(CONTENT)}", None),
        ("lines=1-2", 400, f"bytes */{len(CONTENT)}", None),
    ],
)
async def test_an_answer_has_what_was_asked_for(
    files: ModelFiles, asked: str | None, status: int, content_range: str | None, content: bytes | None
) -> None:
    name = await put(files)
    answer = await get(files, name, {"range": asked} if asked else {})
    assert (answer.status_code, answer.headers.get("content-range")) == (status, content_range)
    if content is None:
        assert answer.headers["content-type"] == "application/problem+json"
        return
    assert answer.content == content
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["etag"] == f'"{name.sha256}"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-type"] == "application/octet-stream"


async def test_several_ranges_come_in_one_answer(files: ModelFiles) -> None:
    answer = await get(files, await put(files), {"range": "bytes=0-1,10-11"})
    assert answer.status_code == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges; boundary=")
    assert answer.headers["content-length"] == str(len(answer.content))
    assert b"\r\n\r\n\x00\x01\r\n--" in answer.content
    assert b"\r\n\r\n\x0a\x0b\r\n--" in answer.content


async def test_a_range_holds_for_the_file_it_was_meant_for_only(files: ModelFiles) -> None:
    name = await put(files)
    for condition, status in ((f'"{name.sha256}"', 206), ('"of another"', 200)):
        answer = await get(files, name, {"range": "bytes=0-1", "if-range": condition})
        assert answer.status_code == status
    assert (await get(files, await put(files, b""), {})).content == b""
