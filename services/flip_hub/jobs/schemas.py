"""Bodies of the routes about jobs and nets."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, FiniteFloat, StringConstraints

from flip_common.wire import FLBackend, JobStatus, SiteState, WireModel
from flip_common.wire.fl import RunConfigKey, RunConfigValue
from flip_common.wire.model import Sha256Hex, TrustName

# Narrower than `RunConfigValue`: what JSON, TOML and PostgreSQL can all hold.
ConfigValue = (
    bool
    | Annotated[int, Field(ge=-(2**63), lt=2**63)]
    | FiniteFloat
    | Annotated[str, StringConstraints(max_length=10_000, pattern=r"^[^\x00]*$")]
)


class StartRequest(WireModel):
    """Body of `POST /models/{id}/start`; without `trusts` every approved trust whose cohort is frozen takes part.

    What is left out has the default of `JobSpec`.
    """

    run_config: dict[RunConfigKey, ConfigValue] = Field(default_factory=dict, max_length=200)
    trusts: list[TrustName] | None = Field(default=None, min_length=1, max_length=1000)
    min_sites: int | None = Field(default=None, ge=1, le=1000)
    round_timeout_seconds: int | None = Field(default=None, ge=10, le=7 * 86400)
    job_timeout_seconds: int | None = Field(default=None, ge=30, le=90 * 86400)


class JobOut(WireModel):
    """A run of a model, with the digests that were fixed before it started."""

    id: UUID
    model_id: UUID
    net: str
    status: JobStatus
    reason: str
    trusts: list[TrustName]
    run_config: dict[str, RunConfigValue]
    min_sites: int
    app_sha256: Sha256Hex
    query_sha256: Sha256Hex
    approvals: list[dict[str, Any]]
    approvals_sha256: Sha256Hex
    created_at: datetime
    submitted_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    stop_requested_at: datetime | None
    round: int
    failures: dict[TrustName, int]


class NetOut(WireModel):
    """A net and its sites; `problem` says why the sites are not known."""

    name: str
    backend: FLBackend
    reachable: bool
    problem: str
    sites: list[SiteState]


class QuiesceRequest(WireModel):
    """Body of `PUT /jobs/quiesce`. `reason` is for the people who have to wait."""

    on: bool
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500, pattern=r"^[^\x00-\x1f]*$")] = ""


class QuiesceState(WireModel):
    """Whether no job may start, since when, by whom and why.

    `running`: jobs that an FL server holds or may hold; `waiting`: those that start once the switch is off; `drained`:
    the switch is on and none runs.
    """

    on: bool
    since: datetime | None
    by: str
    reason: str
    running: int
    waiting: int
    drained: bool
