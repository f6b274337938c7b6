"""What the stand-in's mend of EFS restores; without it this fails."""

import boto3
import pytest
from botocore.exceptions import ClientError


def test_a_file_systems_policy_can_be_removed(tofu_env: dict[str, str]) -> None:
    efs = boto3.client(
        "efs",
        endpoint_url=tofu_env["AWS_ENDPOINT_URL"],
        region_name="eu-west-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    made = efs.create_file_system(CreationToken="mend")["FileSystemId"]
    efs.put_file_system_policy(FileSystemId=made, Policy='{"Version": "2012-10-17", "Statement": []}')
    assert efs.describe_file_system_policy(FileSystemId=made)["Policy"]
    efs.delete_file_system_policy(FileSystemId=made)
    with pytest.raises(ClientError, match="PolicyNotFound"):
        efs.describe_file_system_policy(FileSystemId=made)
