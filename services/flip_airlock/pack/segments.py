"""Segments: archives that stay under the airlock's limit, a blob in as few of them as can be."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from flip_airlock import AirlockError, tar
from flip_airlock.manifest import File, Part
from flip_airlock.pack.chunks import Chunks

LEAST = 1_000_000


class Segments:
    """Writes segments one after the other.

    Args:
        folder: where to.
        stem: what their names begin with.
        limit: bytes of the largest.
        only: numbers of those that are written; the others are made and forgotten. None for all.

    Raises:
        AirlockError: the limit is too low for anything to fit.
    """

    def __init__(self, folder: Path, stem: str, limit: int, only: set[int] | None = None) -> None:
        if limit < LEAST:
            raise AirlockError(f"segments of {limit} bytes are too small; {LEAST} is the least")
        self.folder, self.stem, self.limit, self.only = folder, stem, limit, only
        self.done: list[File] = []
        self._begin()

    def _begin(self) -> None:
        self._size, self._hash = 0, hashlib.sha256()
        number = len(self.done)
        self._name = f"{self.stem}.{number + 1:04}.tar"
        write = self.only is None or number in self.only
        self._file = (self.folder / self._name).open("xb") if write else None

    def _write(self, chunk: bytes) -> None:
        self._size += len(chunk)
        self._hash.update(chunk)
        if self._file:
            self._file.write(chunk)

    def close(self) -> None:
        """Ends the last one."""
        if self._size:
            self._write(tar.END)
            self.done.append(File(self._name, self._size, self._hash.hexdigest()))
        if self._file:
            self._file.close()
            if not self._size:
                (self.folder / self._name).unlink()

    def _room(self) -> int:
        """Bytes of content that still fit."""
        room = self.limit - self._size - tar.BLOCK - len(tar.END)
        return room - room % tar.BLOCK

    def add(self, name: str, size: int, chunks: Iterable[bytes]) -> tuple[Part, ...]:
        """Writes a blob; returns where it lies. Cut only where no segment could hold it whole."""
        if self._size and size > self._room():
            self.close()
            self._begin()
        parts, content, left = list[Part](), Chunks(chunks), size
        while left:
            take = min(left, self._room())
            parts.append(Part(len(self.done), self._size + tar.BLOCK, take))
            named = name if take == size else f"{name}.part{len(parts)}"
            for chunk in tar.member(named, take, content.stretch(take)):
                self._write(chunk)
            left -= take
            if left:
                self.close()
                self._begin()
        return tuple(parts)
