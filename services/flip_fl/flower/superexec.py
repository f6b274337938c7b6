"""Runs a SuperExec, which starts app processes: ServerApps beside the SuperLink, ClientApps at a site.

Each app process gets a session of its own, its output in the run's log, its token by standard input, and a record
by which others find it and end it.
"""

import logging
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from flip_fl.command import run_command
from flip_fl.flower import internals
from flip_fl.flower.files import RunFiles
from flip_fl.processes import ProcessId, end_with_parent

log = logging.getLogger(__name__)

MODULES = {internals.SERVER_APP: "flip_fl.flower.serverapp", internals.CLIENT_APP: "flip_fl.flower.clientapp"}


class AppLauncher:
    """Starts app processes and keeps book of them in a folder of `RunFiles`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[int, tuple[subprocess.Popen[bytes], RunFiles]] = {}

    def launch_app(self, kind: str, run_id: int, arguments: list[str], token: str) -> None:
        """Starts the process of an app.

        Raises:
            KeyError: `kind` is no app process we run.
        """
        files = RunFiles(self._folder, run_id)
        command = [sys.executable, "-m", MODULES[kind], str(self._folder), *arguments]
        with files.log.open("ab") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
            )
        identity = ProcessId.of(process.pid)
        if identity is not None:
            files.add_process(identity)
        self._running[process.pid] = (process, files)
        assert process.stdin is not None  # noqa: S101 - a pipe was asked for
        try:
            process.stdin.write(token.encode() + b"\n")
            process.stdin.close()
        except BrokenPipeError:
            log.error("the process of run %d ended before it read its token", run_id)

    def reap(self) -> None:
        """Forgets processes that ended."""
        for pid, (process, files) in list(self._running.items()):
            if process.poll() is not None:
                files.forget_process(pid)
                del self._running[pid]


def main(
    folder: Annotated[Path, typer.Option(help="Folder for records and logs of runs")],
    address: Annotated[str, typer.Option(help="Runtime API, host:port")],
    secret: Annotated[Path, typer.Option(help="Secret file shared with the Runtime API")],
    ca: Annotated[Path | None, typer.Option(help="CA of the Runtime API; without it plain HTTP (loopback)")] = None,
) -> None:
    """Runs a SuperExec. Started by the FL API or the site launcher, not by hand."""
    end_with_parent()
    internals.configure_flower("flip-superexec")
    tls = [f"--root-certificates={ca}"] if ca else ["--insecure"]
    arguments = [f"--runtime-api-address={address}", f"--superexec-auth-secret-file={secret}", *tls]
    internals.run_superexec(arguments, AppLauncher(folder))


if __name__ == "__main__":
    run_command(main)
