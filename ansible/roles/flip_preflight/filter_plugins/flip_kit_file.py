"""What a kit file says without a key, and whether it is the one that the inventory means.

The file is docs/trust-operator.md's: a magic line, a header in JSON, a sealed part, and an OpenSSH signature (SSHSIG,
https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig). What is sealed, `flipctl kit open` checks.
Ansible's machine need not have flipctl, but has `cryptography`, so the signature is looked at here once more.
"""

import base64
import binascii
import hashlib
import json
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAGIC = "FLIP-KIT\n"
BEGIN, END = "-----BEGIN SSH SIGNATURE-----\n", "-----END SSH SIGNATURE-----\n"
NAMESPACE = b"flip-kit"
KEY_TYPE = b"ssh-ed25519"
HTTPS = 443


def _string(data):
    return len(data).to_bytes(4, "big") + data


# The frame of a signature by Ed25519 has one form: what stands before the key, and between key and signature.
BEFORE_KEY = b"SSHSIG" + (1).to_bytes(4, "big") + (51).to_bytes(4, "big") + _string(KEY_TYPE) + (32).to_bytes(4, "big")
AFTER_KEY = _string(NAMESPACE) + _string(b"") + _string(b"sha512") + (83).to_bytes(4, "big") + _string(KEY_TYPE)
AFTER_KEY += (64).to_bytes(4, "big")


def signer(text):
    """The fingerprint of the key that signed this kit file, or None where the signature does not hold."""
    body, _, armoured = text.partition(BEGIN)
    try:
        frame = base64.b64decode(armoured.removesuffix(END))
        key = frame[len(BEFORE_KEY) :][:32]
        if frame != BEFORE_KEY + key + AFTER_KEY + frame[-64:]:
            return None
        signed = b"SSHSIG" + _string(NAMESPACE) + _string(b"") + _string(b"sha512")
        signed += _string(hashlib.sha512(body.encode()).digest())
        Ed25519PublicKey.from_public_bytes(key).verify(frame[-64:], signed)
    except (binascii.Error, ValueError, InvalidSignature):
        return None
    digest = hashlib.sha256(_string(KEY_TYPE) + _string(key)).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def _api(url):
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or HTTPS, parts.path.rstrip("/")


def flip_kit_header(text, trust, signed_by, hub_url):
    """The header of a kit file, and as `problem` why it cannot be the trust's kit; that is empty where it may be."""
    try:
        header = json.loads(text.removeprefix(MAGIC).partition("\n")[0])
        made_for, hub = header["trust_name"], header["hub_api_url"]
        about = {name: header[name] for name in ("trust_name", "serial", "key_id", "expires_at")}
    except (ValueError, KeyError, TypeError):
        return {"problem": "no kit, or not the whole of one: fetch it again"}
    by = signer(text)
    if not text.startswith(MAGIC) or by is None:
        problem = "altered or cut off after it was signed: fetch it again"
    elif by != signed_by:
        problem = f"signed by {by}, and flip_kit_signed_by is {signed_by or 'empty'}: ask the hub which is right"
    elif made_for != trust:
        problem = f"made for {made_for}, and flip_kit_trust is {trust or 'empty'}"
    elif _api(hub) != _api(hub_url):
        problem = f"of the hub {hub}, and flip_preflight_hub_url is {hub_url}"
    else:
        problem = ""
    return {**about, "problem": problem}


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Names in templates."""
        return {"flip_kit_header": flip_kit_header}
