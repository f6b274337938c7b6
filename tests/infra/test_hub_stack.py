"""The hub's stack against AWS's stand-in: from an interrupted apply through upgrades and drift to its end."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hub_verbs import Hub, client

pytestmark = pytest.mark.timeout(1800)  # an apply waits minutes for what AWS would be doing
NEW, OLD = "3" * 64, "1" * 64


def test_an_interrupted_apply_is_gone_on_with(stack: Hub) -> None:
    assert stack.outputs["url"] == "https://flip.example.org"
    first = {change["address"]: change["action"] for change in stack.applied["changes"]}
    assert (
        "module.database.aws_db_instance.hub" not in first or first["module.database.aws_db_instance.hub"] == "update"
    )
    assert 10 < len(first) < 150


def test_a_second_plan_is_empty(stack: Hub) -> None:
    assert stack.verbs("plan")["changes"] == []


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


def test_what_aws_says_is_what_the_outputs_say(stack: Hub) -> None:
    out, env = stack.outputs, stack.env
    zone = client("route53", env).list_hosted_zones_by_name(DNSName="example.org")["HostedZones"][0]["Id"]
    records = client("route53", env).list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    alias = {(record["Name"], record["Type"]): record.get("AliasTarget", {}).get("DNSName") for record in records}
    (distribution,) = client("cloudfront", env).list_distributions()["DistributionList"]["Items"]
    assert alias["flip.example.org.", "A"].rstrip(".") == distribution["DomainName"]
    settings = client("cloudfront", env).get_distribution_config(Id=distribution["Id"])["DistributionConfig"]
    assert settings["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1.2_2021"
    assert settings["WebACLId"]
    (api,) = settings["CacheBehaviors"]["Items"]
    assert api["PathPattern"] == "/api/*"
    assert api["ViewerProtocolPolicy"] == "https-only"
    origins = {origin["Id"]: origin for origin in settings["Origins"]["Items"]}
    assert origins[api["TargetOriginId"]]["VpcOriginConfig"]["OriginReadTimeout"] == 60  # a poll of 30 s, and 30
    elb = client("elbv2", env)
    balancers = {one["Type"]: one for one in elb.describe_load_balancers()["LoadBalancers"]}
    assert alias["fl.flip.example.org.", "A"].rstrip(".") == balancers["network"]["DNSName"]
    (door,) = elb.describe_listeners(LoadBalancerArn=balancers["network"]["LoadBalancerArn"])["Listeners"]
    assert (door["Port"], door["Protocol"]) == (443, "TCP")  # TLS is the FL server's own
    assert door["DefaultActions"][0]["TargetGroupArn"] == out["target_groups"]["nets"]["net1"]
    (listener,) = elb.describe_listeners(LoadBalancerArn=balancers["application"]["LoadBalancerArn"])["Listeners"]
    assert (listener["Protocol"], listener["SslPolicy"][:27]) == ("HTTPS", "ELBSecurityPolicy-TLS13-1-2")
    ecs = client("ecs", env)
    services = ecs.describe_services(
        cluster=out["cluster"]["name"], services=list(out["cluster"]["services"].values())
    )["services"]
    targets = {service["serviceName"]: service["loadBalancers"][0]["targetGroupArn"] for service in services}
    assert targets[out["cluster"]["services"]["hub"]] == out["target_groups"]["hub"]
    pool = client("cognito-idp", env).describe_user_pool(UserPoolId=out["sign_in"]["user_pool_id"])["UserPool"]
    assert pool["MfaConfiguration"] == "ON"
    (database,) = client("rds", env).describe_db_instances(DBInstanceIdentifier=out["database"])["DBInstances"]
    assert database["Engine"] == "postgres"
    assert database["MasterUserSecret"]["SecretArn"]


def test_secrets_are_filled_once_and_services_read_them(stack: Hub) -> None:
    first = stack.verbs("secrets")
    assert set(first["changed"]) == set(stack.outputs["secret_arns"])
    assert first["restarted"] == sorted(stack.outputs["cluster"]["services"])
    assert "BEGIN CERTIFICATE" in Path(first["fl_ca"]).read_text()
    assert stack.verbs("secrets") == {"changed": [], "restarted": [], "fl_ca": first["fl_ca"]}
    rotated = stack.verbs("secrets", "--rotate", "certificates")
    assert rotated["changed"] == ["fl-net1-key", "fl-net1-certificate"]
    assert rotated["restarted"] == ["net1"]


def test_the_status_tells_what_is_up_and_what_is_not(stack: Hub) -> None:
    """No task runs here and nothing answers, so that is what it has to say; what AWS holds is as it should be."""
    process = stack.verbs.start("status", "--json")
    out, _ = process.communicate()
    assert process.returncode == 1
    found = {row["check"]: row for row in json.loads(out)["findings"]}
    well = ("certificate (edge)", "certificate (origin)", "database", "secrets")
    assert {check: found[check]["verdict"] for check in well} == dict.fromkeys(well, "ok")
    ill = ("API", "net net1", "service hub", "service net1", "target of hub", "target of net net1")
    assert {check: found[check]["verdict"] for check in ill} == dict.fromkeys(ill, "fault")
    assert all(found[check]["remedy"] for check in ill)


def test_an_upgrade_and_the_way_back_touch_tasks_alone(unchanged: Hub) -> None:
    unchanged.with_values((OLD, NEW))
    expected = {
        "module.compute.aws_ecs_task_definition.hub": "replace",
        "module.compute.aws_ecs_service.hub": "update",
        'module.compute.aws_ecs_task_definition.net["net1"]': "replace",
        'module.compute.aws_ecs_service.net["net1"]': "update",
    }
    upgrade = unchanged.verbs("apply", "--yes")
    assert {change["address"]: change["action"] for change in upgrade["changes"]} == expected
    ecs, cluster = client("ecs", unchanged.env), unchanged.outputs["cluster"]
    (service,) = ecs.describe_services(cluster=cluster["name"], services=[cluster["services"]["hub"]])["services"]
    task = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    assert {one["image"].split(":")[-1] for one in task["containerDefinitions"]} == {NEW}
    unchanged.with_values()
    assert {one["address"] for one in unchanged.verbs("apply", "--yes")["changes"]} == set(expected)


def test_what_somebody_changed_by_hand_is_found_and_mended(stack: Hub) -> None:
    s3 = client("s3", stack.env)
    bucket = next(one["Name"] for one in s3.list_buckets()["Buckets"] if "-files-" in one["Name"])
    s3.delete_public_access_block(Bucket=bucket)
    rds = client("rds", stack.env)
    rds.modify_db_instance(DBInstanceIdentifier=stack.outputs["database"], BackupRetentionPeriod=1)
    expected = {
        "module.storage.aws_s3_bucket_public_access_block.files": "create",
        "module.database.aws_db_instance.hub": "update",
    }
    found = stack.verbs("apply", "--yes")
    assert {change["address"]: change["action"] for change in found["changes"]} == expected


def test_a_change_that_would_lose_data_is_refused_until_it_is_named(unchanged: Hub) -> None:
    unchanged.with_values(('environment = "stag"', 'environment = "stag"\nproject = "other"'))
    told = unchanged.verbs.fails("apply", "--yes")
    for address in ("module.identity.aws_cognito_user_pool.this", "module.storage.aws_s3_bucket.files"):
        assert f"replace {address}" in told


def test_bad_values_are_told_before_anything_is_asked_of_aws(unchanged: Hub) -> None:
    unchanged.with_values(
        ('domain = "flip.example.org"', 'domain = "flip.elsewhere.org"'),
        ('["eu-west-2a", "eu-west-2b"]', '["eu-west-2a"]'),
        ('"10.20.0.0/16"', '"10.20.0.0/8"'),
        (f"fl-server@sha256:{'2' * 64}", "fl-server:latest"),
    )
    told = unchanged.verbs.fails("plan")
    for remedy in ("domain is not in zone", "zones names two or three", "mask of /16 to /20", "named by digest"):
        assert remedy in told, told


def test_a_hub_that_is_kept_is_not_destroyed(stack: Hub) -> None:
    """The state says whether it is disposable, whatever the values say by now."""

    def push(disposable: bool) -> None:
        state = json.loads(stack.verbs.tofu("hub", "state", "pull").stdout)
        state["outputs"]["disposable"]["value"] = disposable
        path = stack.verbs.folder / "changed.tfstate"
        path.write_text(json.dumps(state))
        done = stack.verbs.tofu("hub", "state", "push", "-force", str(path))
        assert done.returncode == 0, done.stderr

    push(False)
    assert "was not applied as disposable" in stack.verbs.fails("destroy", "--yes")
    push(True)


def test_destroy_asks_for_the_name_and_leaves_nothing(stack: Hub) -> None:
    process = stack.verbs.start("destroy")
    out, err = process.communicate("stag\n")
    assert process.returncode == 0, err
    assert re.search(r"destroyed: \d{3} resources of stag", out)
    env = stack.env
    assert client("rds", env).describe_db_instances()["DBInstances"] == []
    assert client("elbv2", env).describe_load_balancers()["LoadBalancers"] == []
    ecs = client("ecs", env)
    (cluster,) = ecs.describe_clusters(clusters=[stack.outputs["cluster"]["name"]])["clusters"]
    assert cluster["status"] == "INACTIVE"  # as AWS keeps a removed one for a while
    assert client("efs", env).describe_file_systems()["FileSystems"] == []
    buckets = {bucket["Name"] for bucket in client("s3", env).list_buckets()["Buckets"]}
    assert not {name for name in buckets if name.startswith("flip-stag") and "-state" not in name}
    assert "nothing is there" in stack.verbs.fails("destroy", "--yes")
