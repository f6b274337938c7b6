"""Runs the playbooks of the release as an operator would, and reads what they say of each host."""

import os
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from federation.docker import FederationError
from federation.plan import FOLDER, INVENTORY, ROOT

VENV = ROOT / ".venv-hosts"
_RECAP = re.compile(r"^(?P<host>\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
_TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(?P<task>[^\]]*)\]")
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


def play(playbook: str, *options: str, name: str) -> Played:
    """Runs `ansible/PLAYBOOK.yml` on the local inventory; its output goes to `logs/NAME.log`.

    Raises:
        FederationError: it failed on a host, or there was none; the text ends as its output does.
    """
    log = FOLDER / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        str(VENV / "bin" / "ansible-playbook"), "-i", str(INVENTORY), "-e", f"federation_folder={FOLDER}", *options,
        str(ROOT / "ansible" / f"{playbook}.yml"),
    ]  # fmt: skip
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible" / "ansible.cfg"),
        "ANSIBLE_HOME": str(VENV / "home"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_CALLBACKS_ENABLED": "ansible.posix.profile_tasks",
        "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=ROOT, check=False)
    seconds = time.monotonic() - began
    output = log.read_text(encoding="utf-8")
    found = recaps(output)
    if done.returncode or not found or not all(recap.succeeded for recap in found.values()):
        raise FederationError(f"{playbook}.yml did not succeed; {log} ends:\n{ending(output)}")
    return Played(found, seconds, log, changes(output))


def ending(output: str, lines: int = 40) -> str:
    """What a failed run said last: from the first failed task on, or the last lines."""
    every = output.splitlines()
    failed = next(
        (at for at, line in enumerate(every) if line.startswith(("fatal:", "failed:", "[ERROR]", "ERROR!"))), None
    )
    begin = max(0, failed - 3) if failed is not None else max(0, len(every) - lines)
    return "\n".join(every[begin : begin + lines])
