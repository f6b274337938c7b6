"""The disk below IMAGING_DATA_DIR: how much of it stays free, and what a write that failed means to the reader."""

import errno
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LEDGER_NO_ROOM = frozenset({"SQLITE_FULL", "SQLITE_IOERR_WRITE"})


class NoRoom(OSError):  # noqa: N818 - a state of the disk, met before it becomes an error
    """A write would use the space that has to stay free. `strerror` names the setting and the remedy."""


@dataclass(frozen=True)
class Room:
    """Keeps `reserve` bytes of the disk below `folder` free: the ledger, and others, go on when images do not fit."""

    folder: Path
    reserve: int

    def check(self, wanted: int = 0) -> None:
        """Makes sure that `wanted` more bytes can be written.

        Raises:
            NoRoom: less than `reserve` would be free after that.
        """
        free = shutil.disk_usage(self.folder).free
        if free - wanted < self.reserve:
            needs = f"{wanted} bytes are wanted, and " if wanted else ""
            raise NoRoom(
                errno.ENOSPC,
                f"{needs}{free} bytes are free on the disk of IMAGING_DATA_DIR, of which "
                f"DISK_RESERVE_BYTES={self.reserve} must stay: make room, then retry",
            )


def is_no_room(error: BaseException) -> bool:
    """Whether a write failed because the disk is full, or a quota or size limit is reached."""
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorname in _LEDGER_NO_ROOM
    return isinstance(error, OSError) and error.errno in _NO_ROOM


def disk_reason(error: OSError | sqlite3.OperationalError) -> str:
    """What is wrong with the disk, and the remedy; no path of a study in it."""
    if isinstance(error, NoRoom):
        return str(error.strerror)
    if is_no_room(error):
        return "the disk is full: make room in IMAGING_DATA_DIR, then retry"
    name = (
        error.sqlite_errorname
        if isinstance(error, sqlite3.OperationalError)
        else errno.errorcode.get(error.errno or 0, "unknown")
    )
    return f"IMAGING_DATA_DIR cannot be written ({name}): see to the disk, then retry"
