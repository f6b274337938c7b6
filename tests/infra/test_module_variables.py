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
CASES = range(len(BAD))


@pytest.fixture(scope="module")
def said(tofu_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of each file: one has a module's good values, one each bad value among good ones.

    All are one configuration, for a refusal of one module's values keeps none of another's from being told; a plan for
    each would take minutes. Modules are their variables alone, so there is no provider to be asked.
    """
    folder = tmp_path_factory.mktemp("variables")
    for name in NAMES:
        (folder / name).mkdir()
        shutil.copyfile(MODULES / name / "variables.tf", folder / name / "variables.tf")
        _call(folder, f"good-{name}", name, VALUES[name].GOOD)
    for case, (module, variable, value) in enumerate(BAD):
        _call(folder, f"bad-{case}", module, VALUES[module].GOOD | {variable: value})

    def run(*arguments: str) -> str:
        command = [program(), *arguments]
        return subprocess.run(command, cwd=folder, env=tofu_env, stdout=subprocess.PIPE, text=True, check=False).stdout

    run("init", "-no-color")
    told: dict[str, str] = {}
    for _ in range(2):  # a rule that looks at other variables is tried once no other refuses anything
        for line in run("plan", "-json", "-input=false").splitlines():
            if found := json.loads(line).get("diagnostic"):
                place = found["range"]["filename"].removesuffix(".tf.json")
                told[place] = " ".join([told.get(place, ""), *found["detail"].split()])
                (folder / found["range"]["filename"]).unlink(missing_ok=True)
    return told


def _call(folder: Path, name: str, module: str, values: dict[str, Any]) -> None:
    block = {"source": f"./{module}"} | {variable: _literal(value) for variable, value in values.items()}
    (folder / f"{name}.tf.json").write_text(json.dumps({"module": {name: block}}))


def _literal(value: Any) -> Any:
    """As it stands in the configuration, where a text is a template."""
    if isinstance(value, str):
        return value.replace("${", "$${").replace("%{", "%%{")
    if isinstance(value, dict):
        return {key: _literal(one) for key, one in value.items()}
    return [_literal(one) for one in value] if isinstance(value, list) else value


def _messages(module: str, variable: str | None = None) -> list[str]:
    """The texts of validations, of one variable or all, as they are shown."""
    text = (MODULES / module / "variables.tf").read_text()
    if variable:
        text = next(part for part in text.split("\nvariable ") if f'"{variable}"' in part.splitlines()[0])
    found = re.findall(r'error_message = "((?:[^"\\]|\\.)*)"', text)
    return [" ".join(message.replace('\\"', '"').split()) for message in found]


@pytest.mark.parametrize("module", NAMES)
def test_good_values_are_taken(module: str, said: dict[str, str]) -> None:
    assert f"good-{module}" not in said


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{module}-{variable}-{case}" for case, (module, variable, _) in enumerate(BAD)]
)
def test_bad_values_are_refused(case: int, said: dict[str, str]) -> None:
    module, variable, value = BAD[case]
    told = said.get(f"bad-{case}", "nothing")
    refused = any(message in told for message in _messages(module, variable))
    assert refused or (value is None and f"var.{variable} " in told), f"{variable} = {value!r}: {told}"


@pytest.mark.parametrize("module", NAMES)
def test_every_validation_is_tried(module: str, said: dict[str, str]) -> None:
    told = [said.get(f"bad-{case}", "") for case in CASES if BAD[case][0] == module]
    assert _messages(module)
    assert [message for message in _messages(module) if not any(message in one for one in told)] == []
