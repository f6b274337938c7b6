"""OpenSSH signatures (SSHSIG, Ed25519) that stock `ssh-keygen -Y verify -n flip-kit` checks.

The signing is `cryptography`'s; only the frame around it is written here. It is rebuilt for the check instead of being
parsed: a signature whose text differs in one character from the rebuilt one is refused.
Frame: https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig
"""

import base64
import binascii
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from flipctl.kit import KitError

NAMESPACE = b"flip-kit"
BEGIN = b"-----BEGIN SSH SIGNATURE-----\n"
END = b"-----END SSH SIGNATURE-----\n"
_MAGIC = b"SSHSIG"
_KEY_TYPE = b"ssh-ed25519"
_KEY_BYTES, _SIGNATURE_BYTES, _LINE = 32, 64, 70


def sign(key: Ed25519PrivateKey, message: bytes) -> bytes:
    """The armoured signature of a message."""
    return _armour(key.public_key().public_bytes_raw(), key.sign(_signed(message)))


def verify(message: bytes, armoured: bytes) -> str:
    """The fingerprint of the key that signed; whether it is the right one is for the caller to say.

    Raises:
        KitError: the signature or the message was altered.
    """
    try:
        frame = base64.b64decode(armoured.removeprefix(BEGIN).removesuffix(END), validate=False)
    except binascii.Error:
        frame = b""
    public, signature = frame[_KEY_AT : _KEY_AT + _KEY_BYTES], frame[-_SIGNATURE_BYTES:]
    if len(public) != _KEY_BYTES or armoured != _armour(public, signature):
        raise KitError("its signature is damaged or of another kind than Ed25519; fetch the file again")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _signed(message))
    except InvalidSignature:
        raise KitError("it was altered after it was signed; do not use it, and fetch it again") from None
    return fingerprint(public)


def fingerprint(public: bytes) -> str:
    """`SHA256:...` of a raw Ed25519 public key, as `ssh-keygen -l` prints it."""
    digest = hashlib.sha256(_public_blob(public)).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _public_blob(public: bytes) -> bytes:
    return _string(_KEY_TYPE) + _string(public)


def _signed(message: bytes) -> bytes:
    digest = hashlib.sha512(message).digest()
    return _MAGIC + _string(NAMESPACE) + _string(b"") + _string(b"sha512") + _string(digest)


def _armour(public: bytes, signature: bytes) -> bytes:
    frame = _MAGIC + (1).to_bytes(4, "big") + _string(_public_blob(public))
    frame += _string(NAMESPACE) + _string(b"") + _string(b"sha512")
    frame += _string(_string(_KEY_TYPE) + _string(signature))
    text = base64.b64encode(frame)
    lines = [text[start : start + _LINE] + b"\n" for start in range(0, len(text), _LINE)]
    return BEGIN + b"".join(lines) + END


# Magic, version, length of the key's blob, its type, and the length of the key itself.
_KEY_AT = len(_MAGIC) + 4 + 4 + len(_string(_KEY_TYPE)) + 4
