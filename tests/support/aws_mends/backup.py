"""AWS Backup: selections, tags, and vaults that may be destroyed with what is in them."""

import json
import secrets
from typing import Any
from urllib.parse import unquote


def keep_selections() -> None:
    """A plan's selections are made, told and deleted; moto has none.

    https://docs.aws.amazon.com/aws-backup/latest/devguide/API_CreateBackupSelection.html
    """
    from moto.backup.exceptions import ResourceNotFoundException
    from moto.backup.responses import BackupResponse

    def place(self: Any) -> tuple[dict[str, Any], str, str]:
        plan, _, selection = self.path.split("/backup/plans/")[1].partition("/selections")
        kept = self.backup_backend.get_backup_plan(plan, None).__dict__.setdefault("selections", {})
        return kept, plan, selection.strip("/")

    def create(self: Any) -> str:
        kept, plan, _ = place(self)
        made = secrets.token_hex(16)
        kept[made] = json.loads(self.body)["BackupSelection"]
        return json.dumps({"SelectionId": made, "BackupPlanId": plan, "CreationDate": 0})

    def get(self: Any) -> str:
        kept, plan, selection = place(self)
        if selection not in kept:
            raise ResourceNotFoundException(msg=f"no selection {selection}")
        return json.dumps({"SelectionId": selection, "BackupPlanId": plan, "BackupSelection": kept[selection]})

    def delete(self: Any) -> str:
        kept, _, selection = place(self)
        kept.pop(selection, None)
        return "{}"

    BackupResponse.create_backup_selection = create
    BackupResponse.get_backup_selection = get
    BackupResponse.delete_backup_selection = delete


def tell_tags() -> None:
    """ListTags tells the tags of the ARN in its path, with a slash behind or without; moto drops the ARN without one.

    https://docs.aws.amazon.com/aws-backup/latest/devguide/API_ListTags.html
    """
    from moto.backup.responses import BackupResponse

    def tags(self: Any) -> str:
        arn = unquote(self.path.split("/tags/")[1]).rstrip("/")
        return json.dumps({"Tags": self.backup_backend.list_tags(resource_arn=arn)})

    BackupResponse.list_tags = tags


def tell_recovery_points() -> None:
    """A vault's recovery points are told, none here, since nothing makes one; moto does not know the question.

    https://docs.aws.amazon.com/aws-backup/latest/devguide/API_ListRecoveryPointsByBackupVault.html
    """
    from moto.backup.responses import BackupResponse
    from moto.backup.urls import url_paths

    BackupResponse.list_recovery_points_by_backup_vault = lambda self: json.dumps({"RecoveryPoints": []})
    for end in ("$", "/$"):
        url_paths["{0}/backup-vaults/(?P<name>[^/]+)/recovery-points" + end] = BackupResponse.dispatch


def forget_deleted_plans() -> None:
    """A deleted plan's name is free; moto refuses another plan of that name for ever.

    https://docs.aws.amazon.com/aws-backup/latest/devguide/API_DeleteBackupPlan.html
    """
    from moto.backup.models import BackupBackend

    delete = BackupBackend.delete_backup_plan

    def and_forget(self: Any, backup_plan_id: str) -> Any:
        told = delete(self, backup_plan_id)
        del self.plans[backup_plan_id]
        return told

    BackupBackend.delete_backup_plan = and_forget


MENDS = (keep_selections, tell_tags, tell_recovery_points, forget_deleted_plans)
