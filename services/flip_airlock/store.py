"""Blobs by the sha256 of their content, each once, compressed where that makes it smaller.

A file under its name is whole and was checked: it is written under another name, hashed, brought to the disk and
renamed. What an interruption leaves lies in `partial`, and goes with the next call that writes.
"""

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from flip_airlock import AirlockError, libzstd
from flip_airlock.manifest import RAW, ZSTD, Piece

CHUNK = 1 << 20
ENCODINGS = (RAW, ZSTD)


class Store:
    """A folder of blobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.partial = folder / "partial"

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """One that writes at a time. What an interrupted one left is removed.

        Raises:
            AirlockError: another is at work.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AirlockError(f"something else writes to {self.folder} now; wait until it is done") from None
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self.partial)
            self.partial.mkdir(mode=0o700)
            yield
            self.partial.rmdir()

    def path(self, digest: str, encoding: str) -> Path:
        """Where a blob of this encoding lies, or would."""
        return self.folder / digest[:2] / f"{digest}.{encoding}"

    def find(self, digest: str) -> tuple[Path, str] | None:
        """A blob's file and encoding; None where it is not here."""
        for encoding in ENCODINGS:
            if (path := self.path(digest, encoding)).is_file():
                return path, encoding
        return None

    def __contains__(self, digest: str) -> bool:
        return self.find(digest) is not None

    def digests(self) -> set[str]:
        """All that is here."""
        return {path.stem for encoding in ENCODINGS for path in self.folder.glob(f"??/*.{encoding}")}

    def stored_size(self, digest: str) -> int:
        """Bytes a blob takes here."""
        return self._found(digest)[0].stat().st_size

    def _found(self, digest: str) -> tuple[Path, str]:
        if found := self.find(digest):
            return found
        raise AirlockError(f"blob {digest} is not in {self.folder}; load a bundle that brings it (verb repair)")

    def read(self, digest: str) -> Iterator[bytes]:
        """A blob's content.

        Raises:
            AirlockError: it is not here, or damaged; the latter may be known at its end only.
        """
        path, encoding = self._found(digest)
        hashed = hashlib.sha256()
        try:
            for chunk in decoded(encoding, chunks_of(path)):
                hashed.update(chunk)
                yield chunk
        except OSError as error:
            raise AirlockError(f"{path} cannot be read: {error.strerror}; run the verb repair") from None
        if hashed.hexdigest() != digest:
            raise AirlockError(f"{path} is damaged; run the verb repair")

    def take(self, digest: str, size: int, encoding: str, stored: Iterable[bytes]) -> Iterator[bytes]:
        """Takes a blob in, and gives its content while it does. It is here when this has come to its end.

        Args:
            digest: what the content has to be.
            size: how many bytes it has to have; no more are ever unpacked.
            encoding: of `stored`, raw or zstd; it stays so.
            stored: what is written down.

        Raises:
            AirlockError: the content is another.
        """
        path = self.partial / f"{digest}.{encoding}"
        hashed, length = hashlib.sha256(), 0
        with path.open("wb") as file:

            def kept() -> Iterator[bytes]:
                for chunk in stored:
                    file.write(chunk)
                    yield chunk

            for chunk in decoded(encoding, kept()):
                length += len(chunk)
                if length > size:
                    raise AirlockError(f"blob {digest} has more than the {size} bytes that it is said to have")
                hashed.update(chunk)
                yield chunk
            if hashed.hexdigest() != digest or length != size:
                raise AirlockError(f"blob {digest} has another content than it is said to have")
            file.flush()
            os.fchmod(file.fileno(), 0o644)  # releases link it, whatever the umask
            os.fsync(file.fileno())
        target = self.path(digest, encoding)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        path.rename(target)
        sync_folder(target.parent)

    def remove(self, digest: str) -> None:
        """Removes a blob, in whatever encoding."""
        for encoding in ENCODINGS:
            self.path(digest, encoding).unlink(missing_ok=True)


def decoded(encoding: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Content of what is stored."""
    return libzstd.decompress(chunks) if encoding == ZSTD else iter(chunks)


def chunks_of(path: Path) -> Iterator[bytes]:
    """A file's content."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def sync_folder(folder: Path) -> None:
    """Brings a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def link_or_copy(source: Path, target: Path) -> None:
    """Gives a file a second name, or copies it where that is on another disk."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copyfile(source, target)
        target.chmod(0o644)


def exchange(one: Path, other: Path) -> None:
    """Swaps two folders' names, at once (renameat2 with RENAME_EXCHANGE)."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = -100  # AT_FDCWD
    if libc.renameat2(here, os.fsencode(one), here, os.fsencode(other), 2):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(other))


class Stretches:
    """Stretches of a content that is read once, in the order of their starts; what lies before is forgotten."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._buffer, self._at = chunks, bytearray(), 0

    def get(self, start: int, span: int) -> bytes:
        """`span` bytes from `start` on. Raises AirlockError where the content ends before."""
        while self._at + len(self._buffer) < start:  # nothing of it is needed
            self._at += len(self._buffer)
            self._buffer = bytearray(self._next())
        del self._buffer[: start - self._at]
        self._at = start
        while len(self._buffer) < span:
            self._buffer += self._next()
        with memoryview(self._buffer) as view:
            return bytes(view[:span])

    def _next(self) -> bytes:
        for chunk in self._chunks:
            return chunk
        raise AirlockError("a patch names more of its base than there is; this bundle was not made by FLIP")


def patched(base: Iterator[bytes], pieces: Iterable[Piece], patch: Iterator[bytes]) -> Iterator[bytes]:
    """Content that a patch makes of its base. Both are read once, from their start to their end."""
    stretches, frames = Stretches(base), Stretches(patch)
    at = 0
    for piece in pieces:
        length = 0
        prefix = stretches.get(piece.start, piece.span)
        for chunk in libzstd.decompress([frames.get(at, piece.stored)], prefix):
            length += len(chunk)
            if length > piece.size:
                break
            yield chunk
        if length != piece.size:
            raise AirlockError(f"a piece of a patch makes {length} bytes instead of {piece.size}")
        at += piece.stored
