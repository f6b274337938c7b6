"""What a bundle says that it holds. docs/airlock-format.md has the format in words.

Read at a site before anything of the bundle is unpacked, so every value is checked here, and a manifest that is not
written exactly as `Manifest.text` would write it is refused.
"""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TypeVar

from flip_airlock import AirlockError

FORMAT = "flip-airlock/1"
MAX_BYTES = 64 << 20
MAX_SIZE = 1 << 43  # 8 TiB, of one blob
MAX_PREFIX = 64 << 20
MAX_CHAIN = 8  # patches that a blob may be made by, one after the other
RAW, ZSTD, PATCH = "raw", "zst", "patch"  # also the endings of files

DIGEST = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
RELEASE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
REFERENCE = re.compile(r"[a-z0-9][a-z0-9._/:-]{0,199}:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
PATH_PART = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9._+~@:=-]{0,199}|\.[A-Za-z0-9_][A-Za-z0-9._+-]{0,198}")

T = TypeVar("T")


def _fail(what: str, value: object, wanted: str) -> AirlockError:
    return AirlockError(f"the manifest is not valid: {what} is {value!r:.200}; it has to be {wanted}")


def _text(what: str, value: object, pattern: re.Pattern[str]) -> None:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _fail(what, value, f"a text like {pattern.pattern}")


def _number(what: str, value: object, least: int, most: int = MAX_SIZE) -> None:
    if type(value) is not int or not least <= value <= most:
        raise _fail(what, value, f"a whole number from {least} to {most}")


@dataclass(frozen=True)
class File:
    """A file beside the manifest: a segment, or something a person reads."""

    name: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        _text("a file's name", self.name, NAME)
        _number(f"size of {self.name}", self.size, 0)
        _text(f"sha256 of {self.name}", self.sha256, DIGEST)


@dataclass(frozen=True)
class Part:
    """A stretch of a segment: its number from 0, and where in it."""

    segment: int
    offset: int
    size: int

    def __post_init__(self) -> None:
        _number("a part's segment", self.segment, 0)
        _number("a part's offset", self.offset, 0)
        _number("a part's size", self.size, 1)


@dataclass(frozen=True)
class Piece:
    """A stretch of a blob made against a stretch of another.

    `size` bytes of the blob are a zstd frame of `stored` bytes, with the `span` bytes from `start` of the base as its
    prefix.
    """

    size: int
    stored: int
    start: int
    span: int

    def __post_init__(self) -> None:
        _number("a piece's size", self.size, 1, MAX_PREFIX)
        _number("a piece's stored size", self.stored, 1, 2 * MAX_PREFIX)
        _number("a piece's start", self.start, 0)
        _number("a piece's span", self.span, 0, MAX_PREFIX)


@dataclass(frozen=True)
class Stored:
    """How a blob travels: its parts, one after the other, are `size` bytes with digest `sha256`."""

    encoding: str
    size: int
    sha256: str
    parts: tuple[Part, ...]
    base: str | None = None
    pieces: tuple[Piece, ...] = ()

    def __post_init__(self) -> None:
        if self.encoding not in (RAW, ZSTD, PATCH):
            raise _fail("an encoding", self.encoding, f"{RAW}, {ZSTD} or {PATCH}")
        _number("a stored size", self.size, 0)
        _text("a stored sha256", self.sha256, DIGEST)
        if sum(part.size for part in self.parts) != self.size:
            raise _fail("the sum of a blob's parts", sum(part.size for part in self.parts), f"its size, {self.size}")
        if (self.encoding == PATCH) != (self.base is not None) or (self.encoding == PATCH) != bool(self.pieces):
            raise _fail("a base", self.base, f"there with pieces for {PATCH}, and for nothing else")
        if self.base is not None:
            _text("a base", self.base, DIGEST)
            if sum(piece.stored for piece in self.pieces) != self.size:
                raise _fail("the sum of a patch's pieces", self.pieces, f"its size, {self.size}")
            if any(a.start > b.start for a, b in zip(self.pieces, self.pieces[1:], strict=False)):
                raise _fail("the order of a patch's pieces", self.pieces, "that of their starts in the base")


