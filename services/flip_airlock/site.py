"""A site's side: a bundle is taken into the store, its files are laid out and its images given to Docker.

Under `/opt/flip/airlock`: `trust/allowed_signers` and `trust/revoked_keys` (whose bundles count), `store/` (blobs),
`releases/NAME/` (what says what a release is, and its files), `current` (a link to one of them), `receipts/`.
"""

import contextlib
import datetime
import json
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flip_airlock import AirlockError, engine, signature
from flip_airlock.bundle import (
    MANIFEST,
    SIGNATURE,
    SUMS,
    Bundle,
    Proof,
    Say,
    Signers,
    check,
    fault,
    faults,
    open_bundle,
    read_proof,
)
from flip_airlock.engine import Engine
from flip_airlock.manifest import NAME, PATCH, RAW, Blob, Image, Manifest, read
from flip_airlock.records import Receipts, write_inventory
from flip_airlock.store import Store, exchange, link_or_copy, sync_folder
from flip_airlock.taking import Taking

FOLDER = Path("/opt/flip/airlock")
PROGRAM = "flip-airlock.pyz"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Loaded:
    """What a load did: images given to Docker, blobs taken in, and bytes read of the bundle."""

    release: str
    signer: str
    digest: str
    images: tuple[str, ...]
    blobs: int
    bytes: int


