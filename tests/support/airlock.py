"""Keys, packers and sites for tests of bundles."""

import hashlib
import random
import subprocess
from pathlib import Path

from flip_airlock import signature
from flip_airlock.bundle import MANIFEST, SIGNATURE, SUMS, sums_of
from flip_airlock.manifest import Manifest
from flip_airlock.pack.blobs import PackStore
from flip_airlock.pack.packer import Order, pack
from flip_airlock.records import Inventory, read_inventory
from flip_airlock.site import Site

LIMIT = 1_000_000


def make_key(path: Path) -> Path:
    """A key pair without a passphrase."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True)
    return path


def signer(name: str, key: Path, namespace: str = signature.BUNDLE) -> str:
    """A line of an allowed signers file."""
    return f'{name} namespaces="{namespace}" {key.with_suffix(".pub").read_text()}'


class Airlock:
    """A packer, its key, and a site that trusts it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = make_key(folder / "release")
        self.store = PackStore(folder / "packed")
        self.site = self.new_site("site")
        self.counter = 0

    def new_site(self, name: str) -> Site:
        """A site that trusts the packer and has nothing yet."""
        trust = self.folder / name / "trust"
        trust.mkdir(parents=True)
        (trust / "allowed_signers").write_text(signer("release@flip", self.key))
        return Site(self.folder / name)

    def order(self, release: str, files: dict[str, bytes], **given: object) -> Order:
        """What to pack: files by their path, with this content."""
        source = self.folder / "source" / release
        source.mkdir(parents=True, exist_ok=True)
        paths = {}
        for path, content in files.items():
            paths[path] = source / hashlib.sha256(content).hexdigest()
            paths[path].write_bytes(content)
        self.counter += 1
        wanted: dict[str, object] = {
            "images": (),
            "files": paths,
            "extras": {},
            "limit": LIMIT,
            "counter": self.counter,
        }
        return Order(release=release, revision="0" * 40, **{**wanted, **given})  # type: ignore[arg-type]

    def pack(self, release: str, files: dict[str, bytes], out: str = "", **given: object) -> Path:
        """A bundle of files."""
        folder = self.folder / (out or f"flip-{release}")
        pack(self.order(release, files, **given), self.store, folder, self.key)
        return folder

    def sign(self, folder: Path, content: Manifest | bytes, sums: bytes | None = None) -> Path:
        """Signs a manifest that no packer made, and puts it into a folder with the files it names."""
        text = content if isinstance(content, bytes) else content.text
        folder.mkdir(exist_ok=True)
        (folder / MANIFEST).write_bytes(text)
        if sums is None:
            digest = hashlib.sha256(text).hexdigest()
            sums = sums_of(content, text) if isinstance(content, Manifest) else f"{digest}  {MANIFEST}\n".encode()
        (folder / SUMS).write_bytes(sums)
        (folder / SIGNATURE).unlink(missing_ok=True)
        signature.sign(folder / SUMS, self.key, signature.BUNDLE)
        return folder

    def inventory(self, site: Site, name: str = "Trust_1") -> Inventory:
        """A site's inventory as the packer reads it."""
        out = self.folder / f"{name}.inventory"
        out.write_bytes(site.inventory(name))
        signature.sign(out, site.key(), signature.INVENTORY)
        signers = self.folder / "sites"
        signers.write_text(signer(name, site.key(), signature.INVENTORY))
        return read_inventory(out, signers)


def tree(folder: Path) -> dict[str, str]:
    """Digests of all files below a folder, but for keys and whom is trusted."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent.name != "trust" and path.name != ".lock"
    }


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size)
