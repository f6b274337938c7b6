"""infra/tofu/modules/backup: what is copied, and by whom."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tofu_plans import resources


@pytest.fixture
def planned(example_plan: Callable[[str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return resources(example_plan("backup"))


def test_what_is_named_is_copied_and_kept(planned: dict[str, dict[str, Any]]) -> None:
    (rule,) = planned["module.backup.aws_backup_plan.hub"]["rule"]
    assert rule["lifecycle"][0]["delete_after"] == 35
    selected = planned["module.backup.aws_backup_selection.hub"]["resources"]
    assert len(selected) == 3
    assert not any("*" in arn for arn in selected)


def test_the_vault_is_locked_and_encrypted(planned: dict[str, dict[str, Any]]) -> None:
    vault = planned["module.backup.aws_backup_vault.hub"]
    assert vault["kms_key_arn"].endswith("000000000001")
    assert vault["force_destroy"] is False
    assert planned['module.backup.aws_backup_vault_lock_configuration.hub["flip-stag"]']["min_retention_days"] == 35


def test_the_role_reads_no_other_bucket_and_restores_nothing(planned: dict[str, dict[str, Any]]) -> None:
    objects, buckets = json.loads(planned["module.backup.aws_iam_role_policy.only_these"]["policy"])["Statement"]
    files = "arn:aws:s3:::flip-stag-files-123456789012"
    assert f"{files}/*" in objects["NotResource"]
    assert files in buckets["NotResource"]
    assert {objects["Effect"], buckets["Effect"]} == {"Deny"}
    attached = [values["policy_arn"] for name, values in planned.items() if "_attachment." in name]
    assert len(attached) == 2
    assert not any("Restore" in arn for arn in attached)
