"""Every validation of a module's variables refuses what it is for, with its own words, before a provider is asked."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flipctl.hub.tofu import program

MODULES = Path(__file__).resolve().parents[2] / "infra/tofu/modules"
PLACE = {"project": "flip", "environment": "stag", "account_id": "123456789012"}
BUCKET = "arn:aws:s3:::states"
KEY = "arn:aws:kms:eu-west-2:123456789012:key/1234-abcd"
PLAN, APPLY = "repo:example/flip:pull_request", "repo:example/flip:environment:stag"
GOOD: dict[str, dict[str, Any]] = {
    "state_backend": PLACE | {"region": "eu-west-2"},
    "ci_identity": PLACE
    | {"state": {"bucket_arn": BUCKET, "key_arn": KEY}, "subjects": {"plan": [PLAN], "apply": [APPLY]}},
}
NAMES = [
    ("project", "FLIP"),
    ("project", "a-name-of-17-chars"),
    ("project", None),
    ("environment", "Staging"),
    ("environment", "staging-two"),
    ("account_id", "1234-5678-9012"),
]
BAD = [
    *(("state_backend", *case) for case in NAMES),
    *(("ci_identity", *case) for case in NAMES),
    ("state_backend", "region", "eu-west-2a"),
    ("state_backend", "region", "London"),
    ("state_backend", "old_versions", {"days": 1}),
    ("state_backend", "old_versions", {"keep": 0}),
    ("state_backend", "old_versions", {"keep": 101}),
    ("state_backend", "log_days", 7),
    ("state_backend", "log_days", 90.5),
    ("ci_identity", "state", {"bucket_arn": "states", "key_arn": KEY}),
    ("ci_identity", "state", {"bucket_arn": BUCKET, "key_arn": "alias/states"}),
    ("ci_identity", "issuer", "https://token.actions.githubusercontent.com"),
    ("ci_identity", "subjects", {"plan": [], "apply": [APPLY]}),
    ("ci_identity", "subjects", {"plan": ["repo:example/*"], "apply": [APPLY]}),
    ("ci_identity", "subjects", {"plan": [APPLY], "apply": [PLAN]}),
    ("ci_identity", "subjects", {"plan": [APPLY], "apply": [APPLY]}),
    ("ci_identity", "apply_policy_arns", ["arn:aws:iam::aws:policy/AdministratorAccess"]),
    ("ci_identity", "apply_policy_arns", [f"arn:aws:iam::123456789012:policy/p{at}" for at in range(11)]),
]


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


@pytest.mark.parametrize("module", GOOD)
def test_good_values_are_taken(module: str, tofu_env: dict[str, str], tmp_path: Path) -> None:
    assert _plan(module, GOOD[module], tofu_env, tmp_path) == ""


@pytest.mark.parametrize(("module", "variable", "value"), BAD)
def test_bad_values_are_refused(
    module: str, variable: str, value: Any, tofu_env: dict[str, str], tmp_path: Path
) -> None:
    shown = _plan(module, GOOD[module] | {variable: value}, tofu_env, tmp_path)
    told = _messages(module, variable)
    assert f"var.{variable}" in shown or f'"{variable}"' in shown
    assert value is None or any(message in shown for message in told), shown


@pytest.mark.parametrize("module", sorted(path.name for path in MODULES.iterdir()))
def test_every_validation_is_tried(module: str, tofu_env: dict[str, str], tmp_path: Path) -> None:
    shown = " ".join(
        _plan(module, GOOD[module] | {variable: value}, tofu_env, tmp_path)
        for of, variable, value in BAD
        if of == module and value is not None
    )
    missing = [message for message in _messages(module) if message not in shown]
    assert _messages(module)
    assert not missing
