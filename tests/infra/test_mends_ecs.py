"""What the mend of ECS restores; without it this fails."""

import boto3


def test_a_service_answers_with_what_it_was_given(tofu_env: dict[str, str]) -> None:
    ecs = boto3.client(
        "ecs",
        endpoint_url=tofu_env["AWS_ENDPOINT_URL"],
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    ecs.create_cluster(clusterName="mended")
    ecs.register_task_definition(family="mended", containerDefinitions=[{"name": "one", "image": "one", "memory": 4}])
    given = {
        "availabilityZoneRebalancing": "DISABLED",
        "deploymentConfiguration": {"maximumPercent": 100, "minimumHealthyPercent": 0},
        "enableECSManagedTags": True,
        "enableExecuteCommand": False,
        "healthCheckGracePeriodSeconds": 180,
    }
    ecs.create_service(cluster="mended", serviceName="one", taskDefinition="mended", desiredCount=1, **given)
    (service,) = ecs.describe_services(cluster="mended", services=["one"])["services"]
    assert {name: service.get(name) for name in given} == given
    ecs.update_service(cluster="mended", service="one", healthCheckGracePeriodSeconds=60)
    (service,) = ecs.describe_services(cluster="mended", services=["one"])["services"]
    assert {name: service.get(name) for name in given} == given | {"healthCheckGracePeriodSeconds": 60}
