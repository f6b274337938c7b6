"""Administration of accounts."""

import secrets
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.web import Problem, not_found
from flip_common.wire import Role
from flip_hub.audit.service import record
from flip_hub.auth import Principal
from flip_hub.db import utcnow
from flip_hub.state import Hub
from flip_hub.trusts.tables import Trust
from flip_hub.users.passwords import hash_password
from flip_hub.users.profiles import tell_trusts
from flip_hub.users.schemas import ChangeUser, CreateUser, UserView
from flip_hub.users.service import end_sessions
from flip_hub.users.tables import TrustOwner, User


async def create(session: AsyncSession, actor: Principal | str, body: CreateUser) -> UserView:
    """A new account.

    Raises:
        Problem: 409 `user_exists`, 422 `unknown_trust`.
    """
    # Without a password, one that nobody knows.
    password = body.password.get_secret_value() if body.password else secrets.token_urlsafe(32)
    user = User(
        id=uuid4(),
        email=body.email,
        full_name=body.full_name,
        password_hash=await hash_password(password),
        roles=sorted(body.roles),
    )
    try:
        async with session.begin_nested():
            session.add(user)
    except IntegrityError:
        raise Problem(409, "user_exists", f"a user with the e-mail {body.email} exists") from None
    await _set_owned(session, user, body.trust_ids)
    created = await view(session, user)
    await record(session, actor, "user.create", "user", user.id, None, created.model_dump())
    return created


async def change(session: AsyncSession, hub: Hub, actor: Principal, user_id: UUID, body: ChangeUser) -> UserView:
    """Changes what the body names. Disabling an account or setting its password ends its sessions at once.

    Trusts of the user's projects are told of a new name or state, and again of what they could not be told before.

    Raises:
        Problem: 404, 409 `last_admin`, 422 `unknown_trust` or `not_a_trust_owner`.
    """
    users = await _locked(session)
    user = users.get(user_id)
    if user is None:
        raise not_found("user", user_id)
    before = await view(session, user)
    if body.full_name is not None:
        user.full_name = body.full_name
    if body.roles is not None:
        user.roles = sorted(body.roles)
    if body.enabled is not None:
        user.disabled_at = None if body.enabled else user.disabled_at or utcnow()
    if not any(_administers(other) for other in users.values()):
        raise Problem(409, "last_admin", f"{user.email} is the last administrator; make another one first")
    if Role.TRUST_OWNER not in user.roles:
        if body.trust_ids:
            raise Problem(422, "not_a_trust_owner", f"{user.email} has no role TRUST_OWNER to own trusts with")
        await _set_owned(session, user, set())
    elif body.trust_ids is not None:
        await _set_owned(session, user, body.trust_ids)
    if body.password is not None:
        user.password_hash = await hash_password(body.password.get_secret_value())
    if body.password is not None or user.disabled_at is not None:
        await end_sessions(session, user_id)
    await session.flush()
    after = await view(session, user)
    changed: dict[str, Any] = after.model_dump()
    if body.password is not None:
        changed["credential_reset"] = True
    await record(session, actor, "user.change", "user", user_id, before.model_dump(), changed)
    await tell_trusts(session, hub, [user_id])
    return after


async def get(session: AsyncSession, user_id: UUID) -> UserView:
    """One account.

    Raises:
        Problem: 404.
    """
    user = await session.get(User, user_id)
    if user is None:
        raise not_found("user", user_id)
    return await view(session, user)


async def page(session: AsyncSession, after: str, limit: int) -> list[UserView]:
    """Accounts by e-mail, those behind `after`."""
    query = select(User).where(User.email > after).order_by(User.email).limit(limit)
    return [await view(session, user) for user in (await session.scalars(query)).all()]


async def view(session: AsyncSession, user: User) -> UserView:
    """The account as administrators see it."""
    owned = await session.scalars(
        select(TrustOwner.trust_id).where(TrustOwner.user_id == user.id).order_by(TrustOwner.trust_id)
    )
    return UserView(
        user_id=user.id,
        email=user.email,
        full_name=user.full_name,
        roles=[Role(role) for role in user.roles],
        trust_ids=list(owned.all()),
        enabled=user.disabled_at is None,
        created_at=user.created_at,
    )


async def _locked(session: AsyncSession) -> dict[UUID, User]:
    """The administrators and everyone else, locked in one order: two changes at once cannot remove the last one."""
    # Weaker than FOR UPDATE, so that rows which refer to a user can be written meanwhile.
    users = await session.scalars(select(User).order_by(User.id).with_for_update(key_share=True))
    return {user.id: user for user in users}


def _administers(user: User) -> bool:
    return user.disabled_at is None and Role.ADMIN in user.roles


async def _set_owned(session: AsyncSession, user: User, trust_ids: set[UUID]) -> None:
    found = set((await session.scalars(select(Trust.id).where(Trust.id.in_(trust_ids)))).all())
    unknown = sorted(str(trust_id) for trust_id in trust_ids - found)
    if unknown:
        raise Problem(422, "unknown_trust", f"no such trust: {', '.join(unknown[:5])}")
    await session.execute(delete(TrustOwner).where(TrustOwner.user_id == user.id))
    session.add_all(TrustOwner(user_id=user.id, trust_id=trust_id) for trust_id in trust_ids)
    await session.flush()
