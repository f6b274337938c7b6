"""Checks of what an app passes in, before any of it becomes a path or a URL."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from uuid import UUID

from flip.constants.flip_constants import ResourceType

_ACCESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.~-]{0,63}")
# What the hub takes, see `RESULT_NAME_PATTERN` of flip_common.
RESULT_NAME = re.compile(r"^(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}/){0,2}[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+=-]{0,127}")


def text(name: str, value: object) -> str:
    """Raises TypeError unless `value` is a string."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is {type(value).__name__}; pass a str")
    return value


def uuid_text(name: str, value: object) -> str:
    """The canonical text of a UUID.

    Raises:
        TypeError, ValueError: `value` is no UUID.
    """
    if isinstance(value, UUID):
        return str(value)
    try:
        return str(UUID(text(name, value)))
    except ValueError:
        raise ValueError(f"{name}={value!r} is no UUID; pass the run-config value the platform injects") from None


def accession(value: object) -> str:
    """Raises TypeError or ValueError unless `value` is an accession that is safe as a folder name."""
    if not _ACCESSION.fullmatch(text("accession_id", value)):
        raise ValueError(f"accession_id={value!r}: 1 to 64 letters, digits, '_', '.', '~', '-', the first not a sign")
    return str(value)


def file_name(value: str) -> str:
    """Raises ValueError unless `value` is a plain file name that every store takes."""
    if not _FILE_NAME.fullmatch(value) or PurePosixPath(value).name != value:
        raise ValueError(f"file name {value!r}: 1 to 128 letters, digits, '_.@+=-', the first a letter or digit")
    return value


def result_name(value: str) -> str:
    """Raises ValueError unless the hub takes a result of this name."""
    if not RESULT_NAME.fullmatch(value):
        raise ValueError(
            f"result {value!r}: the hub takes names of 1 to 100 letters, digits, '_', '-', '.', the first no '.'; "
            "rename the file, or leave it out"
        )
    return value


def resources(value: ResourceType | str | Iterable[ResourceType | str]) -> tuple[ResourceType, ...]:
    """One resource type or several as a sorted tuple without repeats; ALL takes in every other.

    Raises:
        ValueError: none, or a word that is no resource type.
    """
    given = [value] if isinstance(value, str) else list(value)
    kinds = tuple(sorted({ResourceType(item) for item in given}))
    if not kinds:
        raise ValueError(f"resource_type is empty; use one of {', '.join(ResourceType)}")
    return (ResourceType.ALL,) if ResourceType.ALL in kinds else kinds
