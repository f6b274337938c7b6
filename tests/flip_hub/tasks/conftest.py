"""A domain that asks: it enqueues tasks and remembers which outcomes it was handed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from flip_common.wire import TaskError, TaskType, UpdateUserProfilePayload, UpdateUserProfileResult
from flip_hub.db import utcnow
from flip_hub.state import Hub
from flip_hub.tasks.registry import HANDLERS
from flip_hub.tasks.service import enqueue
from flip_hub.tasks.tables import Task

PAYLOAD = UpdateUserProfilePayload(username="ada", email="ada@example.org", enabled=True)
RESULT = UpdateUserProfileResult(applied=True)


@dataclass
class Outcome:
    task_id: UUID
    context: dict[str, Any]
    result: Any
    error: TaskError | None


@dataclass
class Domain:
    """`raises` makes the handler fail."""

    hub: Hub
    outcomes: list[Outcome] = field(default_factory=list)
    raises: Exception | None = None

    async def handle(self, session: Any, hub: Hub, task: Task, result: Any, error: TaskError | None) -> None:
        if self.raises:
            raise self.raises
        self.outcomes.append(Outcome(task.id, task.context, result, error))

    async def ask(self, trust_id: UUID, **context: Any) -> UUID:
        async with self.hub.db.transaction() as session:
            return await enqueue(session, self.hub, trust_id, TaskType.UPDATE_USER_PROFILE, PAYLOAD, context)

    async def task(self, task_id: UUID) -> Task:
        async with self.hub.db.transaction() as session:
            return await session.get_one(Task, task_id)


@pytest.fixture
def domain(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Domain:
    made = Domain(hub)
    monkeypatch.setitem(HANDLERS, TaskType.UPDATE_USER_PROFILE, made.handle)
    return made


@pytest.fixture
def expire(hub: Hub) -> Callable[[UUID], Awaitable[None]]:
    """Lets the lease of a task run out now, as if its trust had been killed a while ago."""

    async def run_out(task_id: UUID) -> None:
        async with hub.db.transaction() as session:
            past = utcnow() - timedelta(seconds=1)
            await session.execute(update(Task).where(Task.id == task_id).values(offer_at=past))

    return run_out


@pytest.fixture
def payload() -> UpdateUserProfilePayload:
    return PAYLOAD


@pytest.fixture
def result() -> UpdateUserProfileResult:
    return RESULT
