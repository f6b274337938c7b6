"""One cohort query of a project at a time; those that wait for their turn take no task slot of the trust."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID
from weakref import WeakValueDictionary


class Turns:
    """Turns by project. data-access-api, too, answers a project's queries one after the other, each for seconds: if
    those behind the first held slots, one project's queries would keep all other tasks of the site waiting.
    """

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        self.waiting = 0
        """How many tasks wait for their turn."""
        self.more_wait = asyncio.Event()
        """Set whenever one more begins to wait; who listens clears it."""

    @asynccontextmanager
    async def of(self, project_id: UUID) -> AsyncIterator[None]:
        """Waits until no other task has the project's turn, and has it inside."""
        lock = self._locks.setdefault(project_id, asyncio.Lock())
        self.waiting += 1
        self.more_wait.set()
        try:
            await lock.acquire()
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            lock.release()
