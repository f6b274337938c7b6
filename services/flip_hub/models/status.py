"""A model's status: forward only, and a terminal one is final. Every change leaves an event and an audit entry."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.wire import ModelStatus
from flip_hub.audit.service import record
from flip_hub.auth import Principal
from flip_hub.db import utcnow
from flip_hub.models.tables import EventKind, Model, ModelEvent

_ORDER = list(ModelStatus)


def may_follow(now: ModelStatus, then: ModelStatus) -> bool:
    """Whether `then` can be the next status after `now`; steps in between may be left out."""
    return not now.terminal and (then.terminal or _ORDER.index(then) > _ORDER.index(now))


def add_event(
    session: AsyncSession, model: Model, kind: EventKind, actor: Principal | str, detail: dict[str, Any]
) -> None:
    """Notes that something happened to the model."""
    who = actor if isinstance(actor, str) else actor.email
    session.add(ModelEvent(model_id=model.id, kind=kind, actor=who, detail=detail))


async def set_status(
    session: AsyncSession, model: Model, status: ModelStatus, actor: Principal | str, reason: str = ""
) -> None:
    """Moves the model, whose row the session holds locked, to a later status.

    Raises:
        ValueError: `status` cannot follow the model's status.
    """
    if not may_follow(model.status, status):
        raise ValueError(f"model {model.id} is {model.status}; {status} cannot follow")
    before = {"status": model.status}
    model.status, model.status_at = status, utcnow()
    after = {"status": status, "reason": reason}
    add_event(session, model, EventKind.STATUS, actor, after)
    await record(session, actor, "model.status", "model", model.id, before, after)