@dataclass(frozen=True)
class Blob:
    """A content, named by its sha256. `stored` is None where the site has it already."""

    digest: str
    size: int
    stored: Stored | None

    def __post_init__(self) -> None:
        _text("a blob's digest", self.digest, DIGEST)
        _number(f"size of blob {self.digest}", self.size, 0)
        if self.stored and self.stored.encoding == RAW and self.stored.size != self.size:
            raise _fail(f"stored size of blob {self.digest}", self.stored.size, f"its size, {self.size}")
        if self.stored and self.stored.pieces and sum(piece.size for piece in self.stored.pieces) != self.size:
            raise _fail(f"the sum of the pieces of blob {self.digest}", self.stored.pieces, f"its size, {self.size}")


@dataclass(frozen=True)
class Image:
    """An image: its name with tag, and the blobs of its configuration and of its layers, the lowest first."""

    name: str
    architecture: str
    config: str
    layers: tuple[str, ...]

    def __post_init__(self) -> None:
        _text("an image's name", self.name, REFERENCE)
        _text(f"architecture of {self.name}", self.architecture, NAME)


@dataclass(frozen=True)
class Entry:
    """A plain file: where it lies under the release's folder, and its blob."""

    path: str
    blob: str

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.path).parts if isinstance(self.path, str) else ()
        if not parts or "/".join(parts) != self.path or len(self.path) > 1000:
            raise _fail("a path", self.path, "a relative one without empty parts")
        for part in parts:
            _text(f"a part of the path {self.path!r:.200}", part, PATH_PART)


@dataclass(frozen=True)
class Baseline:
    """The site's inventory that a bundle was made against: its sha256, and whose it is."""

    site: str
    inventory: str

    def __post_init__(self) -> None:
        _text("the baseline's site", self.site, NAME)
        _text("the baseline's inventory", self.inventory, DIGEST)


@dataclass(frozen=True)
class Manifest:
    """A whole bundle. `counter` grows with every release; `revision` is the commit it was made from."""

    release: str
    counter: int
    revision: str
    baseline: Baseline | None
    images: tuple[Image, ...]
    files: tuple[Entry, ...]
    blobs: tuple[Blob, ...]
    segments: tuple[File, ...]
    extras: tuple[File, ...]
    format: str = FORMAT

    def __post_init__(self) -> None:
        _text("the release", self.release, RELEASE)
        _number("the counter", self.counter, 1, 1 << 53)
        _text("the revision", self.revision, RELEASE)
        self._once("blob", [blob.digest for blob in self.blobs])
        self._once("image", [image.name for image in self.images])
        self._once("path", [entry.path for entry in self.files])
        self._once("file", [file.name.lower() for file in (*self.segments, *self.extras)])
        self._paths_do_not_cross()
        self._blobs_are_there()
        self._parts_lie_in_segments()

    def _once(self, what: str, values: list[str]) -> None:
        if again := [value for value, times in Counter(values).items() if times > 1]:
            raise _fail(f"a {what}", again[0], "there once, and is there again")

    def _paths_do_not_cross(self) -> None:
        paths = {entry.path for entry in self.files}
        for path in paths:
            for parent in PurePosixPath(path).parents:
                if str(parent) in paths:
                    raise _fail("a path", path, f"no longer than {parent}, which is a file")

    def _blobs_are_there(self) -> None:
        known = self.by_digest
        wanted = [(f"image {image.name}", digest) for image in self.images for digest in (image.config, *image.layers)]
        wanted += [(f"file {entry.path}", entry.blob) for entry in self.files]
        for blob in self.blobs:
            if blob.stored and blob.stored.base is not None:
                wanted.append((f"blob {blob.digest}", blob.stored.base))
        for who, digest in wanted:
            if digest not in known:
                raise _fail(f"a blob of {who}", digest, "in the list of blobs")
        for blob in self.blobs:
            at, patches = blob, 0
            while at.stored and at.stored.base is not None:
                at, patches = known[at.stored.base], patches + 1
                if patches > MAX_CHAIN:
                    raise _fail("a base", at.digest, f"made by {MAX_CHAIN} patches at most, and not of itself")
            for piece in blob.stored.pieces if blob.stored else ():
                if piece.start + piece.span > known[str(blob.stored and blob.stored.base)].size:
                    raise _fail(f"a piece of blob {blob.digest}", piece, "within its base")

    def _parts_lie_in_segments(self) -> None:
        for blob in self.blobs:
            for part in blob.stored.parts if blob.stored else ():
                if part.segment >= len(self.segments) or part.offset + part.size > self.segments[part.segment].size:
                    raise _fail(f"a part of blob {blob.digest}", part, "within a segment")

    @property
    def by_digest(self) -> dict[str, Blob]:
        """Blobs by their digest."""
        return {blob.digest: blob for blob in self.blobs}

    @property
    def text(self) -> bytes:
        """The file's content."""
        return write(dataclasses.asdict(self))

    def segments_of(self, digests: set[str]) -> set[int]:
        """Numbers of the segments that hold these blobs."""
        return {
            part.segment for blob in self.blobs if blob.digest in digests and blob.stored for part in blob.stored.parts
        }


