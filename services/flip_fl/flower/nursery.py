"""Where app processes come from: a process that has imported what apps need, and forks a child for each of them.

Importing Flower, torch and the like takes seconds of CPU time, and Flower starts an app process for every message.
The nursery never runs an app's code, so every app begins in the same clean state, as a fresh process would.
"""

import gc
import importlib
import importlib.util
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import setproctitle
from pydantic import BaseModel, ConfigDict

from flip_fl.command import run_command
from flip_fl.flower import internals
from flip_fl.flower.files import RunFiles
from flip_fl.processes import end_with_parent

log = logging.getLogger(__name__)

# Imported where installed. None of them starts a thread or touches a GPU by being imported: both would break forking.
# torch imports its compiler when an optimiser is made; that alone takes more than a second.
AHEAD = (
    "flip_fl.flower.clientapp",
    "flip_fl.flower.serverapp",
    "flwr.supernode.cli.flwr_clientapp",
    "flwr.superlink.cli.flwr_serverapp",
    "flwr.clientapp",
    "flwr.serverapp.strategy",
    "flip",
    "nibabel",
    "numpy",
    "pandas",
    "torch",
    "torch._dynamo",
)


class Launch(BaseModel):
    """One app process: `module.main(launch)` is what it runs, with its output in the log of the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    module: str
    folder: Path
    run_id: int
    arguments: tuple[str, ...]
    token: str


class Nursery:
    """Starts app processes through a nursery process of its own, which ends with this one."""

    def __init__(self, ahead: Sequence[str] = AHEAD) -> None:
        """Returns when everything is imported: from then on an app starts at once.

        Raises:
            RuntimeError: the nursery has ended.
        """
        command = [sys.executable, "-m", __name__, *ahead]
        # Over pipes, since a request holds an app's token and a command line is public.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self._answer()

    def start(self, launch: Launch) -> int:
        """Starts an app process and returns its pid.

        Raises:
            RuntimeError: the nursery has ended; nothing was started.
        """
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        with suppress(BrokenPipeError):  # then there is no answer either
            self._process.stdin.write(launch.model_dump_json().encode() + b"\n")
        return self._answer()

    def close(self) -> None:
        """Ends the nursery; its app processes end too."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None  # noqa: S101 - a pipe was asked for
            pipe.close()
        self._process.wait()

    def _answer(self) -> int:
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the nursery ended with status {self._process.wait()}")
        return int(line)


def main(ahead: list[str]) -> None:
    """Forks app processes as told on standard input, until its end. Started by the SuperExec, not by hand."""
    internals.configure_flower("flip-nursery")
    for name in ahead:
        _import(name)
    # Objects made by the imports are left out of garbage collection, which would write to every page children share.
    gc.freeze()
    # The kernel buries the children; whoever asked for one finds it by its pid.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    launch = _serve(sys.stdin.buffer)
    if launch is not None:
        importlib.import_module(launch.module).main(launch)


def _import(name: str) -> None:
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        return
    try:
        importlib.import_module(name)
    except Exception:
        log.exception("%s cannot be imported ahead; apps that import it will fail", name)


def _serve(requests: BinaryIO) -> Launch | None:
    """Returns in a child, with what it is to run; and at the end of the requests, with None."""
    _answer(os.getpid())
    for line in requests:
        launch = Launch.model_validate_json(line)
        pid = os.fork()
        if pid == 0:
            _begin(launch)
            return launch
        _answer(pid)
    return None


def _answer(pid: int) -> None:
    sys.stdout.write(f"{pid}\n")
    sys.stdout.flush()


def _begin(launch: Launch) -> None:
    """Makes a forked child what a process started afresh would be."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with RunFiles(launch.folder, launch.run_id).log.open("ab") as output, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    sys.stdin = Path(os.devnull).open()  # noqa: SIM115 - for the life of the process; the old one has read ahead
    setproctitle.setproctitle(f"{launch.module} {launch.folder} run {launch.run_id}")
    end_with_parent()
    if "numpy" in sys.modules:
        # Python's own generators notice a fork; numpy's would give every app the same numbers.
        sys.modules["numpy"].random.seed()


if __name__ == "__main__":
    run_command(main)
