"""Processes: find them again, end them with all their children, keep them running."""

import asyncio
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

log = logging.getLogger(__name__)

PARENT_CHECK_SECONDS = 0.5
TERM_GRACE_SECONDS = 5.0
MAX_RESTART_PAUSE_SECONDS = 10.0
HEALTHY_AFTER_SECONDS = 30.0
# What a child inherits beside what it is given: where programs are, which language and time zone to speak.
INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")


@dataclass(frozen=True)
class ProcessId:
    """A process as it can be found again: its pid and when it began, since pids are used again."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> "ProcessId | None":
        """The identity of a living process, or None when there is none of this pid."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return None

    def find(self) -> psutil.Process | None:
        """The process, unless it ended."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 1.0
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.find() is not None

    def to_json(self) -> str:
        """As text for a file."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ProcessId":
        """Reads what `to_json` wrote."""
        data = json.loads(text)
        return cls(int(data["pid"]), float(data["started"]))


def kill_tree(process_id: ProcessId, grace: float = 0.0) -> int:
    """Ends the process and everything it started; after `grace` seconds by SIGKILL. Returns how many were there."""
    root = process_id.find()
    if root is None:
        return 0
    family = _family(root)
    if grace > 0:
        _signal(family, signal.SIGTERM)
        _wait_gone(family, grace)
    # Once more from the root: what was started meanwhile would be missed.
    family = list({*family, *_family(root)})
    _signal(family, signal.SIGKILL)
    alive = _wait_gone(family, TERM_GRACE_SECONDS)
    if alive:
        log.error("processes %s do not end on SIGKILL", [process.pid for process in alive])
    return len(family)


def _family(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [*root.children(recursive=True), root]
    except psutil.NoSuchProcess:
        return [root]


def _wait_gone(processes: Sequence[psutil.Process], timeout: float) -> list[psutil.Process]:
    """Waits until they ended and returns those that did not.

    By looking, not by `psutil.wait_procs`: that would reap our own children under the event loop's hands, which then
    waits for their end for ever.
    """
    deadline = time.monotonic() + timeout
    while True:
        alive = [process for process in processes if _lives(process)]
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(0.05)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def end_with_parent() -> None:
    """From now on this process ends, children included, as soon as the process that started it is gone."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_SECONDS)
        me = psutil.Process()
        for child in me.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def child_environment(own: Mapping[str, str], extra_names: Sequence[str] = ()) -> dict[str, str]:
    """Environment of a child: nothing of this process's settings or secrets but what is named."""
    names = (*INHERITED, *extra_names)
    return {name: os.environ[name] for name in names if name in os.environ} | dict(own)


class Supervisor:
    """Keeps one child process running: starts it again when it ends, with a growing pause.

    The child's output goes to `log_file`, appended.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log_file: Path,
        *,
        on_start: Callable[[], None] | None = None,
    ) -> None:
        self.name, self.command, self.environment, self.log_file = name, list(command), dict(environment), log_file
        self.restarts = 0
        self._on_start = on_start
        self._process: asyncio.subprocess.Process | None = None
        self._identity: ProcessId | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Pid of the running child."""
        return self._identity.pid if self._identity and self._identity.alive else None

    async def start(self) -> None:
        """Starts the child and its supervision."""
        await self._spawn()
        self._task = asyncio.create_task(self._supervise(), name=f"supervise-{self.name}")

    async def stop(self, grace: float = TERM_GRACE_SECONDS) -> None:
        """Ends supervision and the child with everything it started."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._identity is not None:
            await asyncio.to_thread(kill_tree, self._identity, grace)
        if self._process is not None:
            await self._process.wait()

    async def _spawn(self) -> None:
        if self._on_start is not None:
            self._on_start()
        with self.log_file.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.environment,
                cwd=self.log_file.parent,
                start_new_session=True,
            )
        self._identity = ProcessId.of(self._process.pid)
        log.info("%s runs as process %d", self.name, self._process.pid)

    async def _supervise(self) -> None:
        pause = 0.5
        while True:
            assert self._process is not None  # noqa: S101 - start() spawned it
            began = time.monotonic()
            code = await self._process.wait()
            if time.monotonic() - began > HEALTHY_AFTER_SECONDS:
                pause = 0.5
            log.error("%s ended with status %d; starting it again in %.1f s", self.name, code, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_RESTART_PAUSE_SECONDS)
            self.restarts += 1
            await self._spawn()
