"""The project's images at each trust: asked for by tasks, known as of the last answer."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.web import Problem
from flip_common.wire import (
    CreateImagingPayload,
    DeleteImagingPayload,
    ImagingResult,
    ImagingStatusPayload,
    ReimportStudiesPayload,
    TaskError,
    TaskType,
    WireModel,
)
from flip_hub.audit.service import record
from flip_hub.auth import Principal
from flip_hub.db import utcnow
from flip_hub.projects.access import Access, get_project, level, lock_project
from flip_hub.projects.schemas import ImagingAsked, ImagingOut
from flip_hub.projects.tables import CohortState, Project, ProjectTrust, TrustDecision
from flip_hub.state import Hub
from flip_hub.tasks.service import enqueue, on_result
from flip_hub.tasks.tables import Task
from flip_hub.trusts.tables import Trust


async def ask(session: AsyncSession, hub: Hub, row: ProjectTrust, task_type: TaskType, payload: WireModel) -> None:
    """Leaves an imaging task for the trust; from now on it is the one outstanding."""
    context = {"project_id": str(row.project_id)}
    row.imaging_task_id = await enqueue(session, hub, row.trust_id, task_type, payload, context)
    row.imaging_task_type = task_type


async def delete_images(session: AsyncSession, hub: Hub, row: ProjectTrust) -> None:
    """Has the trust delete the project's images, if it may hold any.

    A trust that cannot be asked (disabled, or without a key) does not stop what ends its part: why it was not
    asked is kept as the row's error.
    """
    if row.imaging_result is None and row.imaging_task_id is None and row.imaging_error is None:
        return
    payload = DeleteImagingPayload(project_id=row.project_id)
    try:
        await ask(session, hub, row, TaskType.DELETE_IMAGING, payload)
    except Problem as problem:
        row.imaging_task_id = row.imaging_task_type = None
        row.imaging_error = TaskError(code=problem.code, detail=problem.detail).model_dump(mode="json")


async def overview(session: AsyncSession, principal: Principal, project_id: UUID) -> list[ImagingOut]:
    """Last known imaging state at each trust; owners of trusts see their own trusts only.

    Raises:
        Problem: 404 (see `get_project`).
    """
    project = await get_project(session, principal, project_id, Access.SEE)
    everything = await level(session, principal, project) >= Access.READ
    return [
        ImagingOut.model_validate(
            {
                "trust_id": row.trust_id,
                "trust": name,
                "result": row.imaging_result,
                "at": row.imaging_at,
                "error": row.imaging_error,
                "pending": row.imaging_task_type,
            }
        )
        for row, name in await _rows(session, project)
        if everything or row.trust_id in principal.trust_ids
    ]


async def refresh(session: AsyncSession, hub: Hub, principal: Principal, project_id: UUID) -> ImagingAsked:
    """Asks every taking-part trust how far it is, except those with an imaging task still under way.

    Raises:
        Problem: 404, 403, 409 `no_images` when no trust has a frozen cohort.
    """
    return await _ask_all(session, hub, principal, project_id, again=False)


async def reimport(session: AsyncSession, hub: Hub, principal: Principal, project_id: UUID) -> ImagingAsked:
    """Has every taking-part trust try again what is missing or failed, or what never began.

    Raises:
        Problem: 404, 403, 409 `no_images`, 409 `imaging_busy` when every trust still works on a task.
    """
    asked = await _ask_all(session, hub, principal, project_id, again=True)
    if not asked.asked:
        raise Problem(
            409,
            "imaging_busy",
            f"an imaging task is still under way at {', '.join(asked.busy)}; try again when it has ended",
        )
    return asked


async def _ask_all(
    session: AsyncSession, hub: Hub, principal: Principal, project_id: UUID, *, again: bool
) -> ImagingAsked:
    project = await get_project(session, principal, project_id, Access.WORK, lock=True)
    taking_part = [
        (row, name)
        for row, name in await _rows(session, project)
        if row.decision is TrustDecision.APPROVED and row.cohort_state is CohortState.FROZEN
    ]
    if not taking_part:
        raise Problem(409, "no_images", "no trust has approved the project and frozen its cohort yet")
    asked, busy = [], []
    for row, name in taking_part:
        if row.imaging_task_id is not None:
            busy.append(name)
            continue
        asked.append(name)
        if not again:
            payload: WireModel = ImagingStatusPayload(project_id=project_id)
            await ask(session, hub, row, TaskType.GET_IMAGING_STATUS, payload)
        elif row.imaging_result is None:
            payload = CreateImagingPayload(project_id=project_id)
            await ask(session, hub, row, TaskType.CREATE_IMAGING, payload)
        else:
            payload = ReimportStudiesPayload(project_id=project_id)
            await ask(session, hub, row, TaskType.REIMPORT_STUDIES, payload)
    if asked:
        action = "project.imaging.reimport" if again else "project.imaging.refresh"
        await record(session, principal, action, "project", project_id, None, {"trusts": asked})
    return ImagingAsked.model_validate({"asked": asked, "busy": busy})


async def _rows(session: AsyncSession, project: Project) -> list[tuple[ProjectTrust, str]]:
    query = (
        select(ProjectTrust, Trust.name)
        .join(Trust, Trust.id == ProjectTrust.trust_id)
        .where(ProjectTrust.project_id == project.id)
        .order_by(Trust.name)
    )
    return list(await session.execute(query))


@on_result(
    TaskType.CREATE_IMAGING,
    TaskType.REIMPORT_STUDIES,
    TaskType.GET_IMAGING_STATUS,
    TaskType.DELETE_IMAGING,
)
async def on_imaging(
    session: AsyncSession, hub: Hub, task: Task, result: WireModel | None, error: TaskError | None
) -> None:
    """Keeps the trust's answer; what came in after the approval ended is deleted again."""
    project = await lock_project(session, UUID(task.context["project_id"]))
    row = await session.get(ProjectTrust, (project.id, task.trust_id))
    if row is None:
        return
    if isinstance(result, ImagingResult) and result.project_id == project.id:
        gone = task.type is TaskType.DELETE_IMAGING
        row.imaging_result = None if gone else result.model_dump(mode="json")
        row.imaging_at, row.imaging_error = utcnow(), None
    else:
        error = error or TaskError(code="wrong_answer", detail="the trust answered for another project")
        row.imaging_error = error.model_dump(mode="json")
    if row.imaging_task_id == task.id:
        row.imaging_task_id = row.imaging_task_type = None
    brings_in = task.type in (TaskType.CREATE_IMAGING, TaskType.REIMPORT_STUDIES)
    ended = row.decision is not TrustDecision.APPROVED or project.deleted_at is not None
    if brings_in and ended:
        await delete_images(session, hub, row)
    after = {
        "trust_id": row.trust_id,
        "task": task.type,
        "result": row.imaging_result,
        "error": row.imaging_error,
    }
    trust = await session.get_one(Trust, row.trust_id)
    await record(session, f"trust:{trust.name}", "project.imaging", "project", project.id, None, after)
