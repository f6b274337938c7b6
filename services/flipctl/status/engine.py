"""What Docker runs of FLIP, asked over its HTTP API on the Unix socket: there is no docker command in an image."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

PREFIX = "flip-"
RELEASE_LABEL = "org.opencontainers.image.version"
SWARM_LABEL = "com.docker.swarm.task.id"
# Labels that say what a container belongs to and which part of it it is: of Compose, and of Swarm's stacks.
OWNERS = (
    ("com.docker.compose.project", "com.docker.compose.service"),
    ("com.docker.stack.namespace", "com.docker.swarm.service.name"),
)


class EngineError(Exception):
    """Docker does not answer as it should; the text says what was tried."""


@dataclass(frozen=True)
class Container:
    """One container of FLIP."""

    project: str
    service: str
    name: str
    image: str
    release: str
    state: str
    """created, running, restarting, paused, exited or dead."""
    health: str
    """starting, healthy or unhealthy; empty where the image has no check."""
    exit_code: int
    restarts: int
    lasting: bool
    """Whether it is to be started again when it ends; one that is not has done its work when it ends well."""
    swarm: bool
    since: datetime
    addresses: tuple[str, ...]
    published: Mapping[int, int]
    """The container's ports and the host's that lead to them."""


class Engine:
    """Docker's API; nothing here changes anything. Use it as a context manager.

    Every method raises EngineError when Docker does not answer.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        transport = httpx.HTTPTransport(uds=str(socket))
        self._http = httpx.Client(transport=transport, base_url="http://docker", timeout=30, trust_env=False)

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def root(self) -> Path:
        """The folder in which Docker keeps images and volumes."""
        return Path(self._get("/info")["DockerRootDir"])

    def containers(self) -> list[Container]:
        """Containers of projects and stacks called `flip-...`, running or not. Others are not looked at."""
        ours = [entry["Id"] for entry in self._get("/containers/json?all=true") if _owner(entry["Labels"])]
        found = sorted((_container(self._get(f"/containers/{one}/json")) for one in ours), key=lambda one: one.since)
        # Swarm keeps containers of earlier tasks; of each service the latest counts.
        latest = {(one.project, one.service) if one.swarm else one.name: one for one in found}
        return sorted(latest.values(), key=lambda one: (one.project, one.name))

    def _get(self, path: str) -> Any:
        if not self._socket.is_socket():
            raise EngineError(f"{self._socket} is no socket: Docker does not run here")
        try:
            answer = self._http.get(path)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise EngineError(f"{self._socket}: {type(error).__name__}: {error}") from None
        return answer.json()


def _owner(labels: Mapping[str, str]) -> tuple[str, str] | None:
    if labels.get("com.docker.compose.oneoff") == "True":
        return None  # `docker compose run` by hand
    for project, service in OWNERS:
        if labels.get(project, "").startswith(PREFIX):
            return labels[project], labels.get(service, "").removeprefix(f"{labels[project]}_")
    return None


def _container(found: Mapping[str, Any]) -> Container:
    labels: dict[str, str] = found["Config"]["Labels"]
    project, service = _owner(labels) or ("", "")
    state, host = found["State"], found["HostConfig"]
    return Container(
        project=project,
        service=service,
        name=found["Name"].removeprefix("/"),
        image=found["Config"]["Image"],
        release=labels.get(RELEASE_LABEL, ""),
        state=state["Status"],
        health=(state.get("Health") or {}).get("Status", ""),
        exit_code=state["ExitCode"],
        restarts=found["RestartCount"],
        lasting=host["RestartPolicy"]["Name"] in ("always", "unless-stopped") or SWARM_LABEL in labels,
        swarm=SWARM_LABEL in labels,
        since=_time(state["StartedAt"] if state["Running"] else state["FinishedAt"]),
        addresses=tuple(
            network["IPAddress"] for network in found["NetworkSettings"]["Networks"].values() if network["IPAddress"]
        ),
        published=dict(_published(found["NetworkSettings"]["Ports"] or {})),
    )


def _published(ports: Mapping[str, list[dict[str, str]] | None]) -> Iterator[tuple[int, int]]:
    for port, ends in ports.items():
        for end in ends or []:
            yield int(port.partition("/")[0]), int(end["HostPort"])


def _time(text: str) -> datetime:
    """Docker gives nanoseconds, more than a datetime holds."""
    return datetime.fromisoformat(text[:19] + "+00:00")
