"""The lifecycle of a project: staged to trusts, decided by each of them. It moves forward only.

An approval is for the exact text of one query. It fixes the cohort at the site (`freeze_cohort`) and then
brings the images in (`create_imaging`). Withdrawing ends both, and any job the trust takes part in. With either the
trust is told who takes part (`update_user_profile`).
"""

from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.web import Problem, not_found
from flip_common.wire import (
    CreateImagingPayload,
    FreezeCohortPayload,
    FreezeCohortResult,
    ProjectStatus,
    TaskError,
    TaskType,
    WireModel,
)
from flip_hub.audit.service import record
from flip_hub.auth import Principal
from flip_hub.cohorts.tables import AnswerState, CohortAnswer, CohortQuery
from flip_hub.db import utcnow
from flip_hub.jobs.service import open_jobs, request_stop
from flip_hub.projects.access import Access, get_project, lock_project
from flip_hub.projects.imaging import ask, delete_images
from flip_hub.projects.schemas import DecisionRequest, StageRequest
from flip_hub.projects.tables import CohortState, Project, ProjectTrust, TrustDecision
from flip_hub.state import Hub
from flip_hub.tasks.service import enqueue, on_result
from flip_hub.tasks.tables import Task
from flip_hub.trusts.tables import Trust
from flip_hub.users.profiles import tell_of_project

_ALLOWED = {
    TrustDecision.APPROVED: {TrustDecision.PENDING, TrustDecision.REJECTED, TrustDecision.WITHDRAWN},
    TrustDecision.REJECTED: {TrustDecision.PENDING},
    TrustDecision.WITHDRAWN: {TrustDecision.APPROVED},
}


async def stage(session: AsyncSession, principal: Principal, project_id: UUID, body: StageRequest) -> Project:
    """Fixes one query and lays it before trusts that answered it.

    Raises:
        Problem: 404, 403, 409 `already_staged` or `no_answer`.
    """
    project = await get_project(session, principal, project_id, Access.OWN, lock=True)
    if project.status is not ProjectStatus.UNSTAGED:
        raise Problem(
            409, "already_staged", f"the project is {project.status}; unstage it first, or make a new project"
        )
    query = await session.get(CohortQuery, body.query_id)
    if query is None or query.project_id != project_id:
        raise not_found("cohort query", body.query_id)
    answers = await session.execute(
        select(Trust.id, Trust.name)
        .join(CohortAnswer, CohortAnswer.trust_id == Trust.id)
        .where(
            CohortAnswer.query_id == query.id,
            CohortAnswer.state == AnswerState.ANSWERED,
            Trust.disabled_at.is_(None),
        )
    )
    answered: dict[UUID, str] = dict(answers.all())
    chosen = list(dict.fromkeys(body.trust_ids)) if body.trust_ids is not None else sorted(answered)
    missing = [str(trust_id) for trust_id in chosen if trust_id not in answered]
    if missing or not chosen:
        who = ", ".join(missing) or "any trust"
        raise Problem(
            409,
            "no_answer",
            f"query {query.id} has no answer of {who}; wait for it (GET /api/projects/{project_id}"
            f"/cohort-queries/{query.id}), ask again, or leave these trusts out",
        )
    project.status = ProjectStatus.STAGED
    project.staged_query_id, project.staged_query = query.id, query.query
    project.staged_query_sha256 = query.query_sha256
    session.add_all(ProjectTrust(project_id=project_id, trust_id=trust_id) for trust_id in chosen)
    after = {
        "status": project.status,
        "query_id": query.id,
        "query_sha256": project.staged_query_sha256,
        "trusts": [answered[trust_id] for trust_id in chosen],
    }
    await record(
        session,
        principal,
        "project.stage",
        "project",
        project_id,
        {"status": ProjectStatus.UNSTAGED},
        after,
    )
    return project


async def unstage(session: AsyncSession, principal: Principal, project_id: UUID) -> Project:
    """Takes the project back from the trusts, as long as none of them ever approved it.

    Raises:
        Problem: 404, 403, 409 `not_staged` or `already_approved`.
    """
    project = await get_project(session, principal, project_id, Access.OWN, lock=True)
    if project.status is ProjectStatus.UNSTAGED:
        raise Problem(409, "not_staged", "the project is UNSTAGED already")
    if project.status is ProjectStatus.APPROVED:
        raise Problem(
            409,
            "already_approved",
            "a trust has approved the project, so its query stays as it is; make a new project for another one",
        )
    before = {"status": project.status, "query_sha256": project.staged_query_sha256}
    await session.execute(delete(ProjectTrust).where(ProjectTrust.project_id == project_id))
    project.status = ProjectStatus.UNSTAGED
    project.staged_query_id = project.staged_query = project.staged_query_sha256 = None
    await record(session, principal, "project.unstage", "project", project_id, before, {"status": project.status})
    return project


