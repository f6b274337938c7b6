"""What the mend of EC2 restores; without it this fails."""

from typing import Any

import boto3
import pytest


@pytest.fixture
def ec2(tofu_env: dict[str, str]) -> Any:
    return boto3.client(
        "ec2",
        endpoint_url=tofu_env["AWS_ENDPOINT_URL"],
        region_name="eu-west-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def test_a_rule_keeps_its_description(ec2: Any) -> None:
    group = ec2.create_security_group(GroupName="mended", Description="mended")["GroupId"]
    try:
        for port, whence in {
            1: {"IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "1"}]},
            2: {"UserIdGroupPairs": [{"GroupId": group, "Description": "2"}]},
            3: {"PrefixListIds": [{"PrefixListId": "pl-0123456789abcdef0", "Description": "3"}]},
        }.items():
            rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port} | whence
            ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
        of_group = [{"Name": "group-id", "Values": [group]}]
        found = ec2.describe_security_group_rules(Filters=of_group)["SecurityGroupRules"]
        rules = [rule for rule in found if not rule["IsEgress"]]
        assert {rule["FromPort"]: rule["Description"] for rule in rules} == {1: "1", 2: "2", 3: "3"}
        named = [rule["SecurityGroupRuleId"] for rule in rules]
        ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=named)
        assert not ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    finally:
        ec2.delete_security_group(GroupId=group)


def test_an_instance_is_measured_every_minute_and_recovered(ec2: Any) -> None:
    (made,) = ec2.run_instances(ImageId="ami-12c6146b", InstanceType="t3.medium", MinCount=1, MaxCount=1)["Instances"]
    name = made["InstanceId"]
    try:
        ec2.monitor_instances(InstanceIds=[name])
        (found,) = ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"]
        assert found["Monitoring"] == {"State": "enabled"}
        assert found["MaintenanceOptions"]["AutoRecovery"] == "default"
    finally:
        ec2.terminate_instances(InstanceIds=[name])
