"""OpenTofu's or Terraform's command line in one stack; a plan's JSON is what we read of it, never its prose."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from flipctl.hub import HubError

PROGRAMS = ("tofu", "terraform")
HOW_TO_GET = (
    "neither tofu nor terraform is on the PATH; install OpenTofu 1.10 or later: "
    "https://opentofu.org/docs/intro/install/ (FLIP_TOFU names a program that lies elsewhere)"
)
PLAN = "flip.tfplan"
UNWRITTEN = "errored.tfstate"
LOCAL = 'terraform {\n  backend "local" {\n    path = "local.tfstate"\n  }\n}\n'
# What is gone with one of these cannot be made again by applying once more.
HOLDS_DATA = frozenset(
    {
        "aws_backup_vault",
        "aws_cloudwatch_log_group",
        "aws_cognito_user_pool",
        "aws_db_instance",
        "aws_ebs_volume",
        "aws_efs_file_system",
        "aws_kms_key",
        "aws_s3_bucket",
        "aws_secretsmanager_secret",
    }
)
_LOCK_ID = re.compile(r"^\W*ID:\s+(\S+)", re.MULTILINE)
_LOCK_TEXT = "Error acquiring the state lock"
_FRAME = re.compile(r"^[╷│╵] ?", re.MULTILINE)


def program() -> str:
    """What FLIP_TOFU names, else `tofu`, else `terraform`.

    Raises:
        HubError: there is none; the text says how to get it.
    """
    named = os.environ.get("FLIP_TOFU")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        raise HubError(f"FLIP_TOFU names {named}, which is not a program here" if named else HOW_TO_GET)
    return found


@dataclass(frozen=True)
class Change:
    """What a plan does to one resource. `kind` is its type, `action` create, update, delete or replace."""

    address: str
    kind: str
    action: str


@dataclass(frozen=True)
class Plan:
    """What would change."""

    changes: tuple[Change, ...]
    digest: str = ""

    @classmethod
    def of(cls, messages: Iterable[dict[str, Any]], digest: str = "") -> "Plan":
        """From what `plan -json` says; `digest` is that of the plan's file."""
        planned = [one["change"] for one in messages if one.get("type") == "planned_change"]
        changes = [
            Change(one["resource"]["addr"], one["resource"]["resource_type"], one["action"])
            for one in planned
            if one["action"] not in ("noop", "read", "move")
        ]
        return cls(tuple(changes), digest)

    @property
    def counts(self) -> dict[str, int]:
        """How many changes of each kind there are."""
        actions = [change.action for change in self.changes]
        return {action: actions.count(action) for action in sorted(set(actions))}


