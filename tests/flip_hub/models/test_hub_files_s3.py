"""A bucket that is not there, not the hub's, slow, cut off or out of order; and what S3 is told."""

import asyncio
import base64
import hashlib
import importlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aws_faults import FaultyWay, faulty_way

from flip_common.keys import hash_api_key
from flip_common.settings import SettingsError
from flip_hub import aws as aws_clients
from flip_hub.models.download import ResultFile
from flip_hub.models.files import FileName, Kept, Kind, Spooled, StorageUnavailable, s3
from flip_hub.models.files.opening import opened_files
from flip_hub.settings import HubSettings

CONTENT = b"0123456789" * 300_000
Open = Callable[[], AbstractAsyncContextManager[Any]]


@pytest.fixture
def open_files(bucket: str, tmp_path: Path) -> Open:
    return partial(opened_files, settings(tmp_path, hub_files_bucket=bucket))


@pytest.fixture
async def files(open_files: Open) -> AsyncIterator[s3.S3Files]:
    async with open_files() as opened:
        yield opened


@pytest.fixture
def way(aws: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyWay]:
    """What goes wrong from here on; calls are tried twice and wait for a second at most."""
    monkeypatch.setattr(aws_clients, "ATTEMPTS", 2)
    monkeypatch.setattr(aws_clients, "READ_SECONDS", 1)
    with faulty_way(aws) as opened:
        monkeypatch.setenv("AWS_ENDPOINT_URL", opened.url)
        yield opened


def settings(folder: Path, **changes: str) -> HubSettings:
    return HubSettings(hub_data_dir=folder, internal_service_key_hash=hash_api_key("x"), **changes)


