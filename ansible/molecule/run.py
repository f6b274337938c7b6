"""Lints the playbooks and runs every role's scenarios on real systemd hosts (containers): what `make hosts` calls.

    python3 ansible/molecule/run.py                              # everything
    python3 ansible/molecule/run.py flip_docker/existing         # one scenario; flip_docker alone: all of that role
    python3 ansible/molecule/run.py --suite trixie flip_base     # on Debian 13

Needs Docker, root with debootstrap where the host image is not there yet, and this checkout's images for the roles
that deploy them. Standard library only: it makes its own virtual environment in .venv-hosts.
"""

import argparse
import hashlib
import os
import sys
import time
from pathlib import Path

from host_images import ROOT, StepError, bare_host, engine_host, named_in, release, run, saved

ANSIBLE = ROOT / "ansible"
VENV = ROOT / ".venv-hosts"
PINS = ANSIBLE / "requirements.txt"
SUITES = ("bookworm", "trixie")


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


def environment(**more: str) -> dict[str, str]:
    """What Ansible's programs are started with."""
    path = f"{VENV / 'bin'}:{os.environ['PATH']}"
    return {**os.environ, "ANSIBLE_HOME": str(VENV / "home"), "PATH": path, **more}


def lint() -> None:
    """YAML style, then ansible-lint with its strictest profile."""
    run(tool("yamllint"), "--strict", "-c", ".yamllint", ".", "../inventories", cwd=ANSIBLE)
    run(tool("ansible-lint"), "--offline", "--strict", cwd=ANSIBLE, env=environment())


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
    parser.add_argument("--no-lint", action="store_true", help="run the scenarios alone")
    arguments = parser.parse_args()
    failed = False
    try:
        todo = scenarios(arguments.only)
        set_up()
        if not arguments.no_lint:
            lint()
        variables = environment(
            ANSIBLE_ROLES_PATH=str(ANSIBLE / "roles"),
            FLIP_MOLECULE=str(ANSIBLE / "molecule"),
            FLIP_HOST_IMAGE=bare_host(arguments.suite),
            FLIP_ENGINE_IMAGE=engine_host(arguments.suite),
            FLIP_SAVED_IMAGES=str(saved(named_in([role / f"molecule/{name}/molecule.yml" for role, name in todo]))),
            FLIP_RELEASE=release(),
        )
        results = []
        for role, scenario in todo:
            begun = time.monotonic()
            command = ("molecule", "--base-config", str(ANSIBLE / "molecule/base.yml"), "test", "-s", scenario)
            try:
                run(tool(command[0]), *command[1:], cwd=role, env=variables)
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
