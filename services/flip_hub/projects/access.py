"""Who may do what with a project. The query itself leaves out what the caller may not see."""

from enum import IntEnum
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, false, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.web import Problem, not_found
from flip_common.wire import Role
from flip_hub.auth import Principal
from flip_hub.projects.tables import Project, ProjectMember, ProjectTrust


class Access(IntEnum):
    """What a caller may do with a project; each level holds those before it.

    SEE: owners of trusts the project is staged to, who decide about it. READ: members. WORK: researchers
    among the members. OWN: the project's owner. An ADMIN may do everything but decide for a trust.
    """

    SEE = 1
    READ = 2
    WORK = 3
    OWN = 4


_NEEDS = {
    Access.READ: "members of the project",
    Access.WORK: "members of the project with the role RESEARCHER",
    Access.OWN: "the owner of the project with the role RESEARCHER",
}


def visible(principal: Principal) -> ColumnElement[bool]:
    """The condition on `Project` rows under which the caller may see them (level SEE)."""
    alive = Project.deleted_at.is_(None)
    if principal.has(Role.ADMIN):
        return and_(alive, true())
    member = exists().where(ProjectMember.project_id == Project.id, ProjectMember.user_id == principal.user_id)
    staged: ColumnElement[bool] = false()
    if principal.trust_ids:
        staged = exists().where(ProjectTrust.project_id == Project.id, ProjectTrust.trust_id.in_(principal.trust_ids))
    return and_(alive, or_(Project.owner_id == principal.user_id, member, staged))


async def level(session: AsyncSession, principal: Principal, project: Project) -> Access:
    """The caller's level on a project that is visible to them."""
    if principal.has(Role.ADMIN):
        return Access.OWN
    owner = project.owner_id == principal.user_id
    if not owner and await session.get(ProjectMember, (project.id, principal.user_id)) is None:
        return Access.SEE
    if not principal.has(Role.RESEARCHER):
        return Access.READ
    return Access.OWN if owner else Access.WORK


async def demand(session: AsyncSession, principal: Principal, project: Project, needed: Access) -> None:
    """Refuses a caller who sees the project but may not do this.

    Raises:
        Problem: 403 `forbidden`.
    """
    if await level(session, principal, project) < needed:
        raise Problem(403, "forbidden", f"only {_NEEDS[needed]} may do this; ask the project's owner")


async def get_project(
    session: AsyncSession, principal: Principal, project_id: UUID, needed: Access, *, lock: bool = False
) -> Project:
    """The project, if the caller may see it; `lock` holds its row until the transaction ends.

    Whatever changes a project, its approvals or its jobs locks the project first: this orders them.

    Raises:
        Problem: 404 when it is none or may not be seen, 403 when it may be seen but `needed` is lacking.
    """
    query = select(Project).where(Project.id == project_id, visible(principal))
    if lock:
        query = query.with_for_update(of=Project)
    project = await session.scalar(query)
    if project is None:
        raise not_found("project", project_id)
    await demand(session, principal, project, needed)
    return project


async def lock_project(session: AsyncSession, project_id: UUID) -> Project:
    """The row of a project that is known to exist, deleted or not, locked until the transaction ends."""
    return await session.get_one(Project, project_id, with_for_update=True, populate_existing=True)
