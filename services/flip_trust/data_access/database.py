"""Connections to the site's database, and what its errors become for the caller."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import asyncpg

from flip_common.web import Problem
from flip_trust.data_access.catalogue import SCHEMA, Catalogue

CONNECT_TIMEOUT_SECONDS = 5.0
SOCKET_GRACE_SECONDS = 5.0

log = logging.getLogger(__name__)

# SQLSTATE classes that a query itself causes, with a text of our own: PostgreSQL's may quote values of people.
_QUERY_ERRORS = {
    "0A": "it uses a feature that is not supported",
    "21": "a subquery used as a value gave more than one row",
    "22": "a value is outside the range of its type, or cannot be converted",
    "42": "the types of its parts do not fit together",
    "53": "it needs more memory or disk than the database gives to one query",
    "54": "it is too complex for the database",
}
_NOT_THE_QUERY = ("53300", "42501", "42P01", "3F000")


class Database:
    """A pool for one role of the site's database.

    Args:
        url: `postgresql://` URL.
        max_connections: most connections at the same time.
        statement_timeout: seconds that one statement may run.
    """

    def __init__(self, url: str, max_connections: int, statement_timeout: float) -> None:
        self._url, self._max, self._timeout = url, max_connections, statement_timeout
        self._pool: asyncpg.Pool | None = None

    async def open(self) -> None:
        """Makes the pool. Connects nowhere yet, so that the service starts while the database is down."""
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self._max,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=self._timeout + SOCKET_GRACE_SECONDS,
        )

    async def close(self) -> None:
        """Closes every connection, running queries included."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    @asynccontextmanager
    async def transaction(self, *, readonly: bool) -> AsyncIterator[asyncpg.Connection]:
        """One transaction on a connection of its own, with the statement timeout set inside it.

        Raises:
            Problem: 503 `database_unavailable`, 422 `query_timeout`, 422 `query_failed`. No text of the database is
                passed on: it can quote values of people.
        """
        if self._pool is None:
            raise RuntimeError("open() the database first")
        try:
            async with (
                self._pool.acquire() as connection,
                connection.transaction(
                    isolation="repeatable_read" if readonly else "read_committed", readonly=readonly
                ),
            ):
                await connection.execute(f"SET LOCAL statement_timeout = {int(self._timeout * 1000)}")
                # The guard writes strings by the standard; a backslash must not become an escape.
                await connection.execute(
                    "SET LOCAL search_path = pg_catalog; SET LOCAL standard_conforming_strings = on"
                )
                yield connection
        except asyncpg.PostgresError as error:
            raise _problem(error.sqlstate or "", self._timeout) from None
        except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            raise _unavailable(type(error).__name__) from None


def _problem(sqlstate: str, timeout: float) -> Problem:
    if sqlstate == "57014":
        return Problem(
            422, "query_timeout", f"the query took longer than {timeout:g} s; ask for less, or use fewer joins"
        )
    text = _QUERY_ERRORS.get(sqlstate[:2])
    if text is None or sqlstate in _NOT_THE_QUERY:
        return _unavailable(sqlstate)
    # An error that depends on the data answers a question on single rows: the site should see who provokes them.
    log.warning("a query failed in the database", extra={"sqlstate": sqlstate})
    return Problem(422, "query_failed", f"the database refused the query: {text}", sqlstate_class=sqlstate[:2])


def _unavailable(why: str) -> Problem:
    log.error("the OMOP database cannot be used", extra={"why": why})
    return Problem(
        503,
        "database_unavailable",
        f"the site's database cannot be used now ({why}); check that it runs and that "
        "'python -m flip_trust.data_access prepare-database' was run",
    )


async def load_catalogue(database: Database, allowed: Mapping[str, frozenset[str]]) -> Catalogue:
    """The allowed tables that the reading role can see, with their allowed columns.

    Raises:
        Problem: 503 when the database is down, or holds no readable `omop.person`.
    """
    async with database.transaction(readonly=True) as connection:
        rows = await connection.fetch(
            """SELECT c.relname AS name, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
               WHERE n.nspname = $1 AND c.relname = ANY($2::text[]) AND c.relkind IN ('r', 'p', 'v', 'm')
                 AND has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT')
               ORDER BY c.relname, a.attnum""",
            SCHEMA,
            sorted(allowed),
        )
    tables: dict[str, dict[str, str]] = {}
    for row in rows:
        if row["column"] not in allowed[row["name"]]:
            continue
        tables.setdefault(row["name"], {})[row["column"]] = row["type"]
    if "person" not in tables:
        raise _unavailable(f"no readable table {SCHEMA}.person")
    return Catalogue(tables)
