"""Files and folders: into an archive, out of it beside their place, and into their place."""

import contextlib
import os
import shutil
import sqlite3
import stat
import tarfile
import tempfile
import time
import urllib.parse
from pathlib import Path

from backup_pipes import BackupError

SQLITE = b"SQLite format 3\0"
LOCKED_SECONDS = 60


def beside(path, ending):
    """Where something lies that is to take a path's place, or that had it."""
    return path.with_name(f"{path.name}.{ending}")


def remove(path):
    """Removes a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def walk(root):
    """A path and all that is below it, folders before what is in them."""
    yield root
    if root.is_dir() and not root.is_symlink():
        for path in sorted(root.iterdir()):
            yield from walk(path)


def size(root):
    """Bytes of all files under a path."""
    found = 0
    for path in walk(root):
        with contextlib.suppress(FileNotFoundError):  # gone meanwhile
            found += path.lstat().st_size
    return found


def is_sqlite(path):
    """Whether a file is a SQLite database."""
    with path.open("rb") as file:
        return file.read(len(SQLITE)) == SQLITE


def archive(roots, stream):
    """Writes files and folders as a tar. What is gone before it is read was not there; nothing else is left out."""
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for root in roots:
            databases = set()
            for path in walk(root):
                name = str(path)
                if any(name.removesuffix(end) in databases for end in ("-wal", "-shm", "-journal")):
                    continue  # part of a database that was copied whole
                with contextlib.suppress(FileNotFoundError):
                    kind = path.lstat().st_mode
                    if stat.S_ISREG(kind) and is_sqlite(path):
                        databases.add(name)
                        _add_database(tar, path)
                    elif stat.S_ISREG(kind):
                        with path.open("rb") as file:
                            _add(tar, file, tar.gettarinfo(arcname=name, fileobj=file))
                    elif stat.S_ISDIR(kind) or stat.S_ISLNK(kind):
                        tar.addfile(tar.gettarinfo(name))


def _add(tar, file, info):
    info.type = tarfile.REGTYPE  # a second name of the same file is a file of its own
    info.size = os.fstat(file.fileno()).st_size
    try:
        tar.addfile(info, file)
    except BrokenPipeError:  # not this file's fault
        raise
    except OSError as error:
        raise BackupError(f"/{info.name} cannot be read, or became shorter meanwhile: {error}; try again") from None


def _add_database(tar, path):
    """A SQLite database may be written to at any moment; SQLite itself makes a copy as of one."""
    with tempfile.NamedTemporaryFile() as copy:
        uri = f"file:{urllib.parse.quote(str(path))}?mode=ro"
        with (
            contextlib.closing(sqlite3.connect(uri, uri=True)) as source,
            contextlib.closing(sqlite3.connect(copy.name)) as target,
        ):
            source.backup(target, progress=_patience(path))
        with open(copy.name, "rb") as file:
            _add(tar, file, tar.gettarinfo(str(path)))


def _patience(path):
    """Ends the copy of a database that its program never lets go; SQLite itself would wait for ever."""
    deadline = time.monotonic() + LOCKED_SECONDS

    def looked(status, _remaining, _total):
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > deadline:
            raise BackupError(f"{path} is locked by the program that uses it: stop that, or leave the file out")

    return looked


def unpack(stream, roots):
    """Unpacks an archive beside the places of its roots. Raises BackupError for what belongs to none of them."""
    with _readable(), tarfile.open(fileobj=stream, mode="r|", errorlevel=2) as tar:
        tar.extraction_filter = lambda member, _: member  # owners and modes as they were; places are checked here
        for member in tar:
            path = Path("/", member.name)
            root = next((root for root in roots if root == path or root in path.parents), None)
            if root is None or ".." in path.parts or not (member.isreg() or member.isdir() or member.issym()):
                raise BackupError(f"the backup holds {path}, which is none of {', '.join(map(str, roots))}")
            place = beside(root, "restoring") / path.relative_to(root)
            member.name = str(place.relative_to("/"))
            tar.extract(member, "/", numeric_owner=True)


@contextlib.contextmanager
def _readable():
    try:
        yield
    except tarfile.TarError as error:
        raise BackupError(f"the archive in the backup cannot be read: {error}; use another backup") from None


def exchange(root):
    """Puts what was unpacked in its place; what was there lies beside it."""
    if root.exists():
        root.rename(beside(root, "replaced"))
    beside(root, "restoring").rename(root)


def take_back(root, was_there):
    """Undoes an exchange, whether or not it was done."""
    replaced = beside(root, "replaced")
    if replaced.exists():
        remove(root)
        replaced.rename(root)
    elif not was_there:
        remove(root)
