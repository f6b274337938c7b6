"""Files of models under HUB_DATA_DIR/models/<id>/. A file is named by its SHA-256 and complete, or not there.

Uploads are written to a temporary file beside their place, flushed to disk and renamed. What an interrupted
upload or deletion left behind is swept when the hub starts to watch jobs.
"""

import errno
import os
import shutil
import tempfile
import time
from asyncio import to_thread
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from starlette.requests import ClientDisconnect, Request

from flip_common.web import Problem

_PART = ".part"
_PART_MAX_AGE_SECONDS = 86_400
_FLUSH_BYTES = 1 << 20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True)
class Stored:
    """A file that is completely on disk; `path` still has a temporary name until `keep`."""

    path: Path
    bytes: int
    sha256: str


def model_folder(data_dir: Path, model_id: UUID) -> Path:
    """Where the model's files lie."""
    return data_dir / "models" / str(model_id)


def app_path(data_dir: Path, model_id: UUID, digest: str) -> Path:
    """Where the model's app with this SHA-256 lies."""
    return model_folder(data_dir, model_id) / f"app-{digest}.zip"


def result_path(data_dir: Path, model_id: UUID, digest: str) -> Path:
    """Where the model's result with this SHA-256 lies."""
    return model_folder(data_dir, model_id) / f"result-{digest}"


async def receive(folder: Path, request: Request, limit: int) -> Stored:
    """Streams a request's body to a temporary file in `folder` and flushes it to disk; nothing is left on failure.

    Raises:
        Problem: 413 `too_large`, 507 `insufficient_storage`, 400 `upload_cut_off`.
    """
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    try:
        file, path = await to_thread(_open_part, folder)
    except OSError as error:
        raise explained(error) from error
    digest, size = sha256(), 0
    pending = bytearray()
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            digest.update(chunk)
            pending += chunk
            if len(pending) >= _FLUSH_BYTES:
                await to_thread(_write, file, bytes(pending))
                pending.clear()
        await to_thread(_finish, file, bytes(pending))
    except OSError as error:
        _drop(file, path)
        raise explained(error) from error
    except ClientDisconnect:
        _drop(file, path)
        raise Problem(400, "upload_cut_off", f"the upload ended after {size} bytes; send it again") from None
    except BaseException:
        _drop(file, path)
        raise
    return Stored(path=path, bytes=size, sha256=digest.hexdigest())


async def keep(stored: Stored, place: Path) -> None:
    """Gives a received file its final name, durably."""
    await to_thread(_rename, stored.path, place)


async def discard(stored: Stored) -> None:
    """Removes a received file that is not wanted."""
    await to_thread(stored.path.unlink, missing_ok=True)


def remove_file(path: Path) -> None:
    """Removes a file, if it is there."""
    path.unlink(missing_ok=True)


def remove_model_files(data_dir: Path, model_id: UUID) -> None:
    """Removes all files of a deleted model."""
    with suppress(FileNotFoundError):
        shutil.rmtree(model_folder(data_dir, model_id))


def sweep(data_dir: Path, deleted_models: Iterable[UUID]) -> None:
    """Removes files of deleted models and the remains of uploads that were cut off over a day ago."""
    for model_id in deleted_models:
        remove_model_files(data_dir, model_id)
    oldest = time.time() - _PART_MAX_AGE_SECONDS
    for part in (data_dir / "models").glob(f"*/*{_PART}"):
        with suppress(FileNotFoundError):
            if part.stat().st_mtime < oldest:
                part.unlink()


def _open_part(folder: Path) -> tuple[BinaryIO, Path]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=folder, suffix=_PART)
    return os.fdopen(descriptor, "wb"), Path(name)


def _write(file: BinaryIO, content: bytes) -> None:
    file.write(content)


def _finish(file: BinaryIO, content: bytes) -> None:
    _write(file, content)
    file.flush()
    os.fsync(file.fileno())
    file.close()


def _rename(part: Path, place: Path) -> None:
    part.replace(place)
    folder = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _drop(file: BinaryIO, path: Path) -> None:
    # Closing flushes what is buffered, which fails again on a full disk; the file goes away in any case.
    with suppress(OSError):
        file.close()
    path.unlink(missing_ok=True)


def _too_large(limit: int) -> Problem:
    return Problem(413, "too_large", f"the upload is over the limit of {limit} bytes")


def explained(error: OSError) -> Exception:
    """What to raise for an error of the file system: a full disk is a problem the caller can understand."""
    if error.errno in _FULL:
        return Problem(
            507,
            "insufficient_storage",
            "the hub's disk is full; what was there before is kept. Free space under HUB_DATA_DIR and upload again",
        )
    return error
