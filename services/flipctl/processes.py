"""Child processes of a local stack: started with logs, watched, measured, and all of them ended."""

import ctypes
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER = 36, 37
POLL_SECONDS = 0.1
ORPHAN_SECONDS = 3
RESOURCE_TRACKER = "multiprocessing.resource_tracker"

log = logging.getLogger(__name__)


class ProcessFailedError(RuntimeError):
    """A process ended, or did not become ready; the text holds the end of its log."""


@dataclass
class Processes:
    """Use as a context manager: at its end no process started within it, nor any child of theirs, is alive.

    Meanwhile the calling process is a subreaper, so that children that detach themselves (a PostgreSQL server, say)
    come back to it and are found. What ran before is left alone.
    """

    log_dir: Path
    stop_seconds: float = 20
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    others: list[psutil.Process] = field(default_factory=list, init=False)
    adopted: int = field(default=0, init=False)

    def __enter__(self) -> Self:
        self.log_dir.mkdir(parents=True, exist_ok=True)
        self.adopted = _adopt_orphans(1)
        self.others = descendants()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        _adopt_orphans(self.adopted)

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Starts a process in a session of its own; its output goes to `<log_dir>/<name>.log`."""
        with (self.log_dir / f"{name}.log").open("ab") as out:
            process = subprocess.Popen(
                argv, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        self.running[name] = process
        return process

    def tail(self, name: str, lines: int = 12) -> str:
        """The end of a process's log."""
        path = self.log_dir / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def check(self) -> None:
        """Raises ProcessFailedError when a process that should run has ended."""
        for name, process in self.running.items():
            if process.poll() is not None:
                raise ProcessFailedError(f"{name} ended with status {process.returncode}:\n{self.tail(name)}")

    def wait_until(self, what: str, ready: Callable[[], bool], seconds: float) -> None:
        """Waits for a condition while all processes live.

        Raises:
            ProcessFailedError: a process ended, or the condition did not come true in time.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise ProcessFailedError(f"{what}: not within {seconds:.0f} s; the logs are in {self.log_dir}")
            time.sleep(POLL_SECONDS)

    def memory_bytes(self) -> int:
        """Memory of all descendants now: the sum of their proportional set sizes, so shared pages count once."""
        total = 0
        for process in psutil.Process().children(recursive=True):
            try:
                total += process.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue  # it ended between the listing and the look
        return total

    def stop(self) -> list[str]:
        """Ends everything, last started first; returns the names of those that had to be killed."""
        killed = []
        for process in reversed(self.running.values()):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + self.stop_seconds
        for name, process in reversed(self.running.items()):
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                killed.append(name)
                _kill_group(process.pid)
                process.wait()
        self.running.clear()
        # What detached itself came to us as its subreaper: most of it is ending on its own by now.
        _, alive = psutil.wait_procs(descendants(self.others), timeout=ORPHAN_SECONDS)
        for orphan in alive:
            log.warning("left over and killed: %s", _describe(orphan))
            _kill(orphan)
        psutil.wait_procs(alive, timeout=ORPHAN_SECONDS)
        return killed


def descendants(others: Sequence[psutil.Process] = ()) -> list[psutil.Process]:
    """Every process that this one started, or that came to it, but for `others` and their children.

    The one Python keeps for `multiprocessing` is not among them: it belongs to this process and ends with it.
    """
    apart = {*others}
    for other in others:
        apart.update(_children(other))
    return [child for child in _children(psutil.Process()) if child not in apart and not _is_pythons_own(child)]


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _is_pythons_own(process: psutil.Process) -> bool:
    return RESOURCE_TRACKER in _command(process)


def _adopt_orphans(adopt: int) -> int:
    """Whether (1 or 0) orphaned grandchildren become children of this process; returns what was so before."""
    libc, before = ctypes.CDLL(None, use_errno=True), ctypes.c_int()
    if libc.prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(before)) or libc.prctl(PR_SET_CHILD_SUBREAPER, adopt, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot change who adopts orphaned processes")
    return before.value


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def _describe(process: psutil.Process) -> str:
    return f"pid {process.pid} ({_command(process)[:120]})"


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        log.debug("process %s is gone already", process.pid)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        log.debug("process group %s is gone already", pid)
