"""Settings of the FL API, of a site's FL client and of its way out."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, SecretStr, StringConstraints, model_validator

from flip_common.proxy import ProxyUrl
from flip_common.settings import ServiceSettings
from flip_common.wire.model import TrustName

HostPort = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._\-\[\]:]+:[0-9]{1,5}$")]


class FlApiSettings(ServiceSettings):
    """Settings of the FL API, which runs beside the FL server."""

    reserved_prefixes: ClassVar[tuple[str, ...]] = ("FL_",)

    fl_api_key: SecretStr = Field(description="Key the hub presents in header X-Fl-Api-Key", min_length=20)
    fl_state_dir: Path = Field(description="Folder for jobs, keys, logs and the SuperLink's database; made 0700")
    fl_server_host: str = Field(default="127.0.0.1", description="Address the front for trusts listens on")
    fl_server_port: int = Field(description="Port the front for trusts listens on", ge=1, le=65535)
    fl_server_cert_file: Path = Field(description="PEM certificate chain of the front; trusts check it")
    fl_server_key_file: Path = Field(description="PEM private key of the front")
    flip_api_internal_url: str = Field(
        description="The hub's internal API, up to and including /api/internal", pattern=r"^https?://"
    )
    flip_api_ca_file: Path | None = Field(default=None, description="CA of the hub's internal API, if private")
    internal_service_key: SecretStr = Field(description="Key for the hub's internal API", min_length=20)
    internal_service_key_header: str = Field(
        default="X-Internal-Service-Key", description="Header for that key", pattern=r"^[A-Za-z0-9-]{1,64}$"
    )
    fl_max_app_bytes: int = Field(default=10_000_000, description="Largest app zip, bytes", ge=1000)
    fl_watch_seconds: float = Field(
        default=1.0, description="Pause between two looks at the jobs, seconds", gt=0, le=30
    )
    fl_grid_poll_seconds: float = Field(
        default=0.5, description="Longest pause of a ServerApp between two looks for replies, seconds", gt=0, le=3
    )
    fl_site_grace_seconds: float = Field(
        default=30.0, description="How long a job may be short of sites before it fails, seconds", ge=0, le=3600
    )

    @model_validator(mode="after")
    def _files_exist(self) -> "FlApiSettings":
        for name in ("fl_server_cert_file", "fl_server_key_file", "flip_api_ca_file"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise ValueError(f"{name.upper()}: {path} is no file")
        return self


class SiteSettings(ServiceSettings):
    """Settings of a site's FL client. What a ClientApp needs is handed on to it, and nothing else."""

    reserved_prefixes: ClassVar[tuple[str, ...]] = ("FL_", "SUPERNODE_")

    supernode_name: TrustName = Field(description="Name of the trust, as registered at the hub")
    fl_server_address: HostPort = Field(description="The front of the FL server, host:port")
    fl_server_ca_file: Path = Field(description="PEM file with the CA of the front")
    fl_site_dir: Path = Field(description="Folder for the site's key, logs and running apps; made 0700")
    fl_key_file: Path | None = Field(
        default=None,
        description="The site's private key (OpenSSH, EC); made on first start. Default: site.key in FL_SITE_DIR",
    )
    fl_poll_seconds: float = Field(
        default=1.0, description="Longest pause between two looks for work, seconds", gt=0, le=3
    )
    data_access_api_url: str = Field(description="The trust's data-access-api", pattern=r"^https?://")
    imaging_api_url: str = Field(description="The trust's imaging-api", pattern=r"^https?://")
    trust_app_service_key: SecretStr = Field(
        description="Key with which apps read from the trust's services; theirs, not trust-api's", min_length=16
    )
    trust_internal_service_key_header: str = Field(
        default="X-Trust-Internal-Service-Key", description="Header for that key", pattern=r"^[A-Za-z0-9-]{1,64}$"
    )
    images_dir: Path = Field(description="Folder where an app finds and keeps images")

    @property
    def key_file(self) -> Path:
        """Where the site's private key is."""
        return self.fl_key_file or self.fl_site_dir / "site.key"

    @model_validator(mode="after")
    def _ca_exists(self) -> "SiteSettings":
        if not self.fl_server_ca_file.is_file():
            raise ValueError(f"FL_SERVER_CA_FILE: {self.fl_server_ca_file} is no file")
        return self


class EgressSettings(ServiceSettings):
    """Settings of a site's egress point, the FL client's one way out."""

    reserved_prefixes: ClassVar[tuple[str, ...]] = ("EGRESS_",)

    fl_server_address: HostPort = Field(description="The front of the FL server, host:port: all that is dialled")
    egress_proxy: ProxyUrl | None = Field(
        default=None, description="HTTP proxy through which the FL server is reached, http://[user:password@]host:port"
    )
    egress_host: str = Field(default="127.0.0.1", description="Address to listen on for the FL client")
    egress_port: int = Field(description="Port to listen on for the FL client; 0: any free one", ge=0, le=65535)
    egress_ledger_file: Path = Field(description="File that each connection and its bytes are written to")
    egress_ledger_max_bytes: int = Field(
        default=10_000_000, description="Size at which the ledger is put aside and a new file begun", ge=1000
    )
    egress_ledger_seconds: float = Field(
        default=300, description="Longest that an open connection passes bytes without a line in the ledger", gt=0
    )
    egress_max_connections: int = Field(
        default=64, description="Connections at the same time; the next waits to be taken", ge=1, le=10_000
    )
    egress_connect_seconds: float = Field(
        default=10, description="Longest that finding and reaching the FL server may take", gt=0, le=300
    )
    egress_idle_seconds: float = Field(
        default=300, description="Time without a byte either way after which a connection is closed", gt=0
    )

    @property
    def server(self) -> tuple[str, int]:
        """Host and port of the FL server."""
        host, _, port = self.fl_server_address.rpartition(":")
        return host.strip("[]"), int(port)
