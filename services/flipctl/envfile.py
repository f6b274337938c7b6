"""Env files (`NAME=value` lines) that hold secrets: written whole or not at all, readable by their owner only."""

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
# Inside single quotes these end the value early, or are read as something else.
_UNFIT = re.compile(r"[\r\n']|\\\\|\\$")


def read(path: Path) -> dict[str, str]:
    """The variables of an env file; empty when there is no file.

    Raises:
        ValueError: a line that is no `NAME=value`.
    """
    if not path.exists():
        return {}
    values = dotenv_values(path, interpolate=False)
    bad = [name for name, value in values.items() if value is None]
    if bad:
        raise ValueError(f"{path}: {bad[0]!r} has no value; write NAME=value")
    return {name: value for name, value in values.items() if value is not None}


def update(path: Path, values: Mapping[str, str]) -> None:
    """Sets these variables and keeps the others; mode 0600; a crash leaves the old file or the new one.

    Raises:
        ValueError: a name that is no variable name, or a value, new or kept, that would not read back as it is.
    """
    merged = {**read(path), **values}
    for name in values:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no variable name; use capitals, digits and _")
    for name, value in merged.items():
        if _UNFIT.search(value):
            raise ValueError(f"the value of {name} has a line break, a quote or a doubled or last backslash in it")
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes the file 0600 from its first moment.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.writelines(f"{key}='{value}'\n" for key, value in merged.items())
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
