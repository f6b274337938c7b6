"""Administration of users."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from flip_common.wire.model import PlainText
from flip_hub.auth import Admin
from flip_hub.db import Session
from flip_hub.state import HubState
from flip_hub.users import accounts, profiles
from flip_hub.users.schemas import ChangeUser, CreateUser, ProfileView, UserView

router = APIRouter(prefix="/users", tags=["users"])


@router.get("")
async def list_users(
    _: Admin,
    session: Session,
    after: Annotated[PlainText, Query(max_length=320, description="e-mail of the last user of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> list[UserView]:
    """Users by e-mail. Needs ADMIN."""
    return await accounts.page(session, after, limit)


@router.post("", status_code=201)
async def create_user(body: CreateUser, admin: Admin, session: Session) -> UserView:
    """A new account. Needs ADMIN."""
    return await accounts.create(session, admin, body)


@router.get("/{user_id}")
async def get_user(user_id: UUID, _: Admin, session: Session) -> UserView:
    """One user. Needs ADMIN."""
    return await accounts.get(session, user_id)


@router.patch("/{user_id}")
async def change_user(user_id: UUID, body: ChangeUser, admin: Admin, session: Session, hub: HubState) -> UserView:
    """Changes roles, trusts, name, password, or whether the account is enabled. Needs ADMIN.

    Trusts of the user's projects are told of a new name or state; an empty body tells them again what failed.
    """
    return await accounts.change(session, hub, admin, user_id, body)


@router.get("/{user_id}/profiles")
async def list_profiles(user_id: UUID, _: Admin, session: Session) -> list[ProfileView]:
    """What each trust was told of the user, and whether it failed. Needs ADMIN."""
    return await profiles.overview(session, user_id)
