"""A bundle as it lies in a folder, checked in this order: signature, sums, manifest, segments."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flip_airlock import AirlockError, manifest, signature
from flip_airlock.manifest import File, Manifest

SUMS, MANIFEST = "SHA256SUMS", "manifest.json"
SIGNATURE = SUMS + signature.ENDING
MAX_SUMS = 4 << 20
CHUNK = 1 << 20

Say = Callable[[str], None]


@dataclass(frozen=True)
class Signers:
    """Whom a site trusts: an allowed signers file, and keys that no longer count."""

    allowed: Path
    revoked: Path | None = None


@dataclass(frozen=True)
class Proof:
    """The three small files that say what a bundle is; kept at a site as long as the release is."""

    sums: bytes
    signature: bytes
    manifest: bytes

    @property
    def digest(self) -> str:
        """What receipts call a bundle by: the sha256 of SHA256SUMS."""
        return hashlib.sha256(self.sums).hexdigest()


@dataclass(frozen=True)
class Bundle:
    """A bundle whose signature was checked; its segments were not."""

    folder: Path
    proof: Proof
    signer: str
    content: Manifest

    def path(self, file: File) -> Path:
        """Where a file lies."""
        return self.folder / file.name


def sums_of(content: Manifest, text: bytes) -> bytes:
    """SHA256SUMS of a bundle with this manifest."""
    digests = {file.name: file.sha256 for file in (*content.segments, *content.extras)}
    digests[MANIFEST] = hashlib.sha256(text).hexdigest()
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode()


def open_file(path: Path) -> int:
    """A descriptor of a plain file.

    Raises:
        AirlockError: it is not there, a link, or no file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise AirlockError(f"{path} cannot be opened ({error.strerror}); it has to be a plain file") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise AirlockError(f"{path} is no plain file")
    return descriptor


def _small(path: Path, most: int) -> bytes:
    with os.fdopen(open_file(path), "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise AirlockError(f"{path} is larger than {most} bytes; no bundle has such a one")
    return content


def read_proof(folder: Path) -> Proof:
    """The small files of a bundle, not checked yet."""
    if gone := [name for name in (SUMS, SIGNATURE, MANIFEST) if not os.path.lexists(folder / name)]:
        raise AirlockError(f"{folder} has no {', '.join(gone)}: it is no bundle, or that was lost; bring it again")
    return Proof(
        _small(folder / SUMS, MAX_SUMS),
        _small(folder / SIGNATURE, signature.MAX_BYTES),
        _small(folder / MANIFEST, manifest.MAX_BYTES),
    )


def check(proof: Proof, signers: Signers) -> tuple[str, Manifest]:
    """Who signed a bundle, and what it holds. Nothing is parsed before the signature holds.

    Raises:
        AirlockError: not signed by whom the site trusts, or the manifest is not what was signed.
    """
    signer = signature.verify(proof.sums, proof.signature, signature.BUNDLE, signers.allowed, signers.revoked)
    line = f"{hashlib.sha256(proof.manifest).hexdigest()}  {MANIFEST}\n".encode()
    if line not in proof.sums.splitlines(keepends=True):
        raise AirlockError(f"{MANIFEST} is not the one that was signed; bring the bundle's again")
    content = manifest.read(proof.manifest)
    if sums_of(content, proof.manifest) != proof.sums:
        raise AirlockError(f"{SUMS} and {MANIFEST} do not name the same files; this bundle was not made by FLIP")
    return signer, content


def open_bundle(folder: Path, signers: Signers) -> Bundle:
    """Opens a bundle.

    Raises:
        AirlockError: not a bundle, not signed by whom the site trusts, or with files that do not belong to it.
    """
    if not folder.is_dir():
        raise AirlockError(f"{folder} is no folder; name the one that the bundle's files lie in")
    proof = read_proof(folder)
    signer, content = check(proof, signers)
    own = {SUMS, SIGNATURE, MANIFEST, *(file.name for file in (*content.segments, *content.extras))}
    if strange := sorted(path.name for path in folder.iterdir() if path.name not in own):
        named = "".join(letter if letter.isprintable() else "?" for letter in ", ".join(strange))[:500]
        raise AirlockError(f"{folder} holds what is not part of the bundle: {named}; take it away")
    return Bundle(folder, proof, signer, content)


def fault(bundle: Bundle, file: File) -> str:
    """What is wrong with a file of a bundle; empty where nothing is."""
    path = bundle.path(file)
    if not os.path.lexists(path):
        return "missing"
    try:
        descriptor = open_file(path)
    except AirlockError as error:
        return str(error)
    with os.fdopen(descriptor, "rb") as opened:
        if (size := os.fstat(descriptor).st_size) != file.size:
            return f"has {size} bytes instead of {file.size}"
        digest = hashlib.sha256()
        while chunk := opened.read(CHUNK):
            digest.update(chunk)
    return "" if digest.hexdigest() == file.sha256 else "damaged: its sha256 is another"


def faults(bundle: Bundle, segments: set[int] | None = None, say: Say = lambda _: None) -> dict[str, str]:
    """What is wrong, by file's name: with all files of a bundle, or with some of its segments."""
    content = bundle.content
    chosen = (
        [*content.segments, *content.extras]
        if segments is None
        else [content.segments[number] for number in sorted(segments)]
    )
    found = {}
    for at, file in enumerate(chosen, 1):
        say(f"checking {file.name} ({at}/{len(chosen)})")
        if what := fault(bundle, file):
            found[file.name] = what
    return found


def stored(bundle: Bundle, blob: manifest.Blob) -> Iterator[bytes]:
    """A blob's bytes as they travelled.

    Raises:
        AirlockError: cut off, or not what the manifest says.
    """
    if blob.stored is None:
        raise AirlockError(f"the bundle does not bring {blob.digest}, because the site had it when the bundle was made")
    digest = hashlib.sha256()
    for part in blob.stored.parts:
        file = bundle.content.segments[part.segment]
        with os.fdopen(open_file(bundle.path(file)), "rb") as opened:
            opened.seek(part.offset)
            left = part.size
            while left:
                chunk = opened.read(min(CHUNK, left))
                if not chunk:
                    raise AirlockError(f"{file.name} ends before it should; bring it again")
                left -= len(chunk)
                digest.update(chunk)
                yield chunk
    if digest.hexdigest() != blob.stored.sha256:
        raise AirlockError(f"blob {blob.digest} is not as the manifest says; bring its segments again")
