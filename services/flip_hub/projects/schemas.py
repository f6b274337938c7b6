"""Bodies of the project routes."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from flip_common.wire import (
    FreezeCohortResult,
    ImagingResult,
    ProjectStatus,
    TaskError,
    TaskType,
    WireModel,
)
from flip_common.wire.model import Sha256Hex, TrustName
from flip_hub.projects.tables import CohortState, TrustDecision

# PostgreSQL keeps no NUL, and control characters have no place in a name.
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
LongText = Annotated[str, StringConstraints(max_length=10_000, pattern=r"^[^\x00]*$")]
Email = Annotated[str, StringConstraints(min_length=3, max_length=320, pattern=r"^[^\x00@\s]+@[^\x00@\s]+$")]


class ProjectCreate(WireModel):
    """Body of `POST /projects`."""

    name: Name
    description: LongText = ""


class ProjectChange(WireModel):
    """Body of `PATCH /projects/{id}`; what is left out stays."""

    name: Name | None = None
    description: LongText | None = None


class MemberAdd(WireModel):
    """Body of `POST /projects/{id}/members`."""

    email: Email


class MemberOut(WireModel):
    """A member of a project."""

    user_id: UUID
    email: str
    added_at: datetime


class StageRequest(WireModel):
    """Body of `POST /projects/{id}/stage`; without `trust_ids` every trust that answered the query."""

    query_id: UUID
    trust_ids: list[UUID] | None = Field(default=None, min_length=1, max_length=1000)


class DecisionRequest(WireModel):
    """Body of `POST /projects/{id}/trusts/{trust_id}/decision`; WITHDRAWN ends an approval."""

    decision: Literal[TrustDecision.APPROVED, TrustDecision.REJECTED, TrustDecision.WITHDRAWN]
    note: LongText = ""


class ProjectTrustOut(WireModel):
    """What a trust decided, and its frozen cohort (counts as the trust disclosed them)."""

    trust_id: UUID
    trust: TrustName
    decision: TrustDecision
    decided_at: datetime | None
    note: str
    approved_query_sha256: Sha256Hex | None
    cohort_state: CohortState
    cohort: FreezeCohortResult | None
    cohort_error: TaskError | None
    frozen_at: datetime | None


class ProjectOut(WireModel):
    """A project. A caller who sees it only as a trust's owner finds only that trust in `trusts`."""

    id: UUID
    name: str
    description: str
    status: ProjectStatus
    owner_id: UUID
    created_at: datetime
    staged_query_id: UUID | None
    staged_query: str | None
    staged_query_sha256: Sha256Hex | None
    trusts: list[ProjectTrustOut]


class ImagingOut(WireModel):
    """Last known state of the project's images at one trust, as of `at`; `pending` is the task under way."""

    trust_id: UUID
    trust: TrustName
    result: ImagingResult | None
    at: datetime | None
    error: TaskError | None
    pending: TaskType | None


class ImagingAsked(WireModel):
    """Answer to a refresh or reimport: trusts that were asked, and trusts with a task still under way."""

    asked: list[TrustName]
    busy: list[TrustName]
