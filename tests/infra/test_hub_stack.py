"""The hub's stack against AWS's stand-in: from an interrupted apply through upgrades and drift to its end."""

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hub_verbs import HubVerbs, client, trial_values
from tofu_plans import applied

NEW, OLD = "3" * 64, "1" * 64


class Hub:
    """A hub on the stand-in: its verbs, its values as text, and what the apply said."""

    def __init__(self, verbs: HubVerbs, text: str) -> None:
        self.verbs, self.env, self.text = verbs, verbs.env, text
        self.applied: dict[str, Any] = {}

    def with_values(self, *changes: tuple[str, str]) -> None:
        """Writes the values with these texts replaced."""
        text = self.text
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        self.verbs.values["hub"].write_text(text)

    @property
    def outputs(self) -> dict[str, Any]:
        """Outputs of the stack."""
        outputs: dict[str, Any] = self.applied["outputs"]
        return outputs


@pytest.fixture(scope="module")
def stack(hub: HubVerbs, made: Any, tmp_path_factory: pytest.TempPathFactory) -> Hub:
    """Applied by two runs: Ctrl-C ended the first when the VPC was there."""
    values = trial_values(tmp_path_factory.mktemp("values"), hub.env)
    hub.values["hub"] = values
    first = hub.start("apply", "--yes")
    ec2 = client("ec2", hub.env)
    for _ in range(1200):
        if ec2.describe_route_tables(Filters=[{"Name": "tag:Project", "Values": ["flip"]}])["RouteTables"]:
            break
        assert first.poll() is None, first.communicate()
        time.sleep(0.1)
    os.killpg(first.pid, signal.SIGINT)
    first.communicate()
    found = Hub(hub, values.read_text())
    found.applied = hub("apply", "--yes")
    return found


@pytest.fixture
def unchanged(stack: Hub) -> Iterator[Hub]:
    """The hub; the values are as before afterwards."""
    yield stack
    stack.with_values()


def test_an_interrupted_apply_is_gone_on_with(stack: Hub) -> None:
    assert stack.outputs["url"] == "https://flip.example.org"
    assert all(change["action"] == "create" for change in stack.applied["changes"]), stack.applied["counts"]


def test_a_second_plan_is_empty(stack: Hub) -> None:
    assert stack.verbs("plan")["changes"] == []


@pytest.fixture(scope="module")
def state(stack: Hub) -> dict[str, dict[str, Any]]:
    """What was made, with all values known."""
    return applied(json.loads(stack.verbs.tofu("hub", "show", "-json").stdout))


def of(state: dict[str, dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """All of a type; there are some."""
    found = [values for values in state.values() if values["type"] == kind]
    assert found, kind
    return found


def test_the_world_reaches_port_443_of_the_fl_servers_and_nothing_else_of_the_network(
    state: dict[str, dict[str, Any]],
) -> None:
    rules = of(state, "aws_vpc_security_group_ingress_rule")
    world = [rule for rule in rules if rule.get("cidr_ipv4") == "0.0.0.0/0" or rule.get("cidr_ipv6") == "::/0"]
    assert {(rule["from_port"], rule["to_port"], rule["ip_protocol"]) for rule in world} == {(443, 443, "tcp")}
    assert {rule["security_group_id"] for rule in world} == {of_group(state, "fl_ingress")}
    assert not any(group.get("ingress") for group in of(state, "aws_default_security_group"))
    balancers = {values["load_balancer_type"]: values for values in of(state, "aws_lb")}
    assert balancers["application"]["internal"]  # CloudFront alone reaches it, from within
    assert all(not instance["publicly_accessible"] for instance in of(state, "aws_db_instance"))
    services = of(state, "aws_ecs_service")
    assert not any(service["network_configuration"][0]["assign_public_ip"] for service in services)
    assert not any(subnet["map_public_ip_on_launch"] for subnet in of(state, "aws_subnet"))


def of_group(state: dict[str, dict[str, Any]], module: str) -> str:
    """The security group of a module that has one."""
    (group,) = [
        values["id"]
        for address, values in state.items()
        if values["type"] == "aws_security_group" and f"module.{module}." in address
    ]
    return str(group)


def test_all_that_is_kept_is_encrypted(state: dict[str, dict[str, Any]]) -> None:
    assert all(values["storage_encrypted"] and values["kms_key_id"] for values in of(state, "aws_db_instance"))
    assert all(values["encrypted"] and values["kms_key_id"] for values in of(state, "aws_efs_file_system"))
    assert all(values["kms_key_id"] for values in of(state, "aws_secretsmanager_secret"))
    assert all(values["kms_master_key_id"] for values in of(state, "aws_sns_topic"))
    assert all(values["kms_key_arn"] for values in of(state, "aws_backup_vault"))
    buckets = {values["bucket"] for values in of(state, "aws_s3_bucket")}
    for kind in ("server_side_encryption_configuration", "public_access_block", "versioning", "policy"):
        assert {values["bucket"] for values in of(state, f"aws_s3_bucket_{kind}")} >= buckets, kind
    assert all(values["enable_key_rotation"] for values in of(state, "aws_kms_key"))
    unencrypted = [values["name"] for values in of(state, "aws_cloudwatch_log_group") if not values["kms_key_id"]]
    assert all(name.startswith("aws-waf-logs-") for name in unencrypted)  # in us-east-1, where the hub's keys are not


def test_no_secret_is_in_the_state_or_in_a_task(state: dict[str, dict[str, Any]], stack: Hub) -> None:
    for definition in of(state, "aws_ecs_task_definition"):
        for container in json.loads(definition["container_definitions"]):
            assert not container.get("secrets")
            names = {entry["name"] for entry in container.get("environment", [])}
            assert not {name for name in names if name.endswith(("_KEY", "_PASSWORD", "_TOKEN"))} - {
                "HUB_MASTER_KMS_KEY"
            }
    assert not any(values.get("password") for values in of(state, "aws_db_instance"))
    assert not [values for values in state.values() if values["type"] == "aws_secretsmanager_secret_version"]
    text = stack.verbs.tofu("hub", "state", "pull").stdout
    assert "PRIVATE KEY" not in text
    assert "flip_" + "A" not in text


def test_roles_of_tasks_name_what_they_may_touch(state: dict[str, dict[str, Any]]) -> None:
    tried = 0
    data = ("s3:", "kms:", "secretsmanager:", "elasticfilesystem:", "rds", "dynamodb:", "*")
    for address, values in state.items():
        if values["type"] not in ("aws_iam_role_policy", "aws_iam_policy") or "module.compute" not in address:
            continue
        for statement in listed(json.loads(values["policy"])["Statement"]):
            actions, places = listed(statement["Action"]), listed(statement["Resource"])
            if statement["Effect"] == "Allow" and any(action.startswith(data) for action in actions):
                tried += 1
                assert "*" not in places, address
                assert not any(action.endswith(":*") for action in actions), address
    assert tried > 3


def listed(value: Any) -> list[Any]:
    """IAM writes a list of one as that one."""
    return value if isinstance(value, list) else [value]
