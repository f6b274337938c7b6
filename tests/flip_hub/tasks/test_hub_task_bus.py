"""The bus: across processes, across lost connections, and on SQLite."""

import asyncio

import asyncpg
from sqlalchemy import text

from flip_hub.app import open_hub
from flip_hub.db import Database
from flip_hub.tasks.bus import CHANNEL, TaskBus

KILL_LISTENERS = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND query ILIKE 'LISTEN%flip_tasks%' AND pid <> pg_backend_pid()"
)


async def test_a_task_enqueued_in_one_hub_wakes_a_poll_in_another(register_trust, domain, hub, hub_settings):
    trust = await register_trust("A")
    async with open_hub(hub_settings()) as other:
        with other.bus.waiter(trust.trust_id) as wake:
            await domain.ask(trust.trust_id)
            async with asyncio.timeout(5):
                await wake.wait()


async def test_only_a_commit_wakes(hub, register_trust):
    trust = await register_trust("A")
    with hub.bus.waiter(trust.trust_id) as wake:
        async with hub.db.transaction() as session:
            await hub.bus.announce(session, trust.trust_id)
            await session.rollback()
        async with hub.db.transaction() as session:
            await session.execute(text(f"NOTIFY {CHANNEL}, '{trust.key_id}'"))  # some other trust, for order
        await asyncio.sleep(0.1)
        assert not wake.is_set()


async def test_a_lost_connection_is_replaced_and_what_went_unheard_is_made_up_for(
    register_trust, domain, hub, monkeypatch
):
    trust = await register_trust("A")
    listen = hub.bus._listen
    reconnecting, may_reconnect = asyncio.Event(), asyncio.Event()

    async def listen_later():
        reconnecting.set()
        await may_reconnect.wait()
        return await listen()

    monkeypatch.setattr(hub.bus, "_listen", listen_later)
    for _ in range(2):
        reconnecting.clear()
        may_reconnect.clear()
        poll = asyncio.create_task(trust.lease(wait=20))
        async with asyncio.timeout(10):
            while not hub.bus.waiting or hub.db.engine.pool.checkedout():
                await asyncio.sleep(0.01)
            async with hub.db.transaction() as session:
                assert await session.scalar(KILL_LISTENERS) == 1
            await reconnecting.wait()
            await domain.ask(trust.trust_id)  # announced while nobody listens
            may_reconnect.set()
            (task,) = await poll
        await trust.fail(task)


async def test_it_tries_again_while_the_database_is_away(hub, register_trust, monkeypatch):
    trust = await register_trust("A")
    listen, tries = hub.bus._listen, 0

    async def refused_twice():
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ConnectionRefusedError
        return await listen()

    monkeypatch.setattr(hub.bus, "_listen", refused_twice)
    async with hub.db.transaction() as session:
        assert await session.scalar(KILL_LISTENERS) == 1
    with hub.bus.waiter(trust.trust_id) as wake:
        async with asyncio.timeout(10):
            await wake.wait()
    assert tries == 3


async def test_a_hub_that_stops_while_it_reconnects_leaves_no_connection(hub, monkeypatch):
    begun = []

    async def begin(connection, channel, _):
        if channel == CHANNEL:  # the watcher of jobs listens, too
            begun.append(connection)
        await asyncio.Event().wait()

    async with TaskBus.connected(hub.db):
        monkeypatch.setattr(asyncpg.Connection, "add_listener", begin)
        async with hub.db.transaction() as session:
            await session.execute(KILL_LISTENERS)
        async with asyncio.timeout(60):
            while len(begun) < 2:  # the hub's own bus is the other
                await asyncio.sleep(0.01)
    assert sorted(connection.is_closed() for connection in begun) == [False, True]


async def test_on_sqlite_it_works_within_the_process(tmp_path, hub, register_trust):
    trust = await register_trust("A")
    db = Database(f"sqlite:///{tmp_path}/hub.db")
    try:
        async with TaskBus.connected(db) as bus:
            with bus.waiter(trust.trust_id) as wake:
                async with db.transaction() as session:
                    await session.execute(text("SELECT 1"))
                    await bus.announce(session, trust.trust_id)
                    assert not wake.is_set()
                assert wake.is_set()
    finally:
        await db.close()
