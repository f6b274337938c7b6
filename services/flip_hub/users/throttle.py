"""Throttling of failed sign-ins, kept in the database: it holds over restarts and over several hubs."""

import hashlib
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from sqlalchemy import delete, func, select

from flip_common.web import Problem
from flip_hub.db import Database, utcnow
from flip_hub.users.tables import SignInFailure

WINDOW = timedelta(minutes=15)
MAX_PER_ACCOUNT = 10
MAX_PER_ADDRESS = 50


class Attempt:
    """One try at signing in. It counts as failed until `succeeded` is set, or `void`: it was no fault of theirs."""

    succeeded = False
    void = False


@asynccontextmanager
async def throttled(db: Database, account: str, address: str) -> AsyncIterator[Attempt]:
    """Lets a try at signing in through unless there were too many failures of late.

    The try is written down before it is made, so that a hundred at once do not slip past the count. A refused
    one is not kept: whoever waits gets in. `account` is what is tried at: an e-mail address, or a token.

    Raises:
        Problem: 429 `too_many_attempts`.
    """
    digest = hashlib.sha256(account.encode()).hexdigest()
    network = _network(address)
    mine = await _note(db, digest, network)
    attempt = Attempt()
    refused = False
    try:
        refused = await _over_limit(db, digest, network)
        if refused:
            minutes = int(WINDOW.total_seconds() // 60)
            raise Problem(429, "too_many_attempts", f"too many failed sign-ins; wait {minutes} minutes and try again")
        yield attempt
    finally:
        if refused or attempt.void or attempt.succeeded:
            await _forget(db, mine, digest if attempt.succeeded else None)


async def _note(db: Database, account: str, address: str) -> int:
    now = utcnow()
    async with db.transaction() as session:
        await session.execute(delete(SignInFailure).where(SignInFailure.at < now - WINDOW))
        row = SignInFailure(account=account, address=address, at=now)
        session.add(row)
        await session.flush()
        return row.id


async def _over_limit(db: Database, account: str, address: str) -> bool:
    since = utcnow() - WINDOW
    async with db.transaction() as session:
        for column, value, limit in (
            (SignInFailure.account, account, MAX_PER_ACCOUNT),
            (SignInFailure.address, address, MAX_PER_ADDRESS),
        ):
            query = select(func.count()).where(column == value, SignInFailure.at >= since)
            if (await session.scalar(query) or 0) > limit:
                return True
    return False


async def _forget(db: Database, mine: int, account: str | None) -> None:
    async with db.transaction() as session:
        await session.execute(delete(SignInFailure).where(SignInFailure.id == mine))
        if account is not None:
            await session.execute(delete(SignInFailure).where(SignInFailure.account == account))


def _network(address: str) -> str:
    """An IPv6 caller owns a whole /64, so that is what is counted."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)
