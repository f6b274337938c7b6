"""`pyproject.toml` and `config.toml` of an app: what Flower needs and what FLIP injects."""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flip_common.appcheck.report import Collector, Limits

PYPROJECT, OVERRIDES = "pyproject.toml", ("config.toml", "app/config.toml")
PLACEHOLDERS = ("flip-model-id", "flip-project-id", "flip-cohort-query")
"""Run-config keys that FLIP sets at submit; Flower refuses to set a key the app does not declare."""
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")
_COMPONENT = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)", re.ASCII)
_CONFIG_TABLE = "[tool.flwr.app.config]"


@dataclass(frozen=True)
class Component:
    """`serverapp` or `clientapp`: the module and the name in it, and where that is declared."""

    kind: str
    module: str
    name: str
    line: int | None


@dataclass(frozen=True)
class AppConfig:
    """What an app declares."""

    components: list[Component] = field(default_factory=list)
    run_config: dict[str, bool | int | float | str] = field(default_factory=dict)


def read_config(files: dict[str, Path], limits: Limits, found: Collector) -> AppConfig | None:
    """Reads and checks both files; None, after reporting, where there is no usable `pyproject.toml`."""
    if PYPROJECT not in files:
        found.error("no-pyproject", f"the app has no {PYPROJECT} at its top; add one with [tool.flwr.app.components]")
        return None
    source = _read(files[PYPROJECT], PYPROJECT, limits, found)
    if source is None:
        return None
    text, document = source
    _check_project(document, found)
    app = _table(document, "tool", "flwr", "app")
    if app is None:
        found.error("no-flower-app", "add [tool.flwr.app] with publisher, components and config", PYPROJECT)
        return None
    if not isinstance(app.get("publisher"), str):
        line = _line(text, "tool.flwr.app")
        found.error("no-publisher", '[tool.flwr.app] needs publisher = "<your group>"', PYPROJECT, line)
    config = AppConfig(_components(app, text, found), _run_config(app.get("config"), text, found))
    for name in OVERRIDES:
        if name in files:
            _check_overrides(files[name], name, config.run_config, limits, found)
    return config


def _read(path: Path, name: str, limits: Limits, found: Collector) -> tuple[str, dict[str, Any]] | None:
    if path.stat().st_size > limits.source_bytes:
        found.error("too-large", f"is over the limit of {limits.source_bytes} bytes a source file", name)
        return None
    try:
        text = path.read_bytes().decode("utf-8")
        return text, tomllib.loads(text)
    except UnicodeDecodeError:
        found.error("not-utf8", "is not UTF-8 text; save it as UTF-8", name)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        found.error("toml-syntax", f"is not valid TOML: {error}", name, int(line.group(1)) if line else None)
    except RecursionError:
        found.error("toml-syntax", "is nested too deeply to be read", name)
    return None


def _check_project(document: dict[str, Any], found: Collector) -> None:
    project = _table(document, "project") or {}
    for key in ("name", "version"):
        if not isinstance(project.get(key), str):
            found.error("no-project", f'[project] needs {key} = "..."; Flower refuses an app without', PYPROJECT)


def _components(app: dict[str, Any], text: str, found: Collector) -> list[Component]:
    declared = _table(app, "components") or {}
    components = []
    for kind in ("serverapp", "clientapp"):
        value, line = declared.get(kind), _line(text, "tool.flwr.app.components", kind)
        if value is None:
            message = f'[tool.flwr.app.components] needs {kind} = "app.{kind[:-3]}_app:app"'
            found.error("no-component", message, PYPROJECT, _line(text, "tool.flwr.app.components"))
        elif not isinstance(value, str) or not (match := _COMPONENT.fullmatch(value)):
            message = f'{kind} = {value!r}: write "<package>.<module>:<name>", such as "app.{kind[:-3]}_app:app"'
            found.error("odd-component", message, PYPROJECT, line)
        else:
            components.append(Component(kind, match.group(1), match.group(2), line))
    return components


def _run_config(declared: Any, text: str, found: Collector) -> dict[str, bool | int | float | str]:
    table = declared if isinstance(declared, dict) else {}
    if declared is not None and not isinstance(declared, dict):
        found.error("odd-config", f"{_CONFIG_TABLE} is not a table", PYPROJECT)
    kept = {
        key: value
        for key, value in table.items()
        if _plain_value(key, value, PYPROJECT, _line(text, "tool.flwr.app.config", key), found)
    }
    for key in PLACEHOLDERS:
        line = _line(text, "tool.flwr.app.config", key)
        if key not in table:
            message = f'{_CONFIG_TABLE} needs the placeholder {key} = "": FLIP sets it at submit'
            found.error("no-placeholder", message, PYPROJECT, _line(text, "tool.flwr.app.config"))
        elif not isinstance(table[key], str):
            message = f'{key} = {table[key]!r}: FLIP sets a string; write {key} = ""'
            found.error("config-type", message, PYPROJECT, line)
    return kept


def _plain_value(key: str, value: Any, file: str, line: int | None, found: Collector) -> bool:
    if isinstance(value, dict):
        found.error("nested-config", f"{key} is a table; run configuration is flat: write one key a value", file, line)
    elif not isinstance(value, bool | int | float | str):
        kind = type(value).__name__
        found.error("config-type", f"{key} is a {kind}; only text, numbers and true or false are allowed", file, line)
    elif not _KEY.fullmatch(key):
        found.error("config-key", f"{key!r} is no key FLIP can set; use letters, digits, '-', '_', '.'", file, line)
    else:
        return True
    return False


def _check_overrides(
    path: Path, name: str, declared: dict[str, bool | int | float | str], limits: Limits, found: Collector
) -> None:
    source = _read(path, name, limits, found)
    if source is None:
        return
    text, document = source
    for key, value in document.items():
        line = _line(text, "", key)
        if not _plain_value(key, value, name, line, found):
            continue
        if key not in declared:
            message = f"{key} is not declared; add {key} = {_toml(value)} to {_CONFIG_TABLE} in {PYPROJECT}"
            found.error("undeclared-key", message, name, line)
        elif not _fits(value, declared[key]):
            want, have = type(declared[key]).__name__, type(value).__name__
            message = f"{key} is declared as {want} ({_toml(declared[key])}) but set to {have} {_toml(value)}"
            found.error("config-type", message, name, line)
        elif key in PLACEHOLDERS:
            found.warn("sets-placeholder", f"{key} is set by FLIP at submit; remove this line", name, line)


def _fits(value: bool | int | float | str, declared: bool | int | float | str) -> bool:
    return type(value) is type(declared) or (type(value) is int and type(declared) is float)


def _toml(value: bool | int | float | str) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def _table(document: dict[str, Any], *names: str) -> dict[str, Any] | None:
    inner: Any = document
    for name in names:
        inner = inner.get(name) if isinstance(inner, dict) else None
    return inner if isinstance(inner, dict) else None


def _line(text: str, table: str, key: str | None = None) -> int | None:
    """The line of `[table]`, or of `key` in it, as it is usually written; None where it is written otherwise."""
    here = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[([^\[\]]+)\]\s*(#.*)?$", line):
            here = header.group(1).replace(" ", "")
            if key is None and here == table:
                return number
        elif key is not None and here == table and re.match(rf"""\s*["']?{re.escape(key)}["']?\s*[=.]""", line):
            return number
    return None
