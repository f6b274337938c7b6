"""Settings of the hub."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, ClassVar, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, Field, HttpUrl, SecretStr, StringConstraints, model_validator

from flip_common.settings import ServiceSettings
from flip_common.wire import WireModel
from flip_common.wire.model import FLBackend, Sha256Hex, TrustName

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")]

_ARN = r"arn:aws[a-z-]*:{}:[a-z0-9-]+:\d{{12}}:"
KmsKey = Annotated[
    str, StringConstraints(pattern=rf"^{_ARN.format('kms')}(key/[0-9a-z-]{{36}}|alias/[A-Za-z0-9/_-]{{1,256}})$")
]
SecretName = Annotated[
    str, StringConstraints(pattern=rf"^({_ARN.format('secretsmanager')}secret:)?[A-Za-z0-9/_+=.@!-]{{1,519}}$")
]
# So narrow that all who parse it find the same host in it.
_URL_BESIDE_SECRET = re.compile(
    r"postgresql://([^:@/?#\s]+@)?(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:\d+)?/[^/?#\s]+(\?(?P<options>[^#\s]*))?"
)


def _bucket(name: str) -> str:
    # docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name):
        raise ValueError("a bucket's name has 3 to 63 characters: a-z, 0-9, '-' and '.', the first and last no mark")
    if ".." in name or re.fullmatch(r"[0-9]+(\.[0-9]+){3}", name):
        raise ValueError("a bucket's name has no two dots in a row and does not look like an IP address")
    if name.startswith(("xn--", "sthree-", "amzn-s3-demo-")) or name.endswith(("-s3alias", "--ol-s3", ".mrap")):
        raise ValueError("this beginning or ending is AWS's own; give the bucket's name itself")
    return name


def _prefix(prefix: str) -> str:
    parts = prefix.split("/") if prefix else []
    if len(prefix) > 200 or any(not re.fullmatch(r"[A-Za-z0-9_.-]+", part) or not part.strip(".") for part in parts):
        raise ValueError(
            "a prefix has parts of letters, digits, '_', '.' and '-' with '/' between them and none at either end, "
            "such as flip/hub1, and 200 characters at most"
        )
    return prefix


def _issuer(url: str) -> str:
    parts = urlsplit(url)
    plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not (parts.scheme == "https" or plain) or not parts.hostname:
        raise ValueError("write the issuer's address with https://, such as https://login.example.org/pool")
    if "@" in parts.netloc or parts.query or parts.fragment or not re.fullmatch(r"[\x21-\x7e]{1,500}", url):
        raise ValueError(
            "an issuer's address has no user, no '?', no '#' and no space; write it as its tokens do in iss"
        )
    return url


class FLNet(WireModel):
    """One FL server and its clients, reached through the FL API beside the server."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    backend: FLBackend
    url: HttpUrl


