"""`flipctl hub create-admin`: what it asks ECS for, and what it says of how the task ends."""

from typing import Any

import pytest

from flip_hub.aws import AwsError
from flipctl.hub import HubError
from flipctl.hub import admin as first_admin

OUTPUTS = {"name": "flip-stag", "cluster": {"name": "flip-stag", "services": {"hub": "hub"}}}
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}
SERVICE = {"status": "ACTIVE", "taskDefinition": "hub:3", "networkConfiguration": NETWORK}


class Ecs:
    """ECS as far as it is asked here: moto starts no container, so none of its tasks ends with a status."""

    def __init__(
        self,
        *states: dict[str, Any] | None,
        services: tuple[dict[str, Any], ...] = (SERVICE,),
        failures: list[dict[str, str]] | None = None,
    ) -> None:
        self.states, self.services, self.failures = list(states), services, failures
        self.started: dict[str, Any] = {}

    def __call__(self, _: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """API_DescribeServices, API_RunTask and API_DescribeTasks of ECS's reference."""
        if operation == "describe_services":
            return {"services": self.services}
        if operation == "run_task":
            self.started = arguments
            return {"tasks": [] if self.failures else [{"taskArn": "a/b/task1"}], "failures": self.failures}
        state = self.states.pop(0)
        return {"tasks": [state] if state else []}


def _run(ecs: Any) -> None:
    first_admin.create_admin(OUTPUTS, ecs, "ada@example.org", "Ada", lambda _: None)


def _ended(code: int | None, reason: str = "") -> dict[str, Any]:
    container = {"name": "hub"} | ({} if code is None else {"exitCode": code})
    return {"lastStatus": "STOPPED", "stoppedReason": reason, "containers": [container, {"name": "config"}]}


def test_a_task_of_the_hubs_definition_makes_the_administrator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_admin, "POLL_SECONDS", 0.01)
    ecs = Ecs(None, {"lastStatus": "PENDING"}, _ended(0))  # ECS may not know yet what it has just started
    _run(ecs)
    assert ecs.started["taskDefinition"] == "hub:3"
    assert ecs.started["networkConfiguration"] == NETWORK
    (override,) = ecs.started["overrides"]["containerOverrides"]
    assert override["name"] == "hub"
    assert override["command"][:3] == ["create-admin", "--email", "ada@example.org"]
    assert "--no-password" in override["command"]


@pytest.mark.parametrize(
    ("ecs", "told"),
    [
        (Ecs(_ended(2)), "aws logs tail /flip-stag/hub"),
        (Ecs(_ended(None, "ResourceInitializationError")), "ResourceInitializationError"),
        (Ecs(failures=[{"reason": "RESOURCE:ENI"}]), "RESOURCE:ENI"),
        (Ecs(services=()), "has no service hub"),
        (Ecs(services=(SERVICE | {"status": "INACTIVE"},)), "has no service hub"),
    ],
    ids=["refused by the hub", "never began", "no task", "no service", "a removed service"],
)
def test_a_task_that_does_not_make_it_is_told_of(ecs: Ecs, told: str) -> None:
    with pytest.raises(HubError, match=told):
        _run(ecs)


def test_a_task_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_admin, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(first_admin, "WAIT_SECONDS", 0.03)
    with pytest.raises(HubError, match="has not ended"):
        _run(Ecs(*[{"lastStatus": "RUNNING"}] * 9))


def test_a_refusal_of_aws_is_told() -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AwsError("AccessDenied: ecs:DescribeServices")

    with pytest.raises(HubError, match="AccessDenied"):
        _run(refuse)
