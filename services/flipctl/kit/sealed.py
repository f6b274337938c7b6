"""The kit file: a magic line, the header, the contents sealed by age, and an OpenSSH signature over all of it.

It is text, so that it passes every mail gateway, and each part is one that a stock tool reads: `ssh-keygen -Y verify`
the signature, `age -d` the sealed part.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flipctl.kit import KitError, signature
from flipctl.kit.keys import Identity, Recipient
from flipctl.kit.model import Contents, Header, parse

MAX_KIT_BYTES = 512 * 1024
_MAGIC = b"FLIP-KIT\n"


@dataclass(frozen=True)
class Kit:
    """A kit file whose signature holds; by whom it is, `signed_by` says."""

    header: Header
    signed_by: str
    sealed: bytes = field(repr=False)


def pack(contents: Contents, to: Sequence[Recipient] | str, key: Ed25519PrivateKey) -> bytes:
    """The kit file for these recipients, or for a passphrase.

    Raises:
        ValueError: the header does not say for whom it is sealed.
    """
    names = () if isinstance(to, str) else tuple(each.name for each in to)
    if contents.header.recipients != names:
        raise ValueError(f"the header names {contents.header.recipients}, sealed for {names}")
    plain = contents.model_dump_json().encode()
    if isinstance(to, str):
        sealed = pyrage.passphrase.encrypt(plain, to, armored=True)
    else:
        sealed = pyrage.encrypt(plain, [each.key for each in to], armored=True)
    body = _MAGIC + contents.header.model_dump_json().encode() + b"\n" + sealed
    return body + signature.sign(key, body)


def read(path: Path) -> Kit:
    """Reads a kit file and checks its signature; no key is needed.

    Raises:
        KitError: not a kit, altered, or of another release.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_KIT_BYTES)  # what is larger lacks its end, and is refused for that
    except OSError as error:
        raise KitError(f"kit {path}: cannot be read ({error.strerror})") from None
    body, mark, rest = content.partition(signature.BEGIN)
    if not content.startswith(_MAGIC) or not mark:
        raise KitError(f"{path} is no complete kit; fetch it again (a kit begins with {_MAGIC.decode().strip()})")
    try:
        signed_by = signature.verify(body, mark + rest)
    except KitError as error:
        raise KitError(f"kit {path}: {error}") from None
    header, _, sealed = body.removeprefix(_MAGIC).partition(b"\n")
    return Kit(parse(Header, header, f"the header of {path}"), signed_by, sealed)


def unseal(kit: Kit, opener: Identity | str) -> Contents:
    """What the kit holds, opened with a private key or a passphrase.

    Raises:
        KitError: it was not sealed for this key or passphrase, or the contents are not valid.
    """
    recipients = kit.header.recipients
    if isinstance(opener, Identity) and opener.name not in recipients:
        made_for = ", ".join(recipients) or "a passphrase"
        raise KitError(f"it was made for {made_for}, this key is {opener.name}; use the right key or have it reissued")
    try:
        if isinstance(opener, str):
            plain = pyrage.passphrase.decrypt(kit.sealed, opener)
        else:
            plain = pyrage.decrypt(kit.sealed, [opener.key])
    except pyrage.DecryptError:
        remedy = "have it reissued" if isinstance(opener, Identity) else "type the passphrase again"
        raise KitError(f"it does not open with this {_called(opener)}; {remedy}") from None
    contents = parse(Contents, plain, "what the kit holds")
    if contents.header != kit.header:
        raise KitError("its sealed part belongs to another kit than its header; have it reissued")
    return contents


def _called(opener: Identity | str) -> str:
    return "passphrase" if isinstance(opener, str) else f"key ({opener.name})"
