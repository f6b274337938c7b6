"""Lints the playbooks and runs every role's scenarios on real systemd hosts (containers): what `make hosts` calls.

    python3 ansible/molecule/run.py                              # everything
    python3 ansible/molecule/run.py flip_docker/existing         # one scenario; flip_docker alone: all of that role
    python3 ansible/molecule/run.py --suite trixie flip_base     # on Debian 13

Needs Docker, and root with debootstrap where the host image is not there yet. Standard library only: it makes its
own virtual environment in .venv-hosts.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

ANSIBLE = Path(__file__).resolve().parents[1]
ROOT = ANSIBLE.parent
VENV = ROOT / ".venv-hosts"
PINS = ANSIBLE / "requirements.txt"
SUITES = ("bookworm", "trixie")


class StepError(Exception):
    """Something the caller must look at; the text says what."""


def run(*command: str, cwd: Path = ANSIBLE, env: dict[str, str] | None = None) -> None:
    """Runs a command with its output shown; a failure is `StepError`."""
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **(env or {})}, check=False)
    if done.returncode:
        raise StepError(f"`{' '.join(command)}` failed with exit status {done.returncode}")


def tool(name: str) -> str:
    """A program of the virtual environment."""
    return str(VENV / "bin" / name)


def set_up() -> None:
    """Makes .venv-hosts anew whenever the pins have changed."""
    stamp = VENV / "pins.sha256"
    wanted = hashlib.sha256(PINS.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    run(sys.executable, "-m", "venv", "--clear", str(VENV))
    run(tool("pip"), "install", "--quiet", "--requirement", str(PINS))
    stamp.write_text(wanted)


def lint() -> None:
    """YAML style, then ansible-lint with its strictest profile."""
    path = {"PATH": f"{VENV / 'bin'}:{os.environ['PATH']}", "ANSIBLE_HOME": str(VENV / "home")}
    run(tool("yamllint"), "--strict", "-c", ".yamllint", ".", "../inventories")
    run(tool("ansible-lint"), "--offline", "--strict", env=path)


def host_image(suite: str) -> str:
    """The image a scenario's hosts are started from; made if it is not there."""
    tag = f"flip-molecule-host:{suite}"
    if subprocess.run(("docker", "info"), capture_output=True, check=False).returncode:
        raise StepError("Docker does not answer: start it, or run on a machine that has it")
    if subprocess.run(("docker", "image", "inspect", tag), capture_output=True, check=False).returncode:
        run("sh", "molecule/host_image.sh", suite, tag)
    return tag


def scenarios(wanted: list[str]) -> list[tuple[Path, str]]:
    """(role's folder, scenario) of everything wanted; all where nothing is."""
    found = [(file.parents[2], file.parent.name) for file in sorted(ANSIBLE.glob("roles/*/molecule/*/molecule.yml"))]
    names = {f"{role.name}/{scenario}" for role, scenario in found} | {role.name for role, _ in found}
    if unknown := sorted(set(wanted) - names):
        raise StepError(f"no such role or scenario: {', '.join(unknown)}; there are {', '.join(sorted(names))}")
    return [(role, name) for role, name in found if not wanted or {role.name, f"{role.name}/{name}"} & set(wanted)]


def main() -> int:
    """Runs it all; the last lines say what passed and how long it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("only", nargs="*", metavar="ROLE[/SCENARIO]")
    parser.add_argument("--suite", choices=SUITES, default=SUITES[0])
    arguments = parser.parse_args()
    failed = False
    try:
        todo = scenarios(arguments.only)
        set_up()
        lint()
        environment = {
            "ANSIBLE_HOME": str(VENV / "home"),
            "ANSIBLE_ROLES_PATH": str(ANSIBLE / "roles"),
            "FLIP_HOST_IMAGE": host_image(arguments.suite),
            "FLIP_MOLECULE": str(ANSIBLE / "molecule"),
            "PATH": f"{VENV / 'bin'}:{os.environ['PATH']}",
        }
        results = []
        for role, scenario in todo:
            begun = time.monotonic()
            command = ("molecule", "--base-config", str(ANSIBLE / "molecule/base.yml"), "test", "-s", scenario)
            try:
                run(*command, cwd=role, env=environment)
            except StepError:
                failed = True
                results.append(f"FAILED  {role.name}/{scenario}")
            else:
                results.append(f"passed  {role.name}/{scenario}  {time.monotonic() - begun:.0f} s")
        print(f"\n{arguments.suite}:", *results, sep="\n")
    except StepError as error:
        print(f"hosts: {error}", file=sys.stderr)
        return 1
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
