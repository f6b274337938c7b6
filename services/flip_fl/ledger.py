"""A site's record of what passed its egress point: JSON lines, in files that only grow."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from types import MappingProxyType

FILE_MODE = 0o600


class Ledger:
    """One file that lines are added to. At a size it is put aside under the time of that moment, and a new one begun.

    Nothing is ever taken out or overwritten, files put aside included: whoever could make many lines could else make
    older ones vanish. Every method raises OSError where the disk does not take what is written; nothing may pass then.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path, self._max_bytes = path, max_bytes
        self._file = self._open()

    def write(self, event: str, values: Mapping[str, object] = MappingProxyType({}), *, durable: bool = False) -> None:
        """Adds a line with the time in UTC; a durable one is on the disk when this returns."""
        line = json.dumps({"at": f"{_now().isoformat()[:23]}Z", "event": event, **values}).encode() + b"\n"
        size = os.fstat(self._file.fileno()).st_size
        if size and size + len(line) > self._max_bytes:
            self._put_aside()
            size = 0
        if (written := os.write(self._file.fileno(), line)) != len(line):
            os.ftruncate(self._file.fileno(), size)
            raise OSError(f"{self._path}: the disk took {written} of {len(line)} bytes; make room")
        if durable:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """The file is on the disk and closed."""
        os.fsync(self._file.fileno())
        self._file.close()

    def _open(self) -> FileIO:
        file = FileIO(os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, FILE_MODE), "a+")
        size = os.fstat(file.fileno()).st_size
        # A line that a lost machine cut short stays, alone on its line.
        if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
            file.write(b"\n")
        return file

    def _put_aside(self) -> None:
        # The old file is given up last: what fails here is tried again with the next line.
        if self._path.exists():
            moment = f"{_now():%Y%m%dT%H%M%S.%fZ}"
            self._path.rename(self._path.with_name(f"{self._path.stem}-{moment}{self._path.suffix}"))
        begun = self._open()
        self.close()
        self._file = begun
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _now() -> datetime:
    return datetime.now(UTC)
