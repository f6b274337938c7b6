"""What a kit says: a header anyone may read, and contents for the trust alone."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self, TypeVar
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from flip_common.wire.model import TrustName
from flip_trust.api.settings import HeaderName, HubUrl, PayloadKeys, ServiceKey
from flipctl.kit import KitError

MAX_PEM_CHARS = 65_536
MAX_CERTIFICATES = 10
MAX_RECIPIENTS = 8
MAX_SERIAL = 1_000_000
CLOCK_SLACK = timedelta(days=1)
# What reads the same in every kind of env file, with quotes or without.
_PLAIN = re.compile(r"[A-Za-z0-9._~:/@%+=,\[\]-]+")
M = TypeVar("M", bound=BaseModel)


def certificates(text: str) -> str:
    """The certificates of a PEM text, written anew; nothing else of the text stays.

    Raises:
        ValueError: no certificate, too many, one that cannot be read, or a private key beside them.
    """
    if "PRIVATE KEY" in text:
        raise ValueError("holds a private key; name a file with the certificate alone")
    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise ValueError("is no PEM certificate") from None
    if len(found) > MAX_CERTIFICATES:
        raise ValueError(f"holds {len(found)} certificates; at most {MAX_CERTIFICATES} are taken")
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in found)


def expired_certificate(pem: str, now: datetime) -> str:
    """Says which certificate has expired and when; an empty text when none has."""
    for certificate in x509.load_pem_x509_certificates(pem.encode()):
        if certificate.not_valid_after_utc <= now:
            return f"{certificate.subject.rfc4514_string()} expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    return ""


_REVEALED = PlainSerializer(SecretStr.get_secret_value, return_type=str, when_used="json")
Pem = Annotated[str, StringConstraints(max_length=MAX_PEM_CHARS), AfterValidator(certificates)]
HostPort = Annotated[str, StringConstraints(max_length=300, pattern=r"^[A-Za-z0-9._\-\[\]:]+:[0-9]{1,5}$")]
RecipientName = Annotated[str, StringConstraints(pattern=r"^(SHA256:[A-Za-z0-9+/]{43}|age1[a-z0-9]{58})$")]


class KitModel(BaseModel):
    """Base: immutable, unknown fields refused, no value in the text of an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Header(KitModel):
    """What is readable without any key. Nothing in it is secret; the signature covers it."""

    format: Literal[1] = 1
    trust_id: UUID
    trust_name: TrustName
    key_id: UUID = Field(description="the hub's name for the keys in this kit")
    serial: int = Field(
        ge=1, le=MAX_SERIAL, description="how many kits the hub has given this trust, this one included"
    )
    issued_at: AwareDatetime
    expires_at: AwareDatetime
    hub_api_url: Annotated[HubUrl, StringConstraints(max_length=500)]
    recipients: tuple[RecipientName, ...] = Field(
        max_length=MAX_RECIPIENTS, description="keys that open it; none: a passphrase does"
    )

    def problem_with_time(self, now: datetime) -> str:
        """Why this kit may not be installed at this time; an empty text when it may."""
        if now >= self.expires_at:
            return f"it expired on {self.expires_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC; ask the hub to reissue it"
        if now < self.issued_at - CLOCK_SLACK:
            return f"it was made on {self.issued_at.astimezone(UTC):%Y-%m-%d}, in the future; set this machine's clock"
        return ""


class Flower(KitModel):
    """What a Flower client needs. Its key pair is made at the site: no private FL key travels."""

    backend: Literal["flower"] = "flower"
    server_address: HostPort
    ca_pem: Pem


class Contents(KitModel):
    """What is for the trust alone.

    `fl` is the place of whatever the FL backend needs. Another backend (NVFLARE's start-up files) becomes a second
    form of it, told apart by `backend`, with its files as fields of fixed names.
    """

    header: Header
    api_key_header: HeaderName
    api_key: Annotated[ServiceKey, _REVEALED]
    aes_key_base64: Annotated[PayloadKeys, _REVEALED]
    internal_service_key: Annotated[ServiceKey, _REVEALED]
    app_service_key: Annotated[ServiceKey, _REVEALED]
    fl: Flower
    hub_ca_pem: Pem | None = None

    @model_validator(mode="after")
    def _fit_for_env_files(self) -> Self:
        for values in self._variables().values():
            for name, value in values.items():
                if not _PLAIN.fullmatch(value):
                    raise ValueError(f"{name} has characters that not every env file can hold")
        return self

    def files(self, signed_by: str) -> dict[str, bytes]:
        """The files of a kit's folder by name; those that end in `.env` hold secrets."""
        files = {
            name: "".join(f"{key}={value}\n" for key, value in values.items()).encode()
            for name, values in self._variables().items()
        }
        files["ca.pem"] = self.fl.ca_pem.encode()
        if self.hub_ca_pem is not None:
            files["hub-ca.pem"] = self.hub_ca_pem.encode()
        about = Installed(header=self.header, signed_by=signed_by)
        files["kit.json"] = about.model_dump_json(indent=2).encode() + b"\n"
        return files

    def _variables(self) -> dict[str, dict[str, str]]:
        internal = {"TRUST_INTERNAL_SERVICE_KEY": self.internal_service_key.get_secret_value()}
        apps = {"TRUST_APP_SERVICE_KEY": self.app_service_key.get_secret_value()}
        hub = hub_variables(
            self.header.hub_api_url,
            self.api_key_header,
            self.api_key.get_secret_value(),
            self.aes_key_base64.get_secret_value(),
            str(self.header.trust_id),
        )
        site = {"SUPERNODE_NAME": self.header.trust_name, "FL_SERVER_ADDRESS": self.fl.server_address}
        # The FL client runs researchers' code: it never sees the services' own key.
        return {"trust.env": hub | internal, "services.env": internal | apps, "fl-site.env": site | apps}


FILE_NAMES = frozenset({"kit.json", "trust.env", "services.env", "fl-site.env", "ca.pem", "hub-ca.pem"})


class Installed(KitModel):
    """`kit.json` in a kit's folder: which kit lies there. No secret."""

    header: Header
    signed_by: str


def hub_variables(hub_api_url: str, header: str, api_key: str, aes_key: str, trust_id: str) -> dict[str, str]:
    """What trust-api must know to speak with the hub, as environment variables. Secrets are among them."""
    return {
        "CENTRAL_HUB_API_URL": hub_api_url,
        "TRUST_API_KEY_HEADER": header,
        "TRUST_API_KEY": api_key,
        "AES_KEY_BASE64": aes_key,
        "EXPECTED_TRUST_ID": trust_id,
    }


def parse(model: type[M], document: bytes, what: str) -> M:
    """Reads a JSON document.

    Raises:
        KitError: not a valid `model`; names the fields and no value.
    """
    try:
        return model.model_validate_json(document)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'document'}: {item['msg']}"
            for item in error.errors(include_input=False, include_url=False, include_context=False)
        )
        raise KitError(
            f"{what} is not what this flipctl reads ({problems}); use flipctl of the hub's release"
        ) from None
