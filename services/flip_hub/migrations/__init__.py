"""Alembic migrations of the hub's database, run by the hub itself at its start."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from flip_hub.db import Database
from flip_hub.login import DatabaseSecret

_LOCK = 0x464C4950  # "FLIP": the advisory lock under which one hub at a time migrates


async def upgrade(url: str, secret: DatabaseSecret | None = None) -> None:
    """Brings the database to the newest revision. Hubs that start together take turns.

    Raises:
        OSError, sqlalchemy.exc.SQLAlchemyError: the database cannot be reached or migrated.
        alembic.util.CommandError: the database was made by a newer release.
    """
    await run(url, lambda config: command.upgrade(config, "head"), secret)


async def run(url: str, action: Callable[[Config], None], secret: DatabaseSecret | None = None) -> None:
    """Runs an Alembic command on the database under the migration lock."""
    db = Database(url, 1, secret)
    try:
        async with db.engine.connect() as connection:
            if db.is_postgresql:
                await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
                await connection.commit()
            await connection.run_sync(_run, action)
            await connection.commit()
            # Closing the connection below releases the lock, also when the command fails.
    finally:
        await db.close()


def _run(connection: Connection, action: Callable[[Config], None]) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    action(config)