def write(document: object) -> bytes:
    """The one way a document is written: keys in order, no space that could be left out, ASCII, a line's end."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def read(text: bytes) -> Manifest:
    """The manifest of a file's content.

    Raises:
        AirlockError: not valid; the text names the value.
    """
    if len(text) > MAX_BYTES:
        raise AirlockError(f"the manifest has {len(text)} bytes; no more than {MAX_BYTES} are read")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AirlockError(f"the manifest is not valid: {error!s:.200}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        found = document.get("format") if isinstance(document, dict) else document
        raise AirlockError(
            f"the manifest has format {found!r:.100}, this program reads {FORMAT}; use the release's own"
        )
    made = _manifest(document)
    if made.text != text:
        raise AirlockError("the manifest is not written as it has to be (key twice, spaces, or order)")
    return made


def _manifest(document: dict[str, Any]) -> Manifest:
    given = dict(_fields(Manifest, document, "the manifest"))
    return Manifest(
        **given
        | {
            "baseline": None if given["baseline"] is None else _one(Baseline, given["baseline"]),
            "images": tuple(_images(given["images"])),
            "files": tuple(_many(Entry, given["files"])),
            "blobs": tuple(_blobs(given["blobs"])),
            "segments": tuple(_many(File, given["segments"])),
            "extras": tuple(_many(File, given["extras"])),
        }
    )


def _fields(kind: type, document: object, what: str) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(kind)}
    if not isinstance(document, dict) or document.keys() != names:
        raise _fail(what, document, f"an object with {', '.join(sorted(names))}")
    return document


def _one(kind: type[T], document: object) -> T:
    return kind(**_fields(kind, document, kind.__name__.lower()))


def _list(what: str, documents: object) -> list[Any]:
    if not isinstance(documents, list):
        raise _fail(what, documents, "a list")
    return documents


def _many(kind: type[T], documents: object) -> Iterator[T]:
    for document in _list(kind.__name__.lower(), documents):
        yield _one(kind, document)


def _images(documents: object) -> Iterator[Image]:
    for document in _list("images", documents):
        given = _fields(Image, document, "image")
        layers = _list("layers", given["layers"])
        for digest in (given["config"], *layers):
            _text("an image's blob", digest, DIGEST)
        yield Image(**given | {"layers": tuple(layers)})


def _blobs(documents: object) -> Iterator[Blob]:
    for document in _list("blobs", documents):
        given = _fields(Blob, document, "blob")
        stored = given["stored"]
        if stored is not None:
            inner = _fields(Stored, stored, "stored")
            lists = {"parts": tuple(_many(Part, inner["parts"])), "pieces": tuple(_many(Piece, inner["pieces"]))}
            stored = Stored(**inner | lists)
        yield Blob(**given | {"stored": stored})
