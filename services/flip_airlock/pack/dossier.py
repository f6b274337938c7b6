"""What an approver reads: a page, and the same for programs, beside two bills of materials."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import PurePosixPath
from typing import Any

from backports import zstd
from jinja2 import Environment, StrictUndefined

from flip_airlock import inspection
from flip_airlock.bundle import SIGNATURE, SUMS
from flip_airlock.manifest import File, Manifest
from flip_airlock.pack import parts, sbom
from flip_airlock.pack.blobs import PackStore
from flip_airlock.pack.changes import changes
from flip_airlock.pack.parts import Part
from flip_airlock.records import Inventory
from flip_airlock.signature import BUNDLE

FORMAT = "flip-airlock-dossier/1"
PAGE, DOCUMENT, CYCLONEDX, SPDX = "dossier.html", "dossier.json", "sbom.cdx.json", "sbom.spdx.json"
TEMPLATE = "dossier.html.jinja"
CHECK = (
    f"ssh-keygen -Y verify -n {BUNDLE} -f ../allowed_signers -I SIGNER -s {SIGNATURE} < {SUMS}",
    f"sha256sum -c --strict {SUMS}",
)
EVIDENCE = (
    "Scan results, this dossier and the bills of materials are evidence: what the packer says. No site accepts them in "
    "place of its own checks."
)
NO_LICENCE = "not known"


def made(store: PackStore, content: Manifest, have: Inventory | None, others: Mapping[str, bytes]) -> dict[str, bytes]:
    """The dossier's files by name. To be called while the store is one's own.

    Args:
        store: has every blob of the bundle.
        content: the bundle without any file but the segments.
        have: what the site that it is for has; None where it is for any.
        others: files that lie beside the segments too, by name.

    Raises:
        AirlockError: a blob is damaged.
    """
    release = sbom.Release(content.release, content.counter, content.revision)
    images = [parts.of_image(store, image) for image in content.images]
    files = [parts.of_file(store, entry) for entry in content.files]
    bills = {
        CYCLONEDX: sbom.cyclonedx(release, [*images, *files]),
        SPDX: sbom.spdx(release, [*images, *files]),
    }
    document = {
        **_described(store, content, images, files),
        "format": FORMAT,
        "check": list(CHECK),
        "changes": changes(store, content, images, have) if have else None,
        "extras": [vars(_file(name, text)) for name, text in sorted({**others, **bills}.items())],
        "tools": {"flip": sbom.VERSION, "libzstd": zstd.zstd_version},
        "notes": [EVIDENCE, sbom.NOT_COVERED],
    }
    text = json.dumps(document, sort_keys=True, indent=1).encode() + b"\n"
    return {**bills, DOCUMENT: text, PAGE: page(document).encode()}


def _file(name: str, content: bytes) -> File:
    return File(name, len(content), hashlib.sha256(content).hexdigest())


def _described(store: PackStore, content: Manifest, images: list[Part], files: list[Part]) -> dict[str, Any]:
    document = inspection.describe(content)
    blobs = content.by_digest
    for image, part in zip(document["images"], images, strict=True):
        image.update(system=part.system, user=_user(store, part.digest), packages=len(part.packages))
    for file, part in zip(document["files"], files, strict=True):
        stored = blobs[part.digest].stored
        file.update(travelling=stored.size if stored else 0)
    packages = parts.by_purl([*images, *files])
    listed = [
        {
            "purl": name,
            "kind": package.kind,
            "name": package.name,
            "version": package.version,
            "licences": list(package.licences),
            "in": [part.name for part in holders],
        }
        for name, (package, holders) in packages.items()
    ]
    counted = Counter(licence for each in listed for licence in each["licences"] or [NO_LICENCE])
    document.update(
        packages=listed,
        licences=[{"licence": name, "packages": counted[name]} for name in sorted(counted)],
        problems=[f"{part.name}: {problem}" for part in (*images, *files) for problem in part.problems],
    )
    return document


def _user(store: PackStore, config: str) -> str:
    """Whom an image's programs run as unless told otherwise; empty is root."""
    try:
        given = json.loads(b"".join(store.read(config)))
        return str(given["config"].get("User") or "")
    except (ValueError, KeyError, AttributeError, TypeError):
        return ""


def page(document: dict[str, Any]) -> str:
    """The page: one file without scripts, that loads nothing."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["size"] = _size
    template = resources.files("flip_airlock.pack").joinpath(TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(template).render(
        document,
        whose=document["for"],
        folders=_folders(document["files"]),
        holders={package["purl"]: _holders(package["in"], document["images"]) for package in document["packages"]},
        changed=_changed_packages(document["changes"]),
        kinds=Counter(package["kind"] for package in document["packages"]),
        unlicensed=Counter(package["kind"] for package in document["packages"] if not package["licences"]),
        no_licence=NO_LICENCE,
        sums=SUMS,
        signature=SIGNATURE,
    )


def _size(count: int) -> str:
    for unit, bytes_of_it in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= bytes_of_it:
            return f"{count / bytes_of_it:.1f} {unit}"
    return f"{count} B"


def _holders(names: Sequence[str], images: Sequence[Mapping[str, Any]]) -> str:
    """Where a package is, in few words: images without the tag, and none by name where it is in all; files' folders."""
    tagged = [image["name"] for image in images]
    told = [name.rpartition(":")[0] for name in names if name in tagged]
    if len(tagged) > 1 and len(told) == len(tagged):
        told = ["all images"]
    folders = {str(PurePosixPath(name).parent) for name in names if name not in tagged}
    return ", ".join([*told, *sorted(folders)])


def _folders(files: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Files by the folders they lie in, two levels deep."""
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for file in files:
        found["/".join(PurePosixPath(file["path"]).parts[:-1][:2])].append(file)
    return [
        {
            "name": name,
            "files": len(each),
            "bytes": sum(file["bytes"] for file in each),
            "travelling": sum(file["travelling"] for file in each),
        }
        for name, each in sorted(found.items())
    ]


def _changed_packages(document: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Changes of packages once each, with the images that have them."""
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for image in document["images"] if document else ():
        for how, packages in (image["packages"] or {}).items():
            for each in packages:
                found[each["name"], each["kind"], how, each.get("was", ""), each.get("to", "")].append(image["name"])
    keys = ("name", "kind", "how", "was", "to")
    images = document["images"] if document else []
    return [
        {**dict(zip(keys, key, strict=True)), "images": _holders(names, images)} for key, names in sorted(found.items())
    ]
