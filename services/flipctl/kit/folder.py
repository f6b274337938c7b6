"""The kit's folder at a site: replaced as a whole, so that a crash leaves the old kit or the new one."""

import ctypes
import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from flipctl.kit import KitError
from flipctl.kit.model import FILE_NAMES, Installed, parse

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def installed(folder: Path) -> Installed | None:
    """Which kit lies in the folder; None when there is no folder or it is empty.

    Raises:
        KitError: something lies there that is no kit's folder.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise KitError(f"{folder} is no folder; name a folder of its own for the kit")
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if not names:
        return None
    if "kit.json" not in names or names - FILE_NAMES:
        strange = ", ".join(sorted(names - FILE_NAMES)) or "other files but no kit.json"
        raise KitError(f"{folder} holds {strange}; a kit replaces its folder whole: move that away, or name another")
    about = folder / "kit.json"
    try:
        return parse(Installed, about.read_bytes(), str(about))
    except KitError as error:
        raise KitError(f"{error}; or move {folder} away and open the kit again") from None


def holds(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Whether the folder is exactly this: the same files, each its owner's only."""
    if not folder.is_dir() or stat.S_IMODE(folder.stat().st_mode) != 0o700:
        return False
    if {path.name for path in folder.iterdir()} != set(files):
        return False
    return all(
        stat.S_IMODE((folder / name).stat().st_mode) == 0o600 and (folder / name).read_bytes() == content
        for name, content in files.items()
    )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other `flipctl kit open` out of this folder meanwhile.

    Raises:
        KitError: another one is at it, or the parent folder cannot be had.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise KitError(f"{folder.parent}: cannot be used ({error.strerror}); run as the folder's owner") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise KitError(f"another flipctl installs a kit in {folder.parent}; wait for it to end") from None
    finally:
        os.close(descriptor)


def replace(folder: Path, files: Mapping[str, bytes]) -> None:
    """Puts these files (0600) into the folder (0700) in one step; what was there goes.

    Call it under `locked`.

    Raises:
        OSError: nothing was changed.
    """
    prefix = f".{folder.name}.kit-"
    for leftover in folder.parent.glob(f"{prefix}*"):
        shutil.rmtree(leftover)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=prefix))  # 0700 from its first moment
    try:
        for name, content in files.items():
            descriptor = os.open(aside / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        _sync(aside)
        if folder.exists() and any(folder.iterdir()):
            _exchange(aside, folder)
        else:
            aside.rename(folder)  # takes the place of an empty folder, too
        _sync(folder.parent)
    finally:
        if aside.exists():
            shutil.rmtree(aside)


def _exchange(one: Path, other: Path) -> None:
    """Swaps two folders in one step; Python's own renames cannot replace a folder that holds something."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        hint = "; its file system cannot swap folders: use ext4, xfs, btrfs or tmpfs" if number == errno.EINVAL else ""
        raise OSError(number, f"{os.strerror(number)}{hint}", str(other))


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
