"""What a release consists of: images and files, each with the packages inside it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from packageurl import PackageURL

from flip_airlock.manifest import Entry, Image
from flip_airlock.pack import contents
from flip_airlock.pack.blobs import PackStore
from flip_airlock.pack.contents import Blob, Fact, Package

IMAGE, FILE = "image", "file"


@dataclass(frozen=True)
class Part:
    """An image or a file.

    Attributes:
        kind: `image` or `file`.
        name: an image's with tag, or a file's path at the site.
        digest: of an image's configuration, which Docker calls its id, or of the file.
        system: distribution of an image and its version; empty where it has none.
        packages: what is inside, in order.
        problems: what could not be read, as sentences; empty where all could.
    """

    kind: str
    name: str
    digest: str
    system: str
    packages: tuple[Package, ...]
    problems: tuple[str, ...]


def of_image(store: PackStore, image: Image) -> Part:
    """An image with what is inside. To be called while the store is one's own."""
    system, packages, problems = of_layers(store, image.layers)
    return Part(IMAGE, image.name, image.config, system, packages, problems)


def of_file(store: PackStore, entry: Entry) -> Part:
    """A file; Debian packages and wheels with what they say. To be called while the store is one's own."""
    kind = PurePosixPath(entry.path).suffix.removeprefix(".")
    if kind not in (contents.DEB, contents.WHEEL):
        return Part(FILE, entry.path, entry.blob, "", (), ())
    blob = contents.inside(store, entry.blob, kind)
    packages = [package for fact in blob.facts.values() for package in fact.packages]
    problems = [f"it could not be read ({blob.problem})"] if blob.problem else []
    problems += [f"its metadata {fact.problem}" for fact in blob.facts.values() if fact.problem]
    return Part(FILE, entry.path, entry.blob, "", tuple(packages), tuple(problems))


def of_layers(store: PackStore, layers: Sequence[str]) -> tuple[str, tuple[Package, ...], tuple[str, ...]]:
    """System, packages and problems of layers that lie one upon the other, the lowest first."""
    seen: dict[str, Fact] = {}
    problems = []
    for digest in layers:
        blob = contents.inside(store, digest, contents.LAYER)
        seen = {path: fact for path, fact in seen.items() if not _hides(blob, path)} | blob.facts
        if blob.problem:
            problems.append(f"layer {digest} could not be read to its end ({blob.problem}); packages may be missing")
    problems += [f"{contents.printable(path)} {fact.problem}" for path, fact in seen.items() if fact.problem]
    named = {
        found[1]: tuple(fact.licences) for path, fact in seen.items() if (found := contents.COPYRIGHT.fullmatch(path))
    }
    packages = {
        replace(package, licences=named.get(package.name, ())) if package.kind == "deb" else package
        for fact in seen.values()
        for package in fact.packages
    }
    systems = [seen[path].system for path in ("etc/os-release", "usr/lib/os-release") if path in seen]
    return next(filter(None, systems), ""), tuple(sorted(packages)), tuple(sorted(problems))


def _hides(upper: Blob, path: str) -> bool:
    """Whether a layer takes away what a lower one has at a path."""
    above = ["", *map(str, PurePosixPath(path).parents)]
    return path in upper.gone or any(parent in upper.gone or parent in upper.hidden for parent in above)


def url(package: Package, system: str) -> PackageURL:
    """A package's URL, https://github.com/package-url/purl-spec; a Debian one names the system that it is from."""
    if package.kind != "deb":
        return PackageURL(package.kind, None, package.name, package.version)
    vendor = system.partition(" ")[0]
    qualifiers = {"arch": package.architecture, "distro": system.replace(" ", "-") if vendor else ""}
    return PackageURL("deb", vendor or None, package.name, package.version, qualifiers)


def purl(package: Package, system: str) -> str:
    """The URL as text."""
    return url(package, system).to_string()


def by_purl(parts: Sequence[Part]) -> dict[str, tuple[Package, list[Part]]]:
    """Every package once, in order, and the parts that it is in. Licences that one of them tells hold for all."""
    found: dict[str, tuple[Package, list[Part]]] = {}
    for name, package, part in _each(parts):
        before, holders = found.setdefault(name, (package, []))
        licences = tuple(sorted({*before.licences, *package.licences}))
        found[name] = replace(before, licences=licences), holders
        if part not in holders:
            holders.append(part)
    return dict(sorted(found.items()))


def _each(parts: Sequence[Part]) -> Iterator[tuple[str, Package, Part]]:
    for part in parts:
        for package in part.packages:
            yield purl(package, part.system), package, part
