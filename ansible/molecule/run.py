"""Lints the playbooks and runs all that is tried on systemd hosts (containers): what `make hosts` calls.

    python3 ansible/molecule/run.py                              # everything
    python3 ansible/molecule/run.py flip_docker/existing         # one scenario; flip_docker alone: all of that role
    python3 ansible/molecule/run.py offline                      # a hub and a TRE without a way out: `make offline`
    python3 ansible/molecule/run.py --suite noble flip_base      # on Ubuntu 24.04

What each scenario prints is in .flip/hosts/; the end of a step that failed is shown. Needs Docker, root for
`offline` and (with debootstrap) where the host image is not there yet, and this checkout's images for what deploys
them. Standard library only: it makes its own virtual environment in .venv-hosts; `offline` has that of `make setup`.
"""

import argparse
import fcntl
import hashlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from host_images import (
    ROOT,
    SUITES,
    StepError,
    bare_host,
    digest,
    engine_host,
    image_id,
    made_of,
    named_in,
    release,
    run,
    saved,
)

ANSIBLE = ROOT / "ansible"
VENV = ROOT / ".venv-hosts"
PINS = ANSIBLE / "requirements.txt"
LOGS = ROOT / ".flip" / "hosts"
SHOWN_LINES = 60
OFFLINE = "offline"
STEP_FAILED = "Executed: Failed"  # what Molecule says of a step before it cleans up


def tool(name: str) -> str:
    """A program of the virtual environment."""
    return str(VENV / "bin" / name)


def set_up() -> None:
    """Makes .venv-hosts anew whenever the pins have changed."""
    stamp = VENV / "pins.sha256"
    wanted = hashlib.sha256(PINS.read_bytes()).hexdigest()
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / "lock").open("w") as lock:  # the linters and the scenarios begin together
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted:
            return
        run(sys.executable, "-m", "venv", "--clear", str(VENV))
        run(tool("pip"), "install", "--quiet", "--requirement", str(PINS))
        stamp.write_text(wanted)


def environment(**more: str) -> dict[str, str]:
    """What Ansible's programs are started with."""
    path = f"{VENV / 'bin'}:{os.environ['PATH']}"
    return {**os.environ, "ANSIBLE_HOME": str(VENV / "home"), "PATH": path, **more}


def built_modules() -> Path:
    """The folder for packed modules of exactly this Ansible and this checkout's own modules."""
    own = [*ANSIBLE.glob("**/library"), *ANSIBLE.glob("**/module_utils")]
    folder = VENV / "home" / "built-modules" / digest(PINS, *own)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def lint() -> None:
    """YAML style, then ansible-lint with its strictest profile."""
    run(tool("yamllint"), "--strict", "-c", ".yamllint", ".", "../inventories", cwd=ANSIBLE)
    run(tool("ansible-lint"), "--offline", "--strict", cwd=ANSIBLE, env=environment())


class Scenario(NamedTuple):
    """Something to try, named as on the command line."""

    name: str
    folder: Path
    """Where the command is started."""
    command: tuple[str, ...]
    images: tuple[str, ...] = ()
    """Of this checkout, which its hosts load."""
    ready: bool = False
    """Whether its hosts begin ready: see `ready_host`."""

    def run(self, log: Path, variables: dict[str, str]) -> bool:
        """Whether it passed."""
        with log.open("w", encoding="utf-8") as output:
            done = subprocess.run(
                self.command, cwd=self.folder, env=variables, stdout=output, stderr=output, check=False
            )
        return not done.returncode


def molecule(name: str, file: Path) -> Scenario:
    """A scenario from its molecule.yml."""
    base = ("--base-config", str(ANSIBLE / "molecule/base.yml"))
    command = (tool("molecule"), *base, "test", "-s", file.parent.name)
    ready = "${FLIP_READY_IMAGE}" in file.read_text(encoding="utf-8")
    return Scenario(name, file.parents[2], command, tuple(named_in([file])), ready)


def offline(suite: str) -> Scenario:
    """The whole of it at a site without internet: see ansible/federation."""
    paths = f"PYTHONPATH={ANSIBLE}:{ANSIBLE / 'molecule'}"
    options = ("--only", "tre", "--rounds", "2", "--no-build", "--suites", suite)
    return Scenario(OFFLINE, ROOT, ("env", paths, str(ROOT / ".venv/bin/python"), "-m", "federation", *options))


