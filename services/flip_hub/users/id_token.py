"""ID tokens of OpenID Connect: whether one is of the hub's issuer, for the hub, and of now."""

import base64
import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError

from flip_hub.db import utcnow
from flip_hub.users.issuer import ALGORITHMS, Issuer

LEEWAY_SECONDS = 60
"""How far the issuer's clock and the hub's may be apart."""
MAX_AGE_SECONDS = 300
"""A token signs in when it is new, whatever its own end: who copies one from somewhere comes too late."""
MAX_KID_CHARS = 256
MAX_TIME = 1e12
"""Beyond all years there are; also keeps out infinities and what is not a number."""


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """The token does not sign in. The text is a reason for the log and holds nothing of the token."""


@dataclass(frozen=True)
class Identity:
    """Whom a valid token speaks of. `email` is in lower case, and verified only if `verified` says so."""

    email: str
    verified: bool
    subject: str
    digest: str


async def verified(issuer: Issuer, token: str) -> Identity:
    """What a token says, once it is known who says it, to whom and when (OpenID Connect Core 1.0, 3.1.3.7).

    Raises:
        Refused: with the reason.
        flip_hub.users.issuer.IssuerUnavailable: the issuer's keys cannot be had.
    """
    header, claims = _parts(token)
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise Refused("its algorithm is not allowed")
    if str(header.get("typ", "JWT")).upper() != "JWT":
        raise Refused("it is another type of token")
    if not isinstance(kid, str) or len(kid) > MAX_KID_CHARS:
        raise Refused("it names no key")
    # Before the issuer is asked for anything: whoever did not even copy a token of it causes no call.
    if claims.get("iss") != issuer.name:
        raise Refused("it is of another issuer")
    key = await issuer.keys.find(kid, algorithm)
    if key is None:
        raise Refused("its key is none of the issuer's")
    try:
        jws.deserialize_compact(token, key, algorithms=[algorithm])
    except (JoseError, ValueError):
        raise Refused("its signature is wrong") from None
    _check_audience(claims, issuer.client_id)
    _check_times(claims)
    if claims.get("token_use", "id") != "id":
        raise Refused("it is no ID token")
    return Identity(
        email=_email(claims),
        verified=claims.get("email_verified") is True,
        subject=_text(claims, "sub", 255),
        digest=sha256(token.rpartition(".")[0].encode()).hexdigest(),
    )


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    parts = token.split(".")
    if len(parts) != 3:
        raise Refused("it is no signed token")
    try:
        header, claims = (json.loads(base64.b64decode(_padded(part), b"-_", validate=True)) for part in parts[:2])
    except (ValueError, RecursionError):
        raise Refused("it is no signed token") from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise Refused("it is no signed token")
    return header, claims


def _padded(part: str) -> str:
    return part + "=" * (-len(part) % 4)


def _check_audience(claims: dict[str, Any], client_id: str) -> None:
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    party = claims.get("azp", client_id if len(audiences) == 1 else None)
    if client_id not in audiences or party != client_id:
        raise Refused("it is for another client")


def _check_times(claims: dict[str, Any]) -> None:
    now = utcnow().timestamp()
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    if expires is None or issued is None:
        raise Refused("it does not say when it was issued and ends")
    if expires <= now - LEEWAY_SECONDS:
        raise Refused("it has expired")
    if max(issued, _time(claims, "nbf") or issued) > now + LEEWAY_SECONDS:
        raise Refused("it is from the future")
    if issued < now - MAX_AGE_SECONDS - LEEWAY_SECONDS:
        raise Refused("it was issued too long ago")


def _time(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < MAX_TIME:
        raise Refused(f"its {name} is no time")
    return value


def _email(claims: dict[str, Any]) -> str:
    email = _text(claims, "email", 320)
    lower = email.lower()
    if (
        lower.upper() != email.upper()
    ):  # as of U+212A, the sign for Kelvin, which is another letter than K: it becomes k
        raise Refused("its email has a letter that becomes another one in lower case")
    return lower


def _text(claims: dict[str, Any], name: str, limit: int) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= limit or not value.isprintable():
        raise Refused(f"its {name} is missing, or no text to work with")
    return value
