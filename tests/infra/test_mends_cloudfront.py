"""What the stand-in's mends of CloudFront restore; without its mend each of these fails."""

from typing import Any

import boto3
import pytest
from aws_mends.cloudfront import CLOUDFRONT_PREFIX_LIST
from botocore.exceptions import ClientError


@pytest.fixture
def cloudfront(tofu_env: dict[str, str]) -> Any:
    return boto3.client(
        "cloudfront",
        endpoint_url=tofu_env["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def test_a_distribution_keeps_what_it_was_told(cloudfront: Any) -> None:
    sent = {
        "CallerReference": "mend",
        "Comment": "mend",
        "Enabled": False,
        "Origins": {
            "Quantity": 1,
            "Items": [
                {
                    "Id": "hub",
                    "DomainName": "hub.example.org",
                    "VpcOriginConfig": {"VpcOriginId": "vo_1", "OriginReadTimeout": 60},
                }
            ],
        },
        "DefaultCacheBehavior": {
            "TargetOriginId": "hub",
            "ViewerProtocolPolicy": "https-only",
            "ResponseHeadersPolicyId": "policy",
            "FunctionAssociations": {
                "Quantity": 1,
                "Items": [{"FunctionARN": "arn:aws:cloudfront::1:function/f", "EventType": "viewer-request"}],
            },
        },
    }
    made = cloudfront.create_distribution(DistributionConfig=sent)["Distribution"]
    told = cloudfront.get_distribution(Id=made["Id"])["Distribution"]["DistributionConfig"]
    assert {name: told[name] for name in sent} == sent
    changed = sent | {"Comment": "changed"}
    etag = cloudfront.get_distribution(Id=made["Id"])["ETag"]
    cloudfront.update_distribution(Id=made["Id"], IfMatch=etag, DistributionConfig=changed)
    told = cloudfront.get_distribution_config(Id=made["Id"])["DistributionConfig"]
    assert {name: told[name] for name in changed} == changed


def test_a_function_can_be_published(cloudfront: Any) -> None:
    config = {"Comment": "mend", "Runtime": "cloudfront-js-2.0"}
    made = cloudfront.create_function(Name="mend", FunctionConfig=config, FunctionCode=b"function handler(e) {}")
    published = cloudfront.publish_function(Name="mend", IfMatch=made["ETag"])
    assert published["FunctionSummary"]["Status"] == "DEPLOYED"


def test_a_vpc_origin_is_kept_and_removed(cloudfront: Any) -> None:
    config = {
        "Name": "mend",
        "Arn": "arn:aws:elasticloadbalancing:eu-west-2:123456789012:loadbalancer/app/hub/1",
        "HTTPPort": 80,
        "HTTPSPort": 443,
        "OriginProtocolPolicy": "https-only",
        "OriginSslProtocols": {"Quantity": 1, "Items": ["TLSv1.2"]},
    }
    made = cloudfront.create_vpc_origin(VpcOriginEndpointConfig=config)["VpcOrigin"]
    told = cloudfront.get_vpc_origin(Id=made["Id"])
    assert told["VpcOrigin"]["Status"] == "Deployed"
    assert told["VpcOrigin"]["VpcOriginEndpointConfig"] == config
    cloudfront.delete_vpc_origin(Id=made["Id"], IfMatch=told["ETag"])
    with pytest.raises(ClientError, match="EntityNotFound"):
        cloudfront.get_vpc_origin(Id=made["Id"])


def test_a_policy_for_response_headers_is_kept_and_removed(cloudfront: Any) -> None:
    config = {
        "Name": "mend",
        "SecurityHeadersConfig": {"FrameOptions": {"Override": True, "FrameOption": "DENY"}},
    }
    made = cloudfront.create_response_headers_policy(ResponseHeadersPolicyConfig=config)["ResponseHeadersPolicy"]
    told = cloudfront.get_response_headers_policy(Id=made["Id"])
    assert told["ResponseHeadersPolicy"]["ResponseHeadersPolicyConfig"] == config
    cloudfront.delete_response_headers_policy(Id=made["Id"], IfMatch=told["ETag"])
    with pytest.raises(ClientError, match="NoSuchResponseHeadersPolicy"):
        cloudfront.get_response_headers_policy(Id=made["Id"])


def test_the_list_of_its_addresses_has_one_id(tofu_env: dict[str, str]) -> None:
    ec2 = boto3.client(
        "ec2",
        endpoint_url=tofu_env["AWS_ENDPOINT_URL"],
        region_name="eu-west-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    lists = {one["PrefixListName"]: one["PrefixListId"] for one in ec2.describe_managed_prefix_lists()["PrefixLists"]}
    assert lists["com.amazonaws.global.cloudfront.origin-facing"] == CLOUDFRONT_PREFIX_LIST
