"""Unpacking what the imaging service sends, trusting nothing in it."""

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from flip.errors import BadAnswerError

MAX_MEMBERS = 100_000
MAX_BYTES = 64 << 30


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks a zip into the empty `folder`: plain files only, none outside it.

    Raises:
        BadAnswerError: no zip, a broken one, or one with an unsafe member.
        OSError: the disk refused.
    """
    try:
        with zipfile.ZipFile(archive) as bundle:
            members = [info for info in bundle.infolist() if not info.is_dir()]
            if len(members) > MAX_MEMBERS or sum(info.file_size for info in members) > MAX_BYTES:
                raise BadAnswerError(f"archive with {len(members)} members is over the limit; is this one study?")
            for info in members:
                target = folder / _safe(info)
                target.parent.mkdir(parents=True, exist_ok=True)
                with bundle.open(info) as source, target.open("xb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, FileExistsError) as error:
        raise BadAnswerError(f"the service sent an archive that cannot be unpacked: {error}") from error


def _safe(info: zipfile.ZipInfo) -> PurePosixPath:
    path = PurePosixPath(info.filename)
    kind = stat.S_IFMT(info.external_attr >> 16)
    odd = path.is_absolute() or not path.parts or any(part == ".." for part in path.parts)
    if odd or "\\" in info.filename or "\0" in info.orig_filename or kind not in (0, stat.S_IFREG):
        raise BadAnswerError(f"archive member {info.orig_filename!r} is unsafe; nothing of the archive was kept")
    return path
