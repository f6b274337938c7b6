"""Migrations: they make what the models say, there and back, one hub at a time."""

import asyncio

import pytest
from alembic import command
from alembic.util import CommandError
from sqlalchemy import text

from flip_hub.db import Database
from flip_hub.migrations import run, upgrade
from flip_hub.tables import metadata

CATALOGUE = text("""
    SELECT 'column', table_name, column_name, data_type || is_nullable FROM information_schema.columns
    WHERE table_schema = 'public'
    UNION ALL SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, '' FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'function', '', proname, '' FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    ORDER BY 1, 2, 3
""")


async def catalogue(url):
    db = Database(url, pool_size=1)
    try:
        async with db.transaction() as session:
            return [tuple(row) for row in (await session.execute(CATALOGUE)).all()]
    finally:
        await db.close()


async def test_models_and_migrations_agree(pg_url):
    await run(pg_url, command.check)


async def test_there_and_back_and_there_again(pg_url):
    before = await catalogue(pg_url)
    assert {row[1] for row in before} >= set(metadata.tables)
    await run(pg_url, lambda config: command.downgrade(config, "base"))
    assert {row[1] for row in await catalogue(pg_url)} <= {"alembic_version"}
    await upgrade(pg_url)
    assert await catalogue(pg_url) == before


async def test_hubs_that_start_together_take_turns(empty_pg_url):
    await asyncio.gather(*(upgrade(empty_pg_url) for _ in range(4)))
    assert {row[1] for row in await catalogue(empty_pg_url)} >= set(metadata.tables)


async def test_a_database_of_a_newer_release_is_refused(pg_url):
    db = Database(pg_url, pool_size=1)
    async with db.transaction() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await db.close()
    with pytest.raises(CommandError, match="9999"):
        await upgrade(pg_url)