class Site:
    """A site's folder."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder
        self.releases = folder / "releases"
        self.store = Store(folder / "store")
        self.receipts = Receipts(folder / "receipts")

    @property
    def signers(self) -> Signers:
        """Whose bundles count here."""
        revoked = self.folder / "trust" / "revoked_keys"
        return Signers(self.folder / "trust" / "allowed_signers", revoked if os.path.lexists(revoked) else None)

    @property
    def current(self) -> str:
        """The release that counts here; empty where there is none yet."""
        link = self.folder / "current"
        return link.resolve().name if link.is_symlink() else ""

    def recorded(self, release: str) -> Manifest:
        """What a release holds that was loaded here.

        Raises:
            AirlockError: there is none, or its record was changed or is of a signer that no longer counts.
        """
        if release not in self.names():
            there = ", ".join(self.names()) or "none"
            raise AirlockError(f"release {release} is not here: never loaded, or pruned; there are: {there}")
        return check(read_proof(self.releases / release), self.signers)[1]

    def noted(self, release: str) -> Manifest:
        """The same without asking whose it is: for what is kept, not for what is to count."""
        return read((self.releases / release / MANIFEST).read_bytes())

    def names(self) -> list[str]:
        """Releases that were loaded here."""
        return sorted(path.parent.name for path in self.releases.glob(f"[!.]*/{SUMS}"))

    def had_images(self, release: str) -> bool:
        """Whether a release's images were ever loaded, and not its files alone."""
        return any(each["release"] == release and each["action"] != "files" for each in self.receipts.chain())

    def counter(self) -> int:
        """The counter that a release must reach: the highest of all loaded here since an older one was, by its name."""
        reached = 0
        for receipt in self.receipts.chain():
            # What was loaded below it was named for that; only rolling back lowers nothing.
            counter = int(receipt["counter"])
            reached = max(reached, counter) if receipt["action"] == "rollback" else counter
        return reached

    def accepts(self, content: Manifest, allow_rollback: str | None) -> None:
        """Raises AirlockError for a release that is older than one this site has had, or for another machine."""
        named = allow_rollback == content.release
        if content.release in self.names() and not named:
            before = self.noted(content.release)
            same = (before.images, before.files) == (content.images, content.files)
            if before.counter == content.counter and not same:
                raise AirlockError(
                    f"another {content.release} of the same counter was loaded here; pack it again with a higher "
                    f"--counter, or load this one with --allow-rollback {content.release}"
                )
        reached = self.counter()
        if content.counter < reached and not named:
            raise AirlockError(
                f"release {content.release} has counter {content.counter}, and this site is at {reached}: an older "
                f"release is loaded only with --allow-rollback {content.release}"
            )
        here = ARCHITECTURES.get(platform.machine(), platform.machine())
        if other := sorted({image.architecture for image in content.images} - {here}):
            raise AirlockError(f"the bundle's images are for {', '.join(other)}, this machine is {here}")

    def needs(self, content: Manifest, *, images: bool) -> list[Blob]:
        """Blobs that the store lacks, each after the one it is made of.

        Raises:
            AirlockError: the bundle does not bring one of them.
        """
        known, wanted = content.by_digest, digests_of(content, images=images)
        have, ordered, gone = self.store.digests(), dict[str, Blob](), set[str]()

        def want(digest: str) -> None:
            if digest in have or digest in ordered:
                return
            blob = known[digest]
            if blob.stored is None:
                gone.add(digest)
                return
            if blob.stored.base is not None:
                want(blob.stored.base)
            ordered[digest] = blob

        for blob in content.blobs:
            if blob.digest in wanted:
                want(blob.digest)
        if gone:
            raise AirlockError(
                f"the bundle was made for {content.baseline.site if content.baseline else 'a site'}, which has "
                f"{len(gone)} blobs that are not here, such as {min(gone)}; if this is that site, send out a new "
                "inventory (verb inventory) and have a bundle made against it"
            )
        return list(ordered.values())

    def load(
        self, folder: Path, *, images: bool = True, allow_rollback: str | None = None, say: Say = lambda _: None
    ) -> Loaded:
        """Loads a bundle. What is here is not loaded again; after an interruption, load again.

        Args:
            folder: the bundle.
            images: whether its images go to Docker; else only its files are taken.
            allow_rollback: a release that may be older than what was here.
            say: told what is being done.

        Raises:
            AirlockError: the bundle is refused, damaged or incomplete, there is no room, or Docker fails.
        """
        bundle = open_bundle(folder, self.signers)
        content = bundle.content
        self.accepts(content, allow_rollback)  # before anything is made
        with self.store.alone():
            self.accepts(content, allow_rollback)  # another load may have come to its end meanwhile
            running = engine.look() if images and content.images else None
            needed = self.needs(content, images=images)
            if broken := faults(bundle, content.segments_of({blob.digest for blob in needed}), say):
                named = "; ".join(f"{name}: {what}" for name, what in sorted(broken.items()))
                raise AirlockError(f"nothing was loaded, because segments are not whole: {named}; bring them again")
            self._ask_for_room(needed, content, running)
            took = Taking(self.store, bundle, {blob.digest: blob for blob in needed})
            for blob in needed:
                if running is None or not _is_layer(content, blob.digest):
                    if blob.size >> 20:
                        say(f"taking {blob.digest[:12]} ({blob.size >> 20} MiB)")
                    took.drain(blob.digest)
            loaded = self._load_images(content, running, took, say) if running else ()
            for digest in list(took.left):
                took.drain(digest)
            self.lay_out(bundle.proof, content)
            self._keep_program(bundle)
            done = Loaded(content.release, bundle.signer, bundle.proof.digest, loaded, len(needed), took.bytes)
            self._account(content, done, "load" if images else "files")
            self._point(content.release)
        return done

    def _keep_program(self, bundle: Bundle) -> None:
        """The program that the bundle brings stays here, for all that is done without the bundle."""
        for file in bundle.content.extras:
            if file.name == PROGRAM:
                if what := fault(bundle, file):
                    raise AirlockError(f"{bundle.path(file)}: {what}; bring it again")
                part = self.folder / f".{PROGRAM}"
                shutil.copyfile(bundle.path(file), part)
                part.chmod(0o755)
                part.rename(self.folder / PROGRAM)

    def rollback(self, release: str, say: Say = lambda _: None) -> Loaded:
        """Makes a release count again that was here before, from the store alone.

        Raises:
            AirlockError: it was never here, or a part of it is gone.
        """
        content = self.recorded(release)
        proof = read_proof(self.releases / release)
        running = engine.look() if content.images else None
        with self.store.alone():
            if gone := sorted(digests_of(content, images=True) - self.store.digests()):
                raise AirlockError(
                    f"{len(gone)} blobs of {release} are not here ({gone[0]}, ...): they were lost, or its images were "
                    "never loaded; load its bundle"
                )
            took = Taking(self.store, None, {})
            loaded = self._load_images(content, running, took, say) if running else ()
            done = Loaded(release, check(proof, self.signers)[0], proof.digest, loaded, 0, 0)
            self._account(content, done, "rollback")
            self._point(release)
        return done

    def key(self) -> Path:
        """The key that this site signs inventories and receipts with; made where there is none yet."""
        path = self.folder / "site_key"
        if not path.exists():
            signature.make_key(path, f"flip-airlock {platform.node()}")
        return path

    def inventory(self, name: str) -> bytes:
        """What this site holds, as it goes out.

        Raises:
            AirlockError: nothing was loaded here yet, or the name cannot be a site's.
        """
        if not NAME.fullmatch(name):
            raise AirlockError(f"{name!r} cannot be a site's name; it has to be like {NAME.pattern}")
        if not self.current:
            raise AirlockError(
                f"nothing was loaded into {self.folder} yet; a first bundle is made without an inventory"
            )
        held = self.store.digests()
        known = [image for each in self.names() for image in self.noted(each).images]
        images = {image.name: list(image.layers) for image in known if {image.config, *image.layers} <= held}
        return write_inventory(name, self.current, self.counter(), held, images)

    def _ask_for_room(self, needed: list[Blob], content: Manifest, running: Engine | None) -> None:
        laid_out = {entry.blob for entry in content.files} if content.release not in self.names() else set()
        wanted = {self.store.folder: sum(_room(blob, laid_out=blob.digest in laid_out) for blob in needed)}
        if running:
            sizes = content.by_digest
            layers = {digest for image, _ in self._missing(content, running, needed) for digest in running.lacks(image)}
            # Docker unpacks an archive as a whole before it takes the layers.
            wanted[running.root] = 2 * sum(sizes[digest].size for digest in layers)
        by_disk: dict[int, tuple[Path, int]] = {}
        for path, size in wanted.items():
            disk = path.stat().st_dev
            by_disk[disk] = (path, by_disk.get(disk, (path, 0))[1] + size)
        for path, size in by_disk.values():
            free = shutil.disk_usage(path).free
            if free < size:
                raise AirlockError(
                    f"{path} has {free >> 20} MiB free and up to {size >> 20} MiB are needed; make room "
                    "(verb prune removes releases that are not needed), or mount a larger disk there"
                )

    def _missing(self, content: Manifest, running: Engine, needed: list[Blob]) -> list[tuple[Image, dict[str, Any]]]:
        """Images that Docker lacks; one whose configuration is not in the store yet is taken to be missing."""
        new = {blob.digest for blob in needed}
        found = []
        for image in content.images:
            config = {} if image.config in new else self._config(image)
            if not running.has(image, config):
                found.append((image, config))
        return found

    def _config(self, image: Image) -> dict[str, Any]:
        try:
            config: dict[str, Any] = json.loads(b"".join(self.store.read(image.config)))
            same = config["rootfs"]["diff_ids"] == [f"sha256:{digest}" for digest in image.layers]
        except (ValueError, KeyError, TypeError):
            same = False
        if not same:
            raise AirlockError(f"the configuration of {image.name} names other layers than the manifest, or none")
        return config

    def _load_images(self, content: Manifest, running: Engine, took: Taking, say: Say) -> tuple[str, ...]:
        missing = [(image, self._config(image)) for image, _ in self._missing(content, running, [])]
        batches = [missing] if running.by_containerd else [[one] for one in missing]
        sizes = content.by_digest
        at = running
        for batch in filter(None, batches):
            names = ", ".join(image.name for image, _ in batch)
            say(f"loading {names} into Docker")
            given = [(image, at.lacks(image)) for image, _ in batch]
            engine.load(given, lambda digest: (sizes[digest].size, took.read(digest)))
            at = engine.look()
            for image, config in batch:
                if not at.has(image, config):
                    raise AirlockError(f"Docker took {image.name}, but has another image under that name now")
        return tuple(image.name for image, _ in missing)

    def lay_out(self, proof: Proof, content: Manifest, *, again: bool = False) -> None:
        """The release's folder; under its name only when it is whole."""
        target = self.releases / content.release
        if not again and (target / SUMS).is_file() and (target / SUMS).read_bytes() == proof.sums:
            return
        self.releases.mkdir(mode=0o755, exist_ok=True)
        part = self.releases / f".{content.release}.part"
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(part)
        (part / "files").mkdir(mode=0o755, parents=True)
        for entry in content.files:
            path = part / "files" / entry.path
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            found = self.store.find(entry.blob)
            if found and found[1] == RAW:
                link_or_copy(found[0], path)
            else:
                with path.open("wb") as file:
                    file.writelines(self.store.read(entry.blob))
                path.chmod(0o644)
        for name, text in ((MANIFEST, proof.manifest), (SIGNATURE, proof.signature), (SUMS, proof.sums)):
            (part / name).write_bytes(text)
        os.sync()
        if target.exists():
            exchange(part, target)  # at no moment is there none, or half of one
            self.discard(part)
        else:
            part.rename(target)
        sync_folder(self.releases)

    def discard(self, folder: Path) -> None:
        """Removes a release's folder, which is none any more from the first moment on."""
        gone = self.releases / ".gone"
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(gone)
        folder.rename(gone)
        shutil.rmtree(gone)

    def _point(self, release: str) -> None:
        """The release counts from here on."""
        link = self.folder / "next"
        link.unlink(missing_ok=True)
        link.symlink_to(Path("releases") / release)
        link.rename(self.folder / "current")
        sync_folder(self.folder)

    def _account(self, content: Manifest, done: Loaded, action: str) -> None:
        """A receipt; none where nothing was done."""
        chain = self.receipts.chain()
        same = bool(chain) and (chain[-1]["bundle"], chain[-1]["release"]) == (done.digest, done.release)
        if not (same and not done.images and not done.blobs):
            self.receipts.add(
                {
                    "action": action,
                    "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),  # noqa: UP017 - Python 3.10
                    "host": platform.node(),
                    "release": done.release,
                    "counter": content.counter,
                    "revision": content.revision,
                    "bundle": done.digest,
                    "signer": done.signer,
                    "images": {image.name: f"sha256:{image.config}" for image in content.images},
                    "loaded": list(done.images),
                    "blobs": done.blobs,
                    "bytes": done.bytes,
                }
            )


def digests_of(content: Manifest, *, images: bool) -> set[str]:
    """Blobs that a release is made of."""
    wanted = {entry.blob for entry in content.files}
    for image in content.images if images else ():
        wanted |= {image.config, *image.layers}
    return wanted


def _is_layer(content: Manifest, digest: str) -> bool:
    return any(digest in image.layers for image in content.images)


def _room(blob: Blob, *, laid_out: bool) -> int:
    """Bytes that a blob takes at most: in the store, and as a file beside it where that is no link to it."""
    if blob.stored is None:
        return 0
    beside = blob.size if laid_out and blob.stored.encoding != RAW else 0
    return beside + (blob.size if blob.stored.encoding == PATCH else blob.stored.size)
