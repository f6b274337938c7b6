"""Who is calling: a user by bearer token, or a trust by API key. Routes take these as dependencies.

A bearer token is one of a session that the hub opened, by a local password (`flip_hub.users.service`) or by an ID token
of OpenID Connect (`flip_hub.users.oidc`).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Protocol
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials
from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.web import Problem
from flip_common.wire import Role
from flip_hub.db import Session

_bearer = HTTPBearer(auto_error=False, description="Token from POST /api/auth/sign-in or /api/auth/oidc")


@dataclass(frozen=True)
class Principal:
    """A signed-in user. `trust_ids` are the trusts the user owns (role TRUST_OWNER)."""

    user_id: UUID
    email: str
    roles: frozenset[Role]
    trust_ids: frozenset[UUID] = frozenset()

    def has(self, *roles: Role) -> bool:
        """Whether the user holds any of the roles."""
        return bool(self.roles & set(roles))


class Authenticator(Protocol):
    """Turns a bearer token into a principal. Must answer None for anything unknown, ended or disabled."""

    async def __call__(self, session: AsyncSession, token: str) -> Principal | None: ...


async def _principal(
    request: Request,
    session: Session,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    authenticate: Authenticator = request.app.state.authenticate
    principal = await authenticate(session, credentials.credentials) if credentials else None
    if principal is None:
        raise Problem(401, "unauthenticated", "sign in at POST /api/auth/sign-in and send the token as Bearer")
    return principal


CurrentUser = Annotated[Principal, Depends(_principal)]


def require(*roles: Role) -> Callable[[Principal], Awaitable[Principal]]:
    """A dependency that lets only holders of one of the roles pass; others get 403."""

    async def check(principal: CurrentUser) -> Principal:
        if not principal.has(*roles):
            needed = " or ".join(sorted(roles))
            raise Problem(403, "forbidden", f"this needs the role {needed}")
        return principal

    return check


Admin = Annotated[Principal, Depends(require(Role.ADMIN))]
Researcher = Annotated[Principal, Depends(require(Role.RESEARCHER, Role.ADMIN))]
TrustOwner = Annotated[Principal, Depends(require(Role.TRUST_OWNER))]
