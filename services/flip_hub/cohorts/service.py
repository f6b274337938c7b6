"""Cohort queries: put to trusts as tasks, within the project's budget; answers kept as received."""

import re
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.web import Problem, not_found
from flip_common.wire import CohortQueryPayload, CohortQueryResult, TaskError, TaskType, WireModel
from flip_hub.audit.service import record
from flip_hub.auth import Principal
from flip_hub.cohorts.schemas import CohortAnswerOut, CohortQueryCreate, CohortQueryOut
from flip_hub.cohorts.tables import AnswerState, CohortAnswer, CohortQuery
from flip_hub.db import utcnow
from flip_hub.projects.access import Access, get_project
from flip_hub.state import Hub
from flip_hub.tasks.service import enqueue, on_result
from flip_hub.tasks.tables import Task
from flip_hub.trusts.tables import Trust

BUDGET_PERIOD = timedelta(hours=24)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


async def create(
    session: AsyncSession, hub: Hub, principal: Principal, project_id: UUID, body: CohortQueryCreate
) -> CohortQuery:
    """Puts a query to trusts.

    A trust that cannot be asked is an error when it was named, and a FAILED answer when every trust was meant.

    Raises:
        Problem: 404, 403, 422 `not_one_statement`, 429 `query_budget_spent`, 409 `no_trust`.
    """
    await get_project(session, principal, project_id, Access.WORK, lock=True)
    text = _single_statement(body.query)
    await _within_budget(session, hub, project_id)
    query = CohortQuery(
        project_id=project_id,
        name=body.name,
        query=text,
        query_sha256=sha256(text.encode()).hexdigest(),
        created_by=principal.user_id,
        created_at=utcnow(),
    )
    session.add(query)
    await session.flush()
    trusts = await _chosen(session, body.trust_ids)
    payload = CohortQueryPayload(query_id=query.id, project_id=project_id, query=text)
    for trust in trusts:
        answer = CohortAnswer(query_id=query.id, trust_id=trust.id)
        try:
            await enqueue(session, hub, trust.id, TaskType.COHORT_QUERY, payload, {"query_id": str(query.id)})
        except Problem as problem:
            if body.trust_ids is not None:
                raise
            _fail(answer, TaskError(code=problem.code, detail=problem.detail))
        session.add(answer)
    after = {
        "project_id": project_id,
        "name": body.name,
        "query": text,
        "query_sha256": query.query_sha256,
        "trusts": [trust.name for trust in trusts],
    }
    await record(session, principal, "cohort_query.create", "cohort_query", query.id, None, after)
    return query


def _single_statement(query: str) -> str:
    """The text without a closing semicolon. Whether it may be asked is for the trust's guard to say.

    Raises:
        Problem: 422 `not_one_statement`.
    """
    text = query.strip().removesuffix(";").rstrip()
    if not text or ";" in _QUOTED.sub("", text):
        raise Problem(422, "not_one_statement", "send exactly one SELECT statement, without ';' in it")
    return text


async def _within_budget(session: AsyncSession, hub: Hub, project_id: UUID) -> None:
    since = utcnow() - BUDGET_PERIOD
    recent = (CohortQuery.project_id == project_id, CohortQuery.created_at > since)
    count, oldest = (await session.execute(select(func.count(), func.min(CohortQuery.created_at)).where(*recent))).one()
    budget = hub.settings.cohort_queries_per_day
    if count >= budget:
        again = oldest + BUDGET_PERIOD
        raise Problem(
            429,
            "query_budget_spent",
            f"the project has put {count} cohort queries in 24 hours, its budget is {budget} "
            f"(COHORT_QUERIES_PER_DAY); the next is possible at {again.isoformat(timespec='seconds')}",
        )


async def _chosen(session: AsyncSession, trust_ids: list[UUID] | None) -> list[Trust]:
    query = select(Trust).order_by(Trust.name)
    if trust_ids is None:
        trusts = list(await session.scalars(query.where(Trust.disabled_at.is_(None))))
        if not trusts:
            raise Problem(409, "no_trust", "no trust is enabled; an ADMIN registers one with POST /api/trusts")
        return trusts
    trusts = list(await session.scalars(query.where(Trust.id.in_(trust_ids))))
    for trust_id in set(trust_ids) - {trust.id for trust in trusts}:
        raise not_found("trust", trust_id)
    return trusts


def _fail(answer: CohortAnswer, error: TaskError) -> None:
    answer.state, answer.answered_at = AnswerState.FAILED, utcnow()
    answer.error = error.model_dump(mode="json")


@on_result(TaskType.COHORT_QUERY)
async def on_answer(
    session: AsyncSession, _: Hub, task: Task, result: WireModel | None, error: TaskError | None
) -> None:
    """Keeps a trust's answer exactly as it came."""
    query_id = UUID(task.context["query_id"])
    answer = await session.get_one(CohortAnswer, (query_id, task.trust_id), with_for_update=True)
    if isinstance(result, CohortQueryResult) and result.query_id == query_id:
        answer.state, answer.answered_at = AnswerState.ANSWERED, utcnow()
        answer.result = result.model_dump(mode="json")
    else:
        _fail(answer, error or TaskError(code="wrong_answer", detail="the trust answered another query"))
    trust = await session.get_one(Trust, task.trust_id)
    after = {"state": answer.state, "error": answer.error}
    before = {"state": AnswerState.PENDING}
    await record(session, f"trust:{trust.name}", "cohort_query.answer", "cohort_query", query_id, before, after)


async def list_queries(
    session: AsyncSession, principal: Principal, project_id: UUID, limit: int, offset: int
) -> list[CohortQueryOut]:
    """The project's queries, newest first.

    Raises:
        Problem: 404, 403.
    """
    await get_project(session, principal, project_id, Access.READ)
    query = (
        select(CohortQuery)
        .where(CohortQuery.project_id == project_id)
        .order_by(CohortQuery.created_at.desc(), CohortQuery.id)
        .limit(limit)
        .offset(offset)
    )
    return await describe(session, list(await session.scalars(query)))


async def get_query(session: AsyncSession, principal: Principal, project_id: UUID, query_id: UUID) -> CohortQueryOut:
    """One query of the project.

    Raises:
        Problem: 404, 403.
    """
    await get_project(session, principal, project_id, Access.READ)
    query = await session.get(CohortQuery, query_id)
    if query is None or query.project_id != project_id:
        raise not_found("cohort query", query_id)
    return (await describe(session, [query]))[0]


async def describe(session: AsyncSession, queries: list[CohortQuery]) -> list[CohortQueryOut]:
    """The queries with their answers, in order of the trusts' names."""
    rows = await session.execute(
        select(CohortAnswer, Trust.name)
        .join(Trust, Trust.id == CohortAnswer.trust_id)
        .where(CohortAnswer.query_id.in_([query.id for query in queries]))
        .order_by(Trust.name)
    )
    answers: dict[UUID, list[CohortAnswerOut]] = {query.id: [] for query in queries}
    for row, name in rows:
        answers[row.query_id].append(
            CohortAnswerOut.model_validate(
                {
                    "trust_id": row.trust_id,
                    "trust": name,
                    "state": row.state,
                    "result": row.result,
                    "error": row.error,
                    "answered_at": row.answered_at,
                }
            )
        )
    return [
        CohortQueryOut(
            id=query.id,
            project_id=query.project_id,
            name=query.name,
            query=query.query,
            query_sha256=query.query_sha256,
            created_by=query.created_by,
            created_at=query.created_at,
            answers=answers[query.id],
        )
        for query in queries
    ]
