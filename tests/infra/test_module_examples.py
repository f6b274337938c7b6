"""The example of each module's README plans what the module's example.json says, and nothing that is open."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tofu_plans import resources

MODULES = Path(__file__).resolve().parents[2] / "infra/tofu/modules"
NAMES = sorted(path.name for path in MODULES.iterdir())
OF_THE_ACCOUNT = {"ecr:GetAuthorizationToken", "ssm:UpdateInstanceInformation"} | {
    f"ssmmessages:{verb}{channel}Channel" for verb in ("Create", "Open") for channel in ("Control", "Data")
}  # AWS knows no resource for these
RECORD = "FLIP_RECORD=1 .venv/bin/pytest tests/infra/test_module_examples.py"


@pytest.fixture(params=NAMES)
def planned(
    request: pytest.FixtureRequest, example_plan: Callable[[str], dict[str, Any]]
) -> tuple[Path, dict[str, Any]]:
    """A module, and its example's plan."""
    return MODULES / request.param, example_plan(request.param)


def test_the_example_plans_what_is_recorded(planned: tuple[Path, dict[str, Any]]) -> None:
    module, plan = planned
    inventory = {"resources": len(resources(plan)), "planned": resources(plan)}
    record = module / "example.json"
    if os.environ.get("FLIP_RECORD"):
        record.write_text(json.dumps(inventory, indent=2, sort_keys=True) + "\n")
    assert record.exists(), f"no inventory; record it: {RECORD}"
    assert inventory == json.loads(record.read_text()), f"if that is meant, record it anew: {RECORD}"


def test_every_bucket_of_a_plan_is_closed_versioned_and_encrypted(
    example_plan: Callable[[str], dict[str, Any]],
) -> None:
    seen = 0
    for module in NAMES:
        planned = resources(example_plan(module))
        names = [address for address in planned if ".aws_s3_bucket." in address]
        seen += len(names)
        for name in names:
            place, _, bucket = name.rpartition(".aws_s3_bucket.")
            beside = {
                kind: planned[f"{place}.aws_s3_bucket_{kind}.{bucket}"]
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
            # The pages' policy names the distribution that reads them: module edge writes it.
            assert bucket == "pages" or f"{place}.aws_s3_bucket_policy.{bucket}" in planned
            assert not planned[name].get("force_destroy")
        keys = [values for address, values in planned.items() if ".aws_kms_key." in address]
        assert all(key["enable_key_rotation"] for key in keys)
    assert seen


def test_no_policy_grants_everything_of_everything(example_plan: Callable[[str], dict[str, Any]]) -> None:
    tried = 0
    for module in NAMES:
        for address, values in resources(example_plan(module)).items():
            if "policy" not in values or address.endswith("aws_iam_policy.boundary"):  # a boundary grants nothing
                continue
            for statement in _statements(json.loads(values["policy"])):
                if statement["Effect"] == "Allow" and ".aws_kms_key." not in address:  # a key's "*" is that key
                    tried += 1
                    actions = _list(statement["Action"])
                    assert not any(action == "*" or action.endswith(":*") for action in actions), address
                    assert "*" not in _list(statement["Resource"]) or set(actions) <= OF_THE_ACCOUNT, address
    assert tried


def _statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    found = policy["Statement"]
    return found if isinstance(found, list) else [found]


def _list(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]
