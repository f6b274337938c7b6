"""A folder of DICOM files, found by the accession number in their headers."""

import asyncio
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from uuid import UUID

from flip_trust.imaging.dicom import UnreadableFile, read_header
from flip_trust.imaging.intake import Intake
from flip_trust.imaging.store import ImagingStore, StoreError, StoreUnavailable, StudyMissing

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class IndexedFile:
    """A DICOM file and what it is found by; `stamp` tells whether it has changed since."""

    path: Path
    stamp: tuple[int, int]
    accession: str
    study_uid: str


class FolderIndex:
    """The DICOM files below a folder. Headers are read once; a refresh reads what is new or has changed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: dict[Path, IndexedFile | None] = {}
        self._stamps: dict[Path, tuple[int, int]] = {}
        self._lock = Lock()

    def refresh(self) -> list[IndexedFile]:
        """All DICOM files there are now, by path. Files that are not DICOM are passed over, and logged once.

        Raises:
            OSError: the folder cannot be listed.
        """
        with self._lock:
            found: dict[Path, IndexedFile | None] = {}
            stamps: dict[Path, tuple[int, int]] = {}
            for folder, _, names in os.walk(self.root, onerror=_raise):
                for name in names:
                    path = Path(folder, name)
                    try:
                        status = path.stat()
                    except FileNotFoundError:
                        continue  # gone since it was listed
                    stamps[path] = (status.st_size, status.st_mtime_ns)
                    known = self._stamps.get(path) == stamps[path]
                    found[path] = self._files[path] if known else self._index(path, stamps[path])
            self._files, self._stamps = found, stamps
            return [file for _, file in sorted(found.items()) if file is not None]

    def _index(self, path: Path, stamp: tuple[int, int]) -> IndexedFile | None:
        try:
            header = read_header(path, ("AccessionNumber", "StudyInstanceUID"))
        except UnreadableFile as error:
            log.warning("%s is passed over: %s", path.relative_to(self.root), error)
            return None
        return IndexedFile(path, stamp, header["AccessionNumber"], header["StudyInstanceUID"])


class FolderStore(ImagingStore):
    """Takes studies from a folder that others fill; it is only ever read."""

    def __init__(self, root: Path) -> None:
        self._index = FolderIndex(root)

    async def start(self) -> None:
        if not self._index.root.is_dir():
            raise StoreError(f"image folder {self._index.root} is not there: mount it, or correct IMAGING_FOLDER")

    async def fetch(self, project_id: UUID, accession: str, intake: Intake) -> None:
        stopped = Event()
        copying = asyncio.ensure_future(asyncio.to_thread(self._copy, accession, intake, stopped))
        try:
            await asyncio.shield(copying)
        except asyncio.CancelledError:
            stopped.set()
            await asyncio.wait([copying])
            raise

    def _copy(self, accession: str, intake: Intake, stopped: Event) -> None:
        try:
            files = [file for file in self._index.refresh() if file.accession == accession]
        except OSError as error:
            raise StoreUnavailable(f"the image folder cannot be listed: {error.strerror}") from None
        if not files:
            raise StudyMissing("no file in the image folder has this accession number")
        for number, file in enumerate(files):
            if stopped.is_set():
                return
            try:
                reader = file.path.open("rb")
            except OSError as error:
                raise StoreUnavailable(f"a file of the study cannot be read: {error.strerror}") from None
            with reader, intake.open(f"{number:06d}.dcm") as writer:
                shutil.copyfileobj(reader, writer)


def _raise(error: OSError) -> None:
    raise error
