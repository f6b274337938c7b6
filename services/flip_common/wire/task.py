"""Hub and trust: heartbeat, leases, results (design 3.1). A payload and a result travel as JWE (`envelope`)."""

from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from flip_common.wire.cohort import (
    CohortQueryPayload,
    CohortQueryResult,
    FreezeCohortPayload,
    FreezeCohortResult,
)
from flip_common.wire.imaging import (
    CreateImagingPayload,
    DeleteImagingPayload,
    ImagingResult,
    ImagingStatusPayload,
    ReimportStudiesPayload,
    UpdateUserProfilePayload,
    UpdateUserProfileResult,
)
from flip_common.wire.model import PlainText, TrustName, WireModel

MAX_WAIT_SECONDS = 60
MAX_ATTEMPT = 2**31 - 1
MAX_ENVELOPE_CHARS = 8_000_000
Envelope = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ENVELOPE_CHARS)]


class TaskType(StrEnum):
    """What the hub may ask of a trust."""

    COHORT_QUERY = "cohort_query"
    FREEZE_COHORT = "freeze_cohort"
    CREATE_IMAGING = "create_imaging"
    GET_IMAGING_STATUS = "get_imaging_status"
    REIMPORT_STUDIES = "reimport_studies"
    DELETE_IMAGING = "delete_imaging"
    UPDATE_USER_PROFILE = "update_user_profile"


PAYLOADS: MappingProxyType[TaskType, type[WireModel]] = MappingProxyType(
    {
        TaskType.COHORT_QUERY: CohortQueryPayload,
        TaskType.FREEZE_COHORT: FreezeCohortPayload,
        TaskType.CREATE_IMAGING: CreateImagingPayload,
        TaskType.GET_IMAGING_STATUS: ImagingStatusPayload,
        TaskType.REIMPORT_STUDIES: ReimportStudiesPayload,
        TaskType.DELETE_IMAGING: DeleteImagingPayload,
        TaskType.UPDATE_USER_PROFILE: UpdateUserProfilePayload,
    }
)
"""Model of the payload of each task type."""

RESULTS: MappingProxyType[TaskType, type[WireModel]] = MappingProxyType(
    {
        TaskType.COHORT_QUERY: CohortQueryResult,
        TaskType.FREEZE_COHORT: FreezeCohortResult,
        TaskType.CREATE_IMAGING: ImagingResult,
        TaskType.GET_IMAGING_STATUS: ImagingResult,
        TaskType.REIMPORT_STUDIES: ImagingResult,
        TaskType.DELETE_IMAGING: ImagingResult,
        TaskType.UPDATE_USER_PROFILE: UpdateUserProfileResult,
    }
)
"""Model of the result of each task type."""


class HeartbeatRequest(WireModel):
    """Body of `POST /trust/heartbeat`: the trust's view of its own health."""

    release: PlainText = Field(max_length=64, description="release the trust runs")
    services: dict[Annotated[PlainText, StringConstraints(max_length=64)], bool] = Field(
        default_factory=dict, max_length=32, description="service name to whether it answers"
    )
    tasks_running: int = Field(default=0, ge=0, le=1_000_000)
    sent_at: datetime = Field(description="trust's clock, timezone-aware; the hub reports the skew")

    @model_validator(mode="after")
    def _aware(self) -> Self:
        if self.sent_at.tzinfo is None:
            raise ValueError("sent_at needs a timezone, such as 2026-01-31T12:00:00Z")
        return self


class HeartbeatResponse(WireModel):
    """Answer to a heartbeat: who the hub takes the caller for."""

    trust_id: UUID
    trust_name: TrustName
    hub_version: str
    release: str
    clock_skew_seconds: float


class LeaseRequest(WireModel):
    """Body of `POST /trust/tasks/lease`."""

    max: int = Field(default=1, ge=1, le=100)
    wait_seconds: float = Field(default=0, ge=0, le=MAX_WAIT_SECONDS)


class LeasedTask(WireModel):
    """One task, leased until `expires_at`; `attempt` counts from 1 and must be sent back with the result."""

    task_id: UUID
    type: TaskType
    attempt: int = Field(ge=1, le=MAX_ATTEMPT)
    expires_at: datetime
    lease_seconds: float = Field(gt=0, description="time left, by the hub's clock: immune to clock skew")
    payload: Envelope


class LeaseResponse(WireModel):
    """Answer to a lease request; empty after `wait_seconds` without work."""

    tasks: list[LeasedTask]


class RenewRequest(WireModel):
    """Body of `POST /trust/tasks/{id}/renew`."""

    attempt: int = Field(ge=1, le=MAX_ATTEMPT)


class RenewResponse(WireModel):
    """Answer to a renewal."""

    expires_at: datetime
    lease_seconds: float = Field(gt=0)


class TaskOutcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class TaskError(WireModel):
    """Why an attempt failed: a code and a text written by FLIP, never an exception's own text."""

    code: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    detail: PlainText = Field(default="", max_length=2000)
    retryable: bool = False


class TaskResultRequest(WireModel):
    """Body of `POST /trust/tasks/{id}/result`. Repeating it is harmless."""

    attempt: int = Field(ge=1, le=MAX_ATTEMPT)
    outcome: TaskOutcome
    result: Envelope | None = None
    error: TaskError | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        wanted: Literal["result", "error"] = "result" if self.outcome is TaskOutcome.SUCCEEDED else "error"
        other = "error" if wanted == "result" else "result"
        if getattr(self, wanted) is None or getattr(self, other) is not None:
            raise ValueError(f"outcome {self.outcome} goes with '{wanted}' and without '{other}'")
        return self
