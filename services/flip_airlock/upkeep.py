"""What keeps a site's folder whole and small: damage is found and mended, and what no release needs goes."""

import hashlib
import shutil
from pathlib import Path

from flip_airlock import AirlockError, libzstd
from flip_airlock.bundle import Say, faults, open_bundle, read_proof
from flip_airlock.site import Site, digests_of
from flip_airlock.store import chunks_of
from flip_airlock.taking import Taking


def damaged(site: Site, say: Say) -> set[str]:
    """Reads all blobs; removes those whose content is not what their name says, and returns them."""
    libzstd.ready()  # without it every blob would look damaged
    found = set()
    with site.store.alone():
        digests = sorted(site.store.digests())
        for at, digest in enumerate(digests, 1):
            if at % 100 == 0 or at == len(digests):
                say(f"reading blobs ({at}/{len(digests)})")
            try:
                for _ in site.store.read(digest):
                    pass
            except AirlockError:
                site.store.remove(digest)
                found.add(digest)
    return found


def refill(site: Site, folder: Path, say: Say) -> int:
    """Takes from a bundle the blobs that releases here lack, and nothing else; how many.

    Raises:
        AirlockError: the bundle is refused, or damaged.
    """
    bundle = open_bundle(folder, site.signers)
    with site.store.alone():
        wanted = lacking(site)
        left = {blob.digest: blob for blob in bundle.content.blobs if blob.digest in wanted and blob.stored}
        if broken := faults(bundle, bundle.content.segments_of({*left}), say):
            named = "; ".join(f"{name}: {what}" for name, what in sorted(broken.items()))
            raise AirlockError(f"segments are not whole: {named}; bring them again")
        took = Taking(site.store, bundle, left)
        for digest in [*left]:
            took.drain(digest)
    return len(wanted) - len(lacking(site))


def mend(site: Site) -> tuple[list[str], list[str]]:
    """Lays out again every release whose files are not as they were signed; their names, and those it cannot mend."""
    found, left = [], []
    with site.store.alone():
        for name in site.names():
            content, top = site.noted(name), site.releases / name / "files"
            wanted = {top / entry.path: entry.blob for entry in content.files}
            strange = {path for path in top.rglob("*") if path.is_symlink() or not path.is_dir()} - wanted.keys()
            if not strange and all(_is(path, blob) for path, blob in wanted.items()):
                continue
            if digests_of(content, images=False) <= site.store.digests():
                site.lay_out(read_proof(site.releases / name), content, again=True)
                found.append(name)
            else:
                left.append(name)
    return found, left


def lacking(site: Site) -> set[str]:
    """Blobs that releases here need and the store has not."""
    wanted = set[str]()
    for name in site.names():
        wanted |= digests_of(site.noted(name), images=site.had_images(name))
    return wanted - site.store.digests()


def prune(site: Site, keep: set[str]) -> tuple[list[str], int]:
    """Removes all releases but these and the current one; their names, and the bytes of blobs that went with them.

    Raises:
        AirlockError: one to keep was never here.
    """
    if unknown := keep - set(site.names()):
        raise AirlockError(
            f"{', '.join(sorted(unknown))}: never loaded here, or pruned; there are {', '.join(site.names())}"
        )
    with site.store.alone():
        if site.names() and site.current not in site.names():
            raise AirlockError("no release counts here, so all would go; load one, or roll back to one, first")
        kept = keep | {site.current}
        removed = [name for name in site.names() if name not in kept]
        wanted = {digest for name in kept & {*site.names()} for digest in digests_of(site.noted(name), images=True)}
        for name in removed:
            site.discard(site.releases / name)
            if (ansible := site.folder / "ansible" / name).exists():
                shutil.rmtree(ansible)
        freed = 0
        for digest in site.store.digests() - wanted:
            freed += site.store.stored_size(digest)
            site.store.remove(digest)
    return removed, freed


def _is(path: Path, digest: str) -> bool:
    """Whether a plain file has this content."""
    if path.is_symlink() or not path.is_file():
        return False
    hashed = hashlib.sha256()
    for chunk in chunks_of(path):
        hashed.update(chunk)
    return hashed.hexdigest() == digest
