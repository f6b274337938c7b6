"""Docker engines beside the machine's own, with nothing in them."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

START_SECONDS = 60


class PrivateEngine:
    """A Docker engine with nothing in it, beside the machine's: own containerd, own folders, no network."""

    def __init__(self, folder: Path, *, by_containerd: bool) -> None:
        self.folder, self.by_containerd = folder, by_containerd
        self.host = f"unix://{folder}/docker.sock"
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        socket = self.folder / "containerd.sock"
        store = str(self.by_containerd).lower()
        (self.folder / "daemon.json").write_text(f'{{"features": {{"containerd-snapshotter": {store}}}}}')
        options = {"root": "containerd", "state": "containerd-state"}
        given = [part for name, value in options.items() for part in (f"--{name}", str(self.folder / value))]
        self._run("containerd", *given, "--address", str(socket))
        options = {"data-root": "docker", "exec-root": "docker-state", "pidfile": "docker.pid"}
        given = [part for name, value in options.items() for part in (f"--{name}", str(self.folder / value))]
        given += ["--containerd", str(socket), "--host", self.host, "--config-file", str(self.folder / "daemon.json")]
        self._wait(socket.exists)
        self._run("dockerd", *given, "--bridge", "none", "--iptables=false", "--ip6tables=false")
        self._wait(lambda: not subprocess.run(["docker", "info"], capture_output=True, check=False).returncode)

    def _run(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.log").open("ab") as log:
            # In a network of its own: an engine without a bridge removes docker0, which is another engine's.
            alone = ["unshare", "--net", *command]
            self.processes.append(subprocess.Popen(alone, stdout=log, stderr=log, start_new_session=True))

    def _wait(self, ready: Callable[[], object]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            assert time.monotonic() < deadline, (self.folder / "dockerd.log").read_text()[-3000:]
            time.sleep(0.1)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends it; what it holds stays."""
        for process in reversed(self.processes):
            process.send_signal(how)
            process.wait(60)
        self.processes.clear()
        for left in ("docker.pid", "docker.sock", "containerd.sock"):
            (self.folder / left).unlink(missing_ok=True)

    def remove(self) -> None:
        """Ends it, and removes all that it holds."""
        self.stop()
        subprocess.run(["umount", "--recursive", str(self.folder / "docker")], check=False, capture_output=True)
        shutil.rmtree(self.folder)
