"""Writing to the audit trail and reading it."""

import re
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_jsonable_python
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.logs import redact, request_id
from flip_hub.audit.tables import AuditEvent
from flip_hub.auth import Principal
from flip_hub.db import utcnow

# Text of a researcher that must stand there word for word: what looks like a secret in it would hide part of it.
_VERBATIM = frozenset({"query"})
_SECRET_NAME = re.compile(r"password|secret|token|api_key(?!_hash)|aes_key|payload_key|private", re.IGNORECASE)


async def record(
    session: AsyncSession,
    actor: Principal | str,
    action: str,
    entity: str,
    entity_id: UUID | str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> None:
    """Writes one event in the caller's transaction: the change and its record stand or fall together.

    `actor` is a signed-in user or a text such as `trust:St-Elsewhere` or `hub`. `before` and `after` hold what
    JSON can hold after pydantic's conversion (UUID, datetime, enums, models are fine).

    Raises:
        ValueError: `before` or `after` has a field that is named like a secret.
    """
    session.add(
        AuditEvent(
            at=utcnow(),
            actor=actor if isinstance(actor, str) else actor.email,
            actor_id=None if isinstance(actor, str) else actor.user_id,
            action=action,
            entity=entity,
            entity_id=str(entity_id),
            before=None if before is None else _clean(to_jsonable_python(before)),
            after=None if after is None else _clean(to_jsonable_python(after)),
            request_id=request_id.get(),
        )
    )
    await session.flush()


def _clean(value: Any) -> Any:
    """The value without anything shaped like a secret (see `flip_common.logs.redact`), cohort queries apart."""
    if isinstance(value, dict):
        named = [name for name in value if _SECRET_NAME.search(str(name))]
        if named:
            raise ValueError(f"audit: {', '.join(named)} may be secret and must not be recorded")
        return {name: item if name in _VERBATIM else _clean(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return redact(value) if isinstance(value, str) else value


async def search(
    session: AsyncSession,
    *,
    actor: str | None = None,
    action: str | None = None,
    entity: str | None = None,
    entity_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before_id: int | None = None,
    limit: int = 50,
) -> list[AuditEvent]:
    """Events that match every given filter, newest first, with ids below `before_id` (`since` <= at < `until`)."""
    query = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(limit)
    exact = {
        AuditEvent.actor: actor,
        AuditEvent.action: action,
        AuditEvent.entity: entity,
        AuditEvent.entity_id: entity_id,
    }
    for column, wanted in exact.items():
        if wanted is not None:
            query = query.where(column == wanted)
    if since is not None:
        query = query.where(AuditEvent.at >= since)
    if until is not None:
        query = query.where(AuditEvent.at < until)
    if before_id is not None:
        query = query.where(AuditEvent.id < before_id)
    return list((await session.scalars(query)).all())
