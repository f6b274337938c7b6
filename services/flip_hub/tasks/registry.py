"""Which domain receives the results of which task type."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.wire import TaskError, TaskType
from flip_hub.tasks.tables import Task

if TYPE_CHECKING:
    from flip_hub.state import Hub

Handler = Callable[[AsyncSession, "Hub", Task, Any, TaskError | None], Awaitable[None]]
H = TypeVar("H", bound=Handler)

HANDLERS: dict[TaskType, Handler] = {}


def on_result(*task_types: TaskType) -> Callable[[H], H]:
    """Registers `async def handler(session, hub, task, result, error)` for the final outcome of a task.

    It runs once per task, in the transaction that ends the task. Exactly one of `result` (the model of
    `flip_common.wire.RESULTS`) and `error` is given; `error.code` is `attempts_exhausted` when no attempt
    answered in time. If it raises, the task stays open and the answer is refused.

    Raises:
        ValueError: the type has a handler already.
    """

    def register(handler: H) -> H:
        for task_type in task_types:
            if task_type in HANDLERS:
                raise ValueError(f"{task_type} has a handler already")
            HANDLERS[task_type] = handler
        return handler

    return register
