"""Runs a site's SuperNode, and ends the app processes of runs that ended.

Flower tells a SuperNode nothing when a run is stopped: the ClientApp would go on with patient data for a result that
nobody takes. And a ClientApp that dies is noticed only when its lease runs out, a minute later. So while a SuperNode
waits for an app, this asks the SuperLink whether the run still stands, and looks whether the process lives.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import httpx
import typer

from flip_fl.command import run_command
from flip_fl.flower import internals
from flip_fl.flower.files import RunFiles
from flip_fl.processes import end_with_parent, kill_tree

log = logging.getLogger(__name__)

# A process is taken for dead when it was not there so many times in a row: between its end and its
# answer's arrival, and between a task's acquisition and the process, there is a moment.
MISSES = 3


def watch_app(folder: Path, interval: float) -> Callable[[internals.PendingReply, Callable[[], None]], None]:
    """How to wait for an app's answer; see `internals.run_supernode`."""

    def watched(pending: internals.PendingReply, wait: Callable[[], None]) -> None:
        answered = threading.Event()
        watcher = threading.Thread(
            target=_watch, args=(RunFiles(folder, pending.run_id), pending, answered, interval), daemon=True
        )
        watcher.start()
        try:
            wait()
        finally:
            # Not joined: it may be waiting for a SuperLink that is away.
            answered.set()

    return watched


def end_apps(files: RunFiles) -> None:
    """Ends the app processes of a run."""
    for process in files.processes():
        kill_tree(process)


def _watch(files: RunFiles, pending: internals.PendingReply, answered: threading.Event, interval: float) -> None:
    launched, missed = False, 0
    while not answered.wait(interval):
        processes = files.processes()
        launched = launched or bool(processes)
        missed = missed + 1 if launched and not processes else 0
        if missed >= MISSES:
            log.error("the app of run %d ended without an answer", files.run_id)
            pending.give_up()
            return
        try:
            ended = pending.run_ended()
        except httpx.HTTPError as error:
            log.warning("cannot ask whether run %d stands: %s", files.run_id, type(error).__name__)
            continue
        if ended and not answered.is_set():
            log.info("run %d ended; ending its app here", files.run_id)
            end_apps(files)
            pending.give_up()
            return


def main(
    superlink: Annotated[str, typer.Option(help="The front of the FL server, host:port")],
    ca: Annotated[Path, typer.Option(help="CA of the front, PEM")],
    key: Annotated[Path, typer.Option(help="The site's private key, OpenSSH or PEM")],
    name: Annotated[str, typer.Option(help="Name of the trust")],
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1 for the site's SuperExec")],
    folder: Annotated[Path, typer.Option(help="Folder for records and logs of runs")],
    secret: Annotated[Path, typer.Option(help="Secret file shared with the SuperExec")],
    poll_seconds: Annotated[float, typer.Option(help="Longest pause between two looks for work")] = 1.0,
) -> None:
    """Runs a SuperNode. Started by `python -m flip_fl.flower.site`, not by hand."""
    end_with_parent()
    internals.configure_flower("flip-supernode")
    arguments = [
        f"--root-certificates={ca}",
        f"--superlink={superlink}",
        f"--auth-supernode-private-key={key}",
        "--host=127.0.0.1",
        f"--port={port}",
        "--isolation=process",
        f"--superexec-auth-secret-file={secret}",
        f'--node-config=site-name="{name}"',
    ]
    try:
        internals.run_supernode(
            arguments,
            watch_app(folder, 2 * poll_seconds),
            lambda run_id: end_apps(RunFiles(folder, run_id)),
            poll_seconds,
        )
    except Exception:
        log.exception("the SuperNode gave up")
    finally:
        # Flower's API for the SuperExec runs in a thread that never ends: a SuperNode that gave up on a lost SuperLink
        # would stay, idle, and nobody start it again. The supervisor does so after any end that it did not ask for.
        sys.stdout.flush()
        logging.shutdown()
        os._exit(1)


if __name__ == "__main__":
    run_command(main)
