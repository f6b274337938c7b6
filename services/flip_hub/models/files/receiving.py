"""Uploads on their way in: streamed to a temporary file, counted, hashed and flushed to disk."""

import errno
import os
import tempfile
from asyncio import to_thread
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from starlette.requests import ClientDisconnect, Request

from flip_common.web import Problem
from flip_hub.models.files import Spooled

_PART = ".part"
_FLUSH_BYTES = 1 << 20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


async def receive(folder: Path, request: Request, limit: int) -> Spooled:
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
    return Spooled(path=path, bytes=size, sha256=digest.hexdigest())


async def discard(spooled: Spooled) -> None:
    """Removes a received file that is not wanted."""
    await to_thread(spooled.path.unlink, missing_ok=True)


def remove_parts(folder: Path, before: datetime) -> None:
    """Removes temporary files anywhere in `folder` that were last written before this time."""
    for part in folder.rglob(f"*{_PART}"):
        with suppress(FileNotFoundError):
            if part.stat().st_mtime < before.timestamp():
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
