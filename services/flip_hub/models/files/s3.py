"""Files in an S3 bucket, `[PREFIX/]models/<model>/<name>`, encrypted as the bucket's default says.

Needs on the bucket s3:ListBucket and s3:ListBucketMultipartUploads; on its objects s3:GetObject, s3:PutObject,
s3:DeleteObject and s3:AbortMultipartUpload. Imported only when a bucket is set: boto3 is an extra.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from flip_common.settings import SettingsError
from flip_hub.models.files import FileLost, FileName, Kept, ModelFiles, Spooled, StorageUnavailable, model_id_of
from flip_hub.models.files.receiving import remove_parts

CHUNK_BYTES = 1 << 20
PART_BYTES = 64 << 20
"""Larger files travel in parts of this size, several at a time."""
THREADS, UPLOADS = 16, 4
"""Calls to S3 under way at once, and how many of them may be uploads, which hold a thread for long."""
_FAULTS = (BotoCoreError, ClientError, Boto3Error)
_ABSENT = frozenset({"404", "NoSuchKey"})
_PERMISSIONS = (
    "the hub's role needs s3:ListBucket and s3:ListBucketMultipartUploads on the bucket, and s3:GetObject, "
    "s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload on its objects"
)

log = logging.getLogger(__name__)


class S3Files(ModelFiles):
    """Files in one bucket, below one prefix."""

    where = "the hub's bucket"

    def __init__(self, client: Any, bucket: str, prefix: str, spool: Path, threads: ThreadPoolExecutor) -> None:
        self._s3, self._bucket, self._spool, self._threads = client, bucket, spool, threads
        self._root = f"{prefix}/models/" if prefix else "models/"
        self._uploads = asyncio.Semaphore(UPLOADS)
        self._transfer = TransferConfig(
            multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=4
        )

    @classmethod
    @asynccontextmanager
    async def opened(cls, client: Any, bucket: str, prefix: str, spool: Path) -> AsyncIterator[Self]:
        """Files in a bucket that was seen to be there.

        Raises:
            SettingsError: the bucket is not there, or not for this hub.
        """
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="s3")
        try:
            files = cls(client, bucket, prefix, spool, threads)
            await files._check()
            yield files
        finally:
            # Not waited for: calls under way end by themselves, within their time limits.
            threads.shutdown(wait=False, cancel_futures=True)
            client.close()

    def spool(self, model_id: UUID) -> Path:
        """One folder for all models."""
        return self._spool

    async def send(self, name: FileName, spooled: Spooled) -> None:
        """Uploads the file. S3 checks each part by its SHA-256; what is cut off has no name."""
        async with self._uploads:
            await self._call(
                "upload_file",
                Filename=str(spooled.path),
                Key=self._key(name),
                ExtraArgs={"ChecksumAlgorithm": "SHA256"},
                Config=self._transfer,
            )

    async def keep(self, name: FileName, spooled: Spooled) -> None:
        """Asks whether the object is there, and uploads it again if not."""
        kept = await self.found(name)
        if kept is None or kept.bytes != spooled.bytes:
            await self.send(name, spooled)

    async def found(self, name: FileName) -> Kept | None:
        """What S3 says of the object."""
        try:
            head = await self._call("head_object", Key=self._key(name))
        except _Absent:
            # An answer to HEAD has no body, so it may be the bucket that is not there: listing would say so.
            await self._call("list_objects_v2", Prefix=self._key(name), MaxKeys=1)
            return None
        return Kept(head["ContentLength"], head["LastModified"])

    async def chunks(self, name: FileName, start: int, end: int) -> AsyncGenerator[bytes]:
        """Reads the object over one connection, which is closed, not drained, when the caller stops early."""
        if start == end:
            return
        try:
            answer = await self._call("get_object", Key=self._key(name), Range=f"bytes={start}-{end - 1}")
        except _Absent:
            raise FileLost(f"gone from {self.where}") from None
        body = answer["Body"]
        try:
            while start < end:
                chunk = await self._asked("get_object", body.read, CHUNK_BYTES)
                if not chunk:
                    raise FileLost(f"cut short in {self.where}")
                start += len(chunk)
                yield chunk
        finally:
            # In a thread, for one that still reads has to end first; not waited for, as this may be a cancellation.
            self._threads.submit(body.close)

    async def remove(self, name: FileName) -> None:
        """Deletes the object; a bucket with versioning keeps it as an old version."""
        await self._call("delete_object", Key=self._key(name))

    async def remove_model(self, model_id: UUID) -> None:
        """Deletes all objects below the model's prefix."""
        prefix = self._prefix(model_id)
        for page in await self._pages("list_objects_v2", Prefix=prefix):
            keys = [{"Key": item["Key"]} for item in page.get("Contents", ())]
            if keys:
                answer = await self._call("delete_objects", Delete={"Objects": keys, "Quiet": True})
                if errors := answer.get("Errors"):
                    raise self._unavailable("delete_objects", errors[0]["Code"], errors[0])

    async def models(self) -> list[UUID]:
        """Models that have an object."""
        pages = await self._pages("list_objects_v2", Prefix=self._root, Delimiter="/")
        found = (item["Prefix"] for page in pages for item in page.get("CommonPrefixes", ()))
        return [model_id for key in found if (model_id := model_id_of(key.removeprefix(self._root)[:-1]))]

    async def listed(self, model_id: UUID) -> dict[FileName, Kept]:
        """The objects below the model's prefix."""
        prefix = self._prefix(model_id)
        pages = await self._pages("list_objects_v2", Prefix=prefix)
        items = (item for page in pages for item in page.get("Contents", ()))
        return {
            name: Kept(item["Size"], item["LastModified"])
            for item in items
            if (name := FileName.parsed(model_id, item["Key"].removeprefix(prefix)))
        }

    async def tidy(self, before: datetime) -> None:
        """Removes temporary files of the spool folder, and parts of uploads whose hub died."""
        await self._run(remove_parts, self._spool, before)
        for page in await self._pages("list_multipart_uploads", Prefix=self._root):
            for item in page.get("Uploads", ()):
                if item["Initiated"] < before:
                    await self._call("abort_multipart_upload", Key=item["Key"], UploadId=item["UploadId"])

    async def _check(self) -> None:
        try:
            await self._run(partial(self._s3.head_bucket, Bucket=self._bucket))
        except _FAULTS as error:
            remedy = {
                "404": "there is no such bucket; make it, or correct the name",
                "403": f"access is denied; {_PERMISSIONS}",
                NoCredentialsError.__name__: f"there are no AWS credentials here; {_PERMISSIONS}",
            }.get(_code(error), f"it cannot be used ({error})")
            raise SettingsError(f"HUB_FILES_BUCKET: {self._bucket}: {remedy}") from None

    async def _pages(self, operation: str, **asked: Any) -> list[dict[str, Any]]:
        pages = self._s3.get_paginator(operation).paginate(Bucket=self._bucket, **asked)
        found: list[dict[str, Any]] = await self._asked(operation, list, pages)
        return found

    async def _call(self, operation: str, **asked: Any) -> Any:
        return await self._asked(operation, partial(getattr(self._s3, operation), Bucket=self._bucket, **asked))

    async def _asked(self, operation: str, function: Callable[..., Any], *args: Any) -> Any:
        """Calls S3 in a thread.

        Raises:
            _Absent: S3 knows no such object.
            StorageUnavailable: S3 refuses, or does not answer.
        """
        try:
            return await self._run(function, *args)
        except _FAULTS as error:
            code = _code(error)
            if code in _ABSENT:
                raise _Absent from None
            raise self._unavailable(operation, code, error) from None

    async def _run(self, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    def _unavailable(self, operation: str, code: str, told: object) -> StorageUnavailable:
        log.error("%s in bucket %s failed: %s", operation, self._bucket, told)
        return StorageUnavailable(code)

    def _prefix(self, model_id: UUID) -> str:
        return f"{self._root}{model_id}/"

    def _key(self, name: FileName) -> str:
        return self._prefix(name.model_id) + name.last


class _Absent(Exception):  # noqa: N818 - an answer, not a fault
    """S3 knows no such object."""


def _code(error: BaseException) -> str:
    """S3's code of an error, such as `AccessDenied`; the error's name where S3 gave no answer."""
    if isinstance(error, ClientError):
        return str(error.response["Error"]["Code"])
    # boto3's transfers wrap the answer they got.
    if isinstance(error, Boto3Error) and isinstance(error.__context__, ClientError):
        return _code(error.__context__)
    return type(error).__name__
