"""What the stand-in's mend of Route 53 adds; without it this fails."""

import boto3


def test_the_zone_is_there(tofu_env: dict[str, str]) -> None:
    route53 = boto3.client(
        "route53",
        endpoint_url=tofu_env["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    (zone,) = [zone for zone in route53.list_hosted_zones()["HostedZones"] if zone["Name"] == "example.org."]
    assert not zone["Config"]["PrivateZone"]
    assert zone["Id"].endswith("/Z0123456789EXAMPLEORG")
