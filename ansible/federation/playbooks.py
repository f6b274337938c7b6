"""Runs the playbooks of the release as an operator would, and reads what they say of each host."""

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from federation.docker import FederationError
from federation.plan import FOLDER, INVENTORY, ROOT
from run import built_modules

VENV = ROOT / ".venv-hosts"
POLL_SECONDS = 0.1
_RECAP = re.compile(r"^(?P<host>\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
_TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(?P<task>[^\]]*)\]")
_STARTED = re.compile(  # profile_tasks says so before each task: date, time, its duration, time since the start
    r"^\w+ \d+ \w+ \d+\s+\S+ \S+ \(\S+\)\s+(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>[\d.]+) \*", re.MULTILINE
)
_RESULT = re.compile(r"^(?P<state>changed|failed|fatal): \[(?P<host>[^\]:\s]+)")


@dataclass(frozen=True)
class Recap:
    """What a run did to one host."""

    ok: int
    changed: int
    unreachable: int
    failed: int

    @property
    def succeeded(self) -> bool:
        """Nothing failed and the host was there."""
        return not (self.unreachable or self.failed)


@dataclass(frozen=True)
class Played:
    """One run of a playbook."""

    recaps: Mapping[str, Recap]
    seconds: float
    log: Path
    changes: Mapping[str, list[str]] = field(default_factory=dict)
    """Tasks that changed something, by host."""


def recaps(output: str) -> dict[str, Recap]:
    """The PLAY RECAP of an output, by host."""
    return {found["host"]: Recap(*map(int, found.groups()[1:])) for found in _RECAP.finditer(output)}


def changes(output: str) -> dict[str, list[str]]:
    """The tasks that said `changed`, by host."""
    found: dict[str, list[str]] = {}
    task = ""
    for line in output.splitlines():
        if begun := _TASK.match(line):
            task = begun["task"]
        elif (result := _RESULT.match(line)) and result["state"] == "changed":
            tasks = found.setdefault(result["host"], [])
            if task not in tasks:
                tasks.append(task)
    return found


def started(output: str) -> list[float]:
    """When each task began, in seconds since the run did; those that were skipped on every host count, too."""
    lines = _STARTED.finditer(output.partition("\nPLAY RECAP")[0])
    return [3600 * int(at["hours"]) + 60 * int(at["minutes"]) + float(at["seconds"]) for at in lines]


@dataclass(frozen=True)
class Order:
    """A run of a playbook that is wanted."""

    name: str
    """Of the run, and of its log."""
    playbook: str
    """As in `ansible/PLAYBOOK.yml`; it runs on the local inventory."""
    options: tuple[str, ...] = ()

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return FOLDER / "logs" / f"{self.name}.log"


@contextmanager
def running(order: Order) -> Iterator["subprocess.Popen[bytes]"]:
    """Starts a playbook; one that still runs at the end of the block is killed."""
    order.log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        str(VENV / "bin" / "ansible-playbook"), "-i", str(INVENTORY), "-e", f"federation_folder={FOLDER}",
        *order.options, str(ROOT / "ansible" / f"{order.playbook}.yml"),
    ]  # fmt: skip
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible" / "ansible.cfg"),
        "ANSIBLE_HOME": str(VENV / "home"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "ansible" / "molecule" / "callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "ansible.posix.profile_tasks,built_modules",
        "FLIP_BUILT_MODULES": str(built_modules()),
        "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    with order.log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=ROOT)
    try:
        yield process
    finally:
        if process.poll() is None:
            kill(process.pid)
            process.wait()


def kill(pid: int) -> None:
    """Ends a process with all that it started, by SIGKILL; what Ansible starts has sessions of its own."""
    first = psutil.Process(pid)
    first.suspend()  # or it could start another one meanwhile
    for process in [first, *first.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def play(*orders: Order) -> dict[str, Played]:
    """Runs playbooks, all at once, to their ends; by name.

    Raises:
        FederationError: one failed on a host, or there was none; the text ends as its output does.
    """
    began = time.monotonic()
    done: dict[str, tuple[int, float]] = {}
    with ExitStack() as stack:
        processes = {order.name: stack.enter_context(running(order)) for order in orders}
        while len(done) < len(processes):
            for name, process in processes.items():
                if name not in done and (status := process.poll()) is not None:
                    done[name] = status, time.monotonic() - began
            time.sleep(POLL_SECONDS)
    return {order.name: ended(order, *done[order.name]) for order in orders}


def ended(order: Order, status: int, seconds: float) -> Played:
    """What a run that came to its end did.

    Raises:
        FederationError: it failed on a host, or there was none.
    """
    output = order.log.read_text(encoding="utf-8")
    found = recaps(output)
    if status or not found or not all(recap.succeeded for recap in found.values()):
        raise FederationError(f"{order.playbook}.yml did not succeed; {order.log} ends:\n{ending(output)}")
    return Played(found, seconds, order.log, changes(output))


def ending(output: str, lines: int = 40) -> str:
    """What a failed run said last: from the first failed task on, or the last lines."""
    every = output.splitlines()
    failed = next(
        (at for at, line in enumerate(every) if line.startswith(("fatal:", "failed:", "[ERROR]", "ERROR!"))), None
    )
    begin = max(0, failed - 3) if failed is not None else max(0, len(every) - lines)
    return "\n".join(every[begin : begin + lines])
