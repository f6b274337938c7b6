"""What other domains may ask of jobs: which are open, and that one stops."""

from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.wire import JobStatus
from flip_hub.db import utcnow
from flip_hub.jobs.tables import Job

CHANNEL = "flip_jobs"
OPEN_STATUSES = (JobStatus.PENDING, JobStatus.RUNNING)


async def wake_watcher(session: AsyncSession) -> None:
    """Has the watcher look at once when the session's transaction commits, whichever hub process it runs in."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(select(func.pg_notify(CHANNEL, "")))


async def open_jobs(session: AsyncSession, project_id: UUID, *, lock: bool = False) -> list[Job]:
    """The project's jobs that have not ended, oldest first."""
    query = (
        select(Job).where(Job.project_id == project_id, Job.status.in_(OPEN_STATUSES)).order_by(Job.created_at, Job.id)
    )
    return list(await session.scalars(_locked(query) if lock else query))


async def open_job_of_model(session: AsyncSession, model_id: UUID, *, lock: bool = False) -> Job | None:
    """The model's job that has not ended, if there is one."""
    query = select(Job).where(Job.model_id == model_id, Job.status.in_(OPEN_STATUSES))
    return await session.scalar(_locked(query) if lock else query)


async def request_stop(session: AsyncSession, job: Job, reason: str) -> bool:
    """Notes that the job is to stop; the watcher does it. Returns whether it was not noted before."""
    if job.stop_requested_at is not None:
        return False
    job.stop_requested_at, job.stop_reason = utcnow(), reason
    await wake_watcher(session)
    return True


def _locked(query: Select[Job]) -> Select[Job]:
    return query.with_for_update().execution_options(populate_existing=True)
