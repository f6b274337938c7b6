"""Docker's command line, the only way in which containers and networks are made here."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from federation.plan import LABEL


class FederationError(RuntimeError):
    """Something did not work; the text says what, and what the program said."""


def run(
    *command: str | Path,
    feed: str | None = None,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    seconds: float | None = None,
) -> str:
    """Runs a program and returns its standard output.

    Raises:
        FederationError: it failed; the text holds the end of what it said.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, input=feed, capture_output=True, text=True, check=False, cwd=cwd, env=environment, timeout=seconds
        )
    except FileNotFoundError:
        raise FederationError(f"{words[0]} is not installed here") from None
    except subprocess.TimeoutExpired:
        raise FederationError(f"`{' '.join(words[:4])} ...` did not end within {seconds:.0f} s") from None
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
        raise FederationError(f"`{' '.join(words[:6])} ...` ended with status {done.returncode}:\n{said}")
    return done.stdout


def docker(*arguments: str | Path, feed: str | None = None, seconds: float | None = None) -> str:
    """Runs docker and returns what it prints."""
    return run("docker", *arguments, feed=feed, seconds=seconds)


def inside(container: str, *command: str, feed: str | None = None, seconds: float | None = None) -> str:
    """Runs a command in a container and returns what it prints."""
    interactive = ["--interactive"] if feed is not None else []
    return docker("exec", *interactive, container, *command, feed=feed, seconds=seconds)


def start(name: str, network: str, address: str, image: str, *flags: str, command: Sequence[str] = ()) -> None:
    """Starts a container of the federation with a fixed address."""
    docker(
        "run", "--detach", "--name", name, "--label", LABEL, "--network", network, "--ip", address,
        *flags, image, *command,
    )  # fmt: skip


def remove_all() -> list[str]:
    """Removes every container and network of the federation with their volumes; returns their names."""
    containers = docker("ps", "--all", "--filter", f"label={LABEL}", "--format", "{{.Names}}").split()
    if containers:
        docker("rm", "--force", "--volumes", *containers)
    networks = docker("network", "ls", "--filter", f"label={LABEL}", "--format", "{{.Name}}").split()
    if networks:
        docker("network", "rm", *networks)
    return [*containers, *networks]
