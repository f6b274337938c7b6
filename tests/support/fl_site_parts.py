"""What tests of a site start from: its settings, and small child processes."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flip_fl.certs import make_net_certificates
from flip_fl.processes import ProcessId, free_port

SLEEP = "import time; time.sleep(60)"


@contextmanager
def child(code: str) -> Iterator[tuple[subprocess.Popen[bytes], ProcessId]]:
    """A Python process that says `up`."""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            identity = ProcessId.of(process.pid)
            assert identity is not None
            yield process, identity
        finally:
            process.kill()


async def until(condition: Callable[[], Any], timeout: float = 20.0) -> None:
    """Waits for a condition."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def site_environment(tmp_path: Path) -> dict[str, str]:
    """Settings of a site, which nobody answers."""
    return {
        "SUPERNODE_NAME": "Trust_A",
        "FL_SERVER_ADDRESS": f"localhost:{free_port()}",
        "FL_SERVER_CA_FILE": str(make_net_certificates(tmp_path / "certificates").ca),
        "FL_SITE_DIR": str(tmp_path / "site"),
        "FL_POLL_SECONDS": "0.2",
        "DATA_ACCESS_API_URL": "http://127.0.0.1:8010",
        "IMAGING_API_URL": "http://127.0.0.1:8001",
        "TRUST_APP_SERVICE_KEY": "flip_trust_key_0123456789",
        "IMAGES_DIR": str(tmp_path / "images"),
    }


def env_file(path: Path, values: dict[str, str]) -> Path:
    """Writes an env file."""
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return path
