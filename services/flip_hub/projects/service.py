"""Projects and their members: create, list, change, delete."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.web import Problem, not_found
from flip_common.wire import Role
from flip_hub.audit.service import record
from flip_hub.auth import Principal
from flip_hub.db import utcnow
from flip_hub.jobs.service import open_jobs
from flip_hub.models.tables import Model
from flip_hub.projects.access import Access, get_project, level, visible
from flip_hub.projects.imaging import delete_images
from flip_hub.projects.schemas import (
    MemberAdd,
    MemberOut,
    ProjectChange,
    ProjectCreate,
    ProjectOut,
    ProjectTrustOut,
)
from flip_hub.projects.tables import Project, ProjectMember, ProjectTrust
from flip_hub.state import Hub
from flip_hub.trusts.tables import Trust
from flip_hub.users.profiles import tell_of_project, tell_trusts
from flip_hub.users.tables import User


async def create(session: AsyncSession, principal: Principal, body: ProjectCreate) -> Project:
    """Makes an UNSTAGED project that belongs to the caller."""
    project = Project(name=body.name, description=body.description, owner_id=principal.user_id)
    session.add(project)
    await session.flush()
    await record(session, principal, "project.create", "project", project.id, None, body.model_dump())
    return project


async def list_visible(session: AsyncSession, principal: Principal, limit: int, offset: int) -> list[Project]:
    """The projects the caller may see, newest first."""
    query = (
        select(Project)
        .where(visible(principal))
        .order_by(Project.created_at.desc(), Project.id)
        .limit(limit)
        .offset(offset)
    )
    return list(await session.scalars(query))


async def change(session: AsyncSession, principal: Principal, project_id: UUID, body: ProjectChange) -> Project:
    """Changes name or description.

    Raises:
        Problem: 404 or 403 (see `get_project`).
    """
    project = await get_project(session, principal, project_id, Access.OWN, lock=True)
    after = body.model_dump(exclude_none=True)
    before = {name: getattr(project, name) for name in after}
    for name, value in after.items():
        setattr(project, name, value)
    if after != before:
        await record(session, principal, "project.change", "project", project.id, before, after)
    return project


async def delete(session: AsyncSession, hub: Hub, principal: Principal, project_id: UUID) -> list[UUID]:
    """Deletes a project and has its images removed at every trust; returns its models, whose files can go.

    Raises:
        Problem: 404, 403, or 409 `job_running`.
    """
    project = await get_project(session, principal, project_id, Access.OWN, lock=True)
    if jobs := await open_jobs(session, project_id):
        raise Problem(
            409,
            "job_running",
            f"model {jobs[0].model_id} of this project has a running job; stop it "
            f"(POST /api/models/{jobs[0].model_id}/stop) and wait until it has ended",
        )
    now = utcnow()
    rows = await session.scalars(select(ProjectTrust).where(ProjectTrust.project_id == project_id))
    for row in rows.all():
        await delete_images(session, hub, row)
    models = await session.scalars(select(Model).where(Model.project_id == project_id))
    gone = [model for model in models.all() if model.deleted_at is None]
    for model in gone:
        model.deleted_at = now
    before = {"name": project.name, "status": project.status, "models": [model.id for model in gone]}
    project.deleted_at = now
    await tell_of_project(session, hub, project)
    await record(session, principal, "project.delete", "project", project.id, before, None)
    return [model.id for model in gone]


async def describe(session: AsyncSession, principal: Principal, projects: list[Project]) -> list[ProjectOut]:
    """The projects as the caller may see them, with their trusts in order of name."""
    query = (
        select(ProjectTrust, Trust.name)
        .join(Trust, Trust.id == ProjectTrust.trust_id)
        .where(ProjectTrust.project_id.in_([project.id for project in projects]))
        .order_by(Trust.name)
    )
    rows: dict[UUID, list[tuple[ProjectTrust, str]]] = {project.id: [] for project in projects}
    for row, name in await session.execute(query):
        rows[row.project_id].append((row, name))
    found = []
    for project in projects:
        everything = await level(session, principal, project) >= Access.READ
        trusts = [
            _trust_out(row, name) for row, name in rows[project.id] if everything or row.trust_id in principal.trust_ids
        ]
        found.append(_project_out(project, trusts))
    return found


def _trust_out(row: ProjectTrust, name: str) -> ProjectTrustOut:
    return ProjectTrustOut.model_validate(
        {
            "trust": name,
            "cohort": row.cohort_result,
            **{
                field: getattr(row, field) for field in ProjectTrustOut.model_fields if field not in ("trust", "cohort")
            },
        }
    )


def _project_out(project: Project, trusts: list[ProjectTrustOut]) -> ProjectOut:
    fields = {name: getattr(project, name) for name in ProjectOut.model_fields if name != "trusts"}
    return ProjectOut.model_validate({**fields, "trusts": trusts})


async def members(session: AsyncSession, principal: Principal, project_id: UUID) -> list[MemberOut]:
    """The members, in order of e-mail; the owner is not among them."""
    await get_project(session, principal, project_id, Access.READ)
    query = (
        select(ProjectMember, User.email)
        .join(User, User.id == ProjectMember.user_id)
        .where(ProjectMember.project_id == project_id)
        .order_by(User.email)
    )
    return [
        MemberOut(user_id=member.user_id, email=email, added_at=member.added_at)
        for member, email in await session.execute(query)
    ]


async def add_member(
    session: AsyncSession, hub: Hub, principal: Principal, project_id: UUID, body: MemberAdd
) -> MemberOut:
    """Lets a researcher or viewer into the project, whose trusts are told; adding one again changes nothing.

    Raises:
        Problem: 404, 403, 422 `no_such_user`, 409 `cannot_be_member`.
    """
    project = await get_project(session, principal, project_id, Access.OWN, lock=True)
    user = await session.scalar(select(User).where(User.email == body.email.lower(), User.disabled_at.is_(None)))
    if user is None:
        raise Problem(422, "no_such_user", f"no user has the e-mail {body.email}; an ADMIN can add one")
    if user.id == project.owner_id:
        raise Problem(409, "cannot_be_member", f"{user.email} owns the project already")
    if not set(user.roles) & {Role.RESEARCHER, Role.VIEWER, Role.ADMIN}:
        raise Problem(409, "cannot_be_member", f"{user.email} has neither the role RESEARCHER nor VIEWER")
    member = await session.get(ProjectMember, (project_id, user.id))
    if member is None:
        member = ProjectMember(project_id=project_id, user_id=user.id)
        session.add(member)
        await session.flush()
        await record(session, principal, "project.member.add", "project", project_id, None, {"member": user.email})
    await tell_trusts(session, hub, [user.id])
    return MemberOut(user_id=user.id, email=user.email, added_at=member.added_at)


async def remove_member(session: AsyncSession, hub: Hub, principal: Principal, project_id: UUID, user_id: UUID) -> None:
    """Takes a member out of the project; trusts where they take part in none any more are told.

    Raises:
        Problem: 404 (also for a user who is no member), 403.
    """
    await get_project(session, principal, project_id, Access.OWN, lock=True)
    member = await session.get(ProjectMember, (project_id, user_id))
    user = await session.get(User, user_id)
    if member is None or user is None:
        raise not_found("member", user_id)
    await session.delete(member)
    await record(session, principal, "project.member.remove", "project", project_id, {"member": user.email}, None)
    await tell_trusts(session, hub, [user_id])
