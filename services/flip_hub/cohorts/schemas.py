"""Bodies of the cohort routes."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from flip_common.wire import CohortQueryResult, TaskError, WireModel
from flip_common.wire.model import Sha256Hex, TrustName
from flip_hub.cohorts.tables import AnswerState
from flip_hub.projects.schemas import Name

# Length and plain text only: what a query may ask is judged at the trust, where the data are.
QueryText = Annotated[str, StringConstraints(min_length=1, max_length=10_000, pattern=r"^[^\x00]*$")]


class CohortQueryCreate(WireModel):
    """Body of `POST /projects/{id}/cohort-queries`; without `trust_ids` every enabled trust is asked."""

    name: Name
    query: QueryText
    trust_ids: list[UUID] | None = Field(default=None, min_length=1, max_length=1000)


class CohortAnswerOut(WireModel):
    """One trust's answer: statistics as the trust disclosed them, or why there are none."""

    trust_id: UUID
    trust: TrustName
    state: AnswerState
    result: CohortQueryResult | None
    error: TaskError | None
    answered_at: datetime | None


class CohortQueryOut(WireModel):
    """A cohort query and its answers."""

    id: UUID
    project_id: UUID
    name: str
    query: str
    query_sha256: Sha256Hex
    created_by: UUID
    created_at: datetime
    answers: list[CohortAnswerOut]
