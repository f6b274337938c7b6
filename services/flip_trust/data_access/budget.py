"""What a cohort query may tell by failing or by taking long: its time is fixed, and its failures are counted."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

import asyncpg

from flip_common.web import Problem
from flip_trust.data_access.database import Database

# The database finds these before it has read a row, so they say nothing of the data.
_STATIC = frozenset({"0A", "42"})
# A backend that dies of one person's row, too, would answer a question on that person.
_COUNTED = frozenset({"query_failed", "query_timeout", "database_unavailable"})

log = logging.getLogger(__name__)
T = TypeVar("T")


class QueryBudget:
    """Runs the cohort queries of a project one after the other, each for the same time.

    Args:
        reader: runs the queries. Its connections should be the statistics' own: nothing else may keep them waiting.
        owner: keeps the failures, in `flip.query_failure`.
        seconds: what every query takes once it has a connection, answered or failed; 0: as long as it takes.
        failures: how many of a project's queries may fail within 24 hours.
    """

    def __init__(self, reader: Database, owner: Database, seconds: float, failures: int) -> None:
        self._reader, self._owner, self._seconds, self._failures = reader, owner, seconds, failures
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def run(self, project_id: UUID, query: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """The query's answer, when its time is over. The query runs in one read-only transaction.

        Raises:
            Problem: 422 `too_many_failures`; 422 `query_timeout`; whatever the query raises; 503 when the database is
                down.
        """
        # In turn: of queries at the same time all would start before the first has failed.
        async with self._locks.setdefault(project_id, asyncio.Lock()):
            await self._check(project_id)
            end: float | None = None
            try:
                async with self._reader.transaction(readonly=True) as connection:
                    # Not before: that others keep the database busy is no failure of this query.
                    end = time.monotonic() + self._seconds
                    return await self._limited(query, connection)
            except Problem as problem:
                failed = problem.code in _COUNTED and problem.extra.get("sqlstate_class") not in _STATIC
                if end is not None and failed:
                    await self._record(project_id)
                raise
            finally:
                if end is not None:
                    await asyncio.sleep(end - time.monotonic())

    async def _limited(self, query: Callable[[asyncpg.Connection], Awaitable[T]], connection: asyncpg.Connection) -> T:
        try:
            async with asyncio.timeout(self._seconds or None):
                return await query(connection)
        except TimeoutError:
            raise Problem(
                422,
                "query_timeout",
                f"the query took longer than {self._seconds:g} s (COHORT_QUERY_SECONDS); ask for less, or use fewer "
                "joins",
            ) from None

    async def _check(self, project_id: UUID) -> None:
        async with self._owner.transaction(readonly=True) as connection:
            failed = await connection.fetchval(
                "SELECT count(*) FROM flip.query_failure WHERE project_id = $1 AND at > now() - interval '1 day'",
                project_id,
            )
        if failed >= self._failures:
            raise Problem(
                422,
                "too_many_failures",
                f"{failed} cohort queries of this project failed or took too long at this site within a day; it takes "
                f"none after {self._failures} (COHORT_QUERY_FAILURES_PER_DAY): ask again a day after the first",
            )

    async def _record(self, project_id: UUID) -> None:
        async with self._owner.transaction(readonly=False) as connection:
            await connection.execute("INSERT INTO flip.query_failure (project_id) VALUES ($1)", project_id)
            await connection.execute("DELETE FROM flip.query_failure WHERE at < now() - interval '30 days'")
        log.warning("a cohort query failed and is counted", extra={"project_id": str(project_id)})
