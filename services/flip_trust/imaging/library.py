"""The studies of every project on this machine's disk.

<root>/incoming/<random>/            what is being brought in; emptied at every start
<root>/projects/<project>/<accession>/study/      DICOM files and manifest.json, published in one rename
<root>/projects/<project>/<accession>/nifti/      what conversion made of them and report.json, likewise
<root>/projects/<project>/<accession>/resources/  derived files
"""

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from flip_trust.imaging.dicom import Instance, read_instance
from flip_trust.imaging.durable import PRIVATE_FOLDER, publish, read_json, sync_folder, write_json
from flip_trust.imaging.store import StoreError

MANIFEST = "manifest.json"
REPORT = "report.json"

log = logging.getLogger(__name__)


class LibraryInUse(StoreError):  # noqa: N818 - the name says what is so
    """Another process works on the same data folder."""


@dataclass(frozen=True)
class Nifti:
    """What conversion made of a study: its files, and `reason` for what it left out (all of it when no file)."""

    files: tuple[Path, ...]
    reason: str


@dataclass(frozen=True)
class Study:
    """A study on disk: its folder, and its instances in a fixed order."""

    folder: Path
    instances: tuple[Instance, ...]


class Library:
    """Reads and writes the folders above. Blocking: call it from a thread."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._projects, self._incoming = root / "projects", root / "incoming"
        self._lock: int | None = None

    def open(self) -> None:
        """Takes the data folder for this process and throws away what an earlier one left half-done.

        Raises:
            LibraryInUse: another process has it.
        """
        self.root.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        self._lock = os.open(self.root / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise LibraryInUse(
                f"data folder {self.root} is in use by another imaging-api: stop it, or set IMAGING_DATA_DIR"
            ) from None
        shutil.rmtree(self._incoming, ignore_errors=True)
        for folder in (self._incoming, self._projects):
            folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)

    def close(self) -> None:
        """Gives the data folder back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """A fresh empty folder on the same disk; what is left of it goes at the end."""
        folder = Path(tempfile.mkdtemp(dir=self._incoming))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def study_folder(self, project_id: UUID, accession: str) -> Path:
        """Where everything of this study lies."""
        return self._projects / str(project_id) / accession

    def commit(self, project_id: UUID, accession: str, fetched: Path) -> Study:
        """Checks the fetched files and publishes them as the study, at once.

        Raises:
            StoreError: there is no file, or one is not DICOM.
            OSError: the disk is full.
        """
        instances: dict[str, Instance] = {}
        for path in sorted(fetched.iterdir()):
            instance = read_instance(path)
            if instance.sop_uid in instances:
                path.unlink()  # the same instance under two names: one is enough
            else:
                instances[instance.sop_uid] = instance
        if not instances:
            raise StoreError("the study holds no instance")
        ordered = sorted(instances.values(), key=_order)
        write_json(fetched / MANIFEST, {"instances": [instance.as_json() for instance in ordered]})
        sync_folder(fetched)
        target = self.study_folder(project_id, accession) / "study"
        self.discard(project_id, accession)
        publish(fetched, target)
        return Study(target, tuple(ordered))

    def study(self, project_id: UUID, accession: str) -> Study | None:
        """The study, when every one of its files is there in full length; else None."""
        folder = self.study_folder(project_id, accession) / "study"
        manifest = read_json(folder / MANIFEST)
        if manifest is None:
            return None
        instances = tuple(Instance(**item) for item in manifest["instances"])
        whole = all(_has_size(folder / instance.file, instance.size) for instance in instances)
        return Study(folder, instances) if whole else None

    def publish_nifti(self, project_id: UUID, accession: str, converted: Path) -> None:
        """Publishes the folder that `convert_study` filled."""
        sync_folder(converted)
        publish(converted, self.study_folder(project_id, accession) / "nifti")

    def nifti(self, project_id: UUID, accession: str) -> Nifti | None:
        """The conversion, when it was done and every one of its files is there in full length; else None."""
        folder = self.study_folder(project_id, accession) / "nifti"
        report = read_json(folder / REPORT)
        if report is None or not all(_has_size(folder / name, size) for name, size in report["files"].items()):
            return None
        return Nifti(tuple(folder / name for name in report["files"]), report["reason"])

    def discard(self, project_id: UUID, accession: str) -> None:
        """Throws the study and its conversion away; derived resources stay."""
        for part in ("nifti", "study"):
            shutil.rmtree(self.study_folder(project_id, accession) / part, ignore_errors=True)

    def remove_project(self, project_id: UUID) -> None:
        """Removes every file of the project. Out of sight first, so that a crash leaves nothing half-removed."""
        folder = self._projects / str(project_id)
        if folder.is_dir():
            with self.incoming() as trash:
                folder.replace(trash / "project")

    def put_resource(self, project_id: UUID, accession: str, name: str, file: Path) -> Path:
        """Publishes `file` as a derived file beside the study; an older one of the name is replaced."""
        handle = os.open(file, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        target = self.study_folder(project_id, accession) / "resources" / name
        publish(file, target)
        return target

    def resources(self, project_id: UUID, accession: str) -> list[Path]:
        """Derived files of the study, by name."""
        folder = self.study_folder(project_id, accession) / "resources"
        return sorted(folder.iterdir()) if folder.is_dir() else []


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _order(instance: Instance) -> tuple[int, str, int, str]:
    return (instance.series_number, instance.series_uid, instance.instance_number, instance.sop_uid)