async def decide(
    session: AsyncSession,
    hub: Hub,
    principal: Principal,
    project_id: UUID,
    *,
    trust_id: UUID,
    body: DecisionRequest,
) -> Project:
    """Records a trust's decision. Deciding the same again is harmless, and tries again what failed since.

    Raises:
        Problem: 404, 403 when the trust is not the caller's, 409 `wrong_decision` or `images_being_deleted`.
    """
    project = await get_project(session, principal, project_id, Access.SEE, lock=True)
    if trust_id not in principal.trust_ids:
        raise Problem(403, "forbidden", f"only an owner of trust {trust_id} decides for it")
    row = await session.get(ProjectTrust, (project_id, trust_id))
    if row is None:
        raise not_found("trust of the project", trust_id)
    before = row.decision
    if before is body.decision:
        if before is TrustDecision.APPROVED and row.cohort_state is CohortState.FAILED:
            await _freeze(session, hub, project, row)
        if before is TrustDecision.WITHDRAWN and row.imaging_task_id is None:
            await delete_images(session, hub, row)
        await tell_of_project(session, hub, project)
        return project
    if before not in _ALLOWED[body.decision]:
        remedy = "send WITHDRAWN to end it" if before is TrustDecision.APPROVED else "only APPROVED can follow"
        raise Problem(409, "wrong_decision", f"the trust's decision is {before}; {remedy}")
    if body.decision is TrustDecision.APPROVED and row.imaging_task_type is TaskType.DELETE_IMAGING:
        raise Problem(
            409, "images_being_deleted", "the trust is still deleting the project's images; approve after that"
        )
    row.decision, row.note = body.decision, body.note
    row.decided_by, row.decided_at = principal.user_id, utcnow()
    if body.decision is TrustDecision.APPROVED:
        project.status = ProjectStatus.APPROVED
        row.approved_query_sha256 = project.staged_query_sha256
        await _freeze(session, hub, project, row)
    elif body.decision is TrustDecision.WITHDRAWN:
        await _end_participation(session, hub, row)
    after = {
        "trust_id": trust_id,
        "decision": body.decision,
        "note": body.note,
        "query_sha256": project.staged_query_sha256,
    }
    await record(
        session,
        principal,
        "project.decision",
        "project",
        project_id,
        {"trust_id": trust_id, "decision": before},
        after,
    )
    await tell_of_project(session, hub, project)
    return project


async def _freeze(session: AsyncSession, hub: Hub, project: Project, row: ProjectTrust) -> None:
    assert project.staged_query is not None  # noqa: S101 - a row of ProjectTrust exists only while it is staged
    payload = FreezeCohortPayload(project_id=project.id, query=project.staged_query)
    context = {"project_id": str(project.id)}
    row.cohort_task_id = await enqueue(session, hub, row.trust_id, TaskType.FREEZE_COHORT, payload, context)
    row.cohort_state, row.cohort_result, row.cohort_error = CohortState.FREEZING, None, None
    row.frozen_at = None


async def _end_participation(session: AsyncSession, hub: Hub, row: ProjectTrust) -> None:
    row.approved_query_sha256 = row.cohort_task_id = row.cohort_result = row.cohort_error = row.frozen_at = None
    row.cohort_state = CohortState.NONE
    trust = await session.get_one(Trust, row.trust_id)
    for job in await open_jobs(session, row.project_id, lock=True):
        if trust.name in job.spec["trusts"]:
            await request_stop(session, job, f"trust {trust.name} withdrew its approval")
    await delete_images(session, hub, row)


@on_result(TaskType.FREEZE_COHORT)
async def on_frozen(
    session: AsyncSession, hub: Hub, task: Task, result: WireModel | None, error: TaskError | None
) -> None:
    """Keeps what the trust froze and asks for the images; an answer to an approval that is gone is left out."""
    project = await lock_project(session, UUID(task.context["project_id"]))
    row = await session.get(ProjectTrust, (project.id, task.trust_id))
    if row is None or row.cohort_task_id != task.id or project.deleted_at is not None:
        return
    row.cohort_task_id = None
    if isinstance(result, FreezeCohortResult) and result.project_id == project.id:
        row.cohort_state, row.frozen_at = CohortState.FROZEN, utcnow()
        row.cohort_result = result.model_dump(mode="json")
        payload = CreateImagingPayload(project_id=project.id)
        await ask(session, hub, row, TaskType.CREATE_IMAGING, payload)
    else:
        error = error or TaskError(code="wrong_answer", detail="the trust answered for another project")
        row.cohort_state, row.cohort_error = CohortState.FAILED, error.model_dump(mode="json")
    after = {
        "trust_id": row.trust_id,
        "cohort_state": row.cohort_state,
        "cohort": row.cohort_result,
        "error": row.cohort_error,
    }
    trust = await session.get_one(Trust, row.trust_id)
    await record(session, f"trust:{trust.name}", "project.cohort", "project", project.id, None, after)
