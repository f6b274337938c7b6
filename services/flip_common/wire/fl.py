"""The one job API over every FL backend: `POST /jobs`, `GET /jobs/{id}`, its logs, `DELETE`, `GET /sites`."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from flip_common.wire.model import MAX_ROUND, Count, FLBackend, JobType, PlainText, Sha256Hex, Sql, TrustName, WireModel

RunConfigKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,99}$")]
RunConfigValue = bool | int | float | str


class JobStatus(StrEnum):
    """Status of a job; the last three are terminal."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"

    @property
    def terminal(self) -> bool:
        """Whether the job has ended."""
        return self in (JobStatus.FINISHED, JobStatus.FAILED, JobStatus.STOPPED)


class JobSpec(WireModel):
    """Part `spec` of `POST /jobs`; part `app` is the app as a zip whose SHA-256 is `app_digest`.

    `job_id` is chosen by the hub, so submitting twice starts one job. Only `trusts` take part; the job fails when
    fewer than `min_sites` of them are left, or when a round takes longer than `round_timeout_seconds`.
    """

    job_id: UUID
    model_id: UUID
    project_id: UUID
    backend: FLBackend
    job_type: JobType
    cohort_query: Sql
    trusts: list[TrustName] = Field(min_length=1, max_length=1000)
    run_config: dict[RunConfigKey, RunConfigValue] = Field(default_factory=dict)
    min_sites: int = Field(default=1, ge=1, le=1000)
    round_timeout_seconds: int = Field(default=3600, ge=10, le=7 * 86400)
    job_timeout_seconds: int = Field(default=7 * 86400, ge=30, le=90 * 86400)
    app_digest: Sha256Hex


class JobCreated(WireModel):
    """Answer to `POST /jobs`."""

    job_id: UUID
    status: JobStatus


class JobState(WireModel):
    """Answer to `GET /jobs/{id}`.

    `failures` counts client errors per trust over the whole job: a job in which every round lost a site did
    not go well, whatever the backend calls it.
    """

    job_id: UUID
    status: JobStatus
    reason: str = Field(default="", description="why the job FAILED or was STOPPED, without any text of the app")
    created_at: AwareDatetime
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    round: int = Field(default=0, ge=0, le=MAX_ROUND, description="last round a reply came for")
    failures: dict[TrustName, Count] = Field(default_factory=dict)


class JobLogs(WireModel):
    """Answer to `GET /jobs/{id}/logs?offset=`: log lines of the FL server's side of the job."""

    job_id: UUID
    offset: Count
    next_offset: Count
    lines: list[str]


class SiteKey(WireModel):
    """Body of `PUT /sites/{trust}`: the public key by which the site's FL client is known (OpenSSH or PEM text)."""

    public_key: PlainText = Field(min_length=40, max_length=4096)


class SiteState(WireModel):
    """One entry of `GET /sites`."""

    trust: TrustName
    online: bool
    last_seen_at: AwareDatetime | None = None
