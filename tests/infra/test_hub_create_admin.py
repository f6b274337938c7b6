"""`flipctl hub create-admin`: what ECS may answer that is no task which ends well. ECS is a double here."""

from typing import Any

import pytest

from flipctl.hub import HubError, admin

OUTPUTS = {"name": "flip-trial", "cluster": {"name": "trial", "services": {"hub": "hub"}}}
SERVICE = {"status": "ACTIVE", "taskDefinition": "hub:1", "networkConfiguration": {}}


class _Ecs:
    """Answers by operation, the first each time but for the last, which stays."""

    def __init__(self, **answers: list[dict[str, Any]]) -> None:
        self.answers = {"run_task": [{"tasks": [{"taskArn": "arn:aws:ecs:eu-west-2:1:task/trial/1"}]}], **answers}

    def __call__(self, service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        assert service == "ecs"
        answers = self.answers[operation]
        return answers.pop(0) if len(answers) > 1 else answers[0]


def _create(ecs: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(admin, "POLL_SECONDS", 0.01)
    admin.create_admin(OUTPUTS, ecs, "ada@example.org", "", said.append)
    return said


def test_a_task_that_ecs_does_not_know_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = {"lastStatus": "STOPPED", "containers": [{"name": "hub", "exitCode": 0}]}
    there = [{"tasks": []}, {"tasks": [{"lastStatus": "RUNNING"}]}, {"tasks": [stopped]}]
    ecs = _Ecs(describe_services=[{"services": [SERVICE]}], describe_tasks=there)
    assert _create(ecs, monkeypatch) == ["its task is being made", "its task is running"]


@pytest.mark.parametrize("services", [[], [SERVICE | {"status": "INACTIVE"}]])
def test_without_the_service_nothing_is_run(services: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HubError, match="has no service hub; flipctl hub apply makes it"):
        _create(_Ecs(describe_services=[{"services": services}]), monkeypatch)
