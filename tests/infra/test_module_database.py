"""infra/tofu/modules/database: who reaches it, and what is left of it."""

from collections.abc import Callable
from typing import Any

import pytest
from tofu_plans import resources


@pytest.fixture
def planned(example_plan: Callable[[str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return resources(example_plan("database"))


@pytest.fixture
def instance(planned: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return planned["module.database.aws_db_instance.hub"]


def test_nothing_reaches_it_before_somebody_adds_a_rule(
    planned: dict[str, dict[str, Any]], instance: dict[str, Any]
) -> None:
    assert instance["publicly_accessible"] is False
    assert not [name for name in planned if "_rule" in name]
    group = planned["module.database.aws_security_group.database"]
    assert not group.get("ingress")
    assert not group.get("egress")


def test_it_is_encrypted_with_the_given_key(planned: dict[str, dict[str, Any]], instance: dict[str, Any]) -> None:
    assert instance["storage_encrypted"] is True
    for name in ("kms_key_id", "performance_insights_kms_key_id", "master_user_secret_kms_key_id"):
        assert instance[name].endswith("000000000001"), name
    logs = [values for name, values in planned.items() if ".aws_cloudwatch_log_group." in name]
    assert len(logs) == 2
    assert all(log["kms_key_id"].endswith("000000000002") and log["retention_in_days"] == 365 for log in logs)


def test_no_password_is_in_the_plan(instance: dict[str, Any]) -> None:
    assert instance["manage_master_user_password"] is True
    assert "password" not in instance
    assert "password_wo" not in instance
    assert instance["iam_database_authentication_enabled"] is False


def test_it_takes_tls_alone_and_logs_no_values(planned: dict[str, dict[str, Any]]) -> None:
    group = planned["module.database.aws_db_parameter_group.hub"]
    found = {parameter["name"]: parameter["value"] for parameter in group["parameter"]}
    assert found["rds.force_ssl"] == "1"
    assert found["log_parameter_max_length"] == found["log_parameter_max_length_on_error"] == "0"
    assert group["family"] == "postgres17"


def test_its_data_outlive_it(instance: dict[str, Any]) -> None:
    assert instance["deletion_protection"] is True
    assert instance["skip_final_snapshot"] is False
    assert instance["delete_automated_backups"] is False
    assert instance["copy_tags_to_snapshot"] is True
    assert instance["backup_retention_period"] == 14
    assert instance["multi_az"] is True
    assert "ca_cert_identifier" not in instance, "AWS's default is current; naming one costs a change at creation"
