"""A zip archive that is sent while it is made."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path

from typing_extensions import Buffer, override

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Member:
    """A file and its name in the archive."""

    name: str
    path: Path


def stream_zip(members: list[Member]) -> Iterator[bytes]:
    """The archive, a chunk of about a megabyte at a time; members are stored as they are, without time stamps.

    Images are compressed already, or are wanted at once: deflating them would only take time. A file that vanishes
    on the way breaks the archive off before its directory, so a reader cannot take it for whole.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for member in members:
            info = zipfile.ZipInfo(member.name)
            with member.path.open("rb") as reader, archive.open(info, "w", force_zip64=True) as writer:
                while chunk := reader.read(_CHUNK_BYTES):
                    writer.write(chunk)
                    yield sink.take()
    yield sink.take()


class _Sink(RawIOBase):
    """Collects what the archive writes until it is taken. Cannot seek, so sizes follow the data."""

    def __init__(self) -> None:
        self._written = bytearray()

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, data: Buffer) -> int:
        self._written += data
        return memoryview(data).nbytes

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken
