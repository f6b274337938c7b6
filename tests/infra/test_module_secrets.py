"""infra/tofu/modules/secrets: containers without contents."""

from collections.abc import Callable
from typing import Any

from tofu_plans import resources


def test_there_are_containers_alone(example_plan: Callable[[str], dict[str, Any]]) -> None:
    planned = resources(example_plan("secrets"))
    kinds = {name.split(".")[2] for name in planned}
    assert kinds == {"aws_secretsmanager_secret", "aws_secretsmanager_secret_policy"}
    for name, values in planned.items():
        if ".aws_secretsmanager_secret." in name:
            assert values["kms_key_id"].endswith("000000000001")
            assert values["recovery_window_in_days"] == 30
        else:
            assert values["block_public_policy"] is True
