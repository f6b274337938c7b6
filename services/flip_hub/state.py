"""What lives as long as the hub's process; reached in routes as `HubState`."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from flip_hub.db import Database
from flip_hub.models.files import ModelFiles
from flip_hub.settings import HubSettings
from flip_hub.tasks.bus import TaskBus
from flip_hub.trusts.vault import Vault
from flip_hub.users.issuer import Issuer


@dataclass(frozen=True)
class Hub:
    """Settings and long-lived parts, made once by `flip_hub.app.lifespan`."""

    settings: HubSettings
    db: Database
    vault: Vault
    bus: TaskBus
    files: ModelFiles
    issuer: Issuer | None


async def _hub(request: Request) -> Hub:
    hub = request.app.state.hub
    assert isinstance(hub, Hub)  # noqa: S101 - set by the lifespan before any request
    return hub


HubState = Annotated[Hub, Depends(_hub)]
