"""Making a kit at the hub: everything is checked before the hub is asked for keys, which it shows once."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import TypeAdapter, ValidationError

from flip_common.keys import generate_api_key
from flip_common.wire.model import TrustName
from flip_trust.api.settings import HubUrl
from flipctl.kit import KitError
from flipctl.kit.keys import Recipient
from flipctl.kit.model import MAX_RECIPIENTS, Contents, Flower, Header, HostPort, Pem, expired_certificate
from flipctl.kit.sealed import pack

_FORMS: dict[str, TypeAdapter[str]] = {
    "trust name": TypeAdapter(TrustName),
    "--hub": TypeAdapter(HubUrl),
    "--via": TypeAdapter(HubUrl),
    "--fl-server": TypeAdapter(HostPort),
}
_PEM: TypeAdapter[str] = TypeAdapter(Pem)


def check(what: str, value: str) -> None:
    """Checks a trust's name, or an option's address. Addresses of hubs are https, or on this very machine.

    Raises:
        KitError: not of the form it must have.
    """
    try:
        _FORMS[what].validate_python(value)
    except ValidationError as error:
        raise KitError(f"{what} {value!r}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


@dataclass(frozen=True)
class Order:
    """What a kit shall hold besides the hub's keys, for whom, and who signs it. `to` is a passphrase if a text."""

    trust_name: str
    hub: str
    fl_server: str
    fl_ca: str
    hub_ca: str | None
    days: int
    to: Sequence[Recipient] | str = field(repr=False)
    signing_key: Ed25519PrivateKey = field(repr=False)

    def __post_init__(self) -> None:
        for what, value in (("trust name", self.trust_name), ("--hub", self.hub), ("--fl-server", self.fl_server)):
            check(what, value)
        if not isinstance(self.to, str) and not 1 <= len(self.to) <= MAX_RECIPIENTS:
            raise KitError(f"{len(self.to)} recipients; name 1 to {MAX_RECIPIENTS} with --to, or use --passphrase")


def read_certificates(path: Path, now: datetime) -> str:
    """The certificates of a PEM file.

    Raises:
        KitError: none, one that has expired, or a private key beside them.
    """
    try:
        pem = _PEM.validate_python(path.read_text(encoding="ascii"))
    except ValidationError as error:
        raise KitError(f"{path}: {error.errors(include_input=False)[0]['msg']}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise KitError(f"{path}: cannot be read ({type(error).__name__}); name a PEM file") from None
    if problem := expired_certificate(pem, now):
        raise KitError(f"{path}: {problem}; issue a new one, or the site could not connect")
    return pem


def make(order: Order, answer: dict[str, Any], serial: int) -> tuple[Header, bytes]:
    """The kit file from what the hub answered when it made the keys.

    Raises:
        KitError: the hub's answer cannot go into a kit.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    try:
        header = Header(
            trust_id=answer["trust_id"],
            trust_name=answer["trust_name"],
            key_id=answer["key_id"],
            serial=serial,
            issued_at=now,
            expires_at=now + timedelta(days=order.days),
            hub_api_url=order.hub,
            recipients=() if isinstance(order.to, str) else tuple(each.name for each in order.to),
        )
        contents = Contents(
            header=header,
            api_key_header=answer["api_key_header"],
            api_key=answer["api_key"],
            aes_key_base64=answer["aes_key_base64"],
            internal_service_key=generate_api_key(),
            app_service_key=generate_api_key(),
            fl=Flower(server_address=order.fl_server, ca_pem=order.fl_ca),
            hub_ca_pem=order.hub_ca,
        )
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise KitError(f"{'.'.join(map(str, first['loc'])) or 'the kit'}: {first['msg']}") from None
    except KeyError as error:
        raise KitError(f"the hub's answer has no {error}; use flipctl of the hub's release") from None
    return header, pack(contents, order.to, order.signing_key)


@contextmanager
def new_file(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Gives a function that writes the file (0600) whole; that it can be written is known from the start.

    Raises:
        KitError: it exists, or its folder cannot be written.
    """
    if path.exists():
        raise KitError(f"{path} exists; name another file, so that no kit is lost")
    try:
        handle, scrap = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise KitError(f"{path}: cannot be written ({error.strerror})") from None
    try:
        with os.fdopen(handle, "wb") as file:

            def write(content: bytes) -> None:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                Path(scrap).rename(path)

            yield write
    finally:
        Path(scrap).unlink(missing_ok=True)
