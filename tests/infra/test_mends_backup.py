"""What the stand-in's mends of AWS Backup restore; without its mend each of these fails."""

import uuid
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def backup(tofu_env: dict[str, str]) -> Any:
    return boto3.client(
        "backup",
        endpoint_url=tofu_env["AWS_ENDPOINT_URL"],
        region_name="eu-west-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def _plan(backup: Any, name: str, **more: Any) -> Any:
    backup.create_backup_vault(BackupVaultName=name)
    rule = {"RuleName": "daily", "TargetBackupVaultName": name}
    return backup.create_backup_plan(BackupPlan={"BackupPlanName": name, "Rules": [rule]}, **more)


def test_selections_are_kept_until_they_are_deleted(backup: Any) -> None:
    plan = _plan(backup, f"mend-{uuid.uuid4()}")["BackupPlanId"]
    wanted = {
        "SelectionName": "named",
        "IamRoleArn": "arn:aws:iam::123456789012:role/r",
        "Resources": ["arn:aws:s3:::b"],
    }
    made = backup.create_backup_selection(BackupPlanId=plan, BackupSelection=wanted)["SelectionId"]
    assert backup.get_backup_selection(BackupPlanId=plan, SelectionId=made)["BackupSelection"] == wanted
    backup.delete_backup_selection(BackupPlanId=plan, SelectionId=made)
    with pytest.raises(ClientError, match="no selection"):
        backup.get_backup_selection(BackupPlanId=plan, SelectionId=made)


def test_tags_are_told(backup: Any) -> None:
    """As the provider asks: boto3 puts a slash behind the ARN, Go's library none."""
    arn = _plan(backup, f"mend-{uuid.uuid4()}", BackupPlanTags={"project": "flip"})["BackupPlanArn"]

    def without_slash(request: Any, **_: Any) -> None:
        request.url = request.url.rstrip("/")

    backup.meta.events.register("before-sign.backup.ListTags", without_slash)
    assert backup.list_tags(ResourceArn=arn)["Tags"] == {"project": "flip"}


def test_a_vault_without_recovery_points_says_so(backup: Any) -> None:
    name = f"mend-{uuid.uuid4()}"
    backup.create_backup_vault(BackupVaultName=name)
    assert backup.list_recovery_points_by_backup_vault(BackupVaultName=name)["RecoveryPoints"] == []


def test_a_deleted_plans_name_is_free(backup: Any) -> None:
    name = f"mend-{uuid.uuid4()}"
    plan = _plan(backup, name)["BackupPlanId"]
    backup.delete_backup_plan(BackupPlanId=plan)
    backup.delete_backup_vault(BackupVaultName=name)
    assert _plan(backup, name)["BackupPlanId"] != plan
