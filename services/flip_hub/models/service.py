"""Models: create, list, change, delete, and reading what a run left."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.web import Problem, not_found
from flip_hub.audit.service import record
from flip_hub.auth import Principal
from flip_hub.db import utcnow
from flip_hub.jobs.schemas import JobOut
from flip_hub.jobs.service import open_job_of_model, request_stop
from flip_hub.jobs.tables import Job
from flip_hub.models.schemas import (
    EventOut,
    LogsOut,
    MetricSeries,
    MetricValue,
    ModelChange,
    ModelCreate,
    ModelOut,
    ResultOut,
)
from flip_hub.models.tables import Model, ModelEvent, ModelLogLine, ModelMetric, ModelResult
from flip_hub.projects.access import Access, demand, get_project, lock_project, visible
from flip_hub.projects.tables import Project


async def get_model(
    session: AsyncSession, principal: Principal, model_id: UUID, needed: Access, *, lock: bool = False
) -> Model:
    """The model, if the caller may see its project; `lock` locks project and model, in this order.

    Raises:
        Problem: 404 when it is none or may not be seen, 403 when it may be seen but `needed` is lacking.
    """
    query = (
        select(Model, Project)
        .join(Project, Project.id == Model.project_id)
        .where(Model.id == model_id, Model.deleted_at.is_(None), visible(principal))
    )
    found = (await session.execute(query)).first()
    if found is None:
        raise not_found("model", model_id)
    model, project = found
    await demand(session, principal, project, needed)
    if lock:
        locked = await lock_project(session, project.id)
        await session.refresh(model, with_for_update=True)
        if locked.deleted_at is not None or model.deleted_at is not None:
            raise not_found("model", model_id)
    return model


async def create(session: AsyncSession, principal: Principal, project_id: UUID, body: ModelCreate) -> Model:
    """Makes a PENDING model in a project.

    Raises:
        Problem: 404, 403.
    """
    await get_project(session, principal, project_id, Access.WORK, lock=True)
    model = Model(project_id=project_id, created_by=principal.user_id, **body.model_dump())
    session.add(model)
    await session.flush()
    after = {"project_id": project_id, **body.model_dump()}
    await record(session, principal, "model.create", "model", model.id, None, after)
    return model


async def list_models(
    session: AsyncSession, principal: Principal, project_id: UUID, limit: int, offset: int
) -> list[Model]:
    """The project's models, newest first.

    Raises:
        Problem: 404.
    """
    await get_project(session, principal, project_id, Access.SEE)
    query = (
        select(Model)
        .where(Model.project_id == project_id, Model.deleted_at.is_(None))
        .order_by(Model.created_at.desc(), Model.id)
        .limit(limit)
        .offset(offset)
    )
    return list(await session.scalars(query))


async def change(session: AsyncSession, principal: Principal, model_id: UUID, body: ModelChange) -> Model:
    """Changes name or description.

    Raises:
        Problem: 404, 403.
    """
    model = await get_model(session, principal, model_id, Access.WORK, lock=True)
    after = body.model_dump(exclude_none=True)
    before = {name: getattr(model, name) for name in after}
    for name, value in after.items():
        setattr(model, name, value)
    if after != before:
        await record(session, principal, "model.change", "model", model.id, before, after)
    return model


async def delete(session: AsyncSession, principal: Principal, model_id: UUID) -> None:
    """Deletes a model; its files can go once this is committed.

    Raises:
        Problem: 404, 403, 409 `job_running`.
    """
    model = await get_model(session, principal, model_id, Access.WORK, lock=True)
    if await open_job_of_model(session, model_id) is not None:
        raise Problem(
            409,
            "job_running",
            f"the model's job is running; stop it (POST /api/models/{model_id}/stop) and wait until it has ended",
        )
    model.deleted_at = utcnow()
    before = {"name": model.name, "status": model.status, "app_sha256": model.app_sha256}
    await record(session, principal, "model.delete", "model", model.id, before, None)


async def stop(session: AsyncSession, principal: Principal, model_id: UUID) -> Model:
    """Asks for the model's job to be stopped; asking again is harmless.

    Raises:
        Problem: 404, 403, 409 `no_running_job`.
    """
    await get_model(session, principal, model_id, Access.WORK)
    job = await open_job_of_model(session, model_id, lock=True)
    model = await session.get_one(Model, model_id)
    if job is None:
        raise Problem(409, "no_running_job", f"the model is {model.status}; there is no running job to stop")
    if await request_stop(session, job, f"stopped by {principal.email}"):
        await record(session, principal, "job.stop", "job", job.id, None, {"model_id": model_id})
    return model


async def describe(session: AsyncSession, models: list[Model]) -> list[ModelOut]:
    """The models with their jobs."""
    query = select(Job).where(Job.model_id.in_([model.id for model in models]))
    jobs = {job.model_id: _job_out(job) for job in await session.scalars(query)}
    return [
        ModelOut.model_validate(
            {
                **{name: getattr(model, name) for name in ModelOut.model_fields if name != "job"},
                "job": jobs.get(model.id),
            }
        )
        for model in models
    ]


def _job_out(job: Job) -> JobOut:
    of_spec = ("trusts", "run_config", "min_sites")
    fields = {name: getattr(job, name) for name in JobOut.model_fields if name not in of_spec}
    return JobOut.model_validate({**fields, **{name: job.spec[name] for name in of_spec}})


async def metrics(
    session: AsyncSession,
    principal: Principal,
    model_id: UUID,
    *,
    trust: str | None,
    label: str | None,
    from_round: int,
) -> list[MetricSeries]:
    """The model's metrics as series in order of trust, label and round.

    Raises:
        Problem: 404, 403.
    """
    await get_model(session, principal, model_id, Access.READ)
    query = (
        select(ModelMetric)
        .where(ModelMetric.model_id == model_id, ModelMetric.round >= from_round)
        .order_by(ModelMetric.trust, ModelMetric.label, ModelMetric.round)
    )
    if trust is not None:
        query = query.where(ModelMetric.trust == trust)
    if label is not None:
        query = query.where(ModelMetric.label == label)
    series: dict[tuple[str, str], list[MetricValue]] = {}
    for point in await session.scalars(query):
        value = MetricValue(round=point.round, value=point.value, at=point.at)
        series.setdefault((point.trust, point.label), []).append(value)
    return [MetricSeries(trust=name, label=what, points=points) for (name, what), points in series.items()]


async def events(session: AsyncSession, principal: Principal, model_id: UUID, after: int, limit: int) -> list[EventOut]:
    """What happened to the model, oldest first, with ids above `after`.

    Raises:
        Problem: 404.
    """
    await get_model(session, principal, model_id, Access.SEE)
    query = (
        select(ModelEvent)
        .where(ModelEvent.model_id == model_id, ModelEvent.id > after)
        .order_by(ModelEvent.id)
        .limit(limit)
    )
    return [
        EventOut(id=event.id, at=event.at, kind=event.kind, actor=event.actor, detail=event.detail)
        for event in await session.scalars(query)
    ]


async def logs(session: AsyncSession, principal: Principal, model_id: UUID, offset: int, limit: int) -> LogsOut:
    """Log lines from line `offset` on.

    Raises:
        Problem: 404, 403.
    """
    await get_model(session, principal, model_id, Access.READ)
    query = (
        select(ModelLogLine.text)
        .where(ModelLogLine.model_id == model_id, ModelLogLine.line >= offset)
        .order_by(ModelLogLine.line)
        .limit(limit)
    )
    lines = list(await session.scalars(query))
    return LogsOut(offset=offset, next_offset=offset + len(lines), lines=lines)


async def results(session: AsyncSession, principal: Principal, model_id: UUID) -> list[ResultOut]:
    """The result files in order of name.

    Raises:
        Problem: 404, 403.
    """
    await get_model(session, principal, model_id, Access.READ)
    query = select(ModelResult).where(ModelResult.model_id == model_id).order_by(ModelResult.filename)
    return [
        ResultOut(filename=row.filename, bytes=row.bytes, sha256=row.sha256, uploaded_at=row.uploaded_at)
        for row in await session.scalars(query)
    ]


async def result(session: AsyncSession, principal: Principal, model_id: UUID, filename: str) -> ModelResult:
    """One result file.

    Raises:
        Problem: 404, 403.
    """
    await get_model(session, principal, model_id, Access.READ)
    row = await session.get(ModelResult, (model_id, filename))
    if row is None:
        raise not_found("result", filename)
    return row
