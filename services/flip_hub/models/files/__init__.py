"""Where the bytes of apps and results lie. A file is named by its model and its SHA-256, and complete or not there.

An upload is received into a local spool folder (`receiving`), sent to where it stays, and only then named by a row
of the database (`flip_hub.models.leftovers` has the order of these steps, and takes back what nothing names).
"""

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Self
from uuid import UUID

from flip_common.web import Problem


class Kind(StrEnum):
    """What a file is to its model."""

    APP = "app"
    RESULT = "result"


_SHA256 = re.compile(r"[0-9a-f]{64}")
_SUFFIX = {Kind.APP: ".zip", Kind.RESULT: ""}


@dataclass(frozen=True)
class FileName:
    """Names a file. `sha256` is that of its bytes, so a name never comes to mean other bytes."""

    model_id: UUID
    kind: Kind
    sha256: str

    @property
    def last(self) -> str:
        """Its name among the model's files: `app-<SHA-256>.zip` or `result-<SHA-256>`."""
        return f"{self.kind}-{self.sha256}{_SUFFIX[self.kind]}"

    @classmethod
    def parsed(cls, model_id: UUID, last: str) -> Self | None:
        """The name that reads so among the model's files; None where it is none of ours."""
        for kind, suffix in _SUFFIX.items():
            name = cls(model_id, kind, last.removeprefix(f"{kind}-").removesuffix(suffix))
            if name.last == last and _SHA256.fullmatch(name.sha256):
                return name
        return None


def model_id_of(text: str) -> UUID | None:
    """The model whose files lie in a folder of this name; None where it is none of ours."""
    try:
        model_id = UUID(text)
    except ValueError:
        return None
    return model_id if str(model_id) == text else None


@dataclass(frozen=True)
class Spooled:
    """An upload that is completely in a file of the spool folder, which is discarded in the end."""

    path: Path
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Kept:
    """A file that is there: its size, and since when (timezone-aware)."""

    bytes: int
    at: datetime


class FileLost(Exception):  # noqa: N818 - a state of affairs, not a fault of the caller
    """A file is not there or not what it was; the text goes on after 'the file is ...'."""


class StorageUnavailable(Problem):
    """The place where files lie cannot be used at the moment; what it keeps is not lost."""

    def __init__(self, why: str) -> None:
        super().__init__(
            503,
            "storage_unavailable",
            f"the hub cannot get to its files at the moment ({why}); what was kept is not lost. Try again in a few "
            "minutes; if it stays so, the hub's log tells its platform engineer more",
        )


class ModelFiles(ABC):
    """Keeps models' files. Safe to use from many requests, and by several hubs that share one place.

    Every method MUST leave the event loop free while it waits, and MUST raise `StorageUnavailable` when the place does
    not answer. Saying the same twice MUST be harmless. Who calls `keep` or `remove` holds the lock of the
    row that names the file or may come to name it, so that the two never happen to one name at once.
    """

    where: str
    """The place in words that end 'the file is gone from ...'."""

    @abstractmethod
    def spool(self, model_id: UUID) -> Path:
        """The local folder that uploads for this model are received in; it need not exist yet."""

    @abstractmethod
    async def send(self, name: FileName, spooled: Spooled) -> None:
        """Does ahead of the database's transaction what may take minutes. The spooled file MUST stay as it is."""

    @abstractmethod
    async def keep(self, name: FileName, spooled: Spooled) -> None:
        """Sees to it that the file is there, durably and whole, also if it was removed since `send`."""

    @abstractmethod
    async def found(self, name: FileName) -> Kept | None:
        """The file's size and age; None if it is not there."""

    @abstractmethod
    def chunks(self, name: FileName, start: int, end: int) -> AsyncGenerator[bytes]:
        """Bytes `start` up to, not including, `end`, which is no more than the file's size, in pieces.

        Reads no faster than the caller asks, and lets go of the file when the generator is closed. Ends
        with an exception, never silently, before it gave all bytes.

        Raises:
            FileLost: the file is not there or shorter.
        """

    @abstractmethod
    async def remove(self, name: FileName) -> None:
        """Removes the file, if it is there."""

    @abstractmethod
    async def remove_model(self, model_id: UUID) -> None:
        """Removes all files of a model."""

    @abstractmethod
    async def models(self) -> list[UUID]:
        """Models that have anything here."""

    @abstractmethod
    async def listed(self, model_id: UUID) -> dict[FileName, Kept]:
        """The model's files."""

    @abstractmethod
    async def tidy(self, before: datetime) -> None:
        """Removes the remains of uploads that were cut off before this time and have no name yet."""

    async def read(self, name: FileName) -> bytes:
        """All bytes of a small file, which are the right ones.

        Raises:
            FileLost: the file is not there, or its SHA-256 is not the one in its name.
        """
        kept = await self.found(name)
        if kept is None:
            raise FileLost(f"gone from {self.where}")
        content = b"".join([chunk async for chunk in self.chunks(name, 0, kept.bytes)])
        if sha256(content).hexdigest() != name.sha256:
            raise FileLost(f"damaged: its SHA-256 is not {name.sha256}")
        return content
