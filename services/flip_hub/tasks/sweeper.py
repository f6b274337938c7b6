"""Ends tasks whose attempts are used up: a trust that died for good must not keep a project waiting for ever."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import SQLAlchemyError

from flip_common.wire import TaskError
from flip_hub.db import utcnow
from flip_hub.state import Hub
from flip_hub.tasks import service
from flip_hub.tasks.tables import Task, TaskStatus

ATTEMPTS_EXHAUSTED = "attempts_exhausted"
MAX_PAUSE_SECONDS = 5.0
_BATCH = 100

log = logging.getLogger(__name__)


@asynccontextmanager
async def sweeping(hub: Hub) -> AsyncIterator[None]:
    """Sweeps at once, for what a stopped hub left behind, and then on and on until the block ends."""
    sweeper = asyncio.create_task(_sweep_on(hub), name="task-sweeper")
    try:
        yield
    finally:
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper


async def sweep(hub: Hub) -> int:
    """Fails every task that is due again but has no attempt left. Returns how many."""
    async with hub.db.transaction() as session:
        query = select(Task.id).where(*_exhausted(hub)).order_by(Task.offer_at).limit(_BATCH)
        due = (await session.scalars(query)).all()
    ended = 0
    for task_id in due:
        try:
            ended += await _fail(hub, task_id)
        except Exception:
            log.exception("task %s has no attempt left, but its domain did not take that; will try again", task_id)
    return ended


def _exhausted(hub: Hub) -> tuple[ColumnElement[bool], ...]:
    return (
        Task.status.in_((TaskStatus.PENDING, TaskStatus.LEASED)),
        Task.offer_at <= utcnow(),
        Task.attempt >= hub.settings.task_max_attempts,
    )


async def _fail(hub: Hub, task_id: UUID) -> bool:
    async with hub.db.transaction() as session:
        query = select(Task).where(Task.id == task_id, *_exhausted(hub)).with_for_update(skip_locked=True)
        task = await session.scalar(query)
        if task is None:  # answered, renewed or swept by another hub meanwhile
            return False
        error = TaskError(code=ATTEMPTS_EXHAUSTED, detail=f"no answer in {task.attempt} attempts")
        await service.finish(session, hub, task, None, error, "hub")
    log.warning("task %s (%s) failed: no answer in %d attempts", task.id, task.type, task.attempt)
    return True


async def _sweep_on(hub: Hub) -> None:
    pause = min(hub.settings.task_lease_seconds / 4, MAX_PAUSE_SECONDS)
    while True:
        try:
            await sweep(hub)
        except (SQLAlchemyError, OSError) as error:
            reason = type(error).__name__
            log.warning("the task sweeper cannot use the database (%s); next try in %g s", reason, pause)
        await asyncio.sleep(pause)
