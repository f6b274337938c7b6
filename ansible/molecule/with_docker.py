"""Runs a command with a Docker engine: this machine's own, or one for as long as the command lasts.

    python3 ansible/molecule/with_docker.py COMMAND...            # exit status of the command
    python3 ansible/molecule/with_docker.py --or-skip COMMAND...  # 0 where there can be no engine; not in CI

What was left out, and why, is noted in .flip/skipped for the end of `make test`.

Root on Debian or Ubuntu gets what is missing (Docker, its plugins, debootstrap) from the distribution.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from host_images import ROOT, StepError

LOG = ROOT / ".flip" / "dockerd.log"
SKIPPED = ROOT / ".flip" / "skipped"
START_SECONDS = 60
BOOTED = Path("/run/systemd/system")


def answers() -> bool:
    """Whether a Docker engine does."""
    try:
        return not subprocess.run(("docker", "info"), capture_output=True, check=False).returncode
    except FileNotFoundError:
        return False


def installed() -> None:
    """Installs what is missing, or says what to install.

    Raises:
        StepError: something is missing still.
    """
    command = (sys.executable, str(ROOT / "services/flipctl/bootstrap.py"), "docker")
    if subprocess.run(command, check=False).returncode:
        raise StepError("Docker, or what the hosts' images are made with, is missing")


@contextlib.contextmanager
def engine() -> Iterator[None]:
    """An engine that answers; one that was started for this is stopped again, one that systemd keeps is not.

    Raises:
        StepError: there is none, and none can be started.
    """
    if answers():
        yield
        return
    if os.geteuid():
        raise StepError("Docker does not answer this user: start it, or have yourself let in")
    if BOOTED.is_dir():
        subprocess.run(("systemctl", "start", "docker"), check=False)
        if not answers():
            raise StepError("Docker does not start: journalctl -u docker")
        yield
        return
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("wb") as log:
        # In a session of its own, where Ctrl-C does not reach it.
        daemon = subprocess.Popen("dockerd", stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers():
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise StepError(f"dockerd does not start, see {LOG}")
            time.sleep(0.5)
        yield
    finally:
        daemon.terminate()
        daemon.wait()


def main(arguments: list[str]) -> int:
    """Entry point; returns the exit status."""
    may_skip = arguments[:1] == ["--or-skip"]
    command = arguments[may_skip:]
    if not command:
        print(__doc__)
        return 2
    # Ctrl-C is the command's to answer; what it must clean up needs the engine.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        installed()
        with engine():
            return subprocess.run(command, check=False).returncode
    except StepError as error:
        print(f"docker: {error}", file=sys.stderr)
        if not may_skip or os.environ.get("CI") == "true":
            return 1
        SKIPPED.parent.mkdir(exist_ok=True)
        with SKIPPED.open("a", encoding="utf-8") as note:
            note.write(f"SKIPPED: {' '.join(command)}: {error}\n")
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
