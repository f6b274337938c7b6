"""Keys: API keys (shared secrets, kept as hashes) and payload keys (AES-256, named by thumbprint)."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from joserfc.jwk import OctKey

API_KEY_PREFIX = "flip_"
PAYLOAD_KEY_BYTES = 32
MAX_LIVE_KEYS = 2


class KeyFormatError(ValueError):
    """A key that cannot be one. The text never contains the key."""


def generate_api_key() -> str:
    """A new API key: 256 random bits, URL-safe, with a prefix that secret scanners can look for."""
    return API_KEY_PREFIX + secrets.token_urlsafe(32)


def hash_api_key(key: str) -> str:
    """SHA-256 of the key, hex. A key has 256 bits of entropy, so a slow hash would add nothing."""
    return hashlib.sha256(key.encode()).hexdigest()


def api_key_matches(key: str, hashes: Iterable[str]) -> bool:
    """Whether `key` is one of those `hashes` stand for. Takes the same time wherever the match is."""
    presented = hash_api_key(key)
    found = False
    for known in hashes:
        found |= hmac.compare_digest(presented, known)
    return found


@dataclass(frozen=True)
class PayloadKey:
    """An AES-256 key for task payloads; `kid` is its RFC 7638 thumbprint, so a name needs no configuration."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != PAYLOAD_KEY_BYTES:
            raise KeyFormatError(f"a payload key has {PAYLOAD_KEY_BYTES} bytes, this one has {len(self.secret)}")

    @property
    def kid(self) -> str:
        """Name of the key, safe to publish."""
        return OctKey.import_key(self.secret).thumbprint()

    @classmethod
    def generate(cls) -> "PayloadKey":
        """A new random key."""
        return cls(secrets.token_bytes(PAYLOAD_KEY_BYTES))

    @classmethod
    def from_base64(cls, text: str) -> "PayloadKey":
        """Reads a key as written by `to_base64`.

        Raises:
            KeyFormatError: not base64, or not 32 bytes.
        """
        try:
            raw = base64.b64decode(text.strip(), validate=True)
        except (binascii.Error, ValueError):
            raise KeyFormatError("a payload key is 32 bytes in base64; this text is not base64") from None
        return cls(raw)

    def to_base64(self) -> str:
        """The key as text. A secret."""
        return base64.b64encode(self.secret).decode()


def parse_payload_keys(text: str) -> tuple[PayloadKey, ...]:
    """Keys from `AES_KEY_BASE64`: one, or two separated by a comma during rotation; the first encrypts.

    Raises:
        KeyFormatError: none, more than two, the same twice, or one that is malformed.
    """
    keys = tuple(PayloadKey.from_base64(part) for part in text.split(",") if part.strip())
    if not 1 <= len(keys) <= MAX_LIVE_KEYS:
        raise KeyFormatError(f"expected one or two payload keys separated by a comma, found {len(keys)}")
    if len({key.kid for key in keys}) != len(keys):
        raise KeyFormatError("the same payload key stands there twice")
    return keys
