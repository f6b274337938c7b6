"""Starting a model: everything is checked and written down first; the watcher then submits the job."""

import json
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from pydantic_core import to_jsonable_python
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.web import Problem
from flip_common.wire import FLBackend, JobSpec, ModelStatus, ProjectStatus
from flip_hub.audit.service import record
from flip_hub.auth import Principal
from flip_hub.jobs import quiesce
from flip_hub.jobs.schemas import StartRequest
from flip_hub.jobs.service import open_job_of_model, wake_watcher
from flip_hub.jobs.tables import Job
from flip_hub.models.apps import check_run_config
from flip_hub.models.service import get_model
from flip_hub.models.status import add_event, set_status
from flip_hub.models.tables import EventKind, Model
from flip_hub.projects.access import Access
from flip_hub.projects.tables import CohortState, Project, ProjectTrust, TrustDecision
from flip_hub.settings import FLNet
from flip_hub.state import Hub
from flip_hub.trusts.tables import Trust


async def start(session: AsyncSession, hub: Hub, principal: Principal, model_id: UUID, body: StartRequest) -> Model:
    """Makes the model's job, with the digests of all it depends on, and leaves it for the watcher.

    With the quiesce switch on it does so, too, and the job waits: nothing of the request is lost.

    Raises:
        Problem: 404, 403; 409 `job_running`, `already_ran`, `not_approved`, `no_app`, `no_net`, `no_trust_ready`
            or `trust_not_ready`; 422 `invalid_run_config` or `too_few_trusts`.
    """
    model = await get_model(session, principal, model_id, Access.WORK, lock=True)
    project = await session.get_one(Project, model.project_id)
    if await open_job_of_model(session, model_id) is not None:
        raise Problem(409, "job_running", f"the model's job is running already; the model is {model.status}")
    if model.status is not ModelStatus.PENDING:
        raise Problem(
            409,
            "already_ran",
            f"the model is {model.status}, and a model runs once; make a new one with "
            f"POST /api/projects/{project.id}/models and upload the app again",
        )
    if project.status is not ProjectStatus.APPROVED:
        raise Problem(409, "not_approved", f"the project is {project.status}; a trust has to approve it first")
    if model.app_sha256 is None:
        raise Problem(409, "no_app", f"the model has no app; upload it with PUT /api/models/{model_id}/app")
    check_run_config(model, body.run_config)
    net = _net_for(hub, model.backend)
    ready = await _participants(session, project, model.backend, body.trusts)
    assert project.staged_query is not None  # noqa: S101 - an approved project is staged
    assert project.staged_query_sha256 is not None  # noqa: S101 - set with the query
    trusts = [trust.name for _, trust in ready]
    if body.min_sites is not None and body.min_sites > len(trusts):
        raise Problem(422, "too_few_trusts", f"min_sites is {body.min_sites}, but only {len(trusts)} trusts take part")
    job_id = uuid4()
    limits = body.model_dump(include={"min_sites", "round_timeout_seconds", "job_timeout_seconds"}, exclude_none=True)
    spec = JobSpec(
        job_id=job_id,
        model_id=model_id,
        project_id=project.id,
        backend=model.backend,
        job_type=model.job_type,
        cohort_query=project.staged_query,
        trusts=trusts,
        run_config=body.run_config,
        app_digest=model.app_sha256,
        **limits,
    )
    approvals = [_approval(row, trust) for row, trust in ready]
    job = Job(
        id=job_id,
        model_id=model_id,
        project_id=project.id,
        net=net.name,
        spec=spec.model_dump(mode="json"),
        app_sha256=model.app_sha256,
        query_sha256=project.staged_query_sha256,
        approvals=approvals,
        approvals_sha256=sha256(_canonical(approvals)).hexdigest(),
        created_by=principal.user_id,
    )
    session.add(job)
    await session.flush()
    after = {
        "model_id": model_id,
        "net": net.name,
        "trusts": trusts,
        # As text: a key of the app's choosing may be named like a secret, which the audit refuses.
        "run_config": _canonical(body.run_config).decode(),
        "app_sha256": job.app_sha256,
        "query_sha256": job.query_sha256,
        "approvals_sha256": job.approvals_sha256,
        **limits,
    }
    await record(session, principal, "job.create", "job", job_id, None, after)
    await set_status(session, model, ModelStatus.INITIATED, principal)
    switch = await quiesce.state(session)
    if switch.since is not None:
        detail = {"since": switch.since.isoformat(), "reason": switch.reason}
        add_event(session, model, EventKind.HELD, "hub", detail)
    await wake_watcher(session)
    return model


def _net_for(hub: Hub, backend: FLBackend) -> FLNet:
    for net in hub.settings.fl_nets:
        if net.backend is backend:
            return net
    raise Problem(
        409,
        "no_net",
        f"this hub has no net for {backend}; its platform engineer adds one to FL_NETS, "
        "or make the model for another backend",
    )


async def _participants(
    session: AsyncSession, project: Project, backend: FLBackend, wanted: list[str] | None
) -> list[tuple[ProjectTrust, Trust]]:
    """Who takes part, in order of name.

    Raises:
        Problem: 409 `no_trust_ready`, or `trust_not_ready` with the reason for each.
    """
    query = (
        select(ProjectTrust, Trust)
        .join(Trust, Trust.id == ProjectTrust.trust_id)
        .where(ProjectTrust.project_id == project.id)
        .order_by(Trust.name)
    )
    rows = {trust.name: (row, trust) for row, trust in await session.execute(query)}
    if wanted is None:
        chosen = [name for name, (row, trust) in rows.items() if _obstacle(project, row, trust) is None]
        if not chosen:
            raise Problem(
                409, "no_trust_ready", "no trust has approved the project and frozen its cohort; wait for one"
            )
    else:
        chosen = sorted(set(wanted))
    obstacles = {}
    for name in chosen:
        why = _obstacle(project, *rows[name]) if name in rows else "the project is not staged to it"
        if why is None and backend is FLBackend.FLOWER and rows[name][1].fl_public_key is None:
            why = "its FL client has not registered its public key yet"
        if why is not None:
            obstacles[name] = why
    if obstacles:
        detail = "; ".join(f"{name}: {why}" for name, why in obstacles.items())
        raise Problem(409, "trust_not_ready", f"{detail}. Wait, or name other trusts", trusts=sorted(obstacles))
    return [rows[name] for name in chosen]


def _obstacle(project: Project, row: ProjectTrust, trust: Trust) -> str | None:
    if trust.disabled_at is not None:
        return "it is disabled at this hub"
    if row.decision is not TrustDecision.APPROVED:
        return f"its decision is {row.decision}"
    if row.approved_query_sha256 != project.staged_query_sha256:
        return "it approved another query"
    if row.cohort_state is not CohortState.FROZEN:
        return f"its cohort is not frozen ({row.cohort_state})"
    return None


def _approval(row: ProjectTrust, trust: Trust) -> dict[str, Any]:
    digest = row.cohort_result["cohort_digest"] if row.cohort_result else None
    approval: dict[str, Any] = to_jsonable_python(
        {
            "trust_id": row.trust_id,
            "trust": trust.name,
            "decided_by": row.decided_by,
            "decided_at": row.decided_at,
            "query_sha256": row.approved_query_sha256,
            "cohort_digest": digest,
        }
    )
    return approval


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
