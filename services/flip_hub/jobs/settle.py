"""What the FL API says about a job, written into the hub's record: progress, failures, logs, and the end.

Every function here locks the job first and leaves a job that has ended alone, so saying the same twice, late, or
from two hubs at once changes nothing.
"""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.wire import JobLogs, JobState, JobStatus, ModelStatus
from flip_hub.audit.service import record
from flip_hub.db import utcnow
from flip_hub.jobs import quiesce
from flip_hub.jobs.tables import Job
from flip_hub.models.status import add_event, set_status
from flip_hub.models.tables import EventKind, Model, ModelLogLine
from flip_hub.state import Hub

ACTOR = "hub"
MAX_LOG_LINES = 200_000
MAX_LINE_CHARS = 4_000
MAX_REASON_CHARS = 2_000
_BAD_CLAIMS = frozenset({ModelStatus.ERROR, ModelStatus.STOPPED, ModelStatus.RESULTS_UPLOAD_FAILED})


async def locked(session: AsyncSession, job_id: UUID) -> tuple[Job, Model] | None:
    """The job and its model, locked in this order; None when the job has ended."""
    job = await session.get_one(Job, job_id, with_for_update=True, populate_existing=True)
    if job.status.terminal:
        return None
    return job, await session.get_one(Model, job.model_id, with_for_update=True, populate_existing=True)


async def may_submit(hub: Hub, job_id: UUID) -> bool:
    """Notes that the job is about to be submitted, unless the quiesce switch keeps it or it ended meanwhile.

    A submission that has begun is carried through also with the switch on: the FL API may hold the job.
    """
    async with hub.db.transaction() as session:
        if await quiesce.is_on(session, hold=True):
            return False
        found = await locked(session, job_id)
        if found is None:
            return False
        found[0].submission_began_at = utcnow()
        return True


async def submitted(hub: Hub, job_id: UUID) -> bool:
    """Notes that the FL API holds the job. False when the job ended meanwhile and must not run."""
    async with hub.db.transaction() as session:
        found = await locked(session, job_id)
        if found is None:
            return False
        job, _ = found
        if job.submitted_at is None:
            job.submitted_at = utcnow()
            after = {"model_id": job.model_id, "net": job.net}
            await record(session, ACTOR, "job.submit", "job", job.id, None, after)
        return True


async def progressed(hub: Hub, state: JobState) -> None:
    """Takes over what the FL API says: status, round, failures per trust."""
    async with hub.db.transaction() as session:
        found = await locked(session, state.job_id)
        if found is None:
            return
        job, model = found
        job.round, job.started_at = max(job.round, state.round), state.started_at or job.started_at
        grown = {trust: n for trust, n in state.failures.items() if n > job.failures.get(trust, 0)}
        for trust, failures in grown.items():
            detail = {"trust": trust, "failures": failures, "round": state.round}
            add_event(session, model, EventKind.FAILURES, ACTOR, detail)
        if grown:
            job.failures = {**job.failures, **grown}
        if state.status.terminal:
            await _end(session, job, model, state.status, state.reason)
        elif state.status is JobStatus.RUNNING:
            job.status = JobStatus.RUNNING


async def ended(hub: Hub, job_id: UUID, status: JobStatus, reason: str) -> None:
    """Ends a job that the FL API cannot speak for: never submitted, refused, or unknown to it."""
    async with hub.db.transaction() as session:
        found = await locked(session, job_id)
        if found is not None:
            await _end(session, *found, status, reason)


async def _end(session: AsyncSession, job: Job, model: Model, status: JobStatus, reason: str) -> None:
    before = {"status": job.status}
    if status is JobStatus.STOPPED and job.stop_reason:
        reason = job.stop_reason
    job.status, job.reason, job.ended_at = status, reason.replace("\0", "")[:MAX_REASON_CHARS], utcnow()
    after = {"status": status, "reason": job.reason, "failures": job.failures}
    await record(session, ACTOR, "job.end", "job", job.id, before, after)
    final, why = _final(job)
    await set_status(session, model, final, ACTOR, why)


def _final(job: Job) -> tuple[ModelStatus, str]:
    """The model's last status. How the job really ended comes first; the app's claim counts if it finished.

    A finished job without a claim did what it was for: with evaluation, metrics may be all there is.
    """
    if job.status is JobStatus.FAILED:
        return ModelStatus.ERROR, job.reason
    if job.status is JobStatus.STOPPED:
        return ModelStatus.STOPPED, job.reason
    if job.claim in _BAD_CLAIMS:
        return job.claim, f"the app reported {job.claim}"
    if job.failed_uploads:
        return ModelStatus.RESULTS_UPLOAD_FAILED, "not received completely: " + ", ".join(job.failed_uploads)
    return ModelStatus.RESULTS_UPLOADED, ""


async def add_logs(hub: Hub, logs: JobLogs) -> None:
    """Appends log lines once; the job's offset moves in the same transaction."""
    async with hub.db.transaction() as session:
        found = await locked(session, logs.job_id)
        if found is None or found[0].log_offset != logs.offset:
            return
        job, model = found
        last = await session.scalar(select(func.max(ModelLogLine.line)).where(ModelLogLine.model_id == model.id))
        first = 0 if last is None else last + 1
        lines = [line.replace("\0", "")[:MAX_LINE_CHARS] for line in logs.lines]
        room = MAX_LOG_LINES - first
        if 0 < room <= len(lines):
            lines[room - 1] = f"(the hub keeps {MAX_LOG_LINES} lines; the rest stays at the FL server)"
        session.add_all(
            ModelLogLine(model_id=model.id, line=first + number, text=line)
            for number, line in enumerate(lines[: max(room, 0)])
        )
        job.log_offset = logs.next_offset


async def unreachable(hub: Hub, job_id: UUID, why: str) -> None:
    """Notes that the FL API does not answer; after FL_UNREACHABLE_SECONDS the model's events tell it, once."""
    async with hub.db.transaction() as session:
        found = await locked(session, job_id)
        if found is None:
            return
        job, model = found
        job.unreachable_since = job.unreachable_since or utcnow()
        patience = timedelta(seconds=hub.settings.fl_unreachable_seconds)
        if not job.unreachable_reported and utcnow() - job.unreachable_since >= patience:
            job.unreachable_reported = True
            detail = {"reachable": False, "since": job.unreachable_since.isoformat(), "reason": why}
            add_event(session, model, EventKind.FL_API, ACTOR, detail)


async def reachable(hub: Hub, job_id: UUID) -> None:
    """Notes that the FL API answers again."""
    async with hub.db.transaction() as session:
        found = await locked(session, job_id)
        if found is None:
            return
        job, model = found
        if job.unreachable_reported:
            add_event(session, model, EventKind.FL_API, ACTOR, {"reachable": True})
        job.unreachable_since, job.unreachable_reported = None, False
