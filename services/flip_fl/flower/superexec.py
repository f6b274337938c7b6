"""Runs a SuperExec, which starts app processes: ServerApps beside the SuperLink, ClientApps at a site.

Each app process gets a session of its own, its output in the run's log, and a record by which others find it and
end it.
"""

from pathlib import Path
from typing import Annotated

import typer

from flip_fl.command import run_command
from flip_fl.flower import internals
from flip_fl.flower.files import RunFiles
from flip_fl.flower.nursery import Launch, Nursery
from flip_fl.processes import ProcessId, end_with_parent, kill_tree

MODULES = {internals.SERVER_APP: "flip_fl.flower.serverapp", internals.CLIENT_APP: "flip_fl.flower.clientapp"}


class AppLauncher:
    """Starts app processes and keeps book of them in a folder of `RunFiles`."""

    def __init__(self, folder: Path, nursery: Nursery) -> None:
        self._folder, self._nursery = folder, nursery
        self._running: dict[ProcessId, RunFiles] = {}

    def launch_app(self, kind: str, run_id: int, arguments: list[str], token: str) -> None:
        """Starts the process of an app.

        Raises:
            KeyError: `kind` is no app process we run.
            OSError: this process cannot be started, or not be recorded; it does not run then.
            RuntimeError: app processes cannot be started any more.
        """
        module = MODULES[kind]
        launch = Launch(module=module, folder=self._folder, run_id=run_id, arguments=tuple(arguments), token=token)
        process = ProcessId.of(self._nursery.start(launch))
        if process is not None:  # else it has ended already
            files = RunFiles(self._folder, run_id)
            try:
                files.add_process(process)
            except OSError:
                kill_tree(process)  # nobody would find it, and so nobody end it
                raise
            self._running[process] = files

    def reap(self) -> None:
        """Forgets processes that ended."""
        for process, files in list(self._running.items()):
            if not process.alive:
                files.forget_process(process.pid)
                del self._running[process]


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
    internals.run_superexec(arguments, AppLauncher(folder, Nursery()))


if __name__ == "__main__":
    run_command(main)
