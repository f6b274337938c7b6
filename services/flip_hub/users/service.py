"""Local accounts: sign-in, sessions, passwords. `authenticate` is the hub's `Authenticator`."""

import secrets
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.keys import hash_api_key
from flip_common.web import Problem
from flip_common.wire import Role
from flip_hub.audit.service import record
from flip_hub.auth import Principal
from flip_hub.db import utcnow
from flip_hub.state import Hub
from flip_hub.users.passwords import hash_password, password_matches
from flip_hub.users.schemas import ChangePassword, SignedIn
from flip_hub.users.tables import TrustOwner, User, UserSession
from flip_hub.users.throttle import throttled

TOKEN_BYTES = 32


async def authenticate(session: AsyncSession, token: str) -> Principal | None:
    """Whose token this is; None if it is unknown, has ended, or its user is disabled."""
    query = (
        select(User)
        .join(UserSession, UserSession.user_id == User.id)
        .where(
            UserSession.token_hash == hash_api_key(token),
            UserSession.expires_at > utcnow(),
            User.disabled_at.is_(None),
        )
    )
    user = await session.scalar(query)
    return None if user is None else await principal_of(session, user)


async def sign_in(hub: Hub, email: str, password: str, address: str) -> SignedIn:
    """A new session. Unknown, disabled and wrong look the same and take the same time.

    Raises:
        Problem: 401 `wrong_credentials`, 403 `local_passwords_off`, 429 `too_many_attempts`.
    """
    _need_local_passwords(hub)
    async with throttled(hub.db, email, address) as attempt:
        async with hub.db.transaction() as session:
            user = await session.scalar(select(User).where(User.email == email))
        if not await password_matches(user.password_hash if user else None, password):
            raise Problem(401, "wrong_credentials", "e-mail or password is wrong, or the account is disabled")
        async with hub.db.transaction() as session:
            # Read again under lock: the account may have been disabled, or its password changed, meanwhile.
            fresh = await session.get(User, user.id, with_for_update=True) if user else None
            if fresh is None or fresh.disabled_at or user is None or fresh.password_hash != user.password_hash:
                raise Problem(401, "wrong_credentials", "e-mail or password is wrong, or the account is disabled")
            signed_in = await open_session(session, hub, fresh.id)
            principal = await principal_of(session, fresh)
            await record(session, principal, "user.sign_in", "user", fresh.id, None, None)
        attempt.succeeded = True
    return signed_in


async def open_session(session: AsyncSession, hub: Hub, user_id: UUID) -> SignedIn:
    """A session for a user whose identity is proven; clears out sessions that have ended."""
    now = utcnow()
    await session.execute(delete(UserSession).where(UserSession.expires_at <= now))
    token = secrets.token_urlsafe(TOKEN_BYTES)
    expires_at = now + timedelta(hours=hub.settings.hub_session_hours)
    session.add(UserSession(token_hash=hash_api_key(token), user_id=user_id, expires_at=expires_at))
    await session.flush()
    return SignedIn(token=token, expires_at=expires_at)


async def sign_out(session: AsyncSession, actor: Principal, token: str) -> None:
    """Ends the session of this token."""
    await session.execute(delete(UserSession).where(UserSession.token_hash == hash_api_key(token)))
    await record(session, actor, "user.sign_out", "user", actor.user_id, None, None)


async def end_sessions(session: AsyncSession, user_id: UUID, *, keep_token: str | None = None) -> None:
    """Ends all sessions of the user, but for the one of `keep_token`."""
    query = delete(UserSession).where(UserSession.user_id == user_id)
    if keep_token is not None:
        query = query.where(UserSession.token_hash != hash_api_key(keep_token))
    await session.execute(query)


async def change_password(hub: Hub, actor: Principal, token: str, address: str, body: ChangePassword) -> None:
    """Sets one's own password; all other sessions end.

    Raises:
        Problem: 403 `wrong_password` or `local_passwords_off`, 429 `too_many_attempts`.
    """
    _need_local_passwords(hub)
    async with throttled(hub.db, actor.email, address) as attempt:
        async with hub.db.transaction() as session:
            known = await session.scalar(select(User.password_hash).where(User.id == actor.user_id))
        if not await password_matches(known, body.current_password.get_secret_value()):
            raise Problem(403, "wrong_password", "the current password is wrong")
        hashed = await hash_password(body.new_password.get_secret_value())
        async with hub.db.transaction() as session:
            user = await session.get(User, actor.user_id, with_for_update=True)
            if user is None or user.password_hash != known:
                raise Problem(403, "wrong_password", "the password was changed meanwhile")
            user.password_hash = hashed
            await end_sessions(session, actor.user_id, keep_token=token)
            await record(session, actor, "user.change_password", "user", actor.user_id, None, None)
        attempt.succeeded = True


async def principal_of(session: AsyncSession, user: User) -> Principal:
    """The user as other domains know them."""
    roles = frozenset(Role(role) for role in user.roles)
    trust_ids: frozenset[UUID] = frozenset()
    if Role.TRUST_OWNER in roles:
        owned = await session.scalars(select(TrustOwner.trust_id).where(TrustOwner.user_id == user.id))
        trust_ids = frozenset(owned.all())
    return Principal(user_id=user.id, email=user.email, roles=roles, trust_ids=trust_ids)


def _need_local_passwords(hub: Hub) -> None:
    if not hub.settings.hub_local_passwords:
        raise Problem(
            403,
            "local_passwords_off",
            f"passwords do not sign in at this hub; sign in at {hub.settings.hub_oidc_issuer} and send the ID token "
            "to POST /api/auth/oidc",
        )
