"""Wakes whoever waits for a trust's tasks, in every hub process, by PostgreSQL LISTEN/NOTIFY."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from uuid import UUID

import asyncpg
from sqlalchemy import event, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from flip_hub.db import Database

CHANNEL = "flip_tasks"
PROBE_SECONDS = 15.0
"""Pause between two checks that the listening connection still lives; a dead peer sends no goodbye."""
_RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)

log = logging.getLogger(__name__)


class TaskBus:
    """Waiters by trust. A waiter registers before it looks for work, so no wake-up between the two is lost."""

    _connection: asyncpg.Connection  # the listening one; there is none on SQLite

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiters: dict[UUID, set[asyncio.Event]] = {}
        self.closing = False

    @classmethod
    @asynccontextmanager
    async def connected(cls, db: Database) -> AsyncIterator["TaskBus"]:
        """A bus that listens until the block ends, reconnecting as needed. On SQLite it serves one process only.

        Raises:
            OSError, asyncpg.PostgresError: the first connection fails.
        """
        bus = cls(db)
        if not db.is_postgresql:
            yield bus
            return
        bus._connection = await bus._listen()
        keeper = asyncio.create_task(bus._keep_listening(), name="task-bus")
        try:
            yield bus
        finally:
            bus.stop_waiting()
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper
            bus._connection.terminate()

    @property
    def waiting(self) -> int:
        """How many long polls are waiting."""
        return sum(len(events) for events in self._waiters.values())

    @contextmanager
    def waiter(self, trust_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set whenever there may be work for the trust, until the block ends."""
        wake = asyncio.Event()
        self._waiters.setdefault(trust_id, set()).add(wake)
        try:
            yield wake
        finally:
            events = self._waiters[trust_id]
            events.discard(wake)
            if not events:
                del self._waiters[trust_id]

    async def announce(self, session: AsyncSession, trust_id: UUID) -> None:
        """Wakes the trust's waiters when the session's transaction commits; nothing happens if it rolls back."""
        if self._db.is_postgresql:
            await session.execute(select(func.pg_notify(CHANNEL, str(trust_id))))
        else:
            event.listen(session.sync_session, "after_commit", lambda _: self._wake(trust_id), once=True)

    def stop_waiting(self) -> None:
        """Ends all long polls, present and future: the hub is about to stop."""
        self.closing = True
        self._wake_all()

    def _wake(self, trust_id: UUID) -> None:
        for wake in self._waiters.get(trust_id, ()):
            wake.set()

    def _wake_all(self) -> None:
        for trust_id in list(self._waiters):
            self._wake(trust_id)

    def _notified(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        self._wake(UUID(payload))

    async def _listen(self) -> asyncpg.Connection:
        connection = await self._db.connect()
        try:
            await connection.add_listener(CHANNEL, self._notified)
        except BaseException:  # the hub stops, too
            connection.terminate()
            raise
        return connection

    async def _keep_listening(self) -> None:
        while True:
            await self._until_lost(self._connection)
            self._connection.terminate()
            log.warning("the task bus lost its database connection; reconnecting")
            self._connection = await self._reconnect()
            log.info("the task bus listens again")
            # Whatever was announced in between went unheard.
            self._wake_all()

    async def _until_lost(self, connection: asyncpg.Connection) -> None:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        while not lost.is_set() and not connection.is_closed():
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE_SECONDS):
                    await lost.wait()
            if not lost.is_set():
                try:
                    await connection.execute("SELECT 1", timeout=PROBE_SECONDS)
                except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    return

    async def _reconnect(self) -> asyncpg.Connection:
        attempt = 0
        while True:
            try:
                return await self._listen()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                pause = _RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)]
                log.warning("the task bus cannot connect (%s); next try in %.1f s", type(error).__name__, pause)
                attempt += 1
                await asyncio.sleep(pause)
