"""Tasks as leases: enqueue, lease, renew, result.

A task is handed out for a time, not for good: if no answer comes it is offered again, and after
TASK_MAX_ATTEMPTS it counts as failed. Row locks keep concurrent pollers apart.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from pydantic import ValidationError
from sqlalchemy import Integer, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.envelope import Binding, Direction, EnvelopeError, open_sealed, seal
from flip_common.web import Problem, not_found
from flip_common.wire import (
    PAYLOADS,
    RESULTS,
    LeasedTask,
    RenewResponse,
    TaskError,
    TaskOutcome,
    TaskResultRequest,
    TaskType,
    WireModel,
)
from flip_hub.audit.service import record
from flip_hub.db import utcnow
from flip_hub.state import Hub
from flip_hub.tasks.registry import HANDLERS, on_result
from flip_hub.tasks.tables import Task, TaskStatus
from flip_hub.trusts.keys import CallingTrust, live_payload_keys, payload_key
from flip_hub.trusts.tables import Trust

__all__ = ["accept_result", "enqueue", "finish", "lease", "next_offer", "on_result", "renew"]

_OPEN = (TaskStatus.PENDING, TaskStatus.LEASED)
_RETRY_PAUSE_SECONDS = 5.0
"""Pause after an attempt that may be retried; doubled for each attempt made."""

# Built once: every look of every waiting trust runs them, and building them costs more than that.
_OFFERED = (
    Task.trust_id == bindparam("of_trust"),
    Task.status.in_(_OPEN),
    Task.attempt < bindparam("max_attempts"),
)
_DUE = (
    select(Task.id)
    .where(*_OFFERED, Task.offer_at <= bindparam("now"))
    .order_by(Task.offer_at, Task.created_at)
    .limit(bindparam("limit", type_=Integer))
    .with_for_update(skip_locked=True)
    .cte("due")
    .prefix_with("MATERIALIZED", dialect="postgresql")
)
_LEASE = (
    update(Task)
    .where(Task.id == _DUE.c.id)
    .values(status=TaskStatus.LEASED, attempt=Task.attempt + 1, offer_at=bindparam("expires_at"), error=None)
    .returning(Task)
    .execution_options(synchronize_session=False)
)
_NEXT_OFFER = select(func.min(Task.offer_at)).where(*_OFFERED)


async def enqueue(
    session: AsyncSession,
    hub: Hub,
    trust_id: UUID,
    task_type: TaskType,
    payload: WireModel,
    context: dict[str, Any],
) -> UUID:
    """Leaves a task for a trust; its waiting poll wakes when the transaction commits. Returns the task's id.

    The payload is sealed here and now. `context` is JSON for the domain that asks; its handler (`on_result`)
    finds it again as `task.context`.

    Raises:
        TypeError: the payload is not the model of this task type.
        LookupError: no domain takes the results of this type.
        Problem: 404 no such trust; 409 `trust_disabled` or `trust_without_key`.
    """
    if type(payload) is not PAYLOADS[task_type]:
        raise TypeError(f"{task_type} takes {PAYLOADS[task_type].__name__}, not {type(payload).__name__}")
    if task_type not in HANDLERS:
        raise LookupError(f"nobody takes the results of {task_type}; register with on_result")
    trust = await session.get(Trust, trust_id)
    if trust is None:
        raise not_found("trust", trust_id)
    if trust.disabled_at is not None:
        raise Problem(409, "trust_disabled", f"trust {trust.name} is disabled; enable it before asking it anything")
    key, *_ = await live_payload_keys(session, hub.vault, trust_id)
    task = Task(id=uuid4(), trust_id=trust_id, type=task_type, context=context, payload_kid=key.kid, payload="")
    task.payload = seal(payload, key, _binding(task, "to-trust"))
    session.add(task)
    await session.flush()
    await hub.bus.announce(session, trust_id)
    return task.id


async def lease(session: AsyncSession, hub: Hub, caller: CallingTrust, limit: int) -> list[LeasedTask]:
    """Up to `limit` tasks that are due, longest due first, now leased to the caller. Skips rows others lock."""
    now = utcnow()
    expires_at = now + timedelta(seconds=hub.settings.task_lease_seconds)
    asked = {**_offered_to(caller.trust_id, hub), "now": now, "limit": limit, "expires_at": expires_at}
    tasks = (await session.scalars(_LEASE, asked)).all()
    for task in tasks:
        if task.payload_kid != caller.kid:
            await _seal_anew(session, hub, task, caller.kid)
    return [
        LeasedTask(
            task_id=task.id,
            type=task.type,
            attempt=task.attempt,
            expires_at=expires_at,
            lease_seconds=hub.settings.task_lease_seconds,
            payload=task.payload,
        )
        for task in sorted(tasks, key=lambda task: task.created_at)
    ]


async def next_offer(session: AsyncSession, hub: Hub, trust_id: UUID) -> datetime | None:
    """When the next open task of the trust is due (again), if nobody ends it before."""
    return await session.scalar(_NEXT_OFFER, _offered_to(trust_id, hub))


async def renew(session: AsyncSession, hub: Hub, caller: CallingTrust, task_id: UUID, attempt: int) -> RenewResponse:
    """Extends the lease from now. A lease that ran out may be renewed until the task is leased again.

    Raises:
        Problem: 404, 403 another trust's task, 409 `stale_attempt` or `task_ended`.
    """
    task = await _of_caller(session, caller, task_id, attempt)
    if task.status is not TaskStatus.LEASED:
        raise Problem(409, "task_ended", f"task {task_id} is {task.status}; nothing is left to renew")
    task.offer_at = utcnow() + timedelta(seconds=hub.settings.task_lease_seconds)
    return RenewResponse(expires_at=task.offer_at, lease_seconds=hub.settings.task_lease_seconds)


async def accept_result(
    session: AsyncSession, hub: Hub, caller: CallingTrust, task_id: UUID, body: TaskResultRequest
) -> None:
    """Ends the attempt, and the task unless the error is retryable and attempts are left. Repeating is harmless.

    A late answer counts as long as nobody else holds the task.

    Raises:
        Problem: 404, 403 another trust's task, 409 `stale_attempt` or `task_ended` with another outcome,
            422 `envelope_not_opened` or `invalid_result` (the task stays leased).
    """
    task = await _of_caller(session, caller, task_id, body.attempt)
    if task.status is not TaskStatus.LEASED:
        earlier = TaskOutcome.SUCCEEDED if task.status is TaskStatus.SUCCEEDED else TaskOutcome.FAILED
        if body.outcome is not earlier:
            raise Problem(409, "task_ended", f"attempt {body.attempt} of task {task_id} ended as {earlier} before")
        return
    if body.error is not None:
        if body.error.retryable and task.attempt < hub.settings.task_max_attempts:
            await _retry_later(session, hub, task, body.error)
        else:
            await finish(session, hub, task, None, body.error, caller.actor)
    else:
        assert body.result is not None  # noqa: S101 - TaskResultRequest has one of the two
        await finish(session, hub, task, await _opened(session, hub, caller, task, body.result), None, caller.actor)


async def finish(
    session: AsyncSession, hub: Hub, task: Task, result: WireModel | None, error: TaskError | None, actor: str
) -> None:
    """Ends a task that the session holds locked, hands the outcome to its domain, and records it."""
    before = {"status": task.status}
    task.status = TaskStatus.FAILED if error else TaskStatus.SUCCEEDED
    task.error = error.model_dump(mode="json") if error else None
    task.ended_at = utcnow()
    await HANDLERS[task.type](session, hub, task, result, error)
    after = {"status": task.status, "type": task.type, "attempt": task.attempt}
    if error:
        after["error"] = error.code
    await record(session, actor, f"task.{task.status.lower()}", "task", task.id, before, after)


def _offered_to(trust_id: UUID, hub: Hub) -> dict[str, Any]:
    return {"of_trust": trust_id, "max_attempts": hub.settings.task_max_attempts}


async def _of_caller(session: AsyncSession, caller: CallingTrust, task_id: UUID, attempt: int) -> Task:
    task = await session.get(Task, task_id, with_for_update=True)
    if task is None:
        raise not_found("task", task_id)
    if task.trust_id != caller.trust_id:
        raise Problem(403, "not_your_task", f"task {task_id} is not a task of trust {caller.name}")
    if task.attempt != attempt:
        raise Problem(
            409,
            "stale_attempt",
            f"attempt {attempt} of task {task_id} is over; the current attempt is {task.attempt}",
            current_attempt=task.attempt,
        )
    return task


async def _opened(session: AsyncSession, hub: Hub, caller: CallingTrust, task: Task, envelope: str) -> WireModel:
    model, binding = RESULTS[task.type], _binding(task, "to-hub")
    try:
        try:  # nearly always it is the key of the kit the trust calls with, which is at hand
            return open_sealed(
                envelope, model, [hub.vault.unwrap(caller.trust_id, caller.wrapped_payload_key)], binding
            )
        except EnvelopeError:
            keys = await live_payload_keys(session, hub.vault, caller.trust_id)
            return open_sealed(envelope, model, keys, binding)
    except EnvelopeError as error:
        raise Problem(422, "envelope_not_opened", f"result of task {task.id}: {error}") from None
    except ValidationError as error:
        # Values stay out of the text: a result may hold what only the project's members may see.
        found = error.errors(include_input=False, include_context=False, include_url=False)
        places = "; ".join(f"{'/'.join(map(str, item['loc']))}: {item['msg']}" for item in found[:5])
        raise Problem(422, "invalid_result", f"result of task {task.id} ({task.type}): {places}") from None


async def _retry_later(session: AsyncSession, hub: Hub, task: Task, error: TaskError) -> None:
    pause = min(_RETRY_PAUSE_SECONDS * 2 ** (task.attempt - 1), hub.settings.task_lease_seconds)
    task.status = TaskStatus.PENDING
    task.error = error.model_dump(mode="json")
    task.offer_at = utcnow() + timedelta(seconds=pause)
    await session.flush()
    await hub.bus.announce(session, task.trust_id)  # so that a waiting poll learns when to look again


async def _seal_anew(session: AsyncSession, hub: Hub, task: Task, kid: str) -> None:
    """Seals the payload with the key of the kit the trust calls with, so that a rotation strands no task."""
    sealed_with = await payload_key(session, hub.vault, task.trust_id, task.payload_kid)
    wanted = await payload_key(session, hub.vault, task.trust_id, kid)
    binding = _binding(task, "to-trust")
    content = open_sealed(task.payload, PAYLOADS[task.type], [sealed_with], binding)
    task.payload, task.payload_kid = seal(content, wanted, binding), kid


def _binding(task: Task, direction: Direction) -> Binding:
    return Binding(trust_id=task.trust_id, task_id=task.id, task_type=task.type.value, direction=direction)
