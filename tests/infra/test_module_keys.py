"""infra/tofu/modules/keys: who may use which key."""

import json
from collections.abc import Callable
from typing import Any

from tofu_plans import resources


def test_keys_are_for_the_account_and_the_services_that_need_one(example_plan: Callable[[str], dict[str, Any]]) -> None:
    keys = {
        name.split('"')[1]: values
        for name, values in resources(example_plan("keys")).items()
        if ".aws_kms_key." in name
    }
    assert set(keys) == {"data", "logs", "master"}
    for key in keys.values():
        assert key["deletion_window_in_days"] == 30
        for statement in _statements(key):
            if statement["Effect"] == "Allow":
                assert statement["Principal"] != {"AWS": "*"}
                assert "AWS" in statement["Principal"] or statement["Condition"], "a service only for this account"
    assert [statement["Sid"] for statement in _statements(keys["data"])] == ["IamDecides"]


def test_the_master_key_serves_the_hubs_wrapping_key_alone(example_plan: Callable[[str], dict[str, Any]]) -> None:
    (key,) = [
        values for name, values in resources(example_plan("keys")).items() if name.endswith('aws_kms_key.hub["master"]')
    ]
    (denied,) = [statement for statement in _statements(key) if statement["Effect"] == "Deny"]
    from flip_hub.trusts.master_key import CONTEXT

    ((name, value),) = CONTEXT.items()
    assert denied["Condition"] == {"StringNotEquals": {f"kms:EncryptionContext:{name}": value}}
    assert {"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:CreateGrant"} <= set(denied["Action"])


def _statements(key: dict[str, Any]) -> list[dict[str, Any]]:
    found = json.loads(key["policy"])["Statement"]
    return found if isinstance(found, list) else [found]
