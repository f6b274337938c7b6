"""Checks a researcher's app before it runs anywhere: one library for upload, the FL server and `flipctl app check`."""

import tempfile
from pathlib import Path
from typing import BinaryIO

from flip_common.appcheck import code, config, names
from flip_common.appcheck.archive import UnsafeArchiveError, app_files, build_zip, normalise, safe_extract
from flip_common.appcheck.names import SITE_PACKAGES
from flip_common.appcheck.report import DEFAULT_LIMITS, Collector, Finding, Limits, Report, Severity

__all__ = [
    "DEFAULT_LIMITS",
    "SITE_PACKAGES",
    "Finding",
    "Limits",
    "Report",
    "Severity",
    "UnsafeArchiveError",
    "app_files",
    "build_zip",
    "check_dir",
    "check_zip",
    "normalise",
    "safe_extract",
]

# Flower packs these kinds of files for the sites and silently leaves out the rest.
PACKED_SUFFIXES = frozenset({".py", ".toml", ".md", ".yaml", ".yml", ".json", ".jsonl"})
UNPACKED_FOLDERS = frozenset({"build", "eggs", "lib", "lib64", "parts", "env", "venv", "ENV"})
FLOWER_MAX_BYTES = 10 * 1024 * 1024


def check_zip(
    source: Path | str | BinaryIO, limits: Limits = DEFAULT_LIMITS, packages: frozenset[str] = SITE_PACKAGES
) -> Report:
    """Checks an app as it is uploaded. Nothing of it is run or imported; no input makes this raise.

    `packages` are the importable names that sites have besides the standard library.
    """
    with tempfile.TemporaryDirectory(prefix="flip-app-") as scratch:
        try:
            root = safe_extract(source, Path(scratch) / "app", limits)
        except UnsafeArchiveError as error:
            return error.report
        return check_dir(root, limits, packages)


def check_dir(root: Path, limits: Limits = DEFAULT_LIMITS, packages: frozenset[str] = SITE_PACKAGES) -> Report:
    """Checks an app's folder, as `flipctl app check` does: the same findings an upload of it would give.

    Raises:
        NotADirectoryError: `root` is no folder.
    """
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is no folder; name the folder that holds the app's pyproject.toml")
    found = Collector()
    files = app_files(normalise(root))
    _check_files(files, limits, found)
    names.check_shadowing(files, packages, found)
    readable = {name: path for name, path in files.items() if not path.is_symlink()}
    declared = config.read_config(readable, limits, found)
    trees = code.parse(readable, limits, found)
    code.check_imports(files, trees, packages, found)
    code.check_status_calls(trees, found)
    if declared is not None:
        code.check_components(declared.components, files, trees, found)
        code.check_run_config(declared, trees, found)
        code.check_client(declared, trees, found)
    return found.report()


def _check_files(files: dict[str, Path], limits: Limits, found: Collector) -> None:
    if len(files) > limits.files:
        found.error("too-many-files", f"the app has {len(files)} files; at most {limits.files} are allowed")
    plain = [name for name in files if names.check_path(name, limits, found)]
    names.check_collisions(plain, found)
    total = packed = 0
    for name, path in files.items():
        if path.is_symlink():
            found.error("link", "is a link; put a copy of the file in its place", name)
            continue
        size = path.stat().st_size
        total += size
        if size > limits.file_bytes:
            found.error("too-large", f"has {size} bytes, over the limit of {limits.file_bytes} a file", name)
        if _flower_packs(name):
            packed += size
        elif "/" in name or path.suffix == ".py":
            message = "is not sent along by Flower; give it a suffix it packs (.py, .json, .toml, .yaml, .md)"
            found.warn("not-packed", message, name)
    if total > limits.total_bytes:
        found.error("too-large", f"the app has {total} bytes, over the limit of {limits.total_bytes}")
    if packed > 2 * FLOWER_MAX_BYTES:
        found.warn("too-large", f"Flower sends at most {FLOWER_MAX_BYTES} bytes packed, the app has {packed} unpacked")


def _flower_packs(name: str) -> bool:
    parts = name.split("/")
    test = (parts[-1].startswith("test_") and name.endswith(".py")) or name.endswith("_test.py")
    return Path(name).suffix in PACKED_SUFFIXES and parts[0] not in UNPACKED_FOLDERS and not test
