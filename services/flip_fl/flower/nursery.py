"""Where app processes come from: a process that has imported what apps need, and forks a child for each of them.

Importing Flower, torch and the like takes seconds of CPU time, and Flower starts an app process for every message.
The nursery never runs an app's code, so every app begins in the same clean state, as a fresh process would.
"""

import errno
import gc
import importlib
import importlib.util
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import setproctitle
import typer
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

TAKEN = b"!"
LAUNCH_BYTES, ANSWER_BYTES = 65_536, 64


class Launch(BaseModel):
    """One app process: `module.main(launch)` is what it runs, with its output in the log of the run."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

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
        # A socket, not a pipe: apps cannot open one again through /proc, and a message is read whole or not at all.
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", __name__, f"--requests={theirs.fileno()}", *ahead]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),))
        self._answer()

    def start(self, launch: Launch) -> int:
        """Starts an app process and returns its pid.

        Raises:
            OSError: the system has no process to spare; other apps go on.
            RuntimeError: the nursery has ended; nothing was started.
        """
        with suppress(BrokenPipeError):  # then there is no answer either
            self._socket.send(launch.model_dump_json().encode())
        return self._answer()

    def close(self) -> None:
        """Ends the nursery; its app processes end too."""
        self._socket.close()
        self._process.wait()

    def _answer(self) -> int:
        try:
            answer = self._socket.recv(ANSWER_BYTES)
        except ConnectionResetError:
            answer = b""
        if not answer:
            raise RuntimeError(f"the nursery ended with status {self._process.wait()}")
        if int(answer) < 0:
            raise OSError(-int(answer), os.strerror(-int(answer)))
        return int(answer)


def main(
    requests: Annotated[int, typer.Option(help="File descriptor of the socket on which launches come")],
    ahead: Annotated[list[str], typer.Argument(help="Modules to import first, where installed")],
) -> None:
    """Forks app processes as told, until whoever tells is gone. Started by the SuperExec, not by hand."""
    internals.configure_flower("flip-nursery")
    for name in ahead:
        _import(name)
    # Objects made by the imports are left out of garbage collection, which would write to every page children share.
    gc.freeze()
    # The kernel buries the children; whoever asked for one finds it by its pid.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=requests) as told:
        launch = _serve(told)
    if launch is not None:
        _begin(launch)
        importlib.import_module(launch.module).main(launch)


def _import(name: str) -> None:
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        return
    try:
        importlib.import_module(name)
    except Exception:
        log.exception("%s cannot be imported ahead; apps that import it will fail", name)


def _serve(told: socket.socket) -> Launch | None:
    """Returns in a child, with what it is to run; and at the end of the requests, with None.

    A child reads its launch itself: what the nursery had read, a token above all, would be in every later child's
    memory.
    """
    told.send(b"%d" % os.getpid())
    while told.recv(1, socket.MSG_PEEK):
        reading, read = os.pipe()
        try:
            pid = os.fork()
        except OSError as error:
            pid = -(error.errno or errno.EAGAIN)
        if pid == 0:
            launch = Launch.model_validate_json(told.recv(LAUNCH_BYTES))
            os.write(read, TAKEN)
            os.close(read)
            os.close(reading)
            return launch
        os.close(read)
        if os.read(reading, len(TAKEN)) != TAKEN:
            # There is no child, or it ended before it had read: its launch must not be taken for the next one.
            with suppress(BlockingIOError):
                told.recv(LAUNCH_BYTES, socket.MSG_DONTWAIT)
        os.close(reading)
        told.send(b"%d" % pid)
    return None


def _begin(launch: Launch) -> None:
    """Makes a forked child, which may inherit nothing but the imports, what a process started afresh would be."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with RunFiles(launch.folder, launch.run_id).log.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    setproctitle.setproctitle(f"{launch.module} {launch.folder} run {launch.run_id}")
    end_with_parent()
    if "numpy" in sys.modules:
        # Python's own generators notice a fork; numpy's would give every app the same numbers.
        sys.modules["numpy"].random.seed()


if __name__ == "__main__":
    run_command(main)
