"""flip_compose names the container that keeps the others from starting, whatever it does when it is asked."""

import contextlib
import json
from typing import Any

import pytest
from ansible_tree import Library


class Failed(Exception):  # noqa: N818 - what fail_json raises here
    """The module ended, with this message."""


class Docker:
    """Stands in for AnsibleModule: `docker compose up` fails, since `fl-client` keeps ending; just now it runs."""

    check_mode = False

    def __init__(self) -> None:
        self.params = {"project": "flip-fl-client", "file": "/x/compose.yml", "wait_seconds": 0}

    def fail_json(self, msg: str) -> None:
        raise Failed(msg)

    def run_command(self, command: list[str]) -> tuple[int, str, str]:
        if command[0] == "systemctl":
            return 0, "active\n", ""
        if "up" in command:
            return 1, "", "dependency failed to start: container is unhealthy"
        if command[1] == "ps":
            return 0, "egress fl-client", ""
        if command[1] == "inspect":
            return 0, json.dumps([_container("egress", "healthy"), _container("fl-client", "starting")]), ""
        assert command[1] in {"logs", "exec"}, command
        return 0, "unknown setting FL_SERVR", ""  # its own health check passes, as long as it lives


def _container(service: str, health: str) -> dict[str, Any]:
    return {
        "Name": f"/flip-fl-client-{service}-1",
        "Image": "sha256:x",
        "Config": {"Labels": {"com.docker.compose.service": service}, "Healthcheck": {"Test": ["CMD", "true"]}},
        "State": {"Status": "running", "Health": {"Status": health}},
    }


def test_one_that_keeps_ending_is_named_with_its_log(library: Library) -> None:
    project = library("flip_service", "flip_compose").Project(Docker())
    with pytest.raises(Failed, match="flip-fl-client could not be started") as ended:
        project.up()
    assert "flip-fl-client-fl-client-1 is running, health starting; its log ends:" in str(ended.value)
    assert "unknown setting FL_SERVR" in str(ended.value)
    assert "egress-1" not in str(ended.value)


class Busy(Docker):
    """While Docker still makes the container anew, this `docker compose up` cannot; when that is done, all is well."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__()
        self.params["wait_seconds"] = 30
        self.problems = problems

    def run_command(self, command: list[str]) -> tuple[int, str, str]:
        if "up" in command:
            return (1, "", self.problems.pop(0)) if self.problems else (0, "", "")
        if command[1] == "inspect":
            return 0, json.dumps([_container("egress", "healthy")]), ""
        return super().run_command(command)


def test_what_docker_has_under_way_is_waited_for(library: Library) -> None:
    busy = Busy(
        ["Error response from daemon: removal of container a27 is already in progress", "No such container: b1"]
    )
    library("flip_service", "flip_compose").Project(busy).up()
    assert not busy.problems
    with pytest.raises(Failed, match="no space left"):
        library("flip_service", "flip_compose").Project(Busy(["no space left on device"])).up()


class Starting(Busy):
    """The unit is at its own `docker compose up`."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems)
        self.asked: list[str] = []

    def run_command(self, command: list[str]) -> tuple[int, str, str]:
        self.asked.append(" ".join(command[1:]))
        return (0, "activating\n", "") if command[:2] == ["systemctl", "show"] else super().run_command(command)


@pytest.mark.parametrize("problem", [[], ["no space left on device"]])
def test_the_unit_starts_nothing_meanwhile(library: Library, problem: list[str]) -> None:
    host = Starting(problem)
    with pytest.raises(Failed) if problem else contextlib.nullcontext():
        library("flip_service", "flip_compose").Project(host).up()
    stopped, started = (host.asked.index(f"{verb} flip-fl-client.service") for verb in ("stop", "start --no-block"))
    up = next(place for place, command in enumerate(host.asked) if " up " in command)
    assert stopped < up < started