class HubSettings(ServiceSettings):
    """Read from the environment or an env file; see `ServiceSettings`."""

    reserved_prefixes: ClassVar[tuple[str, ...]] = ("HUB_", "TASK_", "FL_NETS")

    hub_data_dir: Path = Field(
        description="Folder of app files and results (unless in a bucket), the master key and embedded PostgreSQL"
    )
    hub_files_bucket: Annotated[str, AfterValidator(_bucket)] | None = Field(
        default=None, description="S3 bucket of app files and results; unset: HUB_DATA_DIR/models"
    )
    hub_files_prefix: Annotated[str, AfterValidator(_prefix)] = Field(
        default="", description="What keys in HUB_FILES_BUCKET begin with, such as flip/hub1; one for each database"
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL as postgresql://user:password@host/name; unset: embedded, in HUB_DATA_DIR/postgres",
    )
    database_secret: SecretName | None = Field(
        default=None,
        description="ARN or name of the AWS Secrets Manager secret with the database's user and password; "
        "DATABASE_URL has none then, and TLS with sslmode=verify-full",
    )
    hub_master_key_file: Path | None = Field(
        default=None,
        description="File (mode 0600) with the key that wraps trusts' payload keys; "
        "unset: HUB_DATA_DIR/master.key, made at first start",
    )
    hub_master_kms_key: KmsKey | None = Field(
        default=None,
        description="ARN of the AWS KMS key, or of an alias, that guards the key that wraps trusts' payload keys; "
        "in place of a file",
    )
    hub_release: str = Field(default="development", max_length=64, description="Release the hub runs")
    hub_keep_alive_seconds: int = Field(
        default=5,
        ge=1,
        le=3600,
        description="Seconds the public API keeps an idle connection; longer than a load balancer in front of it does",
    )
    hub_session_hours: float = Field(default=12, gt=0, le=168, description="Hours until a sign-in ends")
    hub_oidc_issuer: Annotated[str, AfterValidator(_issuer)] | None = Field(
        default=None,
        description="OpenID Connect issuer whose ID tokens sign users in, letter by letter as in its tokens; "
        "with HUB_OIDC_CLIENT_ID",
    )
    hub_oidc_client_id: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,255}$")] | None = Field(
        default=None, description="Client at that issuer that the tokens must be for (aud)"
    )
    hub_local_passwords: bool = Field(
        default=True, description="Whether passwords kept by the hub sign in; false: only HUB_OIDC_ISSUER does"
    )
    hub_app_max_bytes: int = Field(
        default=10_000_000, gt=0, description="Largest app upload, in bytes; Flower takes no more"
    )
    hub_result_max_bytes: int = Field(
        default=20_000_000_000, gt=0, description="Largest result file the FL server may upload, in bytes"
    )
    trust_api_key_hashes: dict[TrustName, Sha256Hex] = Field(
        default_factory=dict,
        description="Trusts to have from the start, as JSON of names and SHA-256 of their API keys; "
        "made by flipctl keys generate",
    )
    trust_aes_keys: dict[TrustName, SecretStr] = Field(
        default_factory=dict, description="Payload keys (base64) of the trusts in TRUST_API_KEY_HASHES, as JSON"
    )
    trust_api_key_header: HeaderName = Field(
        default="X-Trust-Api-Key", description="Header in which a trust sends its API key"
    )
    internal_service_key_header: HeaderName = Field(
        default="X-Internal-Service-Key", description="Header in which the FL server sends its key"
    )
    internal_service_key_hash: Sha256Hex = Field(
        description="SHA-256 of the key the FL server calls the internal API with"
    )
    task_lease_seconds: float = Field(
        default=60, ge=1, le=3600, description="Seconds a trust holds a task before it must renew"
    )
    task_max_attempts: int = Field(
        default=3, ge=1, le=100, description="Times a task is offered before it counts as failed"
    )
    trust_stale_seconds: float = Field(
        default=60, gt=0, description="Seconds without heartbeat after which a trust counts as offline"
    )
    fl_nets: list[FLNet] = Field(
        default_factory=list,
        description='FL nets as JSON, such as [{"name":"net1","backend":"flower","url":"http://127.0.0.1:8100"}]',
    )
    fl_api_key: SecretStr | None = Field(default=None, description="Key for the FL APIs of all nets")
    fl_poll_seconds: float = Field(default=1.0, gt=0, le=60, description="Pause between two looks at a running job")
    fl_unreachable_seconds: float = Field(
        default=300, gt=0, description="Seconds without an answer of the FL API until a running model's events say so"
    )
    cohort_queries_per_day: int = Field(
        default=50, ge=1, description="Cohort queries a project may put to trusts in 24 hours; each eases differencing"
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")

    @model_validator(mode="after")
    def _prefix_of_a_bucket(self) -> Self:
        if self.hub_files_prefix and self.hub_files_bucket is None:
            raise ValueError("HUB_FILES_PREFIX is set and HUB_FILES_BUCKET is not; set both, or leave the prefix out")
        return self

    @model_validator(mode="after")
    def _somebody_signs_in(self) -> Self:
        if (self.hub_oidc_issuer is None) != (self.hub_oidc_client_id is None):
            raise ValueError("HUB_OIDC_ISSUER and HUB_OIDC_CLIENT_ID go together; set both, or neither")
        if not self.hub_local_passwords and self.hub_oidc_issuer is None:
            raise ValueError("HUB_LOCAL_PASSWORDS is false and HUB_OIDC_ISSUER is not set: nobody could sign in")
        return self

    @model_validator(mode="after")
    def _one_master_key(self) -> Self:
        if self.hub_master_kms_key and self.hub_master_key_file:
            raise ValueError("HUB_MASTER_KMS_KEY and HUB_MASTER_KEY_FILE exclude each other; unset one")
        return self

    @model_validator(mode="after")
    def _password_travels_safely(self) -> Self:
        if self.database_secret is None:
            return self
        url = self.database_url.get_secret_value() if self.database_url else ""
        found = _URL_BESIDE_SECRET.fullmatch(url)
        options = parse_qsl(found["options"] or "", keep_blank_values=True) if found else []
        names = sorted(name for name, _ in options)
        if found is None or names not in ([], ["sslmode"], ["sslrootcert"], ["sslmode", "sslrootcert"]):
            raise ValueError(
                "DATABASE_URL: with DATABASE_SECRET it is postgresql://HOST:PORT/NAME?sslmode=verify-full&"
                "sslrootcert=CA-FILE, without a password: that comes from the secret"
            )
        if dict(options).get("sslmode") != "verify-full" and not is_loopback(found["host"].strip("[]")):
            raise ValueError(
                f"DATABASE_URL: the password of DATABASE_SECRET would go to whoever answers for {found['host']}; "
                "add ?sslmode=verify-full&sslrootcert=CA-FILE"
            )
        return self


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, by name or address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
