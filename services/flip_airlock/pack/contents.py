"""Packages inside a blob, as they say so themselves: Debian's and Python's.

A blob is read once; what was found lies beside it in the packer's store, so that it is not read for the next bundle.
"""

import gzip
import json
import lzma
import posixpath
import re
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from backports import zstd
from packaging.metadata import parse_email

from flip_airlock.pack import licences
from flip_airlock.pack.blobs import PackStore
from flip_airlock.pack.chunks import Chunks

VERSION = 1  # of what is looked for; with another one all blobs are read again
LAYER, DEB, WHEEL = "layer", "deb", "whl"
MOST = 32 << 20  # bytes of a file that is parsed
LONGEST = 200  # letters of a value that is kept

STATUS = re.compile(r"var/lib/dpkg/(status|status\.d/(?!.*\.md5sums$)[^/]+)")
COPYRIGHT = re.compile(r"usr/share/doc/([^/]+)/copyright")
METADATA = re.compile(r"(.*/)?[^/]+(\.dist-info/METADATA|\.egg-info/PKG-INFO|-packages/[^/]+\.egg-info)")
SYSTEM = re.compile(r"(etc|usr/lib)/os-release")
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"

# What the libraries raise for content that is not what its name says.
FAULTS = (
    EOFError,
    KeyError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    zstd.ZstdError,
)


@dataclass(frozen=True, order=True)
class Package:
    """Something installed, or to be installed.

    Attributes:
        kind: `deb` or `pypi`, as package URLs call them.
        name: as it names itself; what cannot be printed is replaced.
        version: the same.
        architecture: Debian's; empty for Python.
        source: name and version of the Debian source package.
        licences: SPDX expressions, or what stood there instead; empty where nothing did.
    """

    kind: str
    name: str
    version: str
    architecture: str = ""
    source: str = ""
    licences: tuple[str, ...] = ()


@dataclass
class Fact:
    """What one file says.

    Attributes:
        packages: that it lists.
        system: distribution and its version, such as `debian 12`.
        licences: that a copyright file names.
        problem: why it could not be read, or not to its end.
    """

    packages: list[Package] = field(default_factory=list)
    system: str = ""
    licences: list[str] = field(default_factory=list)
    problem: str = ""


@dataclass
class Blob:
    """What is inside a blob.

    Attributes:
        facts: by path; for a Debian package or a wheel under the empty one.
        gone: paths of lower layers that a layer takes away, with all that is below.
        hidden: folders of lower layers whose content it takes away.
        problem: why it could not be read, or not to its end.
    """

    facts: dict[str, Fact] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    problem: str = ""


def printable(text: str) -> str:
    """A text as one line that shows what it is: nothing that turns, hides or breaks what stands beside it."""
    shown = "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text.strip())
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 3]}..."


