"""Sign-in by OpenID Connect: the issuer says who somebody is, the hub what they may do."""

import logging
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.web import Problem
from flip_hub.audit.service import record
from flip_hub.db import utcnow
from flip_hub.state import Hub
from flip_hub.users.id_token import Identity, Refused, verified
from flip_hub.users.issuer import IssuerUnavailable
from flip_hub.users.schemas import SignedIn
from flip_hub.users.service import open_session, principal_of
from flip_hub.users.tables import UsedIdToken, User
from flip_hub.users.throttle import throttled

KEPT = timedelta(hours=1)
"""How long a used token is remembered; well above the age at which it signs in no more."""

log = logging.getLogger(__name__)


async def sign_in(hub: Hub, token: str, address: str) -> SignedIn:
    """A new session for the enabled user whose verified e-mail address the token says. All refusals look the same.

    Failures count against the address alone: the e-mail in a token that nobody signed is not the caller's, and
    whoever could fill that account's count would lock its user out.

    Raises:
        Problem: 401 `wrong_credentials`, 403 `oidc_off`, 429 `too_many_attempts`, 503 `issuer_unavailable`.
    """
    if hub.issuer is None:
        raise Problem(403, "oidc_off", "this hub has no identity provider; sign in at POST /api/auth/sign-in")
    async with throttled(hub.db, token, address) as attempt:
        try:
            identity = await verified(hub.issuer, token)
            signed_in = await _open(hub, identity)
        except IssuerUnavailable:
            attempt.void = True
            raise
        except Refused as reason:
            log.warning("sign-in by ID token refused: %s", reason)
            raise Problem(
                401, "wrong_credentials", "the ID token is not accepted, or no enabled user has its e-mail address"
            ) from None
        attempt.succeeded = True
    return signed_in


async def _open(hub: Hub, identity: Identity) -> SignedIn:
    async with hub.db.transaction() as session:
        user = await session.scalar(select(User).where(User.email == identity.email).with_for_update())
        obstacle = await _obstacle(session, identity, user)
        if user is not None and obstacle is None:
            signed_in = await open_session(session, hub, user.id)
            after = {"by": "oidc", "subject": identity.subject}
            await record(session, await principal_of(session, user), "user.sign_in", "user", user.id, None, after)
            return signed_in
        # The issuer vouches for the caller, so this is worth a record, and no stranger can fill the trail.
        known, actor = user.id if user else identity.email[:200], f"oidc:{identity.email}"
        after = {"by": "oidc", "subject": identity.subject, "reason": str(obstacle)}
        await record(session, actor, "user.sign_in_refused", "user", known, None, after)
    raise Refused(str(obstacle))


async def _obstacle(session: AsyncSession, identity: Identity, user: User | None) -> str | None:
    if not identity.verified:
        return "its e-mail address is not verified"
    if user is None:
        return "no user has its e-mail address"
    if user.disabled_at is not None:
        return "its user is disabled"
    now = utcnow()
    await session.execute(delete(UsedIdToken).where(UsedIdToken.expires_at <= now))
    try:
        async with session.begin_nested():
            session.add(UsedIdToken(digest=identity.digest, expires_at=now + KEPT))
    except IntegrityError:
        return "it has signed in before"
    return None
