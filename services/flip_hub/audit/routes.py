"""Reading the audit trail."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AfterValidator, AwareDatetime

from flip_common.wire import WireModel
from flip_hub.audit import service
from flip_hub.auth import Admin
from flip_hub.db import Session

router = APIRouter(prefix="/audit", tags=["audit"])

Text = Annotated[str | None, Query(max_length=400, pattern=r"^[^\x00]*$")]


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:  # the first or last day there is, in a zone far from UTC
        raise ValueError(f"{value.isoformat()} is outside the years 1 to 9999 in UTC") from None


UtcTime = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class AuditView(WireModel):
    """One recorded change."""

    id: int
    at: datetime
    actor: str
    actor_id: UUID | None
    action: str
    entity: str
    entity_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    request_id: str


class AuditPage(WireModel):
    """Events, newest first. `next_before_id` is null on the last page."""

    events: list[AuditView]
    next_before_id: int | None


@router.get("")
async def read_audit(
    _: Admin,
    session: Session,
    actor: Text = None,
    action: Text = None,
    entity: Text = None,
    entity_id: Text = None,
    since: Annotated[UtcTime | None, Query(description="with timezone")] = None,
    until: Annotated[UtcTime | None, Query(description="exclusive, with timezone")] = None,
    before_id: Annotated[int | None, Query(ge=1, lt=2**63, description="next_before_id of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> AuditPage:
    """Who did what, when, and how it looked before and after. Needs ADMIN."""
    rows = await service.search(
        session,
        actor=actor,
        action=action,
        entity=entity,
        entity_id=entity_id,
        since=since,
        until=until,
        before_id=before_id,
        limit=limit + 1,
    )
    events = [AuditView.model_validate(row, from_attributes=True) for row in rows[:limit]]
    return AuditPage(events=events, next_before_id=events[-1].id if len(rows) > limit else None)
