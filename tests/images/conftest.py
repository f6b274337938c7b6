"""Built images, and containers of them as on a host: read-only, without rights, on a network without a way out."""

import json
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flipctl import images_docker
from flipctl.images_list import ImageList, load, tag, version

ROOT = Path(__file__).resolve().parents[2]
MADE_BASE = "flip/debian:bookworm"
HEALTHY_SECONDS = 90


def docker(*arguments: str, feed: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs docker; of a failure shows what it said."""
    done = subprocess.run(["docker", *arguments], input=feed, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"docker {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
    return done


def flipctl(*arguments: str) -> Any:
    """Runs a verb of `flipctl images` and returns the JSON it prints."""
    command = [str(ROOT / ".venv/bin/flipctl"), "images", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@dataclass(frozen=True)
class Builds:
    """What was built, how, and how to build it again."""

    images: ImageList
    release: str
    options: tuple[str, ...]
    report: dict[str, dict[str, Any]]
    seconds: float

    def tag(self, name: str) -> str:
        return tag(self.images, name, self.release)

    def again(self) -> float:
        """Builds all once more; the seconds it took."""
        started = time.monotonic()
        flipctl("build", *self.options)
        return time.monotonic() - started


def _base(images: ImageList) -> str:
    for name in (images.base, MADE_BASE):
        if docker("image", "inspect", name, check=False).returncode == 0:
            return name
    if docker("pull", "-q", images.base, check=False).returncode == 0:
        return images.base
    flipctl("base", "--tag", MADE_BASE)
    return MADE_BASE


@pytest.fixture(scope="session")
def builds() -> Builds:
    """All images of the list, built by `flipctl images build` for this machine's registry, CA and wheels."""
    images_docker.require()
    images_docker.builder()
    images = load(ROOT)
    options = ["--base", _base(images)]
    if Path(os.environ.get("PIP_CERT", "-")).is_file():
        options += ["--ca", os.environ["PIP_CERT"]]
    if Path(os.environ.get("PIP_FIND_LINKS", "-")).is_dir():
        options += ["--wheels", os.environ["PIP_FIND_LINKS"]]
    started = time.monotonic()
    report = {row["name"]: row for row in flipctl("build", *options)["built"]}
    return Builds(images, version(ROOT), tuple(options), report, time.monotonic() - started)


@dataclass
class World:
    """Containers on a network of their own, all of them removed at the end.

    Every one is started as a host starts it: read-only but for /data and /tmp, no capabilities, no new privileges.
    """

    builds: Builds
    folder: Path
    network: str
    ends: ExitStack = field(default_factory=ExitStack)

    def run(
        self,
        name: str,
        image: str,
        config: Mapping[str, str | bytes],
        *command: str,
    ) -> "Container":
        """Starts a container called `name` on the network and waits until its health check passes."""
        user = self.builds.images.images[image].user
        folder = self.folder / name
        folder.mkdir(mode=0o755)
        for file, content in config.items():
            path = folder / file
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            path.chmod(0o400)
            os.chown(path, user, user)
        full = f"{self.network}-{name}"
        docker(
            "run", "-d", "--name", full, "--network", self.network, "--network-alias", name, "--hostname", name,
            "--read-only", "--init", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
            "--tmpfs", "/tmp:mode=1777", "-v", f"{full}:/data", "-v", f"{folder}:/config:ro",
            self.builds.tag(image), *command,
        )  # fmt: skip
        self.ends.callback(docker, "volume", "rm", full)
        self.ends.callback(docker, "rm", "-f", full)
        container = Container(full, self.builds.images.images[image].health)
        container.wait_healthy()
        return container


@dataclass(frozen=True)
class Container:
    """A running container."""

    name: str
    health: tuple[str, ...]

    def exec(self, *command: str, feed: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command in it."""
        return docker("exec", "-i", self.name, *command, feed=feed, check=check)

    def inspect(self, template: str) -> str:
        """A value of `docker inspect`."""
        return docker("inspect", "--format", template, self.name).stdout.strip()

    @property
    def address(self) -> str:
        """Its address on its network."""
        return self.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")

    def restart(self) -> None:
        """Stops it by its stop signal and starts it again; killed for taking too long, it ends with 137."""
        docker("stop", "--time", "30", self.name)
        assert self.inspect("{{.State.ExitCode}}") in ("0", "143"), self.inspect("{{.State.ExitCode}}")
        docker("start", self.name)

    def wait_healthy(self) -> None:
        """Waits until the command of its health check succeeds; its log is shown if it does not."""
        self.wait(lambda: self.exec(*self.health, check=False).returncode == 0, "its health check passes")

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Waits for a condition while it runs."""
        deadline = time.monotonic() + HEALTHY_SECONDS
        while not condition():
            running = self.inspect("{{.State.Running}}") == "true"
            if not running or time.monotonic() > deadline:
                logs = docker("logs", "--tail", "40", self.name)
                pytest.fail(
                    f"{self.name} runs: {running}; not within {HEALTHY_SECONDS} s: {what}\n{logs.stdout}{logs.stderr}"
                )
            time.sleep(0.3)


@pytest.fixture(scope="module")
def world(builds: Builds) -> Iterator[World]:
    """A network that leads nowhere else, and a folder whose content containers may read."""
    network = f"flip-test-{secrets.token_hex(3)}"
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="flip-images-")))
        folder.chmod(0o711)
        docker("network", "create", "--internal", network)
        ends.callback(docker, "network", "rm", network)
        world = ends.enter_context(ExitStack())
        yield World(builds, folder, network, world)
