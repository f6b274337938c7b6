"""The example of each module's README plans what the module's example.json says, and nothing that is open."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flipctl.hub.tofu import program

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "infra/tofu/modules").iterdir(), key=lambda path: path.name)
RECORD = "FLIP_RECORD=1 .venv/bin/pytest tests/infra/test_module_examples.py"


@pytest.fixture(params=MODULES, ids=lambda path: path.name, scope="module")
def planned(
    request: pytest.FixtureRequest, tofu_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A module, and its example's plan."""
    module: Path = request.param
    tree = tmp_path_factory.mktemp("example")
    shutil.copytree(ROOT / "infra/tofu/modules", tree / "modules")
    stack = tree / "stacks/example"
    stack.mkdir(parents=True)
    (found,) = re.findall(r"^```hcl\n(.*?)^```", (module / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (stack / "main.tf").write_text(found)

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [program(), *arguments], cwd=stack, env=tofu_env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("fmt", "-check")
    run("init", "-no-color")
    run("plan", "-no-color", "-out=plan")
    return module, json.loads(run("show", "-json", "plan"))


def _resources(plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Planned values by address, without what is not known yet."""
    managed = [entry for entry in plan["resource_changes"] if entry["mode"] == "managed"]
    return {entry["address"]: {k: v for k, v in entry["change"]["after"].items() if v is not None} for entry in managed}


def test_the_example_plans_what_is_recorded(planned: tuple[Path, dict[str, Any]]) -> None:
    module, plan = planned
    inventory = {"resources": len(_resources(plan)), "planned": _resources(plan)}
    record = module / "example.json"
    if os.environ.get("FLIP_RECORD"):
        record.write_text(json.dumps(inventory, indent=2, sort_keys=True) + "\n")
    assert record.exists(), f"no inventory; record it: {RECORD}"
    assert inventory == json.loads(record.read_text()), f"if that is meant, record it anew: {RECORD}"


def test_every_bucket_of_a_plan_is_closed_versioned_and_encrypted(planned: tuple[Path, dict[str, Any]]) -> None:
    resources = _resources(planned[1])
    names = [address for address in resources if ".aws_s3_bucket." in address]
    for name in names:
        place, _, bucket = name.rpartition(".aws_s3_bucket.")
        beside = {
            kind: resources[f"{place}.aws_s3_bucket_{kind}.{bucket}"]
            for kind in (
                "public_access_block",
                "versioning",
                "server_side_encryption_configuration",
                "ownership_controls",
                "lifecycle_configuration",
            )
        }
        closed = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
        assert all(beside["public_access_block"][flag] is True for flag in closed)
        assert beside["versioning"]["versioning_configuration"][0]["status"] == "Enabled"
        assert f"{place}.aws_s3_bucket_policy.{bucket}" in resources
        assert not resources[name].get("force_destroy")
    keys = [values for address, values in resources.items() if ".aws_kms_key." in address]
    assert all(key["enable_key_rotation"] for key in keys)
    assert names or "aws_iam_role" in str(resources)


def test_no_policy_grants_everything_of_everything(planned: tuple[Path, dict[str, Any]]) -> None:
    module, plan = planned
    tried = 0
    for address, values in _resources(plan).items():
        if "policy" not in values or address.endswith("aws_iam_policy.boundary"):  # a boundary grants nothing
            continue
        for statement in _statements(json.loads(values["policy"])):
            if statement["Effect"] == "Allow" and ".aws_kms_key." not in address:  # a key's "*" is that key
                tried += 1
                assert not any(action == "*" or action.endswith(":*") for action in _list(statement["Action"])), address
                assert "*" not in _list(statement["Resource"]), address
    assert tried or module.name == "state_backend"  # whose policies are known after the buckets are


def _statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    found = policy["Statement"]
    return found if isinstance(found, list) else [found]


def _list(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]
