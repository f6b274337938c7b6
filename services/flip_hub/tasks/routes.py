"""Tasks: the trust's side of them, and what administrators see."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from sqlalchemy import select, tuple_

from flip_common.wire import (
    LeaseRequest,
    LeaseResponse,
    RenewRequest,
    RenewResponse,
    TaskError,
    TaskResultRequest,
    TaskType,
    WireModel,
)
from flip_hub.auth import Admin
from flip_hub.db import Session
from flip_hub.state import HubState
from flip_hub.tasks import polling, service
from flip_hub.tasks.tables import Task, TaskStatus
from flip_hub.trusts import service as trusts
from flip_hub.trusts.caller import Caller, TrustKeyScheme, api_key_of

router = APIRouter()
_TRUST_SIDE: dict[str, Any] = {"tags": ["trust side"], "dependencies": [TrustKeyScheme]}


class TaskView(WireModel):
    """A task without its payload, result or context."""

    task_id: UUID
    type: TaskType
    status: TaskStatus
    attempt: int
    offer_at: datetime
    created_at: datetime
    ended_at: datetime | None
    error: TaskError | None


@router.post("/trust/tasks/lease", **_TRUST_SIDE)
async def lease(body: LeaseRequest, request: Request, hub: HubState) -> LeaseResponse:
    """Long poll: leases what is due, or waits up to `wait_seconds` for it."""
    return await polling.poll(hub, request, api_key_of(request, hub), body)


@router.post("/trust/tasks/{task_id}/renew", **_TRUST_SIDE)
async def renew(task_id: UUID, body: RenewRequest, caller: Caller, session: Session, hub: HubState) -> RenewResponse:
    """Keeps the lease of a task that takes long."""
    return await service.renew(session, hub, caller, task_id, body.attempt)


@router.post("/trust/tasks/{task_id}/result", status_code=204, **_TRUST_SIDE)
async def result(task_id: UUID, body: TaskResultRequest, caller: Caller, session: Session, hub: HubState) -> None:
    """The answer to a task. Repeating it is harmless."""
    await service.accept_result(session, hub, caller, task_id, body)


@router.get("/trusts/{trust_id}/tasks", tags=["trusts"])
async def list_tasks(
    trust_id: UUID,
    _: Admin,
    session: Session,
    status: Annotated[TaskStatus | None, Query()] = None,
    before: Annotated[UUID | None, Query(description="id of the last task of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> list[TaskView]:
    """Tasks of a trust, newest first, without their contents. Needs ADMIN."""
    await trusts.get(session, trust_id)
    query = select(Task).where(Task.trust_id == trust_id)
    if status is not None:
        query = query.where(Task.status == status)
    if before is not None:
        last = select(Task.created_at, Task.id).where(Task.id == before).subquery()
        query = query.where(tuple_(Task.created_at, Task.id) < select(last.c.created_at, last.c.id).scalar_subquery())
    rows = await session.scalars(query.order_by(Task.created_at.desc(), Task.id.desc()).limit(limit))
    return [_view(task) for task in rows.all()]


def _view(task: Task) -> TaskView:
    return TaskView(
        task_id=task.id,
        type=task.type,
        status=task.status,
        attempt=task.attempt,
        offer_at=task.offer_at,
        created_at=task.created_at,
        ended_at=task.ended_at,
        error=TaskError.model_validate(task.error) if task.error else None,
    )
