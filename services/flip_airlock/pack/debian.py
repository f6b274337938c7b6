"""Debian packages for hosts without internet: all that the roles install and all that these need, as an apt source.

apt itself chooses and checks them, with lists, keys and state of its own: what the packing machine has installed plays
no part, so that what is packed is enough for the barest host.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flip_airlock import AirlockError
from flip_airlock.bundle import Say

KEYRINGS = Path("/usr/share/keyrings")
ARCHITECTURE = "amd64"
# Beside what the roles' defaults name: what a host has to have for the playbook, and what roles bring by name.
ALWAYS = ("nftables", "openssh-client", "python3", "python3-apt", "systemd-timesyncd")


@dataclass(frozen=True)
class Suite:
    """A release of a distribution.

    Attributes:
        keyring: what its lists are signed with, and the package that has it.
        sources: URL, suite and components of each of its parts.
        elsewhere: packages that stand alone and that it lacks, by the suite that has them.
    """

    keyring: tuple[str, str]
    sources: tuple[tuple[str, str, str], ...]
    elsewhere: tuple[tuple[str, str], ...] = ()


def _debian(name: str, *elsewhere: tuple[str, str]) -> Suite:
    main, security = "http://deb.debian.org/debian", "http://deb.debian.org/debian-security"
    sources = ((main, name, "main"), (main, f"{name}-updates", "main"), (security, f"{name}-security", "main"))
    return Suite(("debian-archive-keyring.gpg", "debian-archive-keyring"), sources, elsewhere)


def _ubuntu(name: str) -> Suite:
    url, parts = "http://archive.ubuntu.com/ubuntu", (name, f"{name}-updates", f"{name}-security")
    sources = tuple((url, part, "main universe") for part in parts)
    return Suite(("ubuntu-archive-keyring.gpg", "ubuntu-keyring"), sources)


SUITES = {
    "bookworm": _debian("bookworm", ("docker-compose", "trixie")),
    "trixie": _debian("trixie"),
    "jammy": _ubuntu("jammy"),
    "noble": _ubuntu("noble"),
}


def fetch(name: str, packages: Sequence[str], more: Sequence[str], work: Path, say: Say) -> Path:
    """Fetches packages of a suite with all that they need; returns the folder, an apt source.

    Args:
        name: the suite.
        packages: what is wanted.
        more: further apt sources, whole lines.
        work: an empty folder.
        say: told what is being done.

    Raises:
        AirlockError: a program or key is missing, or apt cannot do it; the text is what it said.
    """
    suite = SUITES[name]
    for program, package in (("apt-get", "apt"), ("apt-ftparchive", "apt-utils")):
        if shutil.which(program) is None:
            raise AirlockError(f"{program} is missing, so no Debian packages can be packed: install {package}")
    out = work / "out"
    out.mkdir()
    say(f"choosing packages of {name}")
    elsewhere = [package for package, _ in suite.elsewhere]
    apt = _Apt(work / name, suite, more)
    wanted = [package for package in packages if package not in elsewhere]
    apt.run("install", "--download-only", "--no-install-recommends", "--yes", *wanted)
    for package, other in suite.elsewhere:
        if package in packages:
            _Apt(work / other, SUITES[other], ()).run("download", package, folder=apt.archives)
    for deb in apt.archives.glob("*.deb"):
        package, version, rest = deb.name.split("_")
        deb.rename(out / f"{package}_{version.rpartition('%3a')[2]}_{rest}")
    there = {deb.name.split("_")[0] for deb in out.iterdir()}
    if missing := sorted({re.split("[=/]", package)[0] for package in packages} - there):  # NAME=VERSION, NAME/SUITE
        raise AirlockError(f"no package of {name} has the name {', '.join(missing)}: give the names of real packages")
    (out / "Packages").write_text(_run(["apt-ftparchive", "packages", "."], out, {}), encoding="utf-8")
    return out


class _Apt:
    """apt-get with its own lists and nothing installed."""

    def __init__(self, folder: Path, suite: Suite, more: Sequence[str]) -> None:
        keyring, package = KEYRINGS / suite.keyring[0], suite.keyring[1]
        if not keyring.is_file():
            raise AirlockError(f"{keyring} is missing, by which packages are checked: install {package}")
        self.archives = folder / "cache" / "archives"
        for path in (self.archives / "partial", folder / "lists" / "partial"):
            path.mkdir(parents=True)
        (folder / "status").touch()
        lines = [f"deb [signed-by={keyring}] {url} {name} {parts}" for url, name, parts in suite.sources]
        # Of a source on this machine (`file:`) apt would only note where the packages lie; `copy:` brings them.
        lines += [re.sub(r"(?<=\s)file:", "copy:", line) for line in more]
        (folder / "sources.list").write_text("".join(f"{line}\n" for line in lines))
        options = {
            "APT::Architecture": ARCHITECTURE,
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Dir::Cache": folder / "cache",
            "Dir::Etc::sourcelist": folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State::lists": folder / "lists",
            "Dir::State::status": folder / "status",
        }
        self._command = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
        self.run("update")

    def run(self, *arguments: str, folder: Path | None = None) -> None:
        """Runs a command of apt-get."""
        _run([*self._command, *arguments], folder or self.archives, {"DEBIAN_FRONTEND": "noninteractive"})


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AirlockError(f"{command[0]} failed with status {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout
