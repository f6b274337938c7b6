"""Bodies of the model routes, public and internal."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path
from pydantic import Field, FiniteFloat

from flip_common.wire import FLBackend, JobType, MetricPoint, ModelStatus, WireModel
from flip_common.wire.model import MAX_RESULT_NAME_CHARS, RESULT_NAME_PATTERN, Sha256Hex, TrustName
from flip_hub.jobs.schemas import JobOut
from flip_hub.models.tables import EventKind
from flip_hub.projects.schemas import LongText, Name

Filename = Annotated[str, Path(pattern=RESULT_NAME_PATTERN, max_length=MAX_RESULT_NAME_CHARS)]


class ModelCreate(WireModel):
    """Body of `POST /projects/{id}/models`."""

    name: Name
    description: LongText = ""
    job_type: JobType = JobType.STANDARD
    backend: FLBackend = FLBackend.FLOWER


class ModelChange(WireModel):
    """Body of `PATCH /models/{id}`; what is left out stays."""

    name: Name | None = None
    description: LongText | None = None


class ModelOut(WireModel):
    """A model; `job` is its run, once it was started."""

    id: UUID
    project_id: UUID
    name: str
    description: str
    job_type: JobType
    backend: FLBackend
    status: ModelStatus
    status_at: datetime
    created_by: UUID
    created_at: datetime
    app_sha256: Sha256Hex | None
    job: JobOut | None


class AppOut(WireModel):
    """The uploaded app and what checking it found."""

    model_id: UUID
    sha256: Sha256Hex
    bytes: int
    uploaded_at: datetime
    uploaded_by: UUID
    report: dict[str, Any]


class MetricValue(WireModel):
    """One point of a series."""

    round: int
    value: FiniteFloat
    at: datetime


class MetricSeries(WireModel):
    """One metric of one trust over the rounds."""

    trust: TrustName
    label: str
    points: list[MetricValue]


class EventOut(WireModel):
    """Something that happened to a model: what, when, who or what caused it."""

    id: int
    at: datetime
    kind: EventKind
    actor: str
    detail: dict[str, Any]


class LogsOut(WireModel):
    """Log lines of the FL server's side of the job, from line `offset` on; ask again from `next_offset`."""

    offset: int
    next_offset: int
    lines: list[str]


class ResultOut(WireModel):
    """A result file."""

    filename: str
    bytes: int
    sha256: Sha256Hex
    uploaded_at: datetime


class StatusClaim(WireModel):
    """Body of `PUT /internal/models/{id}/status`: what the app says of itself."""

    status: ModelStatus


class MetricsBody(WireModel):
    """Body of `POST /internal/models/{id}/metrics`."""

    points: list[MetricPoint] = Field(max_length=10_000)
