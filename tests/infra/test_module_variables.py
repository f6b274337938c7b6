"""Every validation of a module's variables refuses what it is for, with its own words, before a provider is asked."""

import importlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flipctl.hub.tofu import program

MODULES = Path(__file__).resolve().parents[2] / "infra/tofu/modules"
NAMES = sorted(path.name for path in MODULES.iterdir())
# A module without a file of values fails here, by name.
VALUES = {name: importlib.import_module(f"tofu_values.{name}") for name in NAMES}
BAD = [(name, variable, value) for name, values in VALUES.items() for variable, value in values.BAD]


@pytest.fixture(scope="module")
def shown() -> dict[str, list[str]]:
    """What was said of the bad values so far, by module."""
    return {name: [] for name in NAMES}


def _messages(module: str, variable: str | None = None) -> list[str]:
    """The texts of validations, of one variable or all, as they are shown."""
    text = (MODULES / module / "variables.tf").read_text()
    if variable:
        text = next(part for part in text.split("\nvariable ") if f'"{variable}"' in part.splitlines()[0])
    found = re.findall(r'error_message = "((?:[^"\\]|\\.)*)"', text)
    return [" ".join(message.replace('\\"', '"').split()) for message in found]


def _plan(module: str, values: dict[str, Any], env: dict[str, str], folder: Path) -> str:
    shutil.copyfile(MODULES / module / "variables.tf", folder / "variables.tf")
    (folder / "values.auto.tfvars.json").write_text(json.dumps(values))
    done = subprocess.run(
        [program(), "plan", "-no-color", "-input=false"],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    return " ".join(re.sub(r"[╷│╵]", " ", done.stderr).split())


@pytest.mark.parametrize("module", NAMES)
def test_good_values_are_taken(module: str, tofu_env: dict[str, str], tmp_path: Path) -> None:
    assert _plan(module, VALUES[module].GOOD, tofu_env, tmp_path) == ""


@pytest.mark.parametrize(("module", "variable", "value"), BAD)
def test_bad_values_are_refused(
    module: str, variable: str, value: Any, tofu_env: dict[str, str], tmp_path: Path, shown: dict[str, list[str]]
) -> None:
    said = _plan(module, VALUES[module].GOOD | {variable: value}, tofu_env, tmp_path)
    shown[module].append(said)
    assert f"var.{variable}" in said or f'"{variable}"' in said
    assert value is None or any(message in said for message in _messages(module, variable)), said


@pytest.mark.parametrize("module", NAMES)
def test_every_validation_is_tried(module: str, shown: dict[str, list[str]]) -> None:
    """Of a whole run of this file: the test before tries them."""
    assert _messages(module)
    assert [message for message in _messages(module) if not any(message in said for said in shown[module])] == []
