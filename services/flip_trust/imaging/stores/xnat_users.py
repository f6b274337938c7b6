"""Users of XNAT who are users of the hub, found by their e-mail address."""

import re
import secrets
from typing import Any
from urllib.parse import quote

from flip_common.wire import UpdateUserProfilePayload, UpdateUserProfileResult
from flip_trust.imaging.stores.xnat_client import XnatClient

_PASSWORD_BYTES = 32
_KEPT = frozenset({"admin", "guest"})
_MAX_NAME = 40


class XnatUsers:
    """Creates, changes and disables users; never XNAT's own accounts, nor FLIP's."""

    def __init__(self, client: XnatClient) -> None:
        self._client = client

    async def update(self, user: UpdateUserProfilePayload) -> UpdateUserProfileResult:
        """Makes the XNAT user with this e-mail address as `user` says; a new one gets a password nobody knows."""
        profiles = await self._client.get("/xapi/users/profiles")
        names = {str(profile.get("username")) for profile in profiles}
        matching = [item for item in profiles if str(item.get("email") or "").lower() == user.email.lower()]
        fields = {**_names_of(user), "email": user.email, "enabled": user.enabled}
        for profile in matching:
            name = str(profile.get("username"))
            if name in _KEPT or name == self._client.server.username:
                return UpdateUserProfileResult(
                    applied=False, reason=f"the e-mail address is that of XNAT's account {name}, which stays as it is"
                )
            await self._client.call("PUT", f"/xapi/users/{quote(name, safe='')}", json={"username": name, **fields})
        if matching:
            return UpdateUserProfileResult(applied=True)
        if not user.enabled:
            return UpdateUserProfileResult(applied=False, reason="XNAT has no user with this e-mail address")
        name = _new_name(user, names)
        password = secrets.token_urlsafe(_PASSWORD_BYTES)
        body: dict[str, Any] = {"username": name, "password": password, "verified": True, **fields}
        await self._client.call("POST", "/xapi/users", json=body)
        return UpdateUserProfileResult(
            applied=True, reason=f"XNAT user {name} was made; XNAT's administrator gives the first password"
        )


def _names_of(user: UpdateUserProfilePayload) -> dict[str, str]:
    first, _, last = (user.full_name.strip() or user.username).partition(" ")
    return {"firstName": first, "lastName": last or first}


def _new_name(user: UpdateUserProfilePayload, taken: set[str]) -> str:
    # XNAT takes no other characters in a user's name, and an e-mail address has some.
    stem = re.sub(r"[^A-Za-z0-9-]", "", user.email.partition("@")[0])[:_MAX_NAME] or "user"
    candidates = [stem, *(f"{stem}{number}" for number in range(1, len(taken) + 2))]
    lowered = {name.lower() for name in taken}
    return next(name for name in candidates if name.lower() not in lowered)
