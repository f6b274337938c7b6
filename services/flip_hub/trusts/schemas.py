"""Bodies of the routes about trusts."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import Field

from flip_common.wire import WireModel
from flip_common.wire.model import TrustName
from flip_hub.trusts.tables import TrustKey


class RegisterTrust(WireModel):
    """Body of `POST /trusts`."""

    name: TrustName


class TrustKit(WireModel):
    """The secrets of one trust. Shown once, when they are made; the hub cannot show them again."""

    trust_id: UUID
    trust_name: TrustName
    key_id: UUID
    api_key: str = Field(description="TRUST_API_KEY of the trust")
    api_key_header: str = Field(description="TRUST_API_KEY_HEADER of the trust")
    aes_key_base64: str = Field(description="AES_KEY_BASE64 of the trust: its payload key")
    hub_api_path: str = Field(description="path below the hub's address at which CENTRAL_HUB_API_URL ends")


class KeyView(WireModel):
    """What may be known about a key."""

    key_id: UUID
    payload_key_id: str
    created_at: datetime
    first_used_at: datetime | None
    retired_at: datetime | None

    @classmethod
    def of(cls, key: TrustKey) -> Self:
        """The view of a row."""
        return cls(
            key_id=key.id,
            payload_key_id=key.kid,
            created_at=key.created_at,
            first_used_at=key.first_used_at,
            retired_at=key.retired_at,
        )


class TrustView(WireModel):
    """A trust and how it is, as of its last heartbeat."""

    trust_id: UUID
    name: TrustName
    created_at: datetime
    enabled: bool
    online: bool = Field(description="a heartbeat came within TRUST_STALE_SECONDS")
    last_heartbeat_at: datetime | None
    clock_skew_seconds: float | None = Field(description="trust's clock minus the hub's")
    release: str | None
    services: dict[str, bool]
    tasks_running: int
    fl_key_registered: bool


class TrustDetail(TrustView):
    """A trust with its keys."""

    keys: list[KeyView]


class ChangeTrust(WireModel):
    """Body of `PATCH /trusts/{trust_id}`."""

    enabled: bool
