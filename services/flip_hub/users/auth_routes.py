"""Signing in and out."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.security import HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from flip_hub.auth import CurrentUser
from flip_hub.db import Session
from flip_hub.state import HubState
from flip_hub.users import oidc, service
from flip_hub.users.schemas import (
    ChangePassword,
    IdentityProvider,
    Me,
    SignedIn,
    SignIn,
    SignInByToken,
    SignInMethods,
)

router = APIRouter(prefix="/auth", tags=["sign-in"])

# Behind `CurrentUser`, which has checked the token.
_Token = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


@router.get("/methods")
async def methods(hub: HubState) -> SignInMethods:
    """How people sign in at this hub."""
    provider = hub.issuer and IdentityProvider(issuer=hub.issuer.name, client_id=hub.issuer.client_id)
    return SignInMethods(passwords=hub.settings.hub_local_passwords, oidc=provider)


@router.post("/sign-in")
async def sign_in(body: SignIn, request: Request, hub: HubState) -> SignedIn:
    """Opens a session for HUB_SESSION_HOURS; the token is shown once."""
    return await service.sign_in(hub, body.email, body.password.get_secret_value(), _address(request))


@router.post("/oidc")
async def sign_in_by_token(body: SignInByToken, request: Request, hub: HubState) -> SignedIn:
    """Opens a session for the user of an ID token of HUB_OIDC_ISSUER. A new token opens one, once."""
    return await oidc.sign_in(hub, body.id_token.get_secret_value(), _address(request))


@router.post("/sign-out", status_code=204)
async def sign_out(user: CurrentUser, token: _Token, session: Session) -> None:
    """Ends this session."""
    await service.sign_out(session, user, token.credentials)


@router.get("/me")
async def me(user: CurrentUser) -> Me:
    """Who is signed in."""
    return Me(
        user_id=user.user_id, email=user.email, roles=sorted(user.roles), trust_ids=sorted(user.trust_ids, key=str)
    )


@router.post("/password", status_code=204)
async def change_password(
    body: ChangePassword, user: CurrentUser, token: _Token, session: Session, request: Request, hub: HubState
) -> None:
    """Sets one's own password and ends all one's other sessions."""
    await session.commit()  # gives the connection back: hashing takes long, and the service opens its own
    await service.change_password(hub, user, token.credentials, _address(request), body)
