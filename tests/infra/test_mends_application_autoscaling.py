"""What the mend of Application Auto Scaling restores; without it this fails."""

import boto3


def test_a_targets_tags_are_kept(tofu_env: dict[str, str]) -> None:
    scaling = boto3.client(
        "application-autoscaling",
        endpoint_url=tofu_env["AWS_ENDPOINT_URL"],
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    arn = scaling.register_scalable_target(
        ServiceNamespace="dynamodb",
        ResourceId="table/mended",
        ScalableDimension="dynamodb:table:ReadCapacityUnits",
        MinCapacity=1,
        MaxCapacity=2,
        Tags={"one": "1", "two": "2"},
    )["ScalableTargetARN"]
    scaling.tag_resource(ResourceARN=arn, Tags={"two": "second", "three": "3"})
    scaling.untag_resource(ResourceARN=arn, TagKeys=["one"])
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"two": "second", "three": "3"}
