"""The site's cache of studies under IMAGES_DIR: `<project>/<accession>/<resource>/`, complete or absent."""

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from flip.errors import StorageError

SENTINEL = ".complete"


def fetch_once(folder: Path, fill: Callable[[Path], None]) -> Path:
    """`folder`, filled by the first caller; a lock lets others, in this process or another, wait for it.

    `fill` gets an empty folder beside it that becomes `folder` in one step, so a killed process leaves nothing
    that looks whole.

    Raises:
        StorageError: the disk refused (full, read-only, not permitted). Nothing half done stays.
    """
    if (folder / SENTINEL).exists():
        return folder
    try:
        with _locked(folder.parent / f".{folder.name}.lock"):
            if not (folder / SENTINEL).exists():
                _fill(folder, fill)
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {error.strerror or error}; is the disk full?") from error
    return folder


def remove(folder: Path) -> None:
    """Removes `folder` so that no reader ever sees half of it.

    Raises:
        StorageError: the disk refused.
    """
    try:
        doomed = folder.rename(folder.with_name(f".{folder.name}.{uuid4().hex}.gone"))
        shutil.rmtree(doomed) if doomed.is_dir() else doomed.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"cannot remove {folder}: {error.strerror or error}") from error


def _fill(folder: Path, fill: Callable[[Path], None]) -> None:
    for leftover in folder.parent.glob(f".{folder.name}.*.part"):
        shutil.rmtree(leftover)  # of a process that was killed: the lock is ours, so nobody writes there
    if folder.exists():
        remove(folder)
    staging = folder.with_name(f".{folder.name}.{uuid4().hex}.part")
    staging.mkdir()
    try:
        fill(staging)
        (staging / SENTINEL).touch()
        staging.rename(folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released when the file closes, so also when the process dies
        yield
