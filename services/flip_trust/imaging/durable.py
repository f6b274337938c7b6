"""Files that are either wholly there or not there at all, whatever is killed."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

PRIVATE_FOLDER = 0o700


def sync_folder(folder: Path) -> None:
    """Makes the files in `folder` (not below), and the names of them, survive a power cut."""
    for path in [*(item for item in folder.iterdir() if item.is_file()), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def publish(source: Path, target: Path) -> None:
    """Moves a finished folder or file, already synced, to its place; what stood there is replaced."""
    target.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    if target.is_dir():
        shutil.rmtree(target)
    source.replace(target)
    handle = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Writes `value`; the caller syncs the folder."""
    path.write_text(json.dumps(value), encoding="utf-8")


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object at `path`; None when the file is absent or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return value if isinstance(value, dict) else None
