"""Routes of projects."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Query, status

from flip_hub.auth import CurrentUser, Researcher, TrustOwner
from flip_hub.db import Session
from flip_hub.models.leftovers import remove_files
from flip_hub.projects import imaging, service, staging
from flip_hub.projects.access import Access, get_project
from flip_hub.projects.schemas import (
    DecisionRequest,
    ImagingAsked,
    ImagingOut,
    MemberAdd,
    MemberOut,
    ProjectChange,
    ProjectCreate,
    ProjectOut,
    StageRequest,
)
from flip_hub.projects.tables import Project
from flip_hub.state import HubState

router = APIRouter(prefix="/projects", tags=["projects"])


async def _one(session: Session, principal: CurrentUser, project: Project) -> ProjectOut:
    return (await service.describe(session, principal, [project]))[0]


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_project(session: Session, principal: Researcher, body: ProjectCreate) -> ProjectOut:
    """Makes a project that belongs to the caller."""
    return await _one(session, principal, await service.create(session, principal, body))


@router.get("")
async def list_projects(
    session: Session,
    principal: CurrentUser,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> list[ProjectOut]:
    """The projects the caller may see, newest first."""
    projects = await service.list_visible(session, principal, limit, offset)
    return await service.describe(session, principal, projects)


@router.get("/{project_id}")
async def get_one_project(session: Session, principal: CurrentUser, project_id: UUID) -> ProjectOut:
    """One project."""
    return await _one(session, principal, await get_project(session, principal, project_id, Access.SEE))


@router.patch("/{project_id}")
async def change_project(session: Session, principal: CurrentUser, project_id: UUID, body: ProjectChange) -> ProjectOut:
    """Changes name or description."""
    return await _one(session, principal, await service.change(session, principal, project_id, body))


@router.delete("/{project_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_project(
    session: Session, hub: HubState, principal: CurrentUser, project_id: UUID, later: BackgroundTasks
) -> None:
    """Deletes the project, its models' files, and its images at every trust. The audit trail stays."""
    for model_id in await service.delete(session, hub, principal, project_id):
        later.add_task(remove_files, hub, model_id)


@router.get("/{project_id}/members")
async def list_members(session: Session, principal: CurrentUser, project_id: UUID) -> list[MemberOut]:
    """Who was let into the project, besides its owner."""
    return await service.members(session, principal, project_id)


@router.post("/{project_id}/members", status_code=status.HTTP_201_CREATED)
async def add_member(
    session: Session, hub: HubState, principal: CurrentUser, project_id: UUID, body: MemberAdd
) -> MemberOut:
    """Lets a user in: researchers work in the project, viewers read."""
    return await service.add_member(session, hub, principal, project_id, body)


@router.delete("/{project_id}/members/{user_id}", status_code=status.HTTP_204_NO_CONTENT)
async def remove_member(
    session: Session, hub: HubState, principal: CurrentUser, project_id: UUID, user_id: UUID
) -> None:
    """Takes a member out of the project."""
    await service.remove_member(session, hub, principal, project_id, user_id)


@router.post("/{project_id}/stage")
async def stage_project(session: Session, principal: CurrentUser, project_id: UUID, body: StageRequest) -> ProjectOut:
    """Lays one answered cohort query before trusts for approval; its text can no longer change."""
    return await _one(session, principal, await staging.stage(session, principal, project_id, body))


@router.post("/{project_id}/unstage")
async def unstage_project(session: Session, principal: CurrentUser, project_id: UUID) -> ProjectOut:
    """Takes the project back, as long as no trust has approved it."""
    return await _one(session, principal, await staging.unstage(session, principal, project_id))


@router.post("/{project_id}/trusts/{trust_id}/decision")
async def decide(
    *,
    session: Session,
    hub: HubState,
    principal: TrustOwner,
    project_id: UUID,
    trust_id: UUID,
    body: DecisionRequest,
) -> ProjectOut:
    """Approves, rejects, or withdraws an approval, for a trust the caller owns."""
    project = await staging.decide(session, hub, principal, project_id, trust_id=trust_id, body=body)
    return await _one(session, principal, project)


@router.get("/{project_id}/imaging")
async def get_imaging(session: Session, principal: CurrentUser, project_id: UUID) -> list[ImagingOut]:
    """Last known state of the project's images at each trust."""
    return await imaging.overview(session, principal, project_id)


@router.post("/{project_id}/imaging/refresh", status_code=status.HTTP_202_ACCEPTED)
async def refresh_imaging(session: Session, hub: HubState, principal: CurrentUser, project_id: UUID) -> ImagingAsked:
    """Asks the trusts how far they are; the answers show in `GET .../imaging`."""
    return await imaging.refresh(session, hub, principal, project_id)


@router.post("/{project_id}/imaging/reimport", status_code=status.HTTP_202_ACCEPTED)
async def reimport_imaging(session: Session, hub: HubState, principal: CurrentUser, project_id: UUID) -> ImagingAsked:
    """Has the trusts try again what is missing or failed."""
    return await imaging.reimport(session, hub, principal, project_id)
