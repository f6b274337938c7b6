"""The hub's database, open and migrated, as its settings say."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from flip_common.settings import SettingsError
from flip_hub.db import Database
from flip_hub.embedded import database_url
from flip_hub.login import DatabaseSecret
from flip_hub.migrations import upgrade
from flip_hub.settings import HubSettings


@asynccontextmanager
async def open_database(settings: HubSettings, *, pool_size: int = 10, join: bool = False) -> AsyncIterator[Database]:
    """Opens it (embedded if none is set; `join`: also that of a hub that runs), and closes it when the block ends.

    Raises:
        SettingsError: the server cannot be reached or refuses the hub, or DATABASE_SECRET cannot be used.
        flip_hub.embedded.EmbeddedDatabaseError: the embedded one does not start.
        sqlalchemy.exc.SQLAlchemyError, alembic.util.CommandError: it cannot be migrated.
    """
    settings.hub_data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    secret = DatabaseSecret.of(settings)
    async with database_url(settings, join=join) as url:
        db = Database(url, pool_size, secret)
        try:
            if db.is_postgresql:
                await _reach(db)
            await upgrade(url, secret)
            yield db
        finally:
            await db.close()


async def _reach(db: Database) -> None:
    try:
        connection = await db.connect()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise SettingsError(
            f"DATABASE_URL: no connection ({type(error).__name__}: {error}); check host, port, sign-in and sslrootcert"
        ) from None
    await connection.close()
