"""What the FL server reports of a model while its job runs: claims, metrics, exceptions, result files."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from flip_common.web import Problem
from flip_common.wire import MetricPoint, ModelStatus, SiteException
from flip_hub.audit.service import record
from flip_hub.db import utcnow
from flip_hub.jobs.service import open_job_of_model
from flip_hub.jobs.tables import Job
from flip_hub.models.files import FileName, Kind, Spooled
from flip_hub.models.files.receiving import discard, receive
from flip_hub.models.leftovers import drop_unused, sent
from flip_hub.models.schemas import ResultOut
from flip_hub.models.status import add_event, may_follow, set_status
from flip_hub.models.tables import EventKind, Model, ModelEvent, ModelMetric, ModelResult
from flip_hub.state import Hub

ACTOR = "fl-server"
MAX_EXCEPTIONS = 10_000
MAX_RESULTS = 1_000
_ROWS_A_STATEMENT = 1_000


async def running_job(session: AsyncSession, model_id: UUID) -> Job:
    """The model's open job, locked.

    Raises:
        Problem: 409 `no_running_job`.
    """
    job = await open_job_of_model(session, model_id, lock=True)
    if job is None:
        raise Problem(409, "no_running_job", f"model {model_id} has no running job, so nothing can be reported of it")
    return job


async def claim(session: AsyncSession, model_id: UUID, status: ModelStatus) -> ModelStatus:
    """Takes the app's word for how far it is. A terminal status is only noted: it counts when the job has ended.

    Saying the same again is harmless. Returns the model's status.

    Raises:
        Problem: 409 `no_running_job`, `status_backwards` or `status_final`.
    """
    job = await running_job(session, model_id)
    model = await session.get_one(Model, model_id, with_for_update=True)
    if job.claim is not None:
        if status is not job.claim:
            raise Problem(409, "status_final", f"the app reported {job.claim} already, which is final")
    elif status.terminal:
        job.claim = status
        add_event(session, model, EventKind.CLAIM, ACTOR, {"status": status})
        await record(session, ACTOR, "job.claim", "job", job.id, None, {"status": status})
    elif status is not model.status:
        if not may_follow(model.status, status):
            raise Problem(409, "status_backwards", f"the model is {model.status}; {status} would be a step back")
        await set_status(session, model, status, ACTOR)
    return model.status


def _must_take_part(job: Job, trusts: set[str]) -> None:
    strangers = trusts - set(job.spec["trusts"])
    if strangers:
        names = ", ".join(sorted(strangers))
        raise Problem(403, "trust_takes_no_part", f"{names} takes no part in the model's job")


async def add_metrics(session: AsyncSession, model_id: UUID, points: list[MetricPoint]) -> None:
    """Keeps one value a (trust, label, round); of several the last wins, also within one call.

    Raises:
        Problem: 409 `no_running_job`, 403 `trust_takes_no_part`.
    """
    job = await running_job(session, model_id)
    _must_take_part(job, {point.trust for point in points})
    now = utcnow()
    last = {(point.trust, point.label, point.round): point.value for point in points}
    rows = [
        {"model_id": model_id, "trust": trust, "label": label, "round": number, "value": value, "at": now}
        for (trust, label, number), value in sorted(last.items())
    ]
    insert = postgresql_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    for first in range(0, len(rows), _ROWS_A_STATEMENT):
        statement = insert(ModelMetric).values(rows[first : first + _ROWS_A_STATEMENT])
        await session.execute(
            statement.on_conflict_do_update(
                index_elements=["model_id", "trust", "label", "round"],
                set_={"value": statement.excluded.value, "at": statement.excluded.at},
            )
        )


async def add_exception(session: AsyncSession, model_id: UUID, error: SiteException) -> None:
    """Notes that something went wrong at a site or in the app: a code and a digest.

    Raises:
        Problem: 409 `no_running_job`, 403 `trust_takes_no_part`, 429 `too_many_exceptions`.
    """
    job = await running_job(session, model_id)
    _must_take_part(job, {error.trust} if error.trust else set())
    count = await session.scalar(
        select(func.count()).where(ModelEvent.model_id == model_id, ModelEvent.kind == EventKind.EXCEPTION)
    )
    if (count or 0) >= MAX_EXCEPTIONS:
        raise Problem(429, "too_many_exceptions", f"the model has {count} exceptions; the hub keeps no more")
    model = await session.get_one(Model, model_id)
    add_event(session, model, EventKind.EXCEPTION, ACTOR, error.model_dump(mode="json"))


async def receive_result(hub: Hub, model_id: UUID, filename: str, request: Request) -> ResultOut:
    """Takes in a result file; sending one again replaces it. What failed is remembered until it succeeds.

    Raises:
        Problem: 409 `no_running_job` or `too_many_results`, 413, 503, 507, 400 `upload_cut_off`.
    """
    async with hub.db.transaction() as session:
        await running_job(session, model_id)
        names = ModelResult.model_id == model_id, ModelResult.filename != filename
        if (await session.scalar(select(func.count()).where(*names)) or 0) >= MAX_RESULTS:
            raise Problem(409, "too_many_results", f"the model has {MAX_RESULTS} results; pack several into one file")
    try:
        spooled = await receive(hub.files.spool(model_id), request, hub.settings.hub_result_max_bytes)
        try:
            name = FileName(model_id, Kind.RESULT, spooled.sha256)
            async with sent(hub, name, spooled):
                return await _keep(hub, name, filename, spooled)
        finally:
            await discard(spooled)
    except Problem as problem:
        await _note_failure(hub, model_id, filename, problem.code)
        raise
    except OSError as error:
        await _note_failure(hub, model_id, filename, type(error).__name__)
        raise


async def _note_failure(hub: Hub, model_id: UUID, filename: str, code: str) -> None:
    async with hub.db.transaction() as session:
        job = await open_job_of_model(session, model_id, lock=True)
        if job is not None:
            job.failed_uploads = sorted({*job.failed_uploads, filename})
            model = await session.get_one(Model, model_id)
            add_event(session, model, EventKind.UPLOAD_FAILED, ACTOR, {"filename": filename, "code": code})


async def _keep(hub: Hub, name: FileName, filename: str, spooled: Spooled) -> ResultOut:
    model_id = name.model_id
    async with hub.db.transaction() as session:
        job = await running_job(session, model_id)
        row = await session.get(ModelResult, (model_id, filename))
        earlier = row.sha256 if row else None
        row = await session.merge(
            ModelResult(
                model_id=model_id,
                filename=filename,
                bytes=spooled.bytes,
                sha256=name.sha256,
                uploaded_at=utcnow(),
            )
        )
        job.failed_uploads = [failed for failed in job.failed_uploads if failed != filename]
        before = {"filename": filename, "sha256": earlier} if earlier else None
        after = {"filename": filename, "sha256": name.sha256, "bytes": spooled.bytes}
        await record(session, ACTOR, "model.result", "model", model_id, before, after)
        await hub.files.keep(name, spooled)
    if earlier is not None and earlier != name.sha256:
        await drop_unused(hub, FileName(model_id, Kind.RESULT, earlier))
    return ResultOut(filename=filename, bytes=row.bytes, sha256=row.sha256, uploaded_at=row.uploaded_at)
