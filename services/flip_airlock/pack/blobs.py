"""A packer's store: everything that was ever packed here, so that what is in it is not compressed again."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from backports import zstd
from backports.zstd import CompressionParameter as Parameter

from flip_airlock.libzstd import WINDOW_LOG
from flip_airlock.manifest import RAW, ZSTD
from flip_airlock.store import Store, sync_folder

LEVEL = 3
OPTIONS: dict[int, int] = {
    Parameter.compression_level: LEVEL,
    Parameter.window_log: WINDOW_LOG,
    Parameter.enable_long_distance_matching: 1,
}
GAIN = 0.97  # of its size a compressed content has to have at most to be worth it


class PackStore(Store):
    """A store that contents are put into, which nobody has compressed yet."""

    def put(self, chunks: Iterable[bytes]) -> str:
        """Takes a content in; returns its digest."""
        part = self.partial / "next"
        hashed, length, packer = hashlib.sha256(), 0, zstd.ZstdCompressor(options=OPTIONS)
        with part.open("wb") as file:
            for chunk in chunks:
                hashed.update(chunk)
                length += len(chunk)
                file.write(packer.compress(chunk))
            file.write(packer.flush())
            worth = file.tell() <= length * GAIN
        digest = hashed.hexdigest()
        if digest in self:
            part.unlink()
            return digest
        if not worth:
            plain = self.partial / "plain"
            with part.open("rb") as source, plain.open("wb") as target:
                _decompress(source, target)
            plain.rename(part)
        target_path = self.path(digest, ZSTD if worth else RAW)
        target_path.parent.mkdir(mode=0o700, exist_ok=True)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.rename(target_path)
        sync_folder(target_path.parent)
        return digest

    def put_file(self, path: Path) -> str:
        """Takes a file in; returns its digest."""
        return self.put(_chunks(path))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk


def _decompress(source: BinaryIO, target: BinaryIO) -> None:
    with zstd.ZstdFile(source) as opened:
        while chunk := opened.read(1 << 20):
            target.write(chunk)
