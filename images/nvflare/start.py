#!/usr/bin/env python3
"""Becomes NVIDIA FLARE's dashboard, or its server.

flip-nvflare dashboard    # over /data, with /config/service.env; kits are made with properties.json beside it
flip-nvflare server       # the startup kit's, which is mounted as /workspace/startup and /workspace/local
"""

import os
import shutil
import sys
from pathlib import Path

CONFIG = Path("/config")
DATA = Path("/data")
WORKSPACE = Path("/workspace")
PORT = 8080
# The first start makes the project admin of it, and each start wants it there.
NEEDED = ("NVFL_CREDENTIAL", "NVFL_DASHBOARD_PP", "SECRET_KEY")


class StartError(Exception):
    """It cannot start; the text says why and what to do."""


def settings(path: Path) -> dict[str, str]:
    """What the env file says.

    Raises:
        StartError: it cannot be read, or lacks one of `NEEDED`.
    """
    from dotenv import dotenv_values  # noqa: PLC0415 - the server goes without

    try:
        with path.open(encoding="utf-8") as file:
            found = {name: value for name, value in dotenv_values(stream=file, interpolate=False).items() if value}
    except OSError as error:
        raise StartError(f"{path}: {error.strerror}; mount it readable for uid {os.getuid()}") from None
    if missing := [name for name in NEEDED if name not in found]:
        raise StartError(f"{path} lacks {', '.join(missing)}")
    return found


def dashboard() -> tuple[list[str], dict[str, str]]:
    """The command, and what it finds in its environment, which no command line and no definition of a container has.

    One process: two would seed the database at once. It speaks plain HTTP, for a front with TLS on the same host.
    """
    properties = CONFIG / "properties.json"
    if properties.exists():
        shutil.copyfile(properties, DATA / properties.name)
    options = ["--workers=1", "--threads=8", f"--bind=0.0.0.0:{PORT}", "--worker-tmp-dir=/tmp", "--no-control-socket"]
    own = {**settings(CONFIG / "service.env"), "NVFL_WEB_ROOT": str(DATA)}
    return ["gunicorn", *options, "--access-logfile=-", "nvflare.dashboard.wsgi:app"], own


def server() -> tuple[list[str], dict[str, str]]:
    """The command, which is the kit's own.

    Raises:
        StartError: there is no kit.
    """
    script = WORKSPACE / "startup/sub_start.sh"
    if not script.is_file():
        raise StartError(f"{script} is missing: mount the server's startup kit")
    return ["bash", str(script), "--once"], {"HOME": str(WORKSPACE)}


ROLES = {"dashboard": dashboard, "server": server}


def main(arguments: list[str]) -> None:
    """Entry point: becomes what is asked for, or raises StartError."""
    if len(arguments) != 1 or arguments[0] not in ROLES:
        raise StartError(f"which? {' or '.join(ROLES)}")
    command, own = ROLES[arguments[0]]()
    os.umask(0o077)
    os.execvpe(command[0], command, {**os.environ, **own})  # noqa: S606 - becomes it


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except StartError as error:
        sys.exit(f"flip-nvflare: {error}")
