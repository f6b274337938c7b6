"""Images that systemd hosts in containers are started from, and archives of the images they deploy."""

import fcntl
import re
import subprocess
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SAVED = ROOT / ".flip" / "host-images"
OTHERS = ("alloy", "grafana", "loki", "prometheus")
# Of images that only an operator can build, or that come from other makers' registries.
STAND_INS = {"xnat-web": ROOT / "tests/support/xnat_stand_in"} | {
    name: ROOT / "tests/support/observability_stand_ins" / name for name in OTHERS
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


def bare_host(suite: str) -> str:
    """The image of a bare systemd host; made if it is not there, which needs root and debootstrap."""
    tag = f"flip-molecule-host:{suite}"
    if not image_id(tag):
        run("sh", "host_image.sh", suite, tag)
    return tag


def engine_host(suite: str) -> str:
    """The same host with Docker and Compose 2 in it, for scenarios of what runs on an engine."""
    tag = f"flip-molecule-engine:{suite}"
    if not image_id(tag):
        arguments = [f"--build-arg=HOST={bare_host(suite)}", f"--build-arg=SUITE={suite}", "--file=engine.Dockerfile"]
        run("docker", "build", "--quiet", f"--tag={tag}", *arguments, ".")
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
