"""Trusts' FL public keys at the nets: pushed when a trust sends one, and compared again and again after that."""

import logging

from sqlalchemy import select

from flip_common.web import Problem
from flip_common.wire import SiteKey
from flip_hub.jobs.flclient import FLClient, FLRefused, FLUnavailable, FLUnknown
from flip_hub.state import Hub
from flip_hub.trusts.service import on_fl_key
from flip_hub.trusts.tables import Trust

log = logging.getLogger(__name__)


@on_fl_key
async def push_key(hub: Hub, trust: str, key: SiteKey) -> None:
    """Tells every net at once; a net that does not answer is told later by the watcher.

    Raises:
        Problem: 422 `fl_key_refused`.
    """
    for net in hub.settings.fl_nets:
        try:
            async with FLClient.opened(net, hub.settings) as client:
                await client.put_site(trust, key)
        except FLRefused as error:
            raise Problem(422, "fl_key_refused", f"net {net.name} refuses the key of {trust}: {error}") from None
        except (FLUnavailable, FLUnknown) as error:
            log.warning("the key of %s is not yet known to net %s: %s", trust, net.name, error)


class SiteSync:
    """Brings one net's sites in line with the hub's trusts: all keys at first, then what differs."""

    def __init__(self, client: FLClient) -> None:
        self._client = client
        self._told: dict[str, str] = {}
        self._silent = False

    async def once(self, hub: Hub) -> None:
        """Compares and corrects. A net that does not answer is logged once and tried again next time."""
        async with hub.db.transaction() as session:
            trusts = await session.execute(select(Trust.name, Trust.fl_public_key, Trust.disabled_at))
            keys = {name: key if disabled is None else None for name, key, disabled in trusts}
        try:
            known = {site.trust for site in await self._client.sites()}
            for trust, key in keys.items():
                await self._correct(trust, key, trust in known)
        except (FLUnavailable, FLUnknown) as error:
            if not self._silent:
                log.warning("the sites of net %s cannot be compared: %s", self._client.net.name, error)
            self._silent = True
        else:
            self._silent = False

    async def _correct(self, trust: str, key: str | None, known: bool) -> None:
        if key is None:
            if known:
                await self._client.delete_site(trust)
            self._told.pop(trust, None)
        elif not known or self._told.get(trust) != key:
            try:
                await self._client.put_site(trust, SiteKey(public_key=key))
            except FLRefused as error:
                log.error("net %s refuses the key of %s: %s", self._client.net.name, trust, error)
            self._told[trust] = key
