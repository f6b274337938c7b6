"""Users' profiles at trusts, whose imaging stores may have users of their own.

A trust hears of a user once they take part (as owner or member) in a project that it approved, again when their name
changes or their account is disabled or enabled, and a last time, as disabled, when they take part in none any more.
A pair of user and trust has at most one task under way: what changes meanwhile is sent when its answer is in, so a
site never ends with an older profile.
"""

import logging
from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from flip_common.web import Problem, not_found
from flip_common.wire import TaskError, TaskType, UpdateUserProfilePayload, UpdateUserProfileResult, WireModel
from flip_hub.audit.service import record
from flip_hub.db import utcnow
from flip_hub.projects.tables import Project, ProjectMember, ProjectTrust, TrustDecision
from flip_hub.state import Hub
from flip_hub.tasks.service import enqueue, on_result
from flip_hub.tasks.tables import Task
from flip_hub.trusts.tables import Trust
from flip_hub.users.schemas import ProfileState, ProfileView
from flip_hub.users.tables import User, UserProfile

log = logging.getLogger(__name__)


async def tell_trusts(session: AsyncSession, hub: Hub, user_ids: Iterable[UUID]) -> None:
    """Sends these users' profiles wherever they differ from what was sent last, or could not be delivered.

    Call it after any change of users or of who takes part in what; with nothing to tell it does nothing. A trust that
    cannot be asked (disabled, or without a key) stops nothing: why is kept and shows in `overview`.
    """
    for user in await _locked(session, user_ids):
        await _tell(session, hub, user, again=True)


async def tell_of_project(session: AsyncSession, hub: Hub, project: Project) -> None:
    """`tell_trusts` about everyone who takes part in the project."""
    members = await session.scalars(select(ProjectMember.user_id).where(ProjectMember.project_id == project.id))
    await tell_trusts(session, hub, {project.owner_id, *members})


async def tell_trust_again(session: AsyncSession, hub: Hub, trust_id: UUID) -> None:
    """Tries again what this trust could not be told."""
    failed = select(UserProfile.user_id).where(UserProfile.trust_id == trust_id, UserProfile.error.is_not(None))
    await tell_trusts(session, hub, (await session.scalars(failed)).all())


async def overview(session: AsyncSession, user_id: UUID) -> list[ProfileView]:
    """What each trust was told of the user and what came of it, in order of the trusts' names.

    Raises:
        Problem: 404.
    """
    if await session.get(User, user_id) is None:
        raise not_found("user", user_id)
    rows = await session.execute(
        select(UserProfile, Trust.name)
        .join(Trust, Trust.id == UserProfile.trust_id)
        .where(UserProfile.user_id == user_id)
        .order_by(Trust.name)
    )
    return [
        ProfileView.model_validate(
            {
                "trust_id": row.trust_id,
                "trust": name,
                "enabled": row.profile["enabled"],
                "state": _state(row),
                "reason": row.reason,
                "error": row.error,
                "at": row.at,
            }
        )
        for row, name in rows
    ]


def _state(row: UserProfile) -> ProfileState:
    if row.task_id is not None:
        return ProfileState.PENDING
    if row.error is not None:
        return ProfileState.FAILED
    return ProfileState.APPLIED if row.applied else ProfileState.NOT_APPLIED


async def _locked(session: AsyncSession, user_ids: Iterable[UUID]) -> list[User]:
    """The users, locked in one order: of two changes at once, the later one sees what the earlier one left."""
    # Weaker than FOR UPDATE, so that rows which refer to a user can be written meanwhile.
    query = select(User).where(User.id.in_(set(user_ids))).order_by(User.id).with_for_update(key_share=True)
    return list(await session.scalars(query.execution_options(populate_existing=True)))


async def _tell(session: AsyncSession, hub: Hub, user: User, *, again: bool) -> None:
    member = exists().where(ProjectMember.project_id == Project.id, ProjectMember.user_id == user.id)
    approved = (
        select(ProjectTrust.trust_id)
        .join(Project, Project.id == ProjectTrust.project_id)
        .where(
            ProjectTrust.decision == TrustDecision.APPROVED,
            Project.deleted_at.is_(None),
            or_(Project.owner_id == user.id, member),
        )
    )
    takes_part = set(await session.scalars(approved))
    known = select(UserProfile).where(UserProfile.user_id == user.id).execution_options(populate_existing=True)
    told = {row.trust_id: row for row in await session.scalars(known)}
    for trust_id in sorted(takes_part | told.keys()):
        row = told.get(trust_id)
        profile = UpdateUserProfilePayload(
            username=user.email,
            email=user.email,
            full_name=user.full_name,
            enabled=trust_id in takes_part and user.disabled_at is None,
        )
        if row is None:
            if not profile.enabled:
                continue  # nothing is there to be disabled
            row = UserProfile(user_id=user.id, trust_id=trust_id, profile={})
            session.add(row)
        elif trust_id not in takes_part and not row.profile["enabled"] and row.error is None:
            continue  # it has heard the last of them
        await _send(session, hub, row, profile, again=again)


async def _send(
    session: AsyncSession, hub: Hub, row: UserProfile, profile: UpdateUserProfilePayload, *, again: bool
) -> None:
    content = profile.model_dump(mode="json")
    if row.task_id is not None or (row.profile == content and not (again and row.error)):
        return
    row.profile = content
    row.applied, row.reason, row.error = None, "", None
    context = {"user_id": str(row.user_id)}
    try:
        row.task_id = await enqueue(session, hub, row.trust_id, TaskType.UPDATE_USER_PROFILE, profile, context)
    except Problem as problem:
        row.error, row.at = TaskError(code=problem.code, detail=problem.detail).model_dump(mode="json"), utcnow()


@on_result(TaskType.UPDATE_USER_PROFILE)
async def on_told(
    session: AsyncSession, hub: Hub, task: Task, result: WireModel | None, error: TaskError | None
) -> None:
    """Keeps what the trust answered, and sends what changed since it was asked. A failure is not repeated by itself."""
    [user] = await _locked(session, [UUID(task.context["user_id"])])
    row = await session.get_one(UserProfile, (user.id, task.trust_id), populate_existing=True)
    trust = await session.get_one(Trust, task.trust_id)
    row.task_id, row.at = None, utcnow()
    if isinstance(result, UpdateUserProfileResult):
        row.applied, row.reason = result.applied, result.reason
    elif error is not None:
        row.error = error.model_dump(mode="json")
        log.warning("trust %s did not take the profile of user %s: %s", trust.name, user.id, error.code)
    after = {
        "trust_id": trust.id,
        "enabled": row.profile["enabled"],
        "applied": row.applied,
        "reason": row.reason,
        "error": row.error,
    }
    await record(session, f"trust:{trust.name}", "user.profile", "user", user.id, None, after)
    await _tell(session, hub, user, again=False)