def upload(folder: Path, content: bytes = CONTENT) -> tuple[FileName, Spooled]:
    folder.mkdir(exist_ok=True)
    path = folder / f"{uuid4()}.part"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return FileName(uuid4(), Kind.RESULT, digest), Spooled(path, len(content), digest)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"HUB_FILES_BUCKET": "ab"}, "HUB_FILES_BUCKET: Value error, a bucket's name has 3 to 63 characters"),
        ({"HUB_FILES_BUCKET": "Upper"}, "HUB_FILES_BUCKET: Value error, a bucket's name has 3 to 63 characters"),
        ({"HUB_FILES_BUCKET": "under_score"}, "HUB_FILES_BUCKET: Value error, a bucket's name has 3 to 63 characters"),
        ({"HUB_FILES_BUCKET": "dash-"}, "HUB_FILES_BUCKET: Value error, a bucket's name has 3 to 63 characters"),
        ({"HUB_FILES_BUCKET": "s3://files"}, "HUB_FILES_BUCKET: Value error, a bucket's name has 3 to 63 characters"),
        ({"HUB_FILES_BUCKET": "a..b"}, "HUB_FILES_BUCKET: Value error, a bucket's name has no two dots"),
        ({"HUB_FILES_BUCKET": "10.0.0.1"}, "HUB_FILES_BUCKET: Value error, a bucket's name has no two dots"),
        ({"HUB_FILES_BUCKET": "files-s3alias"}, "HUB_FILES_BUCKET: Value error, this beginning or ending is AWS's"),
        ({"HUB_FILES_PREFIX": "flip"}, "HUB_FILES_PREFIX is set and HUB_FILES_BUCKET is not"),
        *[
            ({"HUB_FILES_BUCKET": "files", "HUB_FILES_PREFIX": prefix}, "HUB_FILES_PREFIX: Value error, a prefix has")
            for prefix in ("/flip", "flip/", "a//b", "a/../b", "a b", "a\n", "x" * 201)
        ],
    ],
)
def test_names_that_cannot_be_are_refused(
    values: dict[str, str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("INTERNAL_SERVICE_KEY_HASH", hash_api_key("x"))
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        HubSettings.load()
    assert problem in str(refused.value)


async def test_a_bucket_that_is_not_there_is_refused_at_start(aws: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^HUB_FILES_BUCKET: no-such-bucket: there is no such bucket; make it"):
        async with opened_files(settings(tmp_path, hub_files_bucket="no-such-bucket")):
            pass


async def test_a_bucket_of_others_is_refused_with_what_is_needed(open_files: Open, way: FaultyWay) -> None:
    way.fault = (403, "AccessDenied")
    with pytest.raises(SettingsError, match=r"^HUB_FILES_BUCKET: .*: access is denied; the hub's role needs s3:List"):
        async with open_files():
            pass


async def test_no_credentials_and_no_connection_are_refused(
    open_files: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_clients, "ATTEMPTS", 1)
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        with pytest.raises(SettingsError, match=r"^HUB_FILES_BUCKET: .*: it cannot be used \(Could not connect"):
            async with open_files():
                pass
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with pytest.raises(SettingsError, match=r"^HUB_FILES_BUCKET: .*: there are no AWS credentials here"):
        async with open_files():
            pass


async def test_without_boto3_a_bucket_is_refused(open_files: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        if name == "boto3":
            raise ModuleNotFoundError(name)
        return importlib.import_module(name)

    monkeypatch.setattr(aws_clients, "import_module", missing)
    with pytest.raises(SettingsError, match=r"^HUB_FILES_BUCKET: boto3 is not installed here; .*\[hub-aws\]"):
        async with open_files():
            pass


@pytest.mark.parametrize("fault", [(503, "SlowDown"), (500, "InternalError"), (403, "AccessDenied")])
async def test_a_fault_of_s3_is_said_without_losing_or_telling_anything(
    open_files: Open, way: FaultyWay, tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: tuple[int, str]
) -> None:
    name, spooled = upload(tmp_path)
    async with open_files() as files:
        await files.send(name, spooled)
        way.fault = fault
        for call in (
            partial(files.send, name, spooled),
            partial(files.keep, name, spooled),
            partial(files.read, name),
            partial(files.remove, name),
            partial(files.remove_model, name.model_id),
            files.models,
        ):
            with pytest.raises(StorageUnavailable) as refused:
                await call()
            assert (refused.value.status, refused.value.code) == (503, "storage_unavailable")
            assert "is not lost" in refused.value.detail
            assert any(f"({word})" in refused.value.detail for word in map(str, fault)), "an answer to HEAD has no code"
            assert str(files._bucket) not in refused.value.detail, "the caller needs no names"
        assert fault[1] in caplog.text
        assert files._bucket in caplog.text
        way.fault = None
        assert await files.read(name) == CONTENT


async def test_a_short_fault_is_tried_again(open_files: Open, way: FaultyWay, tmp_path: Path) -> None:
    name, spooled = upload(tmp_path)
    async with open_files() as files:
        way.fault, way.times = (503, "SlowDown"), 1
        await files.send(name, spooled)
        assert [method for method, _ in way.asked].count("PUT") == 2
        assert await files.read(name) == CONTENT


async def test_a_bucket_that_went_away_is_not_taken_for_a_lost_file(files: Any, bucket: str, tmp_path: Path) -> None:
    name, _ = upload(tmp_path)
    assert await files.found(name) is None
    aws_clients.client("s3").delete_bucket(Bucket=bucket)
    with pytest.raises(StorageUnavailable, match="NoSuchBucket"):
        await files.found(name)
    with pytest.raises(StorageUnavailable, match="NoSuchBucket"):
        await files.read(name)


@pytest.mark.parametrize("slow", [True, False])
async def test_an_answer_that_stops_half_way_is_no_whole_file(
    open_files: Open, way: FaultyWay, tmp_path: Path, *, slow: bool
) -> None:
    name, spooled = upload(tmp_path)
    async with open_files() as files:
        await files.send(name, spooled)
        way.body_bytes = 1_500_000
        if not slow:
            way.hold.set()
        began, beats, taken = asyncio.get_running_loop().time(), 0, 0

        async def beat() -> None:
            nonlocal beats
            while True:
                beats += 1
                await asyncio.sleep(0.01)

        beating = asyncio.create_task(beat())

        async def take() -> None:
            nonlocal taken
            async with aclosing(files.chunks(name, 0, len(CONTENT))) as chunks:
                async for chunk in chunks:
                    taken += len(chunk)

        with pytest.raises(StorageUnavailable):
            await take()
        beating.cancel()
        assert 0 < taken <= 1_500_000
        if slow:
            seconds = asyncio.get_running_loop().time() - began
            assert 0.9 < seconds < 5
            assert beats > 20, "meanwhile others are served"


async def test_a_download_that_cannot_begin_is_refused(open_files: Open, way: FaultyWay, tmp_path: Path) -> None:
    name, spooled = upload(tmp_path)
    async with open_files() as files:
        await files.send(name, spooled)
        way.fault, way.methods = (503, "SlowDown"), ("GET",)
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        answer = ResultFile(files, name, Kept(spooled.bytes, datetime.now(UTC)), "x")
        with pytest.raises(StorageUnavailable, match="SlowDown"):
            await answer({"type": "http", "headers": []}, asyncio.Event().wait, send)
        assert sent == []


async def test_who_leaves_ends_the_reading(open_files: Open, way: FaultyWay, tmp_path: Path) -> None:
    name, spooled = upload(tmp_path, b"x" * 8_000_000)
    async with open_files() as files:
        await files.send(name, spooled)
        closed = asyncio.Event()
        loop = asyncio.get_running_loop()
        get_object = files._s3.get_object

        def watched(**asked: Any) -> Any:
            answer = get_object(**asked)
            body = answer["Body"]
            close = body.close

            def closing() -> None:
                assert body.tell() < spooled.bytes / 2, "not read to its end"
                close()
                loop.call_soon_threadsafe(closed.set)

            body.close = closing
            return answer

        files._s3.get_object = watched
        left, sent = asyncio.Event(), 0

        async def receive() -> dict[str, Any]:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            nonlocal sent
            sent += len(message.get("body", b""))
            if sent:
                left.set()
                await asyncio.sleep(30)

        answer = ResultFile(files, name, Kept(spooled.bytes, datetime.now(UTC)), "x")
        await asyncio.wait_for(answer({"type": "http", "headers": []}, receive, send), 5)
        await asyncio.wait_for(closed.wait(), 5)


async def test_large_files_travel_in_parts_with_checksums(
    open_files: Open, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PART_BYTES", 5 << 20)
    small, large = upload(tmp_path, b"small"), upload(tmp_path, b"large" * 2_200_000)
    client = aws_clients.client("s3")
    async with open_files() as files:
        for name, spooled in (small, large):
            await files.send(name, spooled)
            await files.keep(name, spooled)
            kept = await files.found(name)
            assert kept is not None
            assert kept.bytes == spooled.bytes
        assert await files.read(large[0]) == large[1].path.read_bytes()
        keys = [files._key(name) for name, _ in (small, large)]
    heads = [client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED") for key in keys]
    assert base64.b64decode(heads[0]["ChecksumSHA256"]).hex() == small[0].sha256
    assert heads[1]["ETag"].endswith('-3"'), "three parts"


async def test_parts_of_an_upload_whose_hub_died_are_swept(files: Any, bucket: str, tmp_path: Path) -> None:
    client = aws_clients.client("s3")
    name, _ = upload(tmp_path)
    client.create_multipart_upload(Bucket=bucket, Key=files._key(name))
    client.create_multipart_upload(Bucket=bucket, Key="of/somebody/else")

    def remaining() -> list[str]:
        return [item["Key"] for item in client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]

    await files.tidy(datetime(2000, 1, 1, tzinfo=UTC))
    assert len(remaining()) == 2
    await files.tidy(datetime.now(UTC) + timedelta(days=1))
    assert remaining() == ["of/somebody/else"]


async def test_many_files_are_listed_and_removed(files: Any, bucket: str) -> None:
    client, model_id = aws_clients.client("s3"), uuid4()
    names = {FileName(model_id, Kind.RESULT, hashlib.sha256(bytes([number])).hexdigest()) for number in range(30)}
    for name in names:
        client.put_object(Bucket=bucket, Key=files._key(name), Body=b"x")
    get_paginator = files._s3.get_paginator

    def in_small_pages(operation: str) -> Any:
        paginator = get_paginator(operation)
        paginate = paginator.paginate
        paginator.paginate = lambda **asked: paginate(**asked, PaginationConfig={"PageSize": 7})
        return paginator

    files._s3.get_paginator = in_small_pages
    assert set(await files.listed(model_id)) == names
    await files.remove_model(model_id)
    assert await files.listed(model_id) == {}


async def test_a_model_that_cannot_be_removed_whole_is_said(
    files: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name, spooled = upload(tmp_path, b"x")
    await files.send(name, spooled)
    error = {"Key": "some/key", "Code": "AccessDenied", "Message": "no"}
    files._s3.delete_objects = lambda **_: {"Errors": [error]}
    with caplog.at_level(logging.ERROR), pytest.raises(StorageUnavailable, match="AccessDenied"):
        await files.remove_model(name.model_id)
    assert "some/key" in caplog.text


def test_the_log_does_not_tell_what_requests_are_signed_with(aws: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        aws_clients.client("s3").list_buckets()
    assert not [
        record for record in caplog.records if record.name.partition(".")[0] in {"boto3", "botocore", "urllib3"}
    ]
