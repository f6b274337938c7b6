"""What provisions a host, as files of a bundle: playbook with roles, example inventories, and Ansible itself."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

from flip_airlock import AirlockError
from flip_airlock.bundle import Say
from flip_airlock.pack.debian import ALWAYS, SUITES
from flip_airlock.provision import PYTHONS

FOLDERS = ("ansible", "inventories", "LICENSE")
NOT_FOR_SITES = re.compile(r"ansible/(molecule|federation)/|ansible/roles/[^/]+/molecule/|inventories/local/")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "any")


def files(root: Path) -> dict[str, Path]:
    """The playbook's files, by where they lie under `playbook/`; those that git knows, without what tests them.

    Raises:
        AirlockError: this is no checkout.
    """
    command = ["git", "-C", str(root), "ls-files", "-z", *FOLDERS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AirlockError(f"{root} is no git checkout, from which the playbook is packed: {done.stderr.strip()}")
    names = [name for name in done.stdout.split("\0") if name and not NOT_FOR_SITES.match(name)]
    return {f"playbook/{name}": root / name for name in names}


def packages(root: Path, suite: str) -> list[str]:
    """Debian packages that the roles install on a host of a suite.

    Raises:
        AirlockError: the roles' defaults are not as they are expected to be.
    """
    roles = root / "ansible" / "roles"
    base = yaml.safe_load((roles / "flip_base/defaults/main.yml").read_text())["flip_base_packages"]
    engines = yaml.safe_load((roles / "flip_docker/vars/main.yml").read_text())["_flip_docker_packages"]
    system = {"bookworm": "debian-12", "trixie": "debian-13", "jammy": "ubuntu-22.04", "noble": "ubuntu-24.04"}[suite]
    elsewhere = [name for name, _ in SUITES[suite].elsewhere]
    return sorted({*ALWAYS, f"python{PYTHONS[suite]}", *base, *engines[system], *elsewhere})


def wheels(root: Path, suite: str, work: Path, say: Say) -> Path:
    """Ansible for a suite's Python, with pip to install it.

    Raises:
        AirlockError: pip cannot fetch it; the text is what it said.
    """
    python = PYTHONS[suite]
    pins = (root / "ansible" / "requirements.txt").read_text().splitlines()
    core = next(line for line in pins if line.startswith("ansible-core=="))
    say(f"fetching {core} for Python {python}")
    platforms = [part for name in PLATFORMS for part in ("--platform", name)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--python-version", python]
    command += [*platforms, "--implementation", "cp", "--dest", str(work), core, "pip"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AirlockError(f"pip could not fetch {core} for Python {python}: {done.stderr.strip()[-2000:]}")
    return work
