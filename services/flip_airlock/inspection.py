"""What a bundle holds, told to people and programs."""

from collections import Counter
from pathlib import Path
from typing import Any

from flip_airlock.bundle import read_proof
from flip_airlock.manifest import Manifest, read


def read_unsigned(folder: Path) -> Manifest:
    """A bundle's manifest, whoever made it.

    Raises:
        AirlockError: it is no bundle.
    """
    return read(read_proof(folder).manifest)


def describe(content: Manifest) -> dict[str, Any]:
    """What there is to know of a bundle without its segments."""
    sizes = {blob.digest: blob for blob in content.blobs}
    return {
        "release": content.release,
        "counter": content.counter,
        "revision": content.revision,
        "for": content.baseline.site if content.baseline else None,
        "images": [
            {
                "name": image.name,
                "architecture": image.architecture,
                "id": f"sha256:{image.config}",
                "layers": len(image.layers),
                "bytes": sum(sizes[digest].size for digest in image.layers),
                "travelling": sum(blob.stored.size for each in image.layers if (blob := sizes[each]).stored),
            }
            for image in content.images
        ],
        "files": [{"path": each.path, "sha256": each.blob, "bytes": sizes[each.blob].size} for each in content.files],
        "blobs": dict(Counter(blob.stored.encoding if blob.stored else "at the site" for blob in content.blobs)),
        "segments": [vars(file) for file in content.segments],
        "bytes": sum(file.size for file in content.segments),
    }


def text(document: dict[str, Any]) -> str:
    """The same as lines."""
    whose = f"for {document['for']} alone" if document["for"] else "for any site"
    lines = [f"release {document['release']}, counter {document['counter']}, revision {document['revision']}, {whose}"]
    lines += ["", "images:"] if document["images"] else []
    lines += [
        f"  {each['name']}  {each['architecture']}  {each['layers']} layers, {_mb(each['bytes'])} unpacked, "
        f"{_mb(each['travelling'])} in this bundle\n    {each['id']}"
        for each in document["images"]
    ]
    lines += ["", "files:"] if document["files"] else []
    lines += [f"  {each['path']}  {_mb(each['bytes'])}" for each in document["files"]]
    lines += ["", f"segments: {_mb(document['bytes'])}"]
    lines += [f"  {each['name']}  {_mb(each['size'])}  {each['sha256']}" for each in document["segments"]]
    return "\n".join(lines)


def difference(old: Manifest, new: Manifest) -> dict[str, Any]:
    """What changed; images by their name without the release's tag."""
    before = {image.name.rpartition(":")[0]: image for image in old.images}
    after = {image.name.rpartition(":")[0]: image for image in new.images}
    files = ({each.path: each.blob for each in old.files}, {each.path: each.blob for each in new.files})
    return {
        "from": old.release,
        "to": new.release,
        "images": {
            **_changes({name: each.config for name, each in before.items()}, {n: e.config for n, e in after.items()}),
            "new_layers": {
                name: len(set(image.layers) - set(before[name].layers))
                for name, image in sorted(after.items())
                if name in before and image.config != before[name].config
            },
        },
        "files": _changes(*files),
    }


def _changes(before: dict[str, str], after: dict[str, str]) -> dict[str, Any]:
    return {
        "added": sorted(after.keys() - before.keys()),
        "removed": sorted(before.keys() - after.keys()),
        "changed": sorted(name for name in before.keys() & after.keys() if before[name] != after[name]),
    }


def difference_text(document: dict[str, Any]) -> str:
    """The same as lines."""
    lines = [f"from {document['from']} to {document['to']}"]
    for what in ("images", "files"):
        for how in ("added", "removed", "changed"):
            for name in document[what][how]:
                layers = document[what].get("new_layers", {}).get(name)
                lines.append(f"  {how} {name}" + (f" ({layers} new layers)" if layers is not None else ""))
    return "\n".join(lines) if len(lines) > 1 else f"{lines[0]}: nothing"


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
