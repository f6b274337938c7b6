"""The database: one engine, transactions, the base of all tables."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, Request
from sqlalchemy import DateTime, MetaData, TypeDecorator, event
from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from flip_hub.login import CONNECT_SECONDS, DatabaseSecret

_NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, always timezone-aware UTC in Python, also where the database keeps no zone (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value!r} has no timezone")
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, _: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of every table."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = {datetime: UtcDateTime}  # noqa: RUF012 - read by SQLAlchemy as a class attribute


def utcnow() -> datetime:
    """Now, timezone-aware."""
    return datetime.now(UTC)


class Database:
    """An engine and its transactions. PostgreSQL in production; SQLite for tests of pure logic.

    User and password are those of the secret, if there is one, else of the URL.
    """

    def __init__(self, url: str, pool_size: int = 10, secret: DatabaseSecret | None = None) -> None:
        parsed = make_url(url)
        drivers = {"postgresql": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}
        backend = parsed.get_backend_name()
        if backend not in drivers:
            raise ValueError(f"database {backend!r} is not supported; use postgresql://")
        options: dict[str, Any] = {}
        if backend == "postgresql":
            options = {"pool_size": pool_size, "pool_pre_ping": True, "async_creator": self.connect}
        self.url = parsed.set(drivername=drivers[backend])
        self._secret = secret
        self.engine: AsyncEngine = create_async_engine(self.url, **options)
        if backend == "sqlite":
            event.listen(self.engine.sync_engine, "connect", _enforce_foreign_keys)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)

    @property
    def is_postgresql(self) -> bool:
        """Whether row locks and LISTEN/NOTIFY are there."""
        return self.url.get_backend_name() == "postgresql"

    async def connect(self) -> asyncpg.Connection:
        """A new connection: the pool's, and for LISTEN and locks one outside of it, which the caller closes.

        PostgreSQL only.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: the server refuses or cannot be reached.
            flip_common.settings.SettingsError: see `DatabaseSecret.connect`.
        """
        dsn = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        if self._secret is not None:
            return await self._secret.connect(dsn)
        return await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session that commits at the end and rolls back on any exception."""
        async with self._sessions() as session, session.begin():
            yield session

    async def close(self) -> None:
        """Closes all connections."""
        await self.engine.dispose()


def _enforce_foreign_keys(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.hub.db.transaction() as session:
        yield session


# scope="function": the transaction is committed before the answer is sent, so nobody reads their write too early.
Session = Annotated[AsyncSession, Depends(_session, scope="function")]
