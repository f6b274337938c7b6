"""The playbooks as the tests read them: parsed YAML, and the roles' Python without Ansible."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
Promtool = Callable[..., str]
"""Runs promtool with these arguments, and `text` on its standard input; its words, once it is content."""
Library = Callable[[str, str], ModuleType]
"""A module of a role's library, by role and name."""
ROLES = sorted((ROOT / "ansible" / "roles").iterdir())


def parsed(path: Path) -> Any:
    """The content of a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def options(role: Path) -> dict[str, Any]:
    """The variables of a role with their specification."""
    found: dict[str, Any] = parsed(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    return found


def python(role: str, path: str) -> ModuleType:
    """A Python file of a role, imported."""
    return imported(ROOT / "ansible" / "roles" / role / path)


def imported(file: Path) -> ModuleType:
    """A Python file, imported."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
