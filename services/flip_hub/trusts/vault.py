"""The hub's master key, and the payload keys it wraps: a copy of the database alone opens no envelope."""

import base64
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from flip_common.keys import KeyFormatError, PayloadKey
from flip_hub.settings import HubSettings

_KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = "v1"


class VaultError(RuntimeError):
    """The master key cannot be used, or does not open what it should. The text holds no key."""


class Vault:
    """Wraps payload keys with AES-256-GCM under the master key, each bound to its trust's id."""

    def __init__(self, master_key: bytes, source: str) -> None:
        self._cipher = AESGCM(master_key)
        self._source = source

    @classmethod
    def open(cls, settings: HubSettings) -> "Vault":
        """Reads the master key; makes it at the first start, unless HUB_MASTER_KEY_FILE says where it is.

        Raises:
            VaultError: the file is missing, malformed, or others than its owner may read it.
        """
        path = settings.hub_master_key_file
        if path is None:
            path = settings.hub_data_dir / "master.key"
            _create(path)
        return cls(_read(path), str(path))

    def wrap(self, trust_id: UUID, key: PayloadKey) -> str:
        """The key as text for the database."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, key.secret, trust_id.bytes)
        return f"{_VERSION}.{base64.b64encode(sealed).decode()}"

    def unwrap(self, trust_id: UUID, wrapped: str) -> PayloadKey:
        """What `wrap` was given.

        Raises:
            VaultError: wrapped with another master key or for another trust, or damaged.
        """
        version, _, encoded = wrapped.partition(".")
        try:
            if version != _VERSION:
                raise ValueError(version)
            sealed = base64.b64decode(encoded, validate=True)
            return PayloadKey(self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], trust_id.bytes))
        except (InvalidTag, ValueError):
            raise VaultError(
                f"the payload key of trust {trust_id} does not open with the master key of {self._source}; "
                "restore the master key that was in use when the trust was registered"
            ) from None


def _create(path: Path) -> None:
    if path.exists():
        return
    # Written aside and linked: a second hub that starts now sees the whole key or none, and one of the two wins.
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(PayloadKey.generate().to_base64() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(aside, path)
    finally:
        aside.unlink()


def _read(path: Path) -> bytes:
    try:
        with path.open() as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(1024)
    except (OSError, UnicodeDecodeError) as error:
        raise VaultError(f"master key {path}: cannot be read ({type(error).__name__})") from None
    if mode & 0o077:
        raise VaultError(f"master key {path}: mode {mode:04o} lets others read it; run: chmod 600 {path}")
    try:
        return PayloadKey.from_base64(text).secret
    except KeyFormatError:
        raise VaultError(f"master key {path}: expected {_KEY_BYTES} bytes in base64") from None
