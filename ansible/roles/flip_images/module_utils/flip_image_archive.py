"""What a `docker save` archive holds, read without Docker, so that a damaged one is known before anything is loaded."""

import hashlib
import json
import subprocess
import tarfile
from contextlib import contextmanager
from pathlib import Path

MAX_DOCUMENT = 1 << 20
REMEDY = "bring the file again and compare its sha256sum with the one it was made with"


class ArchiveError(Exception):
    """The file cannot be used; the text says why and what to do."""


def read(path, zstd="zstd"):
    """The content of a .tar or .tar.zst, as {path, size, bytes, images: [{id, tags, layers, created}]}.

    `size` is the file's, `bytes` the unpacked one; `id` is the digest of an image's configuration, which names its
    layers.

    Raises:
        ArchiveError: not readable, damaged, or no image archive.
    """
    try:
        with _opened(path, zstd) as tar:
            documents, members, size = _scan(tar)
    except FileNotFoundError:
        raise ArchiveError(f"{path} is not there") from None
    except (OSError, tarfile.TarError) as error:
        raise ArchiveError(f"{path} cannot be read ({error}); {REMEDY}") from None
    if "manifest.json" not in documents:
        raise ArchiveError(f"{path} holds no images; an archive is made by `docker save --output FILE IMAGE ...`")
    try:
        manifest = json.loads(documents["manifest.json"])
        images = [_image(path, entry, documents, members) for entry in manifest]
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"{path} is no archive of `docker save` ({error!r}); {REMEDY}") from None
    return {"path": path, "size": Path(path).stat().st_size, "bytes": size, "images": images}


def _image(path, entry, documents, members):
    """One image of the manifest, its configuration held to its digest and its layers to their presence."""
    lacking = [name for name in (entry["Config"], *entry["Layers"]) if name not in members]
    if lacking:
        raise ArchiveError(f"{path} lacks {', '.join(lacking)}; {REMEDY}")
    text = documents[entry["Config"]]
    named = entry["Config"].rpartition("/")[2].removesuffix(".json")
    digest = hashlib.sha256(text).hexdigest()
    if digest != named:
        raise ArchiveError(f"{path} was altered: the configuration {named} has the digest {digest}; {REMEDY}")
    configuration = json.loads(text)
    return {
        "id": f"sha256:{digest}",
        "tags": entry["RepoTags"] or [],
        "layers": configuration["rootfs"]["diff_ids"],
        "created": configuration.get("created", ""),
    }


def _scan(tar):
    """Small files by name (manifest and configurations among them), every name, and the size of all."""
    documents, members, size = {}, set(), 0
    for member in tar:
        members.add(member.name)
        size += member.size
        small = member.isfile() and member.size < MAX_DOCUMENT
        if small and (member.name.endswith(".json") or member.name.startswith("blobs/")):
            documents[member.name] = tar.extractfile(member).read()
    return documents, members, size


@contextmanager
def _opened(path, zstd):
    """The tar in a file, unpacked by the zstd program where the name says so."""
    if not path.endswith(".zst"):
        with tarfile.open(path, "r:") as tar:
            yield tar
        return
    Path(path).stat()  # zstd would say in its own words that there is none
    with subprocess.Popen([zstd, "-dcq", "--", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                yield tar
            while process.stdout.read(1 << 20):
                pass  # what follows the end of the tar, so that zstd compares its checksum
        finally:
            process.stdout.close()
            said = process.stderr.read().decode(errors="replace").strip()
        if process.wait():
            raise OSError(said or f"zstd ended with status {process.returncode}")
