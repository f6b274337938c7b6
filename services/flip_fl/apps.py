"""Apps as they arrive: a zip, read without trusting it, and the run-config it declares."""

import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flip_common.appcheck import UnsafeArchiveError, app_files, safe_extract
from flip_common.wire import JobSpec
from flip_fl.backend import JobRefusedError

PROJECT_FILE = "pyproject.toml"
OVERRIDES_FILE = "config.toml"
MIN_CLIENTS = "flip-min-clients"

RunConfigValue = bool | int | float | str
_TYPE_NAMES = {bool: "boolean", int: "integer", float: "float", str: "string"}


def read_app(path: Path) -> dict[str, bytes]:
    """Files of an app zip by their path in the app, read under the limits of `flip_common.appcheck`.

    Raises:
        JobRefusedError: no zip, or one that is not safe to unpack; the text has every finding.
    """
    with tempfile.TemporaryDirectory(prefix="flip-app-") as scratch:
        try:
            root = safe_extract(path, Path(scratch) / "app")
        except UnsafeArchiveError as error:
            found = "; ".join(f"{finding.file or 'the zip'}: {finding.message}" for finding in error.report.findings)
            raise JobRefusedError("app_invalid", found) from None
        return {name: file.read_bytes() for name, file in app_files(root).items()}


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
    """What overrides the app's defaults: its `config.toml`, then `spec.run_config`, then the platform's keys.

    `config.toml` may lie at the top or in `app/`. The platform's keys are the three placeholders, and
    `flip-min-clients` (how many trusts take part) where the app declares it.

    Each value has the type of its declaration (an integer is taken for a float).

    Raises:
        JobRefusedError: keys that are not declared, or values of another type, all named.
    """
    declared = declared_config(files)
    wanted: dict[str, RunConfigValue] = {}
    for name in (OVERRIDES_FILE, f"app/{OVERRIDES_FILE}"):
        if name in files:
            wanted |= _flatten(_toml(files, name), name)
    wanted |= spec.run_config
    wanted |= {
        "flip-model-id": str(spec.model_id),
        "flip-project-id": str(spec.project_id),
        "flip-cohort-query": spec.cohort_query,
    }
    if MIN_CLIENTS in declared:
        wanted[MIN_CLIENTS] = len(spec.trusts)
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
            value = float(value)  # noqa: PLW2901 - the typed value replaces the given one
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