def scenarios(wanted: list[str], suite: str) -> list[Scenario]:
    """Those wanted, by their names or their roles'; all where none is."""
    files = sorted(ANSIBLE.glob("roles/*/molecule/*/molecule.yml"))
    found = [molecule(f"{file.parents[2].name}/{file.parent.name}", file) for file in files] + [offline(suite)]
    names = {name for one in found for name in (one.name, one.name.partition("/")[0])}
    if unknown := sorted(set(wanted) - names):
        raise StepError(f"no such role or scenario: {', '.join(unknown)}; there are {', '.join(sorted(names))}")
    return [one for one in found if not wanted or {one.name, one.name.partition("/")[0]} & set(wanted)]


def ready_host(suite: str, logs: Path, variables: dict[str, str]) -> str:
    """The image of a host on which flip_base and flip_docker have run; made anew when one of them has changed.

    Raises:
        StepError: they failed.
    """
    tag = f"flip-molecule-ready:{suite}"
    parts = ("roles/flip_base", "roles/flip_docker", "library", "module_utils", "molecule/ready", "molecule/create.yml")
    wanted = f"{digest(PINS, *(ANSIBLE / part for part in parts))}-{image_id(variables['FLIP_ENGINE_IMAGE'])}"
    if not made_of(tag, "made-of", wanted):
        print(f"        {tag}", flush=True)
        log = logs / "ready.log"
        made = {**variables, "FLIP_READY_IMAGE": tag, "FLIP_READY_MADE_OF": wanted}
        if not molecule("ready", ANSIBLE / "molecule/ready/molecule.yml").run(log, made):
            raise StepError(f"{tag} could not be made; {failure(log)}")
    return tag


def failure(log: Path) -> str:
    """The end of the step that failed."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    end = next((number for number, line in enumerate(lines) if STEP_FAILED in line), len(lines))
    return "\n".join([f"the end of what failed, of {log}:", *lines[:end][-SHOWN_LINES:]])


def play(one: Scenario, log: Path, variables: dict[str, str]) -> str | None:
    """Runs one scenario, says how it ended and how long it took; the end of the step that failed, if one did."""
    print(f"        {one.name}", flush=True)
    begun = time.monotonic()
    passed = one.run(log, variables)
    lasted = f"{time.monotonic() - begun:.0f} s"
    print(f"{'passed' if passed else 'FAILED'}  {one.name}  {lasted}", flush=True)
    return None if passed else f"\n{one.name}: {failure(log)}"


def play_all(todo: list[Scenario], suite: str, jobs: int) -> bool:
    """Runs scenarios, some at once; whether all passed."""
    logs = LOGS / suite
    logs.mkdir(parents=True, exist_ok=True)
    variables = environment(
        ANSIBLE_ROLES_PATH=str(ANSIBLE / "roles"),
        ANSIBLE_LIBRARY=str(ANSIBLE / "library"),
        ANSIBLE_MODULE_UTILS=str(ANSIBLE / "module_utils"),
        FLIP_MOLECULE=str(ANSIBLE / "molecule"),
        FLIP_BUILT_MODULES=str(built_modules()),
        FLIP_HOST_IMAGE=bare_host(suite),
        FLIP_ENGINE_IMAGE=engine_host(suite),
        FLIP_SAVED_IMAGES=str(saved(sorted({image for one in todo for image in one.images}))),
        FLIP_RELEASE=release(),
    )
    if any(one.ready for one in todo):
        variables["FLIP_READY_IMAGE"] = ready_host(suite, logs, variables)
    # Those that take longest come first, so that none runs alone in the end: they deploy the most.
    todo = sorted(todo, key=lambda one: (one.name != OFFLINE, -len(one.images)))
    begun = time.monotonic()
    with ThreadPoolExecutor(jobs) as pool:
        runs = [pool.submit(play, one, logs / f"{one.name.replace('/', '-')}.log", variables) for one in todo]
    # Last of all, where whoever has only the end of a long log still finds it.
    failures = [told for run in runs if (told := run.result())]
    passed = f"{len(todo) - len(failures)} of {len(todo)} scenarios passed"
    print(*failures, f"\n{suite}: {passed} in {time.monotonic() - begun:.0f} s", sep="\n")
    return not failures


def main() -> int:
    """Runs it all; the last line says how many passed and how long it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("only", nargs="*", metavar="ROLE[/SCENARIO] | offline")
    parser.add_argument("--suite", choices=SUITES, default="bookworm")
    parser.add_argument(
        "--jobs", type=int, choices=range(1, 9), default=2, help="scenarios at once (default: %(default)s)"
    )
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument("--no-lint", action="store_true", help="run the scenarios alone")
    parts.add_argument("--only-lint", action="store_true", help="lint alone, which needs no Docker")
    arguments = parser.parse_args()
    try:
        todo = scenarios(arguments.only, arguments.suite)
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
