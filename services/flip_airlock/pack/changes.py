"""What a bundle changes at the site that it is for."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from flip_airlock.manifest import Image, Manifest
from flip_airlock.pack import parts
from flip_airlock.pack.blobs import PackStore
from flip_airlock.pack.contents import Package
from flip_airlock.pack.parts import Part
from flip_airlock.records import Inventory

NEW, CHANGED, CONFIGURATION, UNCHANGED = "new", "changed", "configuration", "unchanged"


def older(image: Image, have: Inventory | None) -> tuple[str, tuple[str, ...]]:
    """Name and layers of the image of the same name that a site has, of the release that counts there if it has more.

    Empty where it has none.
    """
    repository = image.name.rpartition(":")[0]
    same = [name for name in have.images if name.rpartition(":")[0] == repository] if have else []
    if have is None or not same:
        return "", ()
    name = max(same, key=lambda name: (name.rpartition(":")[2] == have.release, name))
    return name, have.images[name]


def changes(store: PackStore, content: Manifest, images: Sequence[Part], have: Inventory) -> dict[str, Any]:
    """What is new against what a site said that it has. To be called while the store is one's own."""
    listed = [_image(store, image, part, have) for image, part in zip(content.images, images, strict=True)]
    kept = {image.name.rpartition(":")[0] for image in content.images}
    return {
        "release": have.release,
        "counter": have.counter,
        "images": listed,
        "not_in_release": sorted(name for name in have.images if name.rpartition(":")[0] not in kept),
        "files": {
            "new": sorted(entry.path for entry in content.files if entry.blob not in have.blobs),
            "there": sum(entry.blob in have.blobs for entry in content.files),
        },
    }


def _image(store: PackStore, image: Image, part: Part, have: Inventory) -> dict[str, Any]:
    was, layers = older(image, have)
    if not was:
        status = NEW
    elif layers != image.layers:
        status = CHANGED
    else:
        status = UNCHANGED if image.config in have.blobs else CONFIGURATION
    packages: dict[str, Any] | None = None
    if was and all(layer in store for layer in layers):
        _, before, _ = parts.of_layers(store, layers)
        packages = _packages(before, part.packages)
    return {
        "name": image.name,
        "was": was or None,
        "status": status,
        "new_layers": len(set(image.layers) - set(layers)),
        "packages": packages,
    }


def _packages(before: Sequence[Package], after: Sequence[Package]) -> dict[str, Any]:
    old, new = _versions(before), _versions(after)
    return {
        "added": [_told(key, to=new[key]) for key in sorted(new.keys() - old.keys())],
        "removed": [_told(key, was=old[key]) for key in sorted(old.keys() - new.keys())],
        "changed": [
            _told(key, was=old[key], to=new[key]) for key in sorted(old.keys() & new.keys()) if old[key] != new[key]
        ],
    }


def _versions(packages: Sequence[Package]) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for package in packages:
        found[package.kind, package.name].add(package.version)
    return {key: sorted(versions) for key, versions in found.items()}


def _told(key: tuple[str, str], **versions: list[str]) -> dict[str, Any]:
    return {"kind": key[0], "name": key[1], **{what: ", ".join(each) for what, each in versions.items()}}
