"""Sets this checkout up: a virtual environment with pinned packages, and what the tests need from Debian.

Runs on a bare Python, before anything is installed, so it uses the standard library only:

    python3 services/flipctl/bootstrap.py demo     # what `make demo` needs: no root, nothing outside .venv
    python3 services/flipctl/bootstrap.py dev      # what `make test` needs: also what Debian has of it
    python3 services/flipctl/bootstrap.py docker   # Docker, and what hosts in containers are made with; no .venv
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
MIN_PYTHON = (3, 11)
PINS = ("pyproject.toml", "constraints.txt", "services/flip/pyproject.toml")
# Commands the tests run for real, the packages that bring them, and where Debian puts them.
DEBIAN = {
    "Orthanc": ("orthanc", "orthanc-dicomweb"),
    "storescu": ("dcmtk",),
    "zstd": ("zstd",),
    "apt-ftparchive": ("apt-utils",),
    "ssh-keygen": ("openssh-client",),
    "promtool": ("prometheus",),
}
# The same of Docker, by release: Debian 12 has neither plugin, and takes Debian 13's.
DOCKER = {
    "bookworm": ("docker.io",),
    "trixie": ("docker.io", "docker-cli", "docker-buildx", "docker-compose"),
    "jammy": ("docker.io", "docker-buildx", "docker-compose-v2"),
    "noble": ("docker.io", "docker-buildx", "docker-compose-v2"),
}
PLUGINS = ("buildx", "compose")
PLUGINS_OF_DEBIAN_13 = "ansible/molecule/debian13_packages.sh"
HOST_TOOLS = ("debootstrap", "mmdebstrap")
SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/usr/bin"])


class SetupError(Exception):
    """Something the user must do first; the text says what."""


def say(text: str) -> None:
    """One line of progress."""
    print(f"setup: {text}", flush=True)  # noqa: T201 - this is the user interface


def run(*command: str, env: dict[str, str] | None = None) -> None:
    """Runs a command; its output is shown only if it fails."""
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
        raise SetupError(f"`{' '.join(command)}` failed with exit status {done.returncode}:\n{tail}")


def apt_install(packages: list[str]) -> None:
    """Installs Debian packages without letting them start services; removes none for it, such as another Docker."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    run("apt-get", "update", "-q", env=env)
    run("apt-get", "install", "-y", "-q", "--no-install-recommends", "--no-remove", *packages, env=env)


def can_apt() -> bool:
    """Whether this is root on Debian or Ubuntu."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def make_venv() -> None:
    """Creates `.venv`; where Debian left `ensurepip` out, installs it (root) or says how."""
    if PYTHON.exists():
        return
    say(f"creating {VENV.name} with Python {sys.version.split()[0]}")
    try:
        run(sys.executable, "-m", "venv", str(VENV))
    except SetupError as error:
        shutil.rmtree(VENV, ignore_errors=True)
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        if not can_apt():
            raise SetupError(
                f"Python has no venv module here. Install it: apt-get install {package}\n{error}"
            ) from error
        say(f"installing {package}")
        apt_install([package])
        run(sys.executable, "-m", "venv", str(VENV))


def install(extra: str) -> None:
    """Installs the pinned packages, once per content of the pin files."""
    digest = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in PINS)).hexdigest()
    stamp = VENV / f"flip-{extra}.stamp"
    if stamp.exists() and stamp.read_text() == digest:
        return
    say(f"installing Python packages for '{extra}' (pinned in constraints.txt; a minute or two)")
    run(str(PYTHON), "-m", "pip", "install", "-q", "--upgrade", "pip")
    run(
        str(PYTHON),
        "-m",
        "pip",
        "install",
        "-q",
        "-c",
        "constraints.txt",
        "-e",
        "services/flip",
        "-e",
        f".[{extra}]",
    )
    stamp.write_text(digest)


def install_debian() -> None:
    """Brings the real PACS and DICOM tools the tests run against."""
    missing = [name for name in DEBIAN if shutil.which(name, path=SYSTEM_PATH) is None]
    packages = [package for name in missing for package in DEBIAN[name]]
    if not packages:
        return
    if can_apt():
        say(f"installing {', '.join(packages)}")
        apt_install(packages)
        return
    hint = f"for the tests that need {', '.join(missing)}: apt-get install {' '.join(packages)}"
    if os.environ.get("CI") == "true":
        raise SetupError(f"CI lacks a part. Install it {hint}")
    say(f"not root on Debian or Ubuntu; {hint}. Without them those tests are skipped and listed at the end.")


def lacking() -> list[str]:
    """Of Docker, its plugins and the tools that hosts' images are made with, what is not here."""
    tools = [name for name in ("dockerd", *HOST_TOOLS) if shutil.which(name, path=SYSTEM_PATH) is None]
    docker = shutil.which("docker")
    if docker is None:
        return ["docker", *tools, *PLUGINS]
    found = [subprocess.run((docker, name, "version"), capture_output=True, check=False) for name in PLUGINS]
    return tools + [name for name, done in zip(PLUGINS, found, strict=True) if done.returncode]


def install_docker() -> None:
    """Brings Docker, where it is not here, and what hosts in containers are made with."""
    missing = lacking()
    if not missing:
        return
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "") if can_apt() else ""
    if release not in DOCKER:
        raise SetupError(f"install {', '.join(missing)} first; root on {', '.join(DOCKER)} gets them by itself")
    say(f"installing {', '.join(missing)}")
    engine = DOCKER[release] if set(missing) - set(HOST_TOOLS) else ()
    apt_install([*engine, *HOST_TOOLS])
    plugins = [f"docker-{name}" for name in PLUGINS if name in missing]
    if release == "bookworm" and plugins:
        run("sh", PLUGINS_OF_DEBIAN_13, *plugins)
    if missing := lacking():
        raise SetupError(f"still missing after the installation: {', '.join(missing)}")


def main(arguments: list[str]) -> int:
    """Entry point; returns the exit status."""
    if arguments not in (["demo"], ["dev"], ["docker"]):
        say("usage: bootstrap.py demo|dev|docker")
        return 2
    if sys.version_info < MIN_PYTHON:
        say(f"Python {sys.version.split()[0]} is too old; FLIP needs 3.11 or newer")
        return 2
    started = time.monotonic()
    try:
        if arguments == ["docker"]:
            install_docker()
        else:
            make_venv()
            install(arguments[0])
        if arguments == ["dev"]:
            install_debian()
    except SetupError as error:
        say(str(error))
        return 1
    if time.monotonic() - started > 2:
        say(f"ready after {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