@dataclass(frozen=True)
class Tofu:
    """The program in one stack's folder. `say` is told what it does, a line at a time."""

    folder: Path
    say: Callable[[str], None]

    def init(self, *options: str) -> None:
        """Brings provider and backend."""
        self.run("init", *options)

    def plan(self, *options: str) -> Plan:
        """Plans into a file that `apply` carries out.

        Raises:
            HubError: the program failed, or an earlier run could not write its state where it belongs.
        """
        left = self.folder / UNWRITTEN
        if left.exists():
            push = f"{Path(program()).name} -chdir={self.folder} state push {UNWRITTEN}"
            raise HubError(
                f"a run before could not write its state, which says what it made; it is in {left}. "
                f"Put it where it belongs, then remove that file:\n{push}"
            )
        # What `show` would print of the file, too, after another start of the provider.
        said = self.run("plan", "-json", f"-out={PLAN}", *options)
        messages = filter(None, map(_message, said.splitlines()))
        return Plan.of(messages, sha256((self.folder / PLAN).read_bytes()).hexdigest())

    def planned(self) -> dict[str, Any]:
        """The whole document of what `plan` planned last."""
        document: dict[str, Any] = json.loads(self.run("show", "-json", PLAN, color=None))
        return document

    def shown(self) -> dict[str, Any]:
        """Values of all that the state has."""
        values: dict[str, Any] = json.loads(self.run("show", "-json", color=None))["values"]
        return values

    def apply(self, plan: Plan) -> None:
        """Carries out this plan, and nothing else.

        Raises:
            HubError: the program failed, or another run has planned in this folder since.
        """
        if sha256((self.folder / PLAN).read_bytes()).hexdigest() != plan.digest:
            raise HubError(f"another run has planned in {self.folder} meanwhile; nothing was applied: begin anew")
        self.run("apply", PLAN)

    def outputs(self) -> dict[str, Any]:
        """Outputs of the state that are not sensitive."""
        found = json.loads(self.run("output", "-json", color="-no-color"))
        return {name: entry["value"] for name, entry in found.items() if not entry["sensitive"]}

    def state(self) -> dict[str, Any] | None:
        """The state as its backend has it; None where nothing is in it."""
        text = self.run("state", "pull", color=None)
        state = json.loads(text) if text.strip() else {"resources": []}
        return state if state["resources"] else None

    def keep_interrupted(self, kinds: Collection[str]) -> None:
        """Has resources of these kinds stay which an interrupted apply made: the program would make them anew.

        What was not set on them yet, the next plan sets.
        """
        for address in interrupted(self.state(), kinds):
            self.run("untaint", address)

    def plan_apart(self, state: dict[str, Any]) -> Plan:
        """Plans over this state instead of the backend's, in a copy of the folder that does not stay."""
        apart = self.folder.with_name(f"{self.folder.name}-apart")  # modules are found relative to it
        shutil.rmtree(apart, ignore_errors=True)
        try:
            shutil.copytree(self.folder, apart, symlinks=True, ignore=shutil.ignore_patterns("*.tfstate*", PLAN))
            (apart / "backend_override.tf").write_text(LOCAL)
            (apart / "local.tfstate").write_text(json.dumps(state))
            copy = Tofu(apart, self.say)
            copy.init("-reconfigure")
            return copy.plan()
        finally:
            shutil.rmtree(apart, ignore_errors=True)

    def run(self, *arguments: str, color: str | None = "-no-color") -> str:
        """Runs one command and returns its standard output.

        Raises:
            HubError: it failed; the text is its own, without the values of secret variables of the environment.
        """
        verb, *rest = arguments
        command = [program(), verb, *([color] if color else []), *rest]
        env = {**os.environ, "TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}
        # In a group of its own an apply does not hear Ctrl-C from the terminal, but from _heeded.
        group = 0 if verb == "apply" else None
        with (
            subprocess.Popen(
                command,
                cwd=self.folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                process_group=group,
            ) as process,
            _heeded(process) if verb == "apply" else nullcontext(),
        ):
            assert process.stdout is not None  # noqa: S101 - what PIPE means
            assert process.stderr is not None  # noqa: S101
            errors: list[bytes] = []
            reader = threading.Thread(target=lambda stream: errors.append(stream.read()), args=(process.stderr,))
            reader.start()
            lines = []
            with _passing_on(signal.SIGTERM, process):
                try:
                    for line in process.stdout:
                        lines.append(line.decode())
                        if verb in ("init", "plan", "apply") and line.strip():
                            self.say(_said(line.decode()))
                except BaseException:
                    # It heard Ctrl-C, too: it ends what it is doing and writes the state. Ending before it, or reading
                    # no more of what it says, would kill it, and lose that.
                    for _ in process.stdout:
                        pass
                    process.wait()
                    raise
                finally:
                    reader.join()
        if process.returncode:
            told = [text for line in lines if (text := _diagnosis(_message(line)))]
            raise HubError(self._reason(verb, "\n\n".join([*told, errors[0].decode()])))
        return "".join(lines)

    def _reason(self, verb: str, text: str) -> str:
        text = without_secrets(_FRAME.sub("", text)).strip()
        found = _LOCK_ID.search(text)
        if _LOCK_TEXT in text and found:
            text += (
                "\n\nAnother run holds the state (Who and Created, above): wait for it. If that run is dead:\n"
                f"{Path(program()).name} -chdir={self.folder} force-unlock {found[1]}"
            )
        return f"{Path(program()).name} {verb} failed:\n{text}"


def interrupted(state: dict[str, Any] | None, kinds: Collection[str]) -> list[str]:
    """Addresses of what is tainted in a state, of these kinds: an interrupted apply made it."""
    found = []
    for entry in (state or {"resources": []})["resources"]:
        for instance in entry["instances"]:
            if instance.get("status") == "tainted" and entry["type"] in kinds:
                module = f"{entry['module']}." if "module" in entry else ""
                key = f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else ""
                found.append(f"{module}{entry['type']}.{entry['name']}{key}")
    return found


def _message(line: str) -> dict[str, Any] | None:
    """A line of what a command says with -json; None of any other."""
    try:
        found = json.loads(line)
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _said(line: str) -> str:
    return str((_message(line) or {}).get("@message", line)).strip()


def _diagnosis(message: dict[str, Any] | None) -> str:
    """An error as the program words it where it is not asked for JSON."""
    found = (message or {}).get("diagnostic")
    if not found or found["severity"] != "error":
        return ""
    place = found.get("range")
    where = f"\n  on {place['filename']} line {place['start']['line']}" if place else ""
    return f"Error: {found['summary']}{where}\n\n{found['detail']}"


@contextmanager
def _heeded(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Ctrl-C lets an apply end well, and again Ctrl-C stops it.

    What the program is told to stop, it drops in the middle of a request: AWS may have made what no state knows of.

    Raises:
        KeyboardInterrupt: it was pressed, and the program has ended.
    """
    pressed = 0

    def heed(*_: object) -> None:
        nonlocal pressed
        pressed += 1
        if pressed == 1:
            told = "this goes on to its end; Ctrl-C again stops it, and may leave what no state knows of"
            sys.stderr.write(f"\n{told}\n")
        else:
            process.send_signal(signal.SIGINT)

    former = signal.signal(signal.SIGINT, heed)
    try:
        yield
        process.wait()
    finally:
        signal.signal(signal.SIGINT, former)
    if pressed:
        raise KeyboardInterrupt


@contextmanager
def _passing_on(number: signal.Signals, process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Has a signal that would end this process, as of a CI job that is cancelled, end the program alone: in order."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what a signal does
        return
    before = signal.signal(number, lambda *_: process.send_signal(number))
    try:
        yield
    finally:
        signal.signal(number, before)


def without_secrets(text: str) -> str:
    """The text without what the environment's variables of a secret name hold."""
    for name, value in os.environ.items():
        if re.search(r"SECRET|TOKEN|PASSWORD", name) and len(value) >= 8:
            text = text.replace(value, f"({name})")
    return text
