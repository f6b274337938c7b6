"""What module compute plans: who may call whom, which task may do what, and that no environment holds a secret."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tofu_plans import resources

MODULE = "module.compute"
FILES = "arn:aws:s3:::flip-stag-files-123456789012"
SECRET = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:flip-stag"


@pytest.fixture
def planned(example_plan: Callable[[str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Planned values by address within the module."""
    return {a.removeprefix(f"{MODULE}."): values for a, values in resources(example_plan("compute")).items()}


@pytest.fixture
def containers(planned: dict[str, dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Containers by task, in their order, and name."""
    tasks = {"hub": "aws_ecs_task_definition.hub", "net1": 'aws_ecs_task_definition.net["net1"]'}
    definitions = {task: json.loads(planned[address]["container_definitions"]) for task, address in tasks.items()}
    return {task: {it["name"]: it for it in found} for task, found in definitions.items()}


def _environment(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["environment"]}


def _granted(planned: dict[str, dict[str, Any]], *addresses: str) -> dict[str, list[dict[str, Any]]]:
    """Statements of policies, by action."""
    found: dict[str, list[dict[str, Any]]] = {}
    for address in addresses:
        for statement in json.loads(planned[f"aws_iam_role_policy.{address}"]["policy"])["Statement"]:
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                found.setdefault(action, []).append(statement)
    return found


def test_no_environment_holds_a_secret(containers: dict[str, dict[str, dict[str, Any]]]) -> None:
    secret = ("FL_API_KEY", "INTERNAL_SERVICE_KEY", "INTERNAL_SERVICE_KEY_HASH", "TRUST_AES_KEYS", "PASSWORD")
    for task in containers.values():
        for container in task.values():
            assert not set(secret) & set(_environment(container))
            assert not container.get("secrets")  # those are environment, too
    assert "@" not in _environment(containers["hub"]["hub"])["DATABASE_URL"]
    fetched = " ".join(containers["hub"]["config"]["command"] + containers["net1"]["config"]["command"])
    for setting, name in (
        ("INTERNAL_SERVICE_KEY_HASH", "internal-service-key-hash"),
        ("INTERNAL_SERVICE_KEY", "internal-service-key"),
        ("FL_API_KEY", "fl-api-key"),
    ):
        assert f"--setting {setting}={SECRET}/{name}-" in fetched
    assert f"--file server.key={SECRET}/fl-net1-key-" in fetched


def test_hub_and_nets_find_each_other(containers: dict[str, dict[str, dict[str, Any]]]) -> None:
    hub, net = _environment(containers["hub"]["hub"]), _environment(containers["net1"]["fl-server"])
    url = "http://net1.flip-stag.internal:8040"
    assert json.loads(hub["FL_NETS"]) == [{"backend": "flower", "name": "net1", "url": url}]
    assert net["FLIP_API_INTERNAL_URL"] == "http://hub.flip-stag.internal:8050/api/internal"
    assert hub["DATABASE_URL"].endswith(":5432/flip_hub?sslmode=verify-full&sslrootcert=/config/rds-ca.pem")


def test_the_settings_are_those_that_the_services_take(
    containers: dict[str, dict[str, dict[str, Any]]], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flip_fl.settings import FlApiSettings
    from flip_hub.settings import HubSettings

    hub = _environment(containers["hub"]["hub"])
    for name, value in hub.items():
        if not name.startswith("HUB_OIDC_"):  # sign-in by others is not the hub's yet
            monkeypatch.setenv(name, value)
    file = tmp_path / "service.env"
    file.write_text(f"INTERNAL_SERVICE_KEY_HASH={'0' * 64}\nFL_API_KEY={'k' * 32}\n")
    assert HubSettings.load(file).fl_nets[0].name == "net1"
    for name in hub:
        monkeypatch.delenv(name, raising=False)
    for name, value in _environment(containers["net1"]["fl-server"]).items():
        monkeypatch.setenv(name, value if not value.startswith("/config/") else str(file))
    file.write_text(f"INTERNAL_SERVICE_KEY={'i' * 32}\nFL_API_KEY={'k' * 32}\n")
    assert FlApiSettings.load(file).fl_server_port == 9092


def test_services_are_confined(containers: dict[str, dict[str, dict[str, Any]]]) -> None:
    for task, name in (("hub", "hub"), ("net1", "fl-server")):
        service = containers[task][name]
        assert service["readonlyRootFilesystem"] is True
        assert service["user"] == "10001:10001"
        assert service["linuxParameters"]["capabilities"]["drop"] == ["ALL"]
        assert service["dependsOn"] == [{"containerName": it, "condition": "SUCCESS"} for it in ("folders", "config")]
        mounts = {it["containerPath"]: it["readOnly"] for it in service["mountPoints"]}
        assert mounts == {"/config": True, "/data": False, "/tmp": False}
    assert all("@sha256:" in it["image"] for task in containers.values() for it in task.values())


def test_nothing_is_open(planned: dict[str, dict[str, Any]]) -> None:
    ingress = [values for address, values in planned.items() if "_ingress_rule." in address]
    assert {rule["from_port"] for rule in ingress} == {2049, 5432, 8000, 8040, 8050, 9092}
    assert not any("cidr_ipv4" in rule or "cidr_ipv6" in rule for rule in ingress)  # from groups alone
    wide = [values for address, values in planned.items() if "cidr_ipv4" in values]
    assert {rule["from_port"] for rule in wide} == {rule["to_port"] for rule in wide} == {443}
    services = [values for address, values in planned.items() if address.startswith("aws_ecs_service.")]
    assert not any(values["network_configuration"][0]["assign_public_ip"] for values in services)
    assert not any(values["enable_execute_command"] for values in services)


def test_a_net_has_one_task_and_the_hub_no_gap(planned: dict[str, dict[str, Any]]) -> None:
    hub, net = planned["aws_ecs_service.hub"], planned['aws_ecs_service.net["net1"]']
    bounds = ("deployment_minimum_healthy_percent", "deployment_maximum_percent", "availability_zone_rebalancing")
    assert [hub[it] for it in bounds] == [100, 200, "ENABLED"]
    assert [net[it] for it in bounds] == [0, 100, "DISABLED"]
    assert net["desired_count"] == 1
    assert all(it["deployment_circuit_breaker"] == [{"enable": True, "rollback": True}] for it in (hub, net))
    assert not [address for address in planned if address.startswith("aws_appautoscaling") and "hub" not in address]


def test_the_hub_may_do_what_its_page_says_and_no_more(planned: dict[str, dict[str, Any]]) -> None:
    granted = _granted(planned, "hub", 'secrets["hub"]')
    assert set(granted) == {
        *("s3:ListBucket", "s3:ListBucketMultipartUploads"),
        *("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"),
        *("kms:GenerateDataKey", "kms:Decrypt", "secretsmanager:GetSecretValue"),
    }
    for action in ("s3:PutObject", "s3:DeleteObject"):
        assert [statement["Resource"] for statement in granted[action]] == [f"{FILES}/hub/models/*"]
    assert all(statement["Condition"] for statement in granted["kms:Decrypt"])
    (master,) = [it for it in granted["kms:GenerateDataKey"] if it["Resource"].endswith("8f02")]
    assert master["Condition"] == {"StringEquals": {"kms:EncryptionContext:purpose": "flip-hub-master-key"}}
    (secrets,) = granted["secretsmanager:GetSecretValue"]
    assert not any("fl-net1" in arn or "*" in arn for arn in secrets["Resource"])
    assert len(secrets["Resource"]) == 3


def test_a_net_reads_its_own_secrets_and_mounts_its_own_folder(planned: dict[str, dict[str, Any]]) -> None:
    granted = _granted(planned, 'net["net1"]', 'secrets["net1"]')
    assert {action for action in granted if not action.startswith("elasticfilesystem:")} == {
        "kms:Decrypt",
        "secretsmanager:GetSecretValue",
    }
    (mount,) = granted["elasticfilesystem:ClientMount"]
    point = "arn:aws:elasticfilesystem:eu-west-2:123456789012:access-point/fsap-0a1b2c3d4e5f60718"
    assert mount["Condition"] == {"StringEquals": {"elasticfilesystem:AccessPointArn": point}}
    volumes = {it["name"]: it for it in planned['aws_ecs_task_definition.net["net1"]']["volume"]}
    efs = volumes["data"]["efs_volume_configuration"][0]
    assert efs["transit_encryption"] == "ENABLED"
    assert efs["authorization_config"][0]["iam"] == "ENABLED"


def test_who_starts_tasks_reads_no_secret(planned: dict[str, dict[str, Any]]) -> None:
    granted = _granted(planned, "execution")
    assert {action.split(":")[0] for action in granted} == {"ecr", "logs"}
    repositories = granted["ecr:BatchGetImage"][0]["Resource"]
    assert sorted(arn.rpartition("/")[2] for arn in repositories) == ["fl-server", "hub"]


def test_logs_are_encrypted_and_end(planned: dict[str, dict[str, Any]]) -> None:
    groups = [values for address, values in planned.items() if address.startswith("aws_cloudwatch_log_group.")]
    assert len(groups) == 3
    assert all(group["kms_key_id"] and group["retention_in_days"] == 365 for group in groups)


def test_the_disk_holds_the_results_under_way(planned: dict[str, dict[str, Any]]) -> None:
    disk = planned["aws_ecs_task_definition.hub"]["ephemeral_storage"][0]["size_in_gib"]
    assert 2 * 20_000_000_000 / 2**30 < disk <= 200
