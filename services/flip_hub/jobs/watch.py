"""The watcher: submits jobs, follows them, and sets the record straight after a restart.

It acts on what the database says and nothing else, so a hub that is killed at any point continues where it was.
Of several hubs one watches: the one that holds a PostgreSQL advisory lock.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from uuid import UUID

from sqlalchemy import select

from flip_common.wire import JobSpec, JobState, JobStatus
from flip_hub.jobs import settle
from flip_hub.jobs.flclient import FLClient, FLRefused, FLUnavailable, FLUnknown
from flip_hub.jobs.service import CHANNEL, OPEN_STATUSES
from flip_hub.jobs.sites import SiteSync
from flip_hub.jobs.tables import Job
from flip_hub.models.files import FileLost, FileName, Kind, StorageUnavailable
from flip_hub.models.leftovers import sweep
from flip_hub.state import Hub

LOCK_KEY = 0x464C4950_4A4F4253  # "FLIPJOBS"
STANDBY_SECONDS = 2.0
"""Pause between two tries for the lock, and before trying again after a failure."""
SITES_SECONDS = 10.0
"""Pause between two comparisons of the trusts' FL keys with what the nets know."""
SWEEP_SECONDS = 86_400.0
"""Pause between two looks for files of models that nothing needs any more."""
_LOG_READS = 100

log = logging.getLogger(__name__)


@asynccontextmanager
async def watch_jobs(hub: Hub) -> AsyncIterator[None]:
    """Watches jobs in the background until the block ends."""
    task = asyncio.create_task(_watch(hub), name="job-watcher")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _watch(hub: Hub) -> None:
    while True:
        try:
            async with _leading(hub) as signals:
                log.info("this hub watches the jobs")
                await _lead(hub, signals)
        except Exception:
            # Whatever it was, watching must go on: it is what gives every job its end.
            log.exception("watching jobs failed; trying again in %.0f s", STANDBY_SECONDS)
        await asyncio.sleep(STANDBY_SECONDS)


