"""Images that systemd hosts in containers are started from, and archives of the images they deploy."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SAVED = ROOT / ".flip" / "host-images"
OTHERS = ("alloy", "grafana", "loki", "prometheus")
# Of images that only an operator can build, or that come from other makers' registries.
STAND_INS = {"xnat-web": ROOT / "tests/support/xnat_stand_in"} | {
    name: ROOT / "tests/support/observability_stand_ins" / name for name in OTHERS
}


class Distribution(NamedTuple):
    """Where the packages of its suites come from, and debootstrap's script, since an older one lacks newer suites."""

    keyring: str
    keyring_package: str
    mirror: str
    components: str
    script: str
    pockets: tuple[str, ...] = ()


class Suite(NamedTuple):
    """What hosts are made of, and the packages of its engine and of Compose 2 where it has that."""

    distribution: Distribution
    engine: str


KEYRINGS = Path("/usr/share/keyrings")
DEBIAN = Distribution(
    keyring="debian-archive-keyring.gpg",
    keyring_package="debian-archive-keyring",
    mirror="http://deb.debian.org/debian",
    components="main",
    script="sid",
)
UBUNTU = Distribution(
    keyring="ubuntu-archive-keyring.gpg",
    keyring_package="ubuntu-keyring (on Debian 12: sh ansible/molecule/debian13_packages.sh ubuntu-keyring)",
    mirror="http://archive.ubuntu.com/ubuntu",
    components="main,universe",  # Docker is in universe
    script="gutsy",
    pockets=("updates", "security"),  # Compose 2 came to Ubuntu 22.04 as an update
)
SUITES = {
    "bookworm": Suite(DEBIAN, "docker.io"),
    "trixie": Suite(DEBIAN, "docker.io docker-cli docker-compose"),
    "jammy": Suite(UBUNTU, "docker.io docker-compose-v2"),
    "noble": Suite(UBUNTU, "docker.io docker-compose-v2"),
}


class StepError(Exception):
    """Something the caller must look at; the text says what."""


def run(*command: str, cwd: Path = HERE, env: dict[str, str] | None = None) -> None:
    """Runs a command with its output shown; a failure is `StepError`."""
    done = subprocess.run(command, cwd=cwd, env=env, check=False)
    if done.returncode:
        raise StepError(f"`{' '.join(command)}` failed with exit status {done.returncode}")


def image_id(tag: str) -> str:
    """The id of an image of this machine's engine; empty where there is none.

    Raises:
        StepError: no engine answers.
    """
    if subprocess.run(("docker", "info"), capture_output=True, check=False).returncode:
        raise StepError("Docker does not answer: start it, or run on a machine that has it")
    command = ("docker", "image", "inspect", "--format", "{{.Id}}", tag)
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def made_of(tag: str, label: str, wanted: str) -> bool:
    """Whether an image is there, and its label `flip.molecule.LABEL` has this value."""
    command = ("docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "flip.molecule.{label}"}}}}', tag)
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() == wanted


def digest(*files: Path) -> str:
    """SHA-256 of these files of the checkout, their names included; folders stand for all that is in them."""
    every = {file for one in files for file in ([one] if one.is_file() else one.rglob("*"))}
    whole = hashlib.sha256()
    for file in sorted(file for file in every if file.is_file() and "__pycache__" not in file.parts):
        whole.update(f"{file.relative_to(ROOT)} {file.stat().st_size} ".encode() + file.read_bytes())
    return whole.hexdigest()


def bare_host(suite: str) -> str:
    """The image of a bare systemd host; made if it is not there, or of an older script.

    Making one needs root, debootstrap and the suite's keyring.

    Raises:
        StepError: one of these is missing.
    """
    tag = f"flip-molecule-host:{suite}"
    if made_of(tag, "made-by", hashlib.sha256((HERE / "host_image.sh").read_bytes()).hexdigest()):
        return tag
    there = SUITES[suite].distribution
    keyring = KEYRINGS / there.keyring
    if os.geteuid() != 0:
        raise StepError(f"making {tag} needs root: run it with sudo")
    if shutil.which("debootstrap") is None:
        raise StepError(f"making {tag} needs debootstrap: apt-get install debootstrap")
    if not keyring.exists():
        raise StepError(f"making {tag} needs {keyring}: install the package {there.keyring_package}")
    place = (str(keyring), there.mirror, there.components, there.script, *there.pockets)
    run("sh", "host_image.sh", suite, tag, *place)
    return tag


def engine_host(suite: str) -> str:
    """The same host with Docker and Compose 2 in it, for scenarios of what runs on an engine."""
    tag = f"flip-molecule-engine:{suite}"
    arguments = (f"--build-arg=HOST={bare_host(suite)}", f"--build-arg=ENGINE={SUITES[suite].engine}")
    run("docker", "build", "--quiet", f"--tag={tag}", *arguments, "--file=engine.Dockerfile", ".")
    return tag


def release() -> str:
    """The version that images of this checkout carry as tag."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def named_in(scenarios: list[Path]) -> list[str]:
    """Images that these molecule.yml name in `flip_images`."""
    found = re.findall(r"flip_images: \[(.*?)\]", "".join(file.read_text(encoding="utf-8") for file in scenarios))
    return sorted({name for names in found for name in names.split(", ")})


def saved(names: list[str]) -> Path:
    """The folder with an archive NAME.tar of each image, saved anew when the image is another one.

    Raises:
        StepError: an image of this release is not there.
    """
    SAVED.mkdir(parents=True, exist_ok=True)
    with (SAVED / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in names:
            tag, archive, stamp = f"flip/{name}:{release()}", SAVED / f"{name}.tar", SAVED / f"{name}.id"
            if name in STAND_INS:
                built = (f"--build-arg=RELEASE={release()}", f"--tag={tag}", str(STAND_INS[name]))
                run("docker", "buildx", "build", "--load", "--quiet", *built)
            there = image_id(tag)
            if not there:
                raise StepError(f"image {tag} is not there: make it with `flipctl images build {name}`")
            if archive.exists() and stamp.exists() and stamp.read_text() == there:
                continue
            stamp.unlink(missing_ok=True)
            run("docker", "save", "--output", f"{archive}.new", tag)
            Path(f"{archive}.new").replace(archive)
            stamp.write_text(there)
    return SAVED
