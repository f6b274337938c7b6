"""Settings of trust-api."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from flip_common import __version__
from flip_common.keys import KeyFormatError, PayloadKey, parse_payload_keys
from flip_common.proxy import ProxyUrl
from flip_common.settings import ServiceSettings
from flip_common.wire.task import MAX_WAIT_SECONDS
from flip_trust.disclosure import Disclosure

_KEY_CHARS = re.compile(r"[\x21-\x7e]{16,512}")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http(s) URL with a host, such as http://127.0.0.1:8010")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must not hold a sign-in, a query or a fragment")
    return text.rstrip("/")


def _hub_url(text: str) -> str:
    url = _base_url(text)
    parts = urlsplit(url)
    if not parts.path.endswith("/api"):
        raise ValueError("must end in /api, such as https://hub.example.org/api")
    if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
        raise ValueError("must be https; plain http is accepted for a hub on this very machine only")
    return url


def _service_key(value: SecretStr) -> SecretStr:
    if not _KEY_CHARS.fullmatch(value.get_secret_value()):
        raise ValueError("must be 16 to 512 printable characters without spaces")
    return value


def _payload_keys(value: SecretStr) -> SecretStr:
    try:
        parse_payload_keys(value.get_secret_value())
    except KeyFormatError as error:
        raise ValueError(str(error)) from None
    return value


BaseUrl = Annotated[str, AfterValidator(_base_url)]
HubUrl = Annotated[str, AfterValidator(_hub_url)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")]
ServiceKey = Annotated[SecretStr, AfterValidator(_service_key)]
PayloadKeys = Annotated[SecretStr, AfterValidator(_payload_keys)]


class TrustApiSettings(ServiceSettings):
    """Everything trust-api can be told."""

    central_hub_api_url: HubUrl = Field(
        description="Base of the hub's API; ends in /api; https, unless the hub runs on this machine."
    )
    trust_api_key_header: HeaderName = Field(
        default="X-Trust-Api-Key", description="Header that carries the trust's API key to the hub."
    )
    trust_api_key: ServiceKey = Field(description="The trust's API key. A secret.")
    aes_key_base64: PayloadKeys = Field(
        description="Payload keys, 32 bytes in base64: one, or two separated by a comma during rotation; "
        "the first seals results. A secret."
    )
    expected_trust_id: UUID | None = Field(
        default=None,
        description="Id this trust has at the hub. When the hub takes the caller for another, "
        "the process ends with status 2.",
    )
    poll_interval_seconds: float = Field(
        default=5,
        ge=0.05,
        le=3600,
        description="Shortest time from one empty poll to the next, and first pause after a failed one (s).",
    )
    lease_wait_seconds: float = Field(
        default=30,
        ge=0,
        le=MAX_WAIT_SECONDS,
        description="How long the hub may hold a poll open until there is work (s).",
    )
    task_concurrency: int = Field(
        default=4,
        ge=1,
        le=100,
        description="Tasks that may run at the same time; a cohort query that waits for another of its project is "
        "not counted.",
    )
    heartbeat_interval_seconds: float = Field(default=15, ge=0.05, le=3600, description="Time between heartbeats (s).")
    drain_seconds: float = Field(
        default=30,
        ge=0,
        le=3600,
        description="After SIGTERM, how long running tasks may take to finish before they are given up (s).",
    )
    data_access_api_url: BaseUrl = Field(
        default="http://127.0.0.1:8010", description="Base of the site's data-access-api."
    )
    imaging_api_url: BaseUrl = Field(default="http://127.0.0.1:8001", description="Base of the site's imaging-api.")
    trust_internal_service_key_header: HeaderName = Field(
        default="X-Trust-Internal-Service-Key", description="Header of the key between the site's services."
    )
    trust_internal_service_key: ServiceKey = Field(description="Key between the site's services. A secret.")
    service_timeout_seconds: float = Field(
        default=300, ge=1, le=86400, description="Longest call to one of the site's services (s)."
    )
    cohort_query_threshold: int = Field(
        default=10, ge=1, le=1_000_000, description="Counts of studies below this leave the site suppressed."
    )
    cohort_query_rounding: int = Field(
        default=10, ge=1, le=1_000_000, description="Counts of studies leave the site as multiples of this."
    )
    hub_proxy: ProxyUrl | None = Field(
        default=None, description="HTTP proxy through which the hub is reached, http://[user:password@]host:port."
    )
    hub_ca_file: Path | None = Field(
        default=None, description="PEM file of the only authority trusted for the hub; else the system's."
    )
    fl_public_key_file: Path | None = Field(
        default=None, description="Public key of the site's FL client, sent to the hub at start when set."
    )
    release: str = Field(
        default=__version__, min_length=1, max_length=64, description="Release this trust runs, for the hub."
    )
    log_level: str = Field(default="INFO", description="Level of the log: DEBUG, INFO, WARNING or ERROR.")

    @model_validator(mode="after")
    def _counts_can_be_disclosed(self) -> Self:
        Disclosure(self.cohort_query_threshold, self.cohort_query_rounding)
        return self

    @property
    def payload_keys(self) -> tuple[PayloadKey, ...]:
        """The payload keys; the first seals."""
        return parse_payload_keys(self.aes_key_base64.get_secret_value())
