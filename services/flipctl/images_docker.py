"""Docker as the verbs use it: through its command line, so that builds run with BuildKit."""

import json
import os
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flipctl.images_list import ImagesError

STEP = re.compile(r"^#\d+ (\[.*)$")
# From this client on, BuildKit is reached through buildx only.
BUILDX_ONLY = 23
# Of a failed build, what went wrong stands at its end.
TAIL_LINES = 40


@dataclass(frozen=True)
class Built:
    """An image as Docker holds it."""

    tag: str
    id: str
    size: int
    """Bytes of all its layers."""
    layers: tuple[str, ...]
    config: Mapping[str, Any]

    @property
    def megabytes(self) -> float:
        """Its size in MB (10^6 bytes)."""
        return round(self.size / 1e6, 1)

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return dict(self.config.get("Labels") or {})


def run(arguments: Sequence[str], *, feed: str | None = None) -> str:
    """Runs `docker` and returns what it prints.

    Raises:
        ImagesError: it failed; the text is what it said.
    """
    done = subprocess.run(["docker", *arguments], input=feed, capture_output=True, text=True, check=False)  # noqa: S607 - the user's docker, by PATH
    if done.returncode:
        raise ImagesError(f"docker {' '.join(arguments[:2])}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def require() -> None:
    """Makes sure that Docker is there and answers.

    Raises:
        ImagesError: it does not; the text says what to install or start.
    """
    if shutil.which("docker") is None:
        raise ImagesError("there is no docker command here; install Docker, such as apt-get install docker.io")
    try:
        run(["version", "--format", "{{.Server.Version}}"])
    except ImagesError as error:
        raise ImagesError(
            f"Docker does not answer: {error}. Start it (systemctl start docker) and run this as root"
        ) from None


def builder() -> tuple[str, ...]:
    """The command that builds with BuildKit: buildx, or what Docker had before it.

    Raises:
        ImagesError: there is neither; the text says what to install.
    """
    try:
        run(["buildx", "version"])
    except ImagesError:
        if int(run(["version", "--format", "{{.Client.Version}}"]).partition(".")[0]) >= BUILDX_ONLY:
            raise ImagesError(
                "docker has no buildx, without which this version cannot build; install it: "
                "apt-get install docker-buildx (Debian 13, Ubuntu), docker-buildx-plugin (Docker's own repository)"
            ) from None
        return ("docker", "build")
    # The default builder: its images are where `docker run` and the next build find them.
    return ("docker", "buildx", "build", "--builder", "default")


def find(tags: Sequence[str]) -> dict[str, Built]:
    """Those of the images that exist here, by tag."""
    found = {}
    for tag in tags:
        done = subprocess.run(["docker", "image", "inspect", tag], capture_output=True, text=True, check=False)  # noqa: S607 - as above
        if done.returncode == 0:
            item = json.loads(done.stdout)[0]
            found[tag] = Built(tag, item["Id"], item["Size"], tuple(item["RootFS"]["Layers"]), item["Config"])
    return found


def build(
    program: Sequence[str],
    root: Path,
    dockerfile: Path,
    tag: str,
    arguments: Mapping[str, str],
    ca: Path | None,
    say: Callable[[str], None],
) -> None:
    """Builds one image from a checkout; `say` is told each step as it begins.

    Args:
        program: as `builder` gives it.
        ca: certificates that pip is to trust; given as a secret, which no layer keeps.

    Raises:
        ImagesError: the build failed; the text has the end of its output.
    """
    command = [*program, "--progress", "plain", "--file", str(dockerfile), "--tag", tag]
    for name, value in sorted(arguments.items()):
        command += ["--build-arg", f"{name}={value}"]
    if ca is not None:
        command += ["--secret", f"id=ca,src={ca}"]
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with subprocess.Popen(
        [*command, str(root)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
    ) as process:
        assert process.stdout is not None  # noqa: S101 - PIPE was asked for
        for line in process.stdout:
            tail.append(line.rstrip())
            step = STEP.match(line)
            if step:
                say(step[1].strip())
    if process.returncode:
        text = "\n".join(tail)
        raise ImagesError(f"{dockerfile}: the build failed with status {process.returncode}:\n{text}")
