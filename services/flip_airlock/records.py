"""What a site says of itself: inventories, which go out so that the next bundle is small, and receipts."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flip_airlock import AirlockError, signature
from flip_airlock.manifest import DIGEST, NAME, write
from flip_airlock.store import sync_folder

INVENTORY = "flip-airlock-inventory/1"
RECEIPT = "flip-airlock-receipt/1"
MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class Inventory:
    """What a site holds: blobs by digest, and the layers of each image, so that new ones can be made against them."""

    site: str
    release: str
    counter: int
    blobs: frozenset[str]
    images: dict[str, tuple[str, ...]]
    digest: str
    """sha256 of the document."""


def write_inventory(site: str, release: str, counter: int, blobs: set[str], images: dict[str, list[str]]) -> bytes:
    """The document."""
    document = {"format": INVENTORY, "site": site, "release": release, "counter": counter}
    return write({**document, "blobs": sorted(blobs), "images": images})


def read_inventory(path: Path, signers: Path) -> Inventory:
    """An inventory as it came out of a site; its signature lies beside it.

    Raises:
        AirlockError: edited, not signed by a site of the file, or no inventory.
    """
    signed = path.with_name(path.name + signature.ENDING)
    for file in (path, signed):
        if not file.is_file() or file.stat().st_size > MAX_BYTES:
            raise AirlockError(f"{file} is not there, or is no inventory; bring both files that the site wrote")
    text = path.read_bytes()
    who = signature.verify(text, signed.read_bytes(), signature.INVENTORY, signers, None)
    try:
        given: dict[str, Any] = json.loads(text)
        if given.pop("format") != INVENTORY or write({"format": INVENTORY, **given}) != text:
            raise ValueError("another format")
        blobs, images = given["blobs"], given["images"]
        digests = [*blobs, *(layer for layers in images.values() for layer in layers)]
        if not all(DIGEST.fullmatch(digest) for digest in digests) or not NAME.fullmatch(given["site"]):
            raise ValueError("a digest or the site's name is not valid")
        made = Inventory(
            site=given["site"],
            release=str(given["release"]),
            counter=int(given["counter"]),
            blobs=frozenset(blobs),
            images={name: tuple(layers) for name, layers in images.items()},
            digest=hashlib.sha256(text).hexdigest(),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AirlockError(f"{path} is no inventory of this version ({error!s:.200})") from None
    if who != made.site:
        raise AirlockError(f"{path} is of site {made.site}, and was signed by {who}")
    return made


class Receipts:
    """A site's receipts, a file each, every one naming the digest of the one before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.json"))

    def chain(self) -> list[dict[str, Any]]:
        """All receipts, the oldest first.

        Raises:
            AirlockError: one was changed or taken away.
        """
        found, before = [], ""
        for number, path in enumerate(self._files(), 1):
            text = path.read_bytes()
            try:
                receipt = json.loads(text)
                holds = (receipt["format"], receipt["number"], receipt["previous"]) == (RECEIPT, number, before)
            except (ValueError, KeyError, TypeError):
                holds = False
            if not holds or write(receipt) != text:
                raise AirlockError(
                    f"{path} does not follow on the receipt before it: one of the two was changed, or one between them "
                    f"taken away. Find out who did; then put {self.folder} aside as evidence, and another chain begins"
                )
            before = hashlib.sha256(text).hexdigest()
            found.append(receipt)
        return found

    def add(self, what: dict[str, Any]) -> Path:
        """Writes the next one; nothing of an older one is touched."""
        self.folder.mkdir(mode=0o755, exist_ok=True)
        number = len(self.chain()) + 1
        files = self._files()
        before = hashlib.sha256(files[-1].read_bytes()).hexdigest() if files else ""
        path = self.folder / f"{number:06}.json"
        part = self.folder / "next"
        with part.open("wb") as file:
            file.write(write({"format": RECEIPT, "number": number, "previous": before, **what}))
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        sync_folder(self.folder)
        return path
