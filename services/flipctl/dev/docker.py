"""Docker as the development federation uses it: Compose projects from files, networks by name."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from flipctl.dev import DevError


def run(*arguments: str, feed: str | None = None) -> str:
    """Runs `docker` and returns what it prints.

    Raises:
        DevError: there is none, or it failed; the text ends with what it said.
    """
    try:
        done = subprocess.run(["docker", *arguments], input=feed, capture_output=True, text=True, check=False)  # noqa: S607 - the user's docker, by PATH
    except OSError:
        raise DevError("there is no docker command here; install Docker with Compose 2") from None
    if done.returncode:
        shown = [word for word in arguments if not word.startswith("-")][:4]
        raise DevError(f"docker {' '.join(shown)}: {(done.stderr or done.stdout).strip()[-3000:]}")
    return done.stdout


class Project:
    """One Compose project, by its file."""

    def __init__(self, name: str, file: Path) -> None:
        self.name, self.file = name, file

    def compose(self, *arguments: str, feed: str | None = None) -> str:
        """Runs `docker compose` on it."""
        return run("compose", "--project-name", self.name, "--file", str(self.file), *arguments, feed=feed)

    def up(self, services: Sequence[str] = (), *, wait: bool = True) -> None:
        """Starts what does not run as the file says; waits until it is healthy."""
        waiting = ("--wait", "--wait-timeout", "180") if wait else ("--no-deps",)
        self.compose("up", "--detach", "--quiet-pull", "--pull", "never", *waiting, *services)

    def down(self, *, data: bool) -> None:
        """Removes containers and network; with `data` the volumes, too."""
        self.compose("down", "--remove-orphans", *(("--volumes",) if data else ()))

    def published(self, service: str, port: int) -> int:
        """The port of this machine that leads to a service's."""
        return int(self.compose("port", service, str(port)).strip().rpartition(":")[2])

    def running(self) -> list[str]:
        """Services that run."""
        return self.compose("ps", "--services", "--status", "running").split()


def ensure_network(name: str) -> bool:
    """Makes a network that is not there yet; whether it did."""
    if name in run("network", "ls", "--format", "{{.Name}}").splitlines():
        return False
    run("network", "create", "--label", "flip.dev=network", name)
    return True


def remove_network(name: str) -> None:
    """Removes a network, if it is there."""
    if name in run("network", "ls", "--format", "{{.Name}}").splitlines():
        run("network", "rm", name)
