"""flip_stack, on a Docker that says what the test wants."""

import json
from typing import Any

import pytest
from ansible_tree import Library

SERVICES = {"xnat-db": "flip/omop-db:1", "xnat-web": "flip/xnat-web:1"}
IDS = {"flip/omop-db:1": "sha256:db", "flip/xnat-web:1": "sha256:web"}


class Failed(Exception):  # noqa: N818 - what fail_json raises here
    """The module ended, with this message."""


class Docker:
    """Stands in for AnsibleModule: its `docker` has XNAT's two services, the web's in this state of health."""

    check_mode = False

    def __init__(self, web: str | None) -> None:
        self.params = {"stack": "flip-xnat", "file": "/x/stack.yml", "mark": "m", "services": SERVICES}
        self.params["wait_seconds"] = 0
        self.health = {"flip-xnat_xnat-db": "healthy", "flip-xnat_xnat-web": web}
        self.calls: list[str] = []

    def fail_json(self, msg: str) -> None:
        raise Failed(msg)

    def run_command(self, command: list[str]) -> tuple[int, str, str]:
        self.calls.append(" ".join(command[1:]))
        said = {
            "image inspect": lambda: IDS[command[-1]],
            "service ls": lambda: "\n".join(self.health),
            "service inspect": lambda: json.dumps([_service(name) for name in command[3:]]),
            "service ps": lambda: 'Failed 2 seconds ago "task: non-zero exit (1)"',
            "service logs": lambda: "SEVERE: no database",
            "stack deploy": lambda: "",
            "ps --quiet": lambda: "\n".join(name for name, health in self.health.items() if health),
        }.get(" ".join(command[1:3]), lambda: json.dumps([self._container(name) for name in command[2:]]))
        return 0, said(), ""

    def _container(self, service: str) -> dict[str, Any]:
        return {
            "Config": {"Labels": {"com.docker.swarm.service.name": service}},
            "Image": IDS[SERVICES[service.removeprefix("flip-xnat_")]],
            "State": {"Health": {"Status": self.health[service]}},
        }


def _service(name: str) -> dict[str, Any]:
    return {"Spec": {"Name": name, "Labels": {"org.flip.wanted": "m"}}}


@pytest.fixture
def stack_of(library: Library) -> Any:
    """The module's class."""
    return library("flip_xnat", "flip_stack").Stack


def test_a_healthy_stack_is_as_wanted_and_waited_for_no_longer(stack_of: Any) -> None:
    docker = Docker("healthy")
    stack = stack_of(docker)
    assert stack.is_as_wanted(stack.images())
    stack.wait(stack.images())
    assert not [call for call in docker.calls if call.startswith("stack deploy")]


@pytest.mark.parametrize("web", [None, "starting", "unhealthy"])
def test_a_dead_service_is_named_with_its_error_and_its_log(stack_of: Any, web: str | None) -> None:
    stack = stack_of(Docker(web))
    with pytest.raises(Failed) as ended:
        stack.wait(stack.images())
    assert str(ended.value).splitlines() == [
        "stack flip-xnat is not healthy after 0 s:",
        'flip-xnat_xnat-web: Failed 2 seconds ago "task: non-zero exit (1)"',
        "SEVERE: no database",
    ]


def test_a_stack_that_differs_is_deployed_from_its_file_and_no_registry_is_asked(stack_of: Any) -> None:
    docker = Docker("healthy")
    stack_of(docker).deploy()
    assert docker.calls == ["stack deploy --prune --resolve-image never --compose-file /x/stack.yml flip-xnat"]
