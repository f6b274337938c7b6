"""Images out of Docker, into a packer's store."""

import json
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any

from flip_airlock import AirlockError, libzstd
from flip_airlock.bundle import Say
from flip_airlock.engine import docker
from flip_airlock.manifest import DIGEST, Image
from flip_airlock.pack.blobs import PackStore

GZIP_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
CHUNK = 1 << 20
MANIFEST = "manifest.json"


def take_images(store: PackStore, names: Sequence[str], say: Say) -> list[Image]:
    """Images by name, with all their blobs in the store; those it has are not asked for again.

    Raises:
        AirlockError: Docker lacks one, or does not give it.
    """
    if not names:
        return []
    found = {name: _inspect(name) for name in names}
    lacking = [name for name in names if not _complete(store, found[name])]
    configs = dict(_save(store, lacking, say)) if lacking else {}
    return [_image(store, name, found[name], configs.get(name)) for name in names]


def _inspect(name: str) -> dict[str, Any]:
    try:
        inspected: dict[str, Any] = json.loads(docker("image", "inspect", name))[0]
    except AirlockError as error:
        raise AirlockError(f"{error}; build it first (flipctl images build), or leave it out") from None
    return inspected


def _complete(store: PackStore, inspected: dict[str, Any]) -> bool:
    """Whether the store has an image. An engine that leaves images to containerd does not say its configuration."""
    digests = [inspected["Id"], *inspected["RootFS"]["Layers"]]
    return all(digest.removeprefix("sha256:") in store for digest in digests)


def _image(store: PackStore, name: str, inspected: dict[str, Any], config: str | None) -> Image:
    digest = config or str(inspected["Id"]).removeprefix("sha256:")
    layers = json.loads(b"".join(store.read(digest)))["rootfs"]["diff_ids"]
    made = Image(name, inspected["Architecture"], digest, tuple(layer.removeprefix("sha256:") for layer in layers))
    if gone := [layer for layer in made.layers if layer not in store]:
        raise AirlockError(f"Docker did not give layer {gone[0]} of {name}; build or pull the image again")
    return made


def _save(store: PackStore, names: list[str], say: Say) -> Iterator[tuple[str, str]]:
    """Puts what `docker save` gives into the store; names of images with the digests of their configurations."""
    command = ["docker", "save", *names]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        assert process.stdout is not None  # noqa: S101 - asked for above
        digests, listed, problem = dict[str, str](), list[dict[str, Any]](), "it gave nothing"
        try:
            digests, listed = _members(store, process.stdout, say)
        except tarfile.TarError as error:
            problem = str(error)
            process.kill()
        except BaseException:
            process.kill()
            raise
        status = process.wait()
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip()
    if status or not listed:
        raise AirlockError(f"docker save of {', '.join(names)} failed: {said or problem}")
    for entry in listed:
        for name in entry["RepoTags"] or []:
            if name in names:  # one that the store had before is called by its digest
                yield name, digests.get(entry["Config"], entry["Config"].rpartition("/")[2].removesuffix(".json"))


def _members(store: PackStore, stream: IO[bytes], say: Say) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Digests of all plain files of an archive by name, and its manifest."""
    digests: dict[str, str] = {}
    links: dict[str, str] = {}
    listed: list[dict[str, Any]] = []
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            if member.issym():  # Docker before 25 names a layer that is in the archive twice so
                links[member.name] = member.linkname
            elif member.isfile():
                opened = archive.extractfile(member)
                assert opened is not None  # noqa: S101 - a plain file
                if member.name == MANIFEST:
                    listed = json.load(opened)
                elif not _known(store, member.name):
                    say(f"packing {member.name[:26]} ({member.size >> 20} MiB)")
                    digests[member.name] = store.put(_plain(opened))
    return digests, listed


def _known(store: PackStore, name: str) -> bool:
    digest = name.rpartition("/")[2]
    return bool(DIGEST.fullmatch(digest)) and digest in store


def _plain(file: IO[bytes]) -> Iterator[bytes]:
    """A layer's content: an engine that leaves images to containerd may give it compressed."""
    first = file.read(CHUNK)

    def chunks() -> Iterator[bytes]:
        chunk = first
        while chunk:
            yield chunk
            chunk = file.read(CHUNK)

    if first.startswith(ZSTD_MAGIC):
        yield from libzstd.decompress(chunks())
    elif first.startswith(GZIP_MAGIC):
        opened = zlib.decompressobj(wbits=31)
        for chunk in chunks():
            yield opened.decompress(chunk)
        yield opened.flush()
    else:
        yield from chunks()
