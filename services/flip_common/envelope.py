"""The envelope of task payloads and results: compact JWE (RFC 7516), `dir` with `A256GCM`.

The protected header names the key (`kid`) and binds trust, task, type and direction, so an envelope that is
replayed for another trust or task, or sent back as its own answer, does not open.
"""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from uuid import UUID

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from joserfc.registry import HeaderParameter
from pydantic import BaseModel

from flip_common.keys import PayloadKey

Direction = Literal["to-trust", "to-hub"]
M = TypeVar("M", bound=BaseModel)

_BINDING = ("flip-trust", "flip-task", "flip-type", "flip-dir")
_REGISTRY = jwe.JWERegistry(
    header_registry={name: HeaderParameter(name, "str", required=True) for name in _BINDING},
    algorithms=["dir", "A256GCM"],
)


class EnvelopeError(ValueError):
    """An envelope that does not open. The text holds no content of it."""


@dataclass(frozen=True)
class Binding:
    """What an envelope is for. Sealing and opening must agree on all of it."""

    trust_id: UUID
    task_id: UUID
    task_type: str
    direction: Direction

    def header(self) -> dict[str, str]:
        """The binding as protected header parameters."""
        values = (str(self.trust_id), str(self.task_id), self.task_type, self.direction)
        return dict(zip(_BINDING, values, strict=True))


def seal(content: BaseModel, key: PayloadKey, binding: Binding) -> str:
    """Encrypts a wire model; returns compact JWE text."""
    header: dict[str, Any] = {"alg": "dir", "enc": "A256GCM", "kid": key.kid, **binding.header()}
    plaintext = content.model_dump_json().encode()
    return jwe.encrypt_compact(header, plaintext, OctKey.import_key(key.secret), registry=_REGISTRY)


def _protected_header(token: str) -> dict[str, Any]:
    """The header, not yet authenticated: only good for choosing a key and for a clear refusal."""
    encoded = token.split(".", 1)[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise EnvelopeError("not a compact JWE")
    return header


def open_sealed(token: str, model: type[M], keys: Iterable[PayloadKey], binding: Binding) -> M:
    """Decrypts and validates what `seal` made.

    Raises:
        EnvelopeError: unknown key id, wrong binding, or changed on the way.
        pydantic.ValidationError: it opened, but the content is not a valid `model`.
    """
    by_kid = {key.kid: key for key in keys}
    header = _protected_header(token)
    key = by_kid.get(str(header.get("kid")))
    if key is None:
        known = ", ".join(sorted(by_kid)) or "none"
        raise EnvelopeError(f"sealed with key id {header.get('kid')!s:.64}, known here: {known}")
    wanted = binding.header()
    differing = [name for name in _BINDING if header.get(name) != wanted[name]]
    if differing:
        raise EnvelopeError("sealed for something else: " + ", ".join(differing) + " differ")
    try:
        opened = jwe.decrypt_compact(token, OctKey.import_key(key.secret), registry=_REGISTRY)
    except (JoseError, ValueError):
        raise EnvelopeError("damaged, or sealed with another key of the same id") from None
    return model.model_validate_json(opened.plaintext or b"")
