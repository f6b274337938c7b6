"""What the stand-in's mends restore; without its mend each of these fails."""

import io
from typing import Any

import boto3


def _s3(env: dict[str, str], bucket: str) -> Any:
    s3 = boto3.client(
        "s3",
        endpoint_url=env["AWS_ENDPOINT_URL"],
        region_name="eu-west-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
    return s3


def test_newer_noncurrent_versions_are_kept(tofu_env: dict[str, str]) -> None:
    s3 = _s3(tofu_env, "mend-lifecycle")
    rules = [
        {
            "ID": "plain",
            "Status": "Enabled",
            "Filter": {},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
        },
        {
            "ID": "newer",
            "Status": "Enabled",
            "Filter": {},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 90, "NewerNoncurrentVersions": 20},
        },
    ]
    s3.put_bucket_lifecycle_configuration(Bucket="mend-lifecycle", LifecycleConfiguration={"Rules": rules})
    told = s3.get_bucket_lifecycle_configuration(Bucket="mend-lifecycle")["Rules"]
    assert [rule["NoncurrentVersionExpiration"] for rule in told] == [
        rule["NoncurrentVersionExpiration"] for rule in rules
    ]


def test_a_bucket_for_tls_only_takes_objects(tofu_env: dict[str, str]) -> None:
    s3 = _s3(tofu_env, "mend-tls")
    policy = """{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:*",
      "Resource": "arn:aws:s3:::mend-tls/*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}}"""
    s3.put_bucket_policy(Bucket="mend-tls", Policy=policy)
    s3.put_object(Bucket="mend-tls", Key="state", Body=io.BytesIO(b"{}"))
    assert s3.get_object(Bucket="mend-tls", Key="state")["Body"].read() == b"{}"