def inside(store: PackStore, digest: str, kind: str) -> Blob:
    """What is inside a blob. To be called while the store is one's own.

    Raises:
        AirlockError: the store does not have it, or has it damaged.
    """
    kept = store.folder / "inside" / f"{digest}.{kind}.json"
    try:
        return _from_document(json.loads(kept.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, or not of this version
    content = Chunks(store.read(digest))
    found = Blob()
    try:
        {LAYER: _read_layer, DEB: _read_deb, WHEEL: _read_wheel}[kind](content, found)
    except FAULTS as error:
        found.problem = printable(f"{type(error).__name__}: {error}")
    for _ in content.stretch(1 << 62):  # to its end, where damage is found
        pass
    part = store.partial / "inside"
    part.write_text(json.dumps({"version": VERSION, **asdict(found)}))
    kept.parent.mkdir(mode=0o700, exist_ok=True)
    part.rename(kept)
    return found


def _from_document(document: dict[str, Any]) -> Blob:
    if document.pop("version") != VERSION:
        raise ValueError("another version")
    facts = document.pop("facts")
    for fact in facts.values():
        fact["packages"] = [Package(**{**each, "licences": tuple(each["licences"])}) for each in fact["packages"]]
    return Blob(facts={path: Fact(**fact) for path, fact in facts.items()}, **document)


def _read_layer(content: Chunks, found: Blob) -> None:
    for member, opened in _members(content):
        path = posixpath.normpath(member.name).lstrip("/")
        folder, _, name = path.rpartition("/")
        if name == OPAQUE:
            found.hidden.append(folder)
        elif name.startswith(WHITEOUT):
            found.gone.append(posixpath.join(folder, name.removeprefix(WHITEOUT)))
        elif member.issym():
            found.hidden.append(path)  # instead of a folder below, if there is one
        elif STATUS.fullmatch(path) or COPYRIGHT.fullmatch(path) or METADATA.fullmatch(path) or SYSTEM.fullmatch(path):
            if opened is None:
                found.facts[path] = Fact(problem="" if member.isdir() else "is a link or a device")
            else:
                found.facts[path] = _fact(path, opened.read(MOST + 1))


def _members(content: IO[bytes] | Chunks) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    with tarfile.open(fileobj=content, mode="r|") as archive:  # type: ignore[call-overload]
        for member in archive:
            yield member, archive.extractfile(member) if member.isfile() else None
            archive.members = []  # else it keeps them all


def _fact(path: str, content: bytes) -> Fact:
    if len(content) > MOST:
        return Fact(problem=f"has more than {MOST} bytes")
    if STATUS.fullmatch(path):
        return _status(content, several=path.endswith("/status"))
    text = content.decode(errors="replace")
    if COPYRIGHT.fullmatch(path):
        return Fact(licences=licences.of_copyright(text))
    if SYSTEM.fullmatch(path):
        given = dict(re.findall(r"^(ID|VERSION_ID)=[\"']?([^\"'\n]*)", text, re.MULTILINE))
        return Fact(system=printable(f"{given.get('ID', '')} {given.get('VERSION_ID', '')}"))
    return _metadata(content)


def _metadata(content: bytes) -> Fact:
    """A Python distribution: https://packaging.python.org/en/latest/specifications/core-metadata/"""
    try:
        text, problem = content.decode(), ""
    except UnicodeDecodeError:
        text, problem = content.decode(errors="replace"), "is not UTF-8; what could not be read stands as \ufffd"
    given, _ = parse_email(text)
    if not _valid(given.get("name")) or not given.get("version"):
        return Fact(problem="has no name or no version")
    licence = licences.of_metadata(given.get("license_expression"), given.get("license"), given.get("classifiers"))
    package = Package("pypi", printable(given["name"]), printable(given["version"]), licences=tuple(licence))
    return Fact([package], problem=problem)


def _status(content: bytes, *, several: bool) -> Fact:
    """Debian's list of packages, or one of its paragraphs. The list ends with an empty line: else it is cut off."""
    fact = Fact()
    if several and content and not content.endswith(b"\n\n"):
        fact.problem = "is cut off; packages may be missing"
    for paragraph in re.split(r"\n[ \t]*\n", content.decode(errors="replace")):
        given = _fields(paragraph)
        if not given or (several and given.get("Status", "installed").split()[-1:] != ["installed"]):
            continue
        if package := _debian(given):
            fact.packages.append(package)
        else:
            fact.problem = "has a paragraph without name or version; packages may be missing"
    return fact


def _fields(paragraph: str) -> dict[str, str]:
    """First lines of a paragraph's fields."""
    return dict(re.findall(r"^([A-Za-z][A-Za-z0-9-]*):[ \t]*(.*?)[ \t\r]*$", paragraph, re.MULTILINE))


def _valid(name: str | None) -> bool:
    """Whether a package can be called so: package URLs have no name with a slash."""
    return bool(name and printable(name)) and "/" not in str(name)


def _debian(given: Mapping[str, str]) -> Package | None:
    if not _valid(given.get("Package")) or not given.get("Version"):
        return None
    name, version = printable(given["Package"]), printable(given["Version"])
    source, _, other = given.get("Source", "").partition(" ")
    source_version = other.strip(" ()") or given["Version"]
    return Package(
        "deb", name, version, printable(given.get("Architecture", "")), printable(f"{source or name} {source_version}")
    )


def _read_deb(content: Chunks, found: Blob) -> None:
    """A Debian package, deb(5): an archive of ar with the archives control.tar and data.tar."""
    if content.read(8) != b"!<arch>\n":
        raise ValueError("no Debian package")
    given: dict[str, str] = {}
    named: list[str] = []
    while header := content.read(60):
        name, size = header[:16].rstrip(b" /").decode("ascii", "replace"), int(header[48:58])
        stretch = content.stretch(size)
        if name.startswith("control.tar") and (text := _file(name, stretch, "control")) is not None:
            given = _fields(text)
        elif name.startswith("data.tar") and given.get("Package"):
            text = _file(name, stretch, f"usr/share/doc/{given['Package']}/copyright")
            named = licences.of_copyright(text or "")
        for _ in stretch:
            pass
        content.read(size % 2)
    package = _debian(given)
    if package is None:
        raise ValueError("it has no control file with name and version")
    found.facts[""] = Fact([Package(**{**asdict(package), "licences": tuple(named)})])


def _file(name: str, stretch: Iterator[bytes], wanted: str) -> str | None:
    """A file out of one of the archives in a Debian package."""
    packed: Any = Chunks(stretch)
    openers: dict[str, Any] = {".gz": gzip.open, ".xz": lzma.open, ".zst": zstd.open}
    opener = openers.get(posixpath.splitext(name)[1])
    for member, opened in _members(opener(packed) if opener else packed):
        if posixpath.normpath(member.name) == wanted and opened is not None:
            return opened.read(MOST).decode(errors="replace")
    return None


def _read_wheel(content: Chunks, found: Blob) -> None:
    with tempfile.TemporaryFile() as file:
        for chunk in content.stretch(1 << 62):
            file.write(chunk)
        with zipfile.ZipFile(file) as archive:
            name = next((name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)), None)
            if name is None:
                raise ValueError("no wheel: it has no METADATA")
            with archive.open(name) as opened:
                found.facts[""] = _fact(name, opened.read(MOST + 1))