class _Signals:
    """Wakes the watcher: somebody asked it to look, or the lock was lost."""

    def __init__(self) -> None:
        self.look, self.lost = asyncio.Event(), asyncio.Event()

    def notified(self, *_: object) -> None:
        """Called by asyncpg when a transaction asked for a look."""
        self.look.set()

    def terminated(self, *_: object) -> None:
        """Called by asyncpg when the connection that holds the lock ends."""
        self.lost.set()
        self.look.set()

    async def wait(self, seconds: float) -> None:
        """Until somebody wakes it, or the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.look.wait()
        self.look.clear()


@asynccontextmanager
async def _leading(hub: Hub) -> AsyncIterator[_Signals]:
    """Waits until this hub is the one that watches. With SQLite there is only one."""
    signals = _Signals()
    if not hub.db.is_postgresql:
        yield signals
        return
    connection = await hub.db.connect()
    try:
        connection.add_termination_listener(signals.terminated)
        # Asked again and again, because a waiting pg_advisory_lock cannot be told from a dead connection.
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY, timeout=10):
            await signals.wait(STANDBY_SECONDS)
        await connection.add_listener(CHANNEL, signals.notified)
        yield signals
    finally:
        connection.terminate()


async def _lead(hub: Hub, signals: _Signals) -> None:
    async with AsyncExitStack() as stack:
        clients = {
            net.name: await stack.enter_async_context(FLClient.opened(net, hub.settings))
            for net in hub.settings.fl_nets
        }
        busy: dict[UUID, asyncio.Task[None]] = {}
        beside = [asyncio.create_task(_keep_sites(hub, client)) for client in clients.values()]
        beside.append(asyncio.create_task(_keep_swept(hub)))
        try:
            while not signals.lost.is_set():
                busy = {job_id: task for job_id, task in busy.items() if not task.done()}
                for job_id, net in await _open_jobs(hub):
                    if job_id not in busy:
                        busy[job_id] = asyncio.create_task(_step(hub, clients.get(net), job_id, net))
                await signals.wait(hub.settings.fl_poll_seconds)
            log.warning("the connection that holds the watcher's lock was lost")
        finally:
            rest = [*busy.values(), *beside]
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)


async def _open_jobs(hub: Hub) -> list[tuple[UUID, str]]:
    query = select(Job.id, Job.net).where(Job.status.in_(OPEN_STATUSES)).order_by(Job.created_at)
    async with hub.db.transaction() as session:
        return list(await session.execute(query))


async def _keep_swept(hub: Hub) -> None:
    while True:
        try:
            await sweep(hub)
        except Exception:
            # Jobs are watched all the same; files that nobody can get at may wait.
            log.exception("sweeping files of models failed; trying again in %.0f h", SWEEP_SECONDS / 3600)
        await asyncio.sleep(SWEEP_SECONDS)


async def _keep_sites(hub: Hub, client: FLClient) -> None:
    sync = SiteSync(client)
    while True:
        try:
            await sync.once(hub)
        except Exception:
            log.exception("comparing the sites of net %s failed", client.net.name)
        await asyncio.sleep(SITES_SECONDS)


async def _step(hub: Hub, client: FLClient | None, job_id: UUID, net: str) -> None:
    """One look at one job; a failure is told and does not touch the others."""
    try:
        if client is None:
            raise FLUnavailable(f"net {net} is no longer in FL_NETS; put it back, or stop the job")
        await advance(hub, client, job_id)
    except (FLUnavailable, StorageUnavailable) as error:
        await settle.unreachable(hub, job_id, str(error))
    except Exception:
        log.exception("looking at job %s failed", job_id)


async def advance(hub: Hub, client: FLClient, job_id: UUID) -> None:
    """Moves one job on: submits it, stops it, or takes over its state and logs.

    Raises:
        FLUnavailable: the FL API does not answer; the job is as before.
        StorageUnavailable: the app cannot be read at the moment; likewise.
    """
    async with hub.db.transaction() as session:
        job = await session.get_one(Job, job_id)
    try:
        if job.stop_requested_at is not None:
            # Also for a job never noted as submitted: a hub may have died between the two.
            state = await client.stop(job_id)
        elif job.submitted_at is None:
            await _submit(hub, client, job)
            return
        else:
            state = await client.job(job_id)
        await _collect_logs(hub, client, job)
    except FLUnknown:
        if job.stop_requested_at is not None:
            await settle.ended(hub, job_id, JobStatus.STOPPED, job.stop_reason)
        else:
            reason = f"the FL API of net {job.net} does not know the job any more"
            await settle.ended(hub, job_id, JobStatus.FAILED, reason)
        return
    except FLRefused as error:
        await settle.ended(hub, job_id, JobStatus.FAILED, f"the FL API of net {job.net} refuses: {error}")
        return
    await _take_over(hub, job, state)


async def _take_over(hub: Hub, job: Job, state: JobState) -> None:
    if job.unreachable_since is not None:
        await settle.reachable(hub, job.id)
    if state.job_id != job.id:
        raise FLUnavailable(f"the FL API of net {job.net} answers about job {state.job_id} when asked for {job.id}")
    await settle.progressed(hub, state)


async def _submit(hub: Hub, client: FLClient, job: Job) -> None:
    if job.submission_began_at is None and not await settle.may_submit(hub, job.id):
        return
    spec = JobSpec.model_validate(job.spec)
    try:
        app = await hub.files.read(FileName(job.model_id, Kind.APP, job.app_sha256))
    except FileLost as error:
        reason = f"the app's file is {error}; make a new model and upload the app again"
        await settle.ended(hub, job.id, JobStatus.FAILED, reason)
        return
    await client.create_job(spec, app)
    if job.unreachable_since is not None:
        await settle.reachable(hub, job.id)
    if not await settle.submitted(hub, job.id):
        await client.stop(job.id)


async def _collect_logs(hub: Hub, client: FLClient, job: Job) -> None:
    offset = job.log_offset
    for _ in range(_LOG_READS):
        logs = await client.logs(job.id, offset)
        if logs.next_offset <= offset:
            return
        await settle.add_logs(hub, logs)
        offset = logs.next_offset
