"""Keys around a kit: the hub's signing key, the operators' recipients and the identities that open it.

SSH keys are OpenSSH Ed25519 throughout, so that operators can make and look at them with `ssh-keygen`.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyrage
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from flipctl.kit import KitError
from flipctl.kit.signature import fingerprint

MAX_KEY_BYTES = 16_384
_OPENSSH = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_AGE = b"AGE-SECRET-KEY-1"
AskPassphrase = Callable[[str], str]


@dataclass(frozen=True)
class Recipient:
    """Somebody who can open a kit, and the name under which the header says so."""

    name: str
    key: pyrage.ssh.Recipient | pyrage.x25519.Recipient


@dataclass(frozen=True)
class Identity:
    """A private key that opens kits, and the recipient's name that belongs to it."""

    name: str
    key: pyrage.ssh.Identity | pyrage.x25519.Identity


def make_key(path: Path) -> str:
    """Makes an Ed25519 key pair: `path` (0600) and `path.pub`. Returns its fingerprint.

    Raises:
        KitError: one of the two files is there, or cannot be written.
    """
    public_path = path.with_name(f"{path.name}.pub")
    key = Ed25519PrivateKey.generate()
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(encoding, serialization.PrivateFormat.OpenSSH, plain)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    if existing := [str(each) for each in (path, public_path) if each.exists()]:
        raise KitError(f"{existing[0]} exists; name another file, so that no key is lost")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for target, content, mode in ((path, private, 0o600), (public_path, public + b"\n", 0o644)):
            with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(content)
    except OSError as error:
        raise KitError(f"{path}: cannot be written ({error.strerror})") from None
    return fingerprint(key.public_key().public_bytes_raw())


def recipient(text: str) -> Recipient:
    """Reads an `ssh-ed25519 ...` line, an `age1...` key, or a file that holds one of them.

    Raises:
        KitError: neither of these.
    """
    if "SECRET" in text or "PRIVATE" in text:
        raise KitError(
            "--to was given a private key; it belongs to its owner alone: make another, name its public half"
        )
    line = text if text.startswith(("ssh-", "age1")) else _public_line(Path(text))
    try:
        if line.startswith("age1"):
            return Recipient(line, pyrage.x25519.Recipient.from_str(line))
        key = serialization.load_ssh_public_key(line.encode())
        if isinstance(key, Ed25519PublicKey):
            return Recipient(fingerprint(key.public_bytes_raw()), pyrage.ssh.Recipient.from_str(line))
    except (pyrage.RecipientError, ValueError, UnsupportedAlgorithm):
        pass
    raise KitError(f"recipient {text[:40]!r}: is no public key of a kind kits take; use ssh-ed25519 or age1...")


def signing_key(path: Path, ask: AskPassphrase) -> Ed25519PrivateKey:
    """The hub's key for signing kits.

    Raises:
        KitError: not an Ed25519 private key in OpenSSH's form, readable by others, or a wrong passphrase.
    """
    return _ssh_private(path, _private_bytes(path), ask)


def identity(path: Path, ask: AskPassphrase) -> Identity:
    """A private key that opens kits: OpenSSH Ed25519, or an age identity file with one key.

    Raises:
        KitError: neither, readable by others, or a wrong passphrase.
    """
    content = _private_bytes(path)
    if content.lstrip().startswith(_OPENSSH):
        key = _ssh_private(path, content, ask)
        # age takes no SSH key that is locked with a passphrase: it gets the opened one, in memory only.
        encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        opened = key.private_bytes(encoding, serialization.PrivateFormat.OpenSSH, plain)
        return Identity(fingerprint(key.public_key().public_bytes_raw()), pyrage.ssh.Identity.from_buffer(opened))
    lines = [line.strip() for line in content.splitlines() if line.strip().startswith(_AGE)]
    try:
        (line,) = lines
        age_key = pyrage.x25519.Identity.from_str(line.decode())
    except (ValueError, pyrage.IdentityError):
        raise KitError(f"{path} holds no key that opens kits; name an OpenSSH Ed25519 or an age key file") from None
    return Identity(str(age_key.to_public()), age_key)


def _ssh_private(path: Path, content: bytes, ask: AskPassphrase) -> Ed25519PrivateKey:
    wrong_kind = f"{path} is no Ed25519 private key of OpenSSH; make one: flipctl kit keygen {path}"
    try:
        try:
            key = serialization.load_ssh_private_key(content, password=None)
        except TypeError:  # cryptography's way to say that the key is locked with a passphrase
            key = serialization.load_ssh_private_key(content, password=ask(f"Passphrase of {path}").encode())
    except (ValueError, UnsupportedAlgorithm):
        raise KitError(f"{wrong_kind}; if it has a passphrase, the one given is wrong") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KitError(wrong_kind)
    return key


def _private_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(MAX_KEY_BYTES)
    except OSError as error:
        raise KitError(f"key {path}: cannot be read ({error.strerror})") from None
    if mode & 0o077:
        raise KitError(f"key {path}: mode {mode:04o} lets others read it; run: chmod 600 {path}")
    return content


def _public_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            lines = [line.strip() for line in file.read(MAX_KEY_BYTES).splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise KitError(
            f"recipient {path}: cannot be read ({type(error).__name__}); give ssh-ed25519 ..., age1..., or a .pub file"
        ) from None
    found = [line for line in lines if line.startswith(("ssh-", "age1"))]
    if len(found) != 1:
        raise KitError(f"recipient {path}: holds {len(found)} public keys; expected one")
    return found[0]
