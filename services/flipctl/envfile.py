"""Env files (`NAME=value` lines) that hold secrets: written whole or not at all, readable by their owner only."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from flip_common.envfile import check_name, env_text, read_env_file


def read(path: Path) -> dict[str, str]:
    """The variables of an env file; empty when there is no file.

    Raises:
        ValueError: a line that is no `NAME=value`.
    """
    return read_env_file(path) if path.exists() else {}


def update(path: Path, values: Mapping[str, str]) -> None:
    """Sets these variables and keeps the others; mode 0600; a crash leaves the old file or the new one.

    Raises:
        ValueError: a name that is no variable name, or a value, new or kept, that is no single line of text.
    """
    merged = {**read(path), **values}
    for name in values:
        check_name(name)
    content = env_text(merged).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes the file 0600 from its first moment.
    handle, scrap = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(scrap).replace(path)
    except BaseException:
        Path(scrap).unlink(missing_ok=True)
        raise
