"""The first administrator of a hub on AWS: made by a task of the hub's own definition, beside those that serve."""

import time
from collections.abc import Callable
from typing import Any

from flip_hub.aws import AwsError
from flipctl.hub import HubError
from flipctl.hub.aws import Aws

WAIT_SECONDS, POLL_SECONDS = 300, 2.0


def create_admin(outputs: dict[str, Any], aws: Aws, email: str, full_name: str, say: Callable[[str], None]) -> None:
    """Runs `create-admin --no-password` and waits for its end; what it prints is in the hub's log group.

    Raises:
        HubError: AWS refuses, or the task does not end well in time.
    """
    cluster = outputs["cluster"]["name"]
    try:
        services = aws("ecs", "describe_services", cluster=cluster, services=[outputs["cluster"]["services"]["hub"]])
        service = next((service for service in services["services"] if service["status"] == "ACTIVE"), None)
        if service is None:
            raise HubError(f"cluster {cluster} has no service hub; flipctl hub apply makes it")
        command = ["create-admin", "--email", email, "--full-name", full_name, "--no-password"]
        command += ["--env-file", "/config/service.env"]
        started = aws(
            "ecs",
            "run_task",
            cluster=cluster,
            launchType="FARGATE",
            taskDefinition=service["taskDefinition"],
            networkConfiguration=service["networkConfiguration"],
            overrides={"containerOverrides": [{"name": "hub", "command": command}]},
        )
        if not started["tasks"]:
            raise HubError(f"ECS started no task: {started['failures']}")
        arn = started["tasks"][0]["taskArn"]
        task = _ended(aws, cluster, arn, say)
    except AwsError as error:
        raise HubError(f"create-admin: {error}") from None
    codes = {container["name"]: container.get("exitCode") for container in task["containers"]}
    if codes.get("hub") != 0:
        reason = task.get("stoppedReason", "")
        raise HubError(
            f"task {arn} did not make {email} ({reason or 'exit codes'} {codes}); why, its log says: "
            f"aws logs tail /{outputs['name']}/hub"
        )


def _ended(aws: Aws, cluster: str, arn: str, say: Callable[[str], None]) -> dict[str, Any]:
    for _ in range(int(WAIT_SECONDS / POLL_SECONDS)):
        tasks: list[dict[str, Any]] = aws("ecs", "describe_tasks", cluster=cluster, tasks=[arn])["tasks"]
        if tasks and tasks[0]["lastStatus"] == "STOPPED":
            return tasks[0]
        # ECS may not know a task yet that it has just started.
        say(f"its task is {tasks[0]['lastStatus'].lower() if tasks else 'being made'}")
        time.sleep(POLL_SECONDS)
    raise HubError(
        f"task {arn.rsplit('/', 1)[-1]} has not ended after {WAIT_SECONDS} s; look at it in cluster {cluster}"
    )
