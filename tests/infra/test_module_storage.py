"""What storage's example keeps closed, and whom it lets deliver logs."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tofu_plans import resources

AT = "module.storage"


@pytest.fixture
def planned(example_plan: Callable[[str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return resources(example_plan("storage"))


def test_files_have_the_environments_key(planned: dict[str, dict[str, Any]]) -> None:
    kinds = {
        name: planned[f"{AT}.aws_s3_bucket_server_side_encryption_configuration.{name}"]["rule"][0][
            "apply_server_side_encryption_by_default"
        ][0]
        for name in ("files", "pages", "logs")
    }
    assert kinds["files"]["sse_algorithm"] == "aws:kms"
    assert kinds["files"]["kms_master_key_id"].endswith(":key/8b7f0b1c-2f0a-4d5b-9a55-1f0c6f1f8f00")
    assert {kinds[name]["sse_algorithm"] for name in ("pages", "logs")} == {"AES256"}


def test_uploads_that_broke_off_go_and_logs_end(planned: dict[str, dict[str, Any]]) -> None:
    rules = {
        name: planned[f"{AT}.aws_s3_bucket_lifecycle_configuration.{name}"]["rule"][0]
        for name in ("files", "pages", "logs")
    }
    for rule in rules.values():
        assert rule["abort_incomplete_multipart_upload"] == [{"days_after_initiation": 7}]
        assert rule["noncurrent_version_expiration"][0]["noncurrent_days"] >= 30
    assert rules["logs"]["expiration"][0]["days"] == 365
    assert not rules["files"]["expiration"][0]["days"]


def test_only_logs_take_acls(planned: dict[str, dict[str, Any]]) -> None:
    kinds = {
        name: planned[f"{AT}.aws_s3_bucket_ownership_controls.{name}"]["rule"][0]["object_ownership"]
        for name in ("files", "pages", "logs")
    }
    assert kinds == {"files": "BucketOwnerEnforced", "pages": "BucketOwnerEnforced", "logs": "BucketOwnerPreferred"}


def test_pages_have_no_policy_here(planned: dict[str, dict[str, Any]]) -> None:
    assert f"{AT}.aws_s3_bucket_policy.pages" not in planned


def test_the_file_system_is_encrypted_and_each_net_has_its_own_place(planned: dict[str, dict[str, Any]]) -> None:
    system = planned[f"{AT}.aws_efs_file_system.fl"]
    assert system["encrypted"] is True
    assert system["kms_key_id"]
    for net in ("net1", "net2"):
        point = planned[f'{AT}.aws_efs_access_point.net["{net}"]']
        assert (point["posix_user"][0]["uid"], point["posix_user"][0]["gid"]) == (10001, 10001)
        (root,) = point["root_directory"]
        assert root["path"] == f"/{net}"
        assert root["creation_info"] == [{"owner_uid": 10001, "owner_gid": 10001, "permissions": "0700"}]
    assert sum(".aws_efs_mount_target." in address for address in planned) == 2


def test_nobody_is_let_in_by_the_module_itself(planned: dict[str, dict[str, Any]]) -> None:
    assert not any("_security_group_" in address for address in planned)


def _policy(plan: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Statements of a policy whose resources are known at apply alone, as the configuration has them."""
    (found,) = [
        entry for entry in plan["resource_changes"] if entry["address"] == f"{AT}.data.aws_iam_policy_document.{name}"
    ]
    statements: list[dict[str, Any]] = found["change"]["after"]["statement"]
    return statements


def test_the_file_system_is_mounted_over_tls_and_by_access_points_only(
    example_plan: Callable[[str], dict[str, Any]],
) -> None:
    statements = {entry["sid"]: entry for entry in _policy(example_plan("storage"), "file_system")}
    assert {entry["effect"] for entry in statements.values()} == {"Deny"}
    tls, points = (statements[sid]["condition"] for sid in ("TlsOnly", "ByAccessPointOnly"))
    assert tls == [{"test": "Bool", "values": ["false"], "variable": "aws:SecureTransport"}]
    assert points == [{"test": "Null", "values": ["true"], "variable": "elasticfilesystem:AccessPointArn"}]


def test_logs_are_delivered_by_three_services_each_to_its_place(example_plan: Callable[[str], dict[str, Any]]) -> None:
    statements = _policy(example_plan("storage"), "logs")
    takers = {
        (entry["principals"][0]["identifiers"][0], action)
        for entry in statements
        if entry["effect"] != "Deny"
        for action in entry["actions"]
    }
    assert takers == {
        ("logging.s3.amazonaws.com", "s3:PutObject"),
        ("logdelivery.elasticloadbalancing.amazonaws.com", "s3:PutObject"),
        ("delivery.logs.amazonaws.com", "s3:PutObject"),
        ("delivery.logs.amazonaws.com", "s3:GetBucketAcl"),
    }
    assert "123456789012" in json.dumps(statements)
