"""Docker at a site: what images it has, and how it is given what it lacks."""

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from flip_airlock import AirlockError, tar
from flip_airlock.manifest import Image

CONTAINERD = Path("/var/lib/containerd")
BLOBS = "blobs/sha256"
WHAT_RUNS = ("Cmd", "Entrypoint", "Env", "Labels", "User", "WorkingDir")

Read = Callable[[str], tuple[int, Iterator[bytes]]]


@dataclass(frozen=True)
class Engine:
    """A Docker engine that answers.

    `chains` are the layers, from the lowest on, that it has unpacked: those it does not ask for again. An engine that
    leaves images to containerd asks for all, so it has none.
    """

    root: Path
    by_containerd: bool
    images: dict[str, dict[str, Any]]
    chains: frozenset[tuple[str, ...]]

    def has(self, image: Image, config: dict[str, Any]) -> bool:
        """Whether an image is here under its name.

        Engines that leave images to containerd know them by another digest: there layers, time and what runs decide.
        """
        found = self.images.get(image.name)
        if found is None:
            return False
        if not self.by_containerd or found["Id"] == f"sha256:{image.config}":
            return bool(found["Id"] == f"sha256:{image.config}")
        layers = [f"sha256:{digest}" for digest in image.layers]
        runs, wanted = found.get("Config") or {}, config.get("config") or {}
        same = all((runs.get(name) or None) == (wanted.get(name) or None) for name in WHAT_RUNS)
        return same and (found["RootFS"].get("Layers"), found.get("Created")) == (layers, config.get("created"))

    def lacks(self, image: Image) -> list[str]:
        """Digests of the layers that it has to be given to take an image."""
        layers = tuple(f"sha256:{digest}" for digest in image.layers)
        return [digest for at, digest in enumerate(image.layers, 1) if layers[:at] not in self.chains]


def docker(*arguments: str) -> str:
    """What `docker` prints.

    Raises:
        AirlockError: it failed; the text is what it said.
    """
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)  # noqa: S607 - by PATH
    except FileNotFoundError:
        raise AirlockError("docker is not installed here; the playbook installs it from the bundle's files") from None
    if done.returncode:
        raise AirlockError(f"docker {' '.join(arguments[:2])}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def look() -> Engine:
    """The engine of this host and what it holds.

    Raises:
        AirlockError: none answers.
    """
    info = json.loads(docker("info", "--format", "{{json .}}"))
    if not info.get("ServerVersion"):
        raise AirlockError(f"no Docker engine answers: {'; '.join(info.get('ServerErrors') or ['it said nothing'])}")
    drivers = dict(info.get("DriverStatus") or [])
    by_containerd = drivers.get("driver-type", "").startswith("io.containerd.snapshotter.")
    ids = sorted(set(docker("image", "ls", "--all", "--quiet", "--no-trunc").split()))
    listed: list[dict[str, Any]] = json.loads(docker("image", "inspect", *ids)) if ids else []
    chains = set[tuple[str, ...]]()
    for each in listed if not by_containerd else ():
        layers = tuple(each["RootFS"].get("Layers") or ())
        chains.update(layers[:at] for at in range(1, len(layers) + 1))
    return Engine(
        CONTAINERD if by_containerd else Path(info["DockerRootDir"]),
        by_containerd,
        {tag: each for each in listed for tag in each.get("RepoTags") or []},
        frozenset(chains),
    )


def load(images: Iterable[tuple[Image, list[str]]], read: Read) -> None:
    """Streams images into the engine.

    Args:
        images: images, each with the layers that the engine lacks.
        read: size and content of a blob.

    Raises:
        AirlockError: the engine did not take them, or a content could not be read. It keeps none of them then.
    """
    with subprocess.Popen(
        ["docker", "load", "--quiet"],  # noqa: S607 - by PATH
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - asked for above
        try:
            _write(process.stdin, list(images), read)
            process.stdin.close()
            broken = None
        except BrokenPipeError as error:  # what the engine says is why
            broken = error
        except BaseException:
            process.kill()  # before the stream ends: half an archive must not look like a whole one
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        said = process.stdout.read().decode(errors="replace").strip()
    if process.returncode or broken:
        raise AirlockError(f"docker load ended with status {process.returncode}: {said}; run the same command again")


def _write(stream: IO[bytes], images: list[tuple[Image, list[str]]], read: Read) -> None:
    """An archive that every engine loads: a manifest of `docker save` over blobs as OCI names them."""
    listed = [
        {
            "Config": f"{BLOBS}/{image.config}",
            "RepoTags": [image.name],
            "Layers": [f"{BLOBS}/{digest}" for digest in image.layers],
        }
        for image, _ in images
    ]
    text = json.dumps(listed).encode()
    done = {"manifest.json"}
    stream.writelines(tar.member("manifest.json", len(text), [text]))
    for image, layers in images:
        for digest in (image.config, *layers):
            if digest not in done:
                done.add(digest)
                stream.writelines(tar.member(f"{BLOBS}/{digest}", *read(digest)))
    stream.write(tar.END)
