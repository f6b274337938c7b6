"""A real HTTP proxy (proxy.py) as a hospital has it: with a password, or one that looks into TLS."""

import contextlib
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

START_SECONDS = 30


class Proxy:
    """A running proxy."""

    def __init__(self, port: int, log: Path, sign_in: str) -> None:
        self._port, self._log, self._sign_in = port, log, sign_in

    @property
    def url(self) -> str:
        sign_in = f"{urllib.parse.quote(self._sign_in, safe=':')}@" if self._sign_in else ""
        return f"http://{sign_in}127.0.0.1:{self._port}"

    def passed(self, what: str) -> bool:
        """Whether the proxy's access log has a line with these words."""
        return any("access_log" in line and what in line for line in self._log.read_text().splitlines())


@contextlib.contextmanager
def http_proxy(
    folder: Path, sign_in: str = "", looks_into_tls: Path | None = None, trusts: Path | None = None
) -> Iterator[Proxy]:
    """A proxy on loopback. `looks_into_tls`: the authority (its key beside it) whose certificates it shows."""
    folder.mkdir()
    port_file, log = folder / "port", folder / "log"
    options = ["--hostname=127.0.0.1", "--port=0", f"--port-file={port_file}", f"--log-file={log}"]
    options += ["--num-acceptors=1", "--num-workers=1", f"--data-dir={folder}"]
    if sign_in:
        options.append(f"--basic-auth={sign_in}")
    if looks_into_tls:
        key = looks_into_tls.with_name("ca.key")
        options += [f"--ca-cert-file={looks_into_tls}", f"--ca-key-file={key}", f"--ca-signing-key-file={key}"]
        options += [f"--ca-cert-dir={folder / 'certificates'}", f"--ca-file={trusts}"]
        (folder / "certificates").mkdir()
    process = subprocess.Popen([sys.executable, "-m", "proxy", *options], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (port_file.exists() and port_file.read_text().strip()):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "the proxy does not start"
            time.sleep(0.05)
        yield Proxy(int(port_file.read_text()), log, sign_in)
    finally:
        process.terminate()
        process.wait(START_SECONDS)
