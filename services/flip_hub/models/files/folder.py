"""Files in a folder, `<model>/<name>`: received beside their place, flushed to disk and renamed."""

import os
import shutil
from asyncio import to_thread
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from flip_hub.models.files import FileLost, FileName, Kept, ModelFiles, Spooled, model_id_of
from flip_hub.models.files.receiving import remove_parts

CHUNK_BYTES = 1 << 18


class FolderFiles(ModelFiles):
    """Files under one folder. Errors of the file system come through as they are."""

    where = "the hub's disk"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: FileName) -> Path:
        """Where the file lies."""
        return self.spool(name.model_id) / name.last

    def spool(self, model_id: UUID) -> Path:
        """The model's own folder: the file only has to be renamed."""
        return self.folder / str(model_id)

    async def send(self, name: FileName, spooled: Spooled) -> None:
        """Nothing: the bytes are on the right disk."""

    async def keep(self, name: FileName, spooled: Spooled) -> None:
        """Gives the spooled file its final name."""
        await to_thread(_rename, spooled.path, self.path(name))

    async def found(self, name: FileName) -> Kept | None:
        """What the file system says."""
        return await to_thread(_kept, self.path(name))

    async def chunks(self, name: FileName, start: int, end: int) -> AsyncGenerator[bytes]:
        """Reads the file piece by piece."""
        try:
            file = await to_thread(self.path(name).open, "rb")
        except FileNotFoundError:
            raise FileLost(f"gone from {self.where}") from None
        with file:
            file.seek(start)
            while start < end:
                chunk = await to_thread(file.read, min(CHUNK_BYTES, end - start))
                if not chunk:
                    raise FileLost(f"cut short on {self.where}")
                start += len(chunk)
                yield chunk

    async def remove(self, name: FileName) -> None:
        """Removes the file."""
        await to_thread(self.path(name).unlink, missing_ok=True)

    async def remove_model(self, model_id: UUID) -> None:
        """Removes the model's folder."""
        with suppress(FileNotFoundError):
            await to_thread(shutil.rmtree, self.spool(model_id))

    async def models(self) -> list[UUID]:
        """Models that have a folder, be it empty."""
        return await to_thread(_models, self.folder)

    async def listed(self, model_id: UUID) -> dict[FileName, Kept]:
        """What lies in the model's folder, temporary files aside."""
        return await to_thread(_listed, self.spool(model_id), model_id)

    async def tidy(self, before: datetime) -> None:
        """Removes temporary files in models' folders."""
        await to_thread(remove_parts, self.folder, before)


def _rename(part: Path, place: Path) -> None:
    part.replace(place)
    folder = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _kept(path: Path) -> Kept | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return Kept(stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC))


def _models(folder: Path) -> list[UUID]:
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return [model_id for name in names if (model_id := model_id_of(name))]


def _listed(folder: Path, model_id: UUID) -> dict[FileName, Kept]:
    paths = list(folder.iterdir()) if folder.is_dir() else []
    named = [(name, path) for path in paths if (name := FileName.parsed(model_id, path.name))]
    return {name: kept for name, path in named if (kept := _kept(path))}
