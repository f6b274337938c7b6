"""The zip an app comes in: judged by its directory before anything is read, and unpacked with the limits on."""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from flip_common.appcheck.names import check_collisions, check_path
from flip_common.appcheck.report import DEFAULT_LIMITS, RATIO_FROM_BYTES, Collector, Limits, Report

JUNK_NAMES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
JUNK_FOLDERS = frozenset(
    {"__MACOSX", "__pycache__", ".git", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".idea", ".vscode"}
)
MANIFEST = "pyproject.toml"
_END, _END_BYTES, _ZIP64 = b"PK\5\6", 22, b"PK\6\7"
_ENTRY_BYTES = 512
_FIXED_TIME = (2020, 1, 1, 0, 0, 0)
_CHUNK = 1 << 20


class UnsafeArchiveError(ValueError):
    """An archive that must not be unpacked; `report` says why, the text names the first reason."""

    def __init__(self, report: Report) -> None:
        super().__init__(str(report.findings[0]))
        self.report = report


@contextmanager
def _stream(source: Path | str | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(source, Path | str):
        with Path(source).open("rb") as file:
            yield file
    else:
        yield source


def _open_checked(file: BinaryIO, limits: Limits, found: Collector) -> zipfile.ZipFile | None:
    """The archive, if its directory holds nothing but plain files within the limits; None after reporting why not.

    Nothing is decompressed. The caller closes what is returned.
    """
    if not _directory_is_small(file, limits, found):
        return None
    file.seek(0)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error) as error:
        found.error("not-a-zip", f"the upload is no zip archive ({error}); pack the app's folder as a .zip")
        return None
    _check_entries(archive.infolist(), limits, found)
    if found.report().ok:
        return archive
    archive.close()
    return None


def _directory_is_small(file: BinaryIO, limits: Limits, found: Collector) -> bool:
    """Looks at the end record first: reading a directory of millions of entries would itself be the attack."""
    size = file.seek(0, io.SEEK_END)
    if size > limits.archive_bytes:
        found.error("too-large", f"the archive has {size} bytes, over the limit of {limits.archive_bytes}")
        return False
    file.seek(max(0, size - _END_BYTES - 0xFFFF - 20))
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_BYTES:
        found.error("not-a-zip", "the upload is no zip archive; pack the app's folder as a .zip")
        return False
    entries, directory_bytes = struct.unpack_from("<HI", tail, at + 10)
    if tail[max(0, at - 20) : at].startswith(_ZIP64):
        found.error("too-many-files", "the archive is in the zip64 format, which no app within the limits needs")
        return False
    if entries > limits.files or directory_bytes > limits.files * _ENTRY_BYTES:
        found.error("too-many-files", f"the archive has {entries} entries; at most {limits.files} are allowed")
        return False
    return True


def _check_entries(entries: list[zipfile.ZipInfo], limits: Limits, found: Collector) -> None:
    if len(entries) > limits.files:
        found.error("too-many-files", f"the archive has {len(entries)} entries; at most {limits.files} are allowed")
    plain = [entry for entry in entries if check_path(entry.orig_filename, limits, found)]
    check_collisions([entry.orig_filename for entry in plain], found)
    for entry in plain:
        _check_entry(entry, limits, found)
    total = sum(entry.file_size for entry in entries)
    if total > limits.total_bytes:
        found.error("bomb", f"unpacked the app has {total} bytes, over the limit of {limits.total_bytes}")


def _check_entry(entry: zipfile.ZipInfo, limits: Limits, found: Collector) -> None:
    name, kind = entry.orig_filename, stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG):
        found.error("link", "is a link or device; an app holds plain files and folders only", name)
    if entry.flag_bits & 0x1:
        found.error("encrypted", "is encrypted; pack the app without a password", name)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        found.error("compression", "is packed in an unusual way; use plain zip (deflate)", name)
    if entry.file_size > limits.file_bytes:
        found.error("bomb", f"has {entry.file_size} bytes, over the limit of {limits.file_bytes} a file", name)
    if entry.file_size > max(RATIO_FROM_BYTES, limits.ratio * entry.compress_size):
        found.error("bomb", f"grows more than {limits.ratio} times when unpacked", name)


def safe_extract(source: Path | str | BinaryIO, dest: Path, limits: Limits = DEFAULT_LIMITS) -> Path:
    """Unpacks an app into the empty or new folder `dest`; returns the app's root in it (see `normalise`).

    No links, nothing outside `dest`, no junk (`__pycache__`, `.git` ...). The limits hold for the bytes really
    read, whatever the archive's directory claims. Files are 0644, folders 0755.

    Raises:
        UnsafeArchiveError: with the report; `dest` may hold a part, which the caller removes.
        FileExistsError: `dest` is not empty.
    """
    found = Collector()
    with _stream(source) as file:
        archive = _open_checked(file, limits, found)
        if archive is None:
            raise UnsafeArchiveError(found.report())
        dest.mkdir(parents=True, exist_ok=True)
        if any(dest.iterdir()):
            raise FileExistsError(f"{dest} is not empty; unpack into a new folder")
        with archive:
            left = limits.total_bytes
            for entry in archive.infolist():
                if not entry.is_dir() and not is_junk(entry.filename):
                    left -= _write(archive, entry, dest / entry.filename, min(left, limits.file_bytes), found)
    return normalise(dest)


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, most: int, found: Collector) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    try:
        with archive.open(entry) as source, target.open("xb") as file:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                if written > most:
                    found.error("bomb", "unpacks to more than the archive says and the limits allow", entry.filename)
                    raise UnsafeArchiveError(found.report())
                file.write(chunk)
    except UnsafeArchiveError:
        raise
    # ValueError: the directory says that the entry begins before the file does
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        found.error("damaged", f"cannot be unpacked ({error}); pack the app again", entry.filename)
        raise UnsafeArchiveError(found.report()) from error
    target.chmod(0o644)
    return written


def is_junk(name: str) -> bool:
    """Whether a file is a by-product of some tool and no part of the app."""
    parts = name.split("/")
    return parts[-1] in JUNK_NAMES or parts[-1].endswith(".pyc") or not JUNK_FOLDERS.isdisjoint(parts[:-1])


def normalise(folder: Path) -> Path:
    """The app's root: `folder`, or its one subfolder where the app was packed with its folder around it."""
    if (folder / MANIFEST).exists():
        return folder
    inside = [path for path in folder.iterdir() if path.name not in JUNK_NAMES | JUNK_FOLDERS]
    if len(inside) == 1 and not inside[0].is_symlink() and (inside[0] / MANIFEST).is_file():
        return inside[0]
    return folder


def app_files(root: Path) -> dict[str, Path]:
    """Every file of the app by its path below `root` with '/', without junk, sorted; links are not followed."""
    found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_symlink() or path.is_file()}
    return {name: found[name] for name in sorted(found) if not is_junk(name)}


def build_zip(root: Path) -> bytes:
    """The app in `root` as a zip; the same files give the same bytes, whenever and wherever it is packed.

    Raises:
        ValueError: the folder holds a link.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, path in app_files(root).items():
            if path.is_symlink():
                raise ValueError(f"{path} is a link; an app holds plain files only")
            entry = zipfile.ZipInfo(name, _FIXED_TIME)
            entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()
