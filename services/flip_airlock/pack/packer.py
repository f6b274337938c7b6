"""A release becomes a bundle. The same images and files make the same bytes, on whatever machine."""

import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from flip_airlock import AirlockError, signature
from flip_airlock.bundle import MANIFEST, SUMS, Say, sums_of
from flip_airlock.manifest import PATCH, Baseline, Blob, Entry, File, Image, Manifest, Piece, Stored
from flip_airlock.pack import delta, dossier
from flip_airlock.pack.blobs import PackStore
from flip_airlock.pack.changes import older
from flip_airlock.pack.images import take_images
from flip_airlock.pack.segments import Segments
from flip_airlock.records import Inventory
from flip_airlock.store import chunks_of

PATCH_GAIN = 0.9  # of the whole blob's size a patch has to have at most to be worth it


@dataclass(frozen=True)
class Order:
    """What is to be packed.

    Attributes:
        release: its name.
        counter: larger than that of every release before.
        revision: the commit it was made from.
        images: names with tag, as Docker here knows them.
        files: files by the path they are to have at the site.
        extras: files beside the segments, for a person or to begin with, by name.
        limit: bytes that no file may exceed.
        have: the inventory of the site it is for; None for a bundle that every site can load.
    """

    release: str
    counter: int
    revision: str
    images: tuple[str, ...]
    files: Mapping[str, Path]
    extras: Mapping[str, Path]
    limit: int
    have: Inventory | None = None


def pack(order: Order, store: PackStore, folder: Path, key: Path, say: Say = lambda _: None) -> Manifest:
    """Writes a bundle into a folder, which has to be empty or not there.

    Raises:
        AirlockError: something to pack is missing, or the folder is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise AirlockError(f"{folder} is not empty; name another folder")
    with store.alone():
        folder.mkdir(parents=True, exist_ok=True)
        content = _write(order, store, folder, None, say)
    text = content.text
    (folder / MANIFEST).write_bytes(text)
    (folder / SUMS).write_bytes(sums_of(content, text))
    signature.sign(folder / SUMS, key, signature.BUNDLE)
    return content


def pack_again(order: Order, store: PackStore, folder: Path, names: list[str], say: Say = lambda _: None) -> None:
    """Writes some segments of a bundle again, into the folder where its manifest lies.

    Raises:
        AirlockError: they are none of the bundle's, or would not be the same as before.
    """
    if not (folder / MANIFEST).is_file():
        raise AirlockError(f"{folder} has no {MANIFEST}: --out has to be the folder of the bundle that was packed")
    before = (folder / MANIFEST).read_bytes()
    stem = _stem(order)
    found = [re.fullmatch(re.escape(stem) + r"\.(\d{4})\.tar", name) for name in names]
    if not all(found):
        raise AirlockError(f"{', '.join(names)}: the segments of this bundle are called {stem}.NUMBER.tar")
    numbers = {int(each[1]) - 1 for each in found if each}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".again-") as made, store.alone():
        content = _write(order, store, Path(made), numbers, say)
        if content.text != before:
            raise AirlockError(
                f"{folder} was packed from something else than is here now, or with other options; pack it as a whole"
            )
        for name in names:
            if name not in {file.name for file in content.segments}:
                raise AirlockError(f"{name} is no segment of this bundle, which has {len(content.segments)}")
            (Path(made) / name).rename(folder / name)


def _stem(order: Order) -> str:
    return f"flip-{order.release}" + (f"-for-{order.have.site}" if order.have else "")


def _write(order: Order, store: PackStore, folder: Path, only: set[int] | None, say: Say) -> Manifest:
    images = take_images(store, sorted(order.images), say)
    files = []
    for at, path in sorted(order.files.items()):
        files.append(Entry(at, store.put_file(path)))
    segments = Segments(folder, _stem(order), order.limit, only)
    held = order.have.blobs if order.have else frozenset()
    blobs = []
    for digest, base in _in_order(images, files, order.have):
        if store.stored_size(digest) >> 20:
            say(f"writing {digest[:12]}")
        stored = None if digest in held else _store(store, segments, digest, base)
        blobs.append(Blob(digest, sum(map(len, store.read(digest))), stored))
    segments.close()
    blobs += [Blob(base, sum(map(len, store.read(base))), None) for base in _bases(blobs)]
    content = Manifest(
        release=order.release,
        counter=order.counter,
        revision=order.revision,
        baseline=Baseline(order.have.site, order.have.digest) if order.have else None,
        images=tuple(images),
        files=tuple(files),
        blobs=tuple(blobs),
        segments=tuple(segments.done),
        extras=(),
    )
    say("writing the dossier")
    extras = {name: path.read_bytes() for name, path in order.extras.items()}
    extras |= dossier.made(store, content, order.have, extras)
    return replace(content, extras=tuple(_extras(extras, order.limit, None if only is not None else folder)))


def _bases(blobs: list[Blob]) -> list[str]:
    """What patches are made against and the release does not have: a site has it, and a manifest lists it."""
    bases = {blob.stored.base for blob in blobs if blob.stored and blob.stored.base is not None}
    return sorted(bases - {blob.digest for blob in blobs})


def _in_order(images: list[Image], files: list[Entry], have: Inventory | None) -> Iterator[tuple[str, str | None]]:
    """Every blob once, with the one at the site that it may be made against."""
    seen: dict[str, str | None] = {}
    for image in images:
        _, before = older(image, have)
        seen.setdefault(image.config, None)
        for at, layer in enumerate(image.layers):
            seen.setdefault(layer, before[at] if have and at < len(before) and before[at] in have.blobs else None)
    for entry in files:
        seen.setdefault(entry.blob, None)
    yield from seen.items()


def _store(store: PackStore, segments: Segments, digest: str, base: str | None) -> Stored:
    path, encoding = store.find(digest) or (None, "")
    assert path is not None  # noqa: S101 - it was just put there
    size = path.stat().st_size
    if base is not None and base in store:
        patch = store.partial / "patch"
        try:
            if pieces := delta.make(store, base, digest, patch, int(size * PATCH_GAIN)):
                return _written(segments, digest, PATCH, patch, base, pieces)
        finally:
            patch.unlink(missing_ok=True)
    return _written(segments, digest, encoding, path)


def _written(
    segments: Segments, digest: str, encoding: str, path: Path, base: str | None = None, pieces: tuple[Piece, ...] = ()
) -> Stored:
    hashed, size = hashlib.sha256(), path.stat().st_size

    def chunks() -> Iterator[bytes]:
        for chunk in chunks_of(path):
            hashed.update(chunk)
            yield chunk

    parts = segments.add(f"blobs/{digest}.{encoding}", size, chunks())
    return Stored(encoding, size, hashed.hexdigest(), parts, base, pieces)


def _extras(extras: Mapping[str, bytes], limit: int, folder: Path | None) -> Iterator[File]:
    """Files beside the segments; written where there is a folder."""
    for name, content in sorted(extras.items()):
        if len(content) > limit:
            raise AirlockError(f"{name} has {len(content)} bytes, more than a file may have here ({limit})")
        if folder:
            (folder / name).write_bytes(content)
        yield File(name, len(content), hashlib.sha256(content).hexdigest())
