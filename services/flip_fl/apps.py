"""Apps as they arrive: a zip, read without trusting it, and the run-config it declares."""

import stat
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from flip_common.wire import JobSpec
from flip_fl.backend import JobRefusedError

MAX_FILES = 2000
MAX_UNPACKED_BYTES = 50_000_000
PROJECT_FILE = "pyproject.toml"
OVERRIDES_FILE = "config.toml"
IGNORED_FOLDERS = frozenset({"__MACOSX", "__pycache__", ".git"})

RunConfigValue = bool | int | float | str
_TYPE_NAMES = {bool: "boolean", int: "integer", float: "float", str: "string"}


def read_app(path: Path) -> dict[str, bytes]:
    """Files of an app zip by their path. Nothing is written to disk.

    Raises:
        JobRefusedError: no zip, a name that leads out of the app, a link, encrypted, too many or too large files.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        raise JobRefusedError("app_invalid", f"the app is no readable zip file: {error}") from None


def _read(archive: zipfile.ZipFile) -> dict[str, bytes]:
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > MAX_FILES:
        raise JobRefusedError("app_too_large", f"the app has {len(members)} files; at most {MAX_FILES} are taken")
    files: dict[str, bytes] = {}
    folded: set[str] = set()
    left = MAX_UNPACKED_BYTES
    for member in members:
        name = _safe_name(member)
        if IGNORED_FOLDERS & set(PurePosixPath(name).parts):
            continue
        if name.casefold() in folded:
            raise JobRefusedError("app_invalid", f"the app has two files named {name!r} (letter case aside)")
        folded.add(name.casefold())
        # One byte more than is allowed: the size in the zip's directory may be a lie.
        with archive.open(member) as file:
            content = file.read(left + 1)
        left -= len(content)
        if left < 0:
            raise JobRefusedError("app_too_large", f"unpacked, the app is larger than {MAX_UNPACKED_BYTES} bytes")
        files[name] = content
    return files


def _safe_name(member: zipfile.ZipInfo) -> str:
    name = member.filename
    pure = PurePosixPath(name)
    mode = member.external_attr >> 16
    plain = not stat.S_IFMT(mode) or stat.S_ISREG(mode)
    bad = pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name or not name.isprintable()
    if bad or not plain or member.flag_bits & 1:
        raise JobRefusedError("app_invalid", f"the app holds {name!r}: only plain files inside the app are taken")
    return str(pure)


def declared_config(files: Mapping[str, bytes]) -> dict[str, RunConfigValue]:
    """Run-config keys that the app declares under `[tool.flwr.app.config]`, with their defaults; nested ones dotted.

    Raises:
        JobRefusedError: there is no readable `pyproject.toml` with a `[tool.flwr.app]` table.
    """
    if PROJECT_FILE not in files:
        raise JobRefusedError("app_invalid", f"the app has no {PROJECT_FILE} at its top; zip the app's folder content")
    try:
        app = _toml(files, PROJECT_FILE)["tool"]["flwr"]["app"]
        config = app.get("config", {})
    except (KeyError, TypeError, AttributeError):
        raise JobRefusedError("app_invalid", f"{PROJECT_FILE} has no [tool.flwr.app] table") from None
    return _flatten(config, PROJECT_FILE)


def run_config(files: Mapping[str, bytes], spec: JobSpec) -> dict[str, RunConfigValue]:
    """What overrides the app's defaults: its `config.toml`, then `spec.run_config`, then the platform's three keys.

    Each value has the type of its declaration (an integer is taken for a float).

    Raises:
        JobRefusedError: keys that are not declared, or values of another type, all named.
    """
    declared = declared_config(files)
    wanted = _flatten(_toml(files, OVERRIDES_FILE), OVERRIDES_FILE) if OVERRIDES_FILE in files else {}
    wanted |= spec.run_config
    wanted |= {
        "flip-model-id": str(spec.model_id),
        "flip-project-id": str(spec.project_id),
        "flip-cohort-query": spec.cohort_query,
    }
    undeclared = sorted(set(wanted) - set(declared))
    if undeclared:
        lines = ", ".join(f"{key} = {_placeholder(wanted[key])}" for key in undeclared)
        raise JobRefusedError(
            "run_config_undeclared",
            f"run-config keys not declared by the app: {', '.join(undeclared)}; "
            f"add to [tool.flwr.app.config] in {PROJECT_FILE}: {lines}",
        )
    typed, wrong = {}, []
    for key, value in sorted(wanted.items()):
        expected = type(declared[key])
        if expected is float and type(value) is int:
            value = float(value)  # noqa: PLW2901
        if type(value) is not expected:
            wrong.append(f"{key} is a {_TYPE_NAMES[type(value)]}, declared as {_TYPE_NAMES[expected]}")
        typed[key] = value
    if wrong:
        raise JobRefusedError("run_config_type", f"run-config values of the wrong type: {'; '.join(wrong)}")
    return typed


def _placeholder(value: RunConfigValue) -> str:
    return {bool: "false", int: "0", float: "0.0", str: '""'}[type(value)]


def _toml(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(files[name].decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise JobRefusedError("app_invalid", f"{name}: {error}") from None


def _flatten(table: Any, file: str, prefix: str = "") -> dict[str, RunConfigValue]:
    flat: dict[str, RunConfigValue] = {}
    if not isinstance(table, dict):
        raise JobRefusedError("app_invalid", f"{file}: the run-config is no table")
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flat |= _flatten(value, file, f"{name}.")
        elif type(value) in _TYPE_NAMES:
            flat[name] = value
        else:
            raise JobRefusedError("app_invalid", f"{file}: {name} is neither boolean, integer, float nor string")
    return flat
