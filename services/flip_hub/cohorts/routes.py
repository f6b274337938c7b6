"""Routes of cohort queries."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, status

from flip_hub.auth import CurrentUser
from flip_hub.cohorts import service
from flip_hub.cohorts.schemas import CohortQueryCreate, CohortQueryOut
from flip_hub.db import Session
from flip_hub.state import HubState

router = APIRouter(prefix="/projects/{project_id}/cohort-queries", tags=["cohorts"])


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_query(
    session: Session, hub: HubState, principal: CurrentUser, project_id: UUID, body: CohortQueryCreate
) -> CohortQueryOut:
    """Puts a cohort query to trusts; their statistics show in the query's answers as they arrive."""
    query = await service.create(session, hub, principal, project_id, body)
    return (await service.describe(session, [query]))[0]


@router.get("")
async def list_queries(
    session: Session,
    principal: CurrentUser,
    project_id: UUID,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> list[CohortQueryOut]:
    """The project's cohort queries, newest first."""
    return await service.list_queries(session, principal, project_id, limit, offset)


@router.get("/{query_id}")
async def get_query(session: Session, principal: CurrentUser, project_id: UUID, query_id: UUID) -> CohortQueryOut:
    """One cohort query and what each trust answered."""
    return await service.get_query(session, principal, project_id, query_id)
