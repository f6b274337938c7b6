"""Lints the playbooks and runs every role's scenarios on real systemd hosts (containers): what `make hosts` calls.

    python3 ansible/molecule/run.py                              # everything
    python3 ansible/molecule/run.py flip_docker/existing         # one scenario; flip_docker alone: all of that role
    python3 ansible/molecule/run.py --suite noble flip_base      # on Ubuntu 24.04

What each scenario prints is in .flip/hosts/; the end of a step that failed is shown. Needs Docker, root with
debootstrap where the host image is not there yet, and this checkout's images for the roles that deploy them. Standard
library only: it makes its own virtual environment in .venv-hosts.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from host_images import ROOT, SUITES, StepError, bare_host, engine_host, named_in, release, run, saved

ANSIBLE = ROOT / "ansible"
VENV = ROOT / ".venv-hosts"
PINS = ANSIBLE / "requirements.txt"
LOGS = ROOT / ".flip" / "hosts"
SHOWN_LINES = 60
STEP_FAILED = "Executed: Failed"  # what Molecule says of a step before it cleans up


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


def play(role: Path, scenario: str, log: Path, variables: dict[str, str]) -> str | None:
    """Runs one scenario, says how it ended and how long it took; the end of the step that failed, if one did."""
    name = f"{role.name}/{scenario}"
    print(f"        {name}", flush=True)
    begun = time.monotonic()
    command = [tool("molecule"), "--base-config", str(ANSIBLE / "molecule/base.yml"), "test", "-s", scenario]
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(command, cwd=role, env=variables, stdout=output, stderr=output, check=False)
    lasted = f"{time.monotonic() - begun:.0f} s"
    if not done.returncode:
        print(f"passed  {name}  {lasted}", flush=True)
        return None
    print(f"FAILED  {name}  {lasted}; all of it: {log}", flush=True)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    end = next((number for number, line in enumerate(lines) if STEP_FAILED in line), len(lines))
    return "\n".join([f"\nThe end of what failed in {name}:", *lines[:end][-SHOWN_LINES:]])


def play_all(todo: list[tuple[Path, str]], suite: str, jobs: int) -> bool:
    """Runs scenarios, some at once; whether all passed."""
    images = named_in([role / f"molecule/{scenario}/molecule.yml" for role, scenario in todo])
    variables = environment(
        ANSIBLE_ROLES_PATH=str(ANSIBLE / "roles"),
        ANSIBLE_LIBRARY=str(ANSIBLE / "library"),
        ANSIBLE_MODULE_UTILS=str(ANSIBLE / "module_utils"),
        FLIP_MOLECULE=str(ANSIBLE / "molecule"),
        FLIP_HOST_IMAGE=bare_host(suite),
        FLIP_ENGINE_IMAGE=engine_host(suite),
        FLIP_SAVED_IMAGES=str(saved(images)),
        FLIP_RELEASE=release(),
    )
    logs = LOGS / suite
    logs.mkdir(parents=True, exist_ok=True)
    # Those that deploy the most take longest: they come first, so that none runs alone in the end.
    todo = sorted(todo, key=lambda one: -len(named_in([one[0] / f"molecule/{one[1]}/molecule.yml"])))
    begun = time.monotonic()
    with ThreadPoolExecutor(jobs) as pool:
        runs = [pool.submit(play, role, name, logs / f"{role.name}-{name}.log", variables) for role, name in todo]
    # Last of all, where whoever has only the end of a long log still finds it.
    failures = [failure for run in runs if (failure := run.result())]
    passed = f"{len(todo) - len(failures)} of {len(todo)} scenarios passed"
    print(*failures, f"\n{suite}: {passed} in {time.monotonic() - begun:.0f} s", sep="\n")
    return not failures


def main() -> int:
    """Runs it all; the last line says how many passed and how long it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("only", nargs="*", metavar="ROLE[/SCENARIO]")
    parser.add_argument("--suite", choices=SUITES, default="bookworm")
    parser.add_argument(
        "--jobs", type=int, choices=range(1, 9), default=2, help="scenarios at once (default: %(default)s)"
    )
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument("--no-lint", action="store_true", help="run the scenarios alone")
    parts.add_argument("--only-lint", action="store_true", help="lint alone, which needs no Docker")
    arguments = parser.parse_args()
    try:
        todo = scenarios(arguments.only)
        set_up()
        if not arguments.no_lint:
            lint()
        if arguments.only_lint:
            return 0
        return int(not play_all(todo, arguments.suite, arguments.jobs))
    except StepError as error:
        print(f"hosts: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
