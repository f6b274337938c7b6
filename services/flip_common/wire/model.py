"""Base model and the words every service uses for roles, projects, models and jobs."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints


class WireModel(BaseModel):
    """A body on the wire: immutable, unknown fields refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


# A trust's name is also an FL site name, a folder name and a label in logs: keep it plain.
TrustName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
AccessionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.~-]{0,63}$")]
# Bounds of integers that other sides send: what the hub's columns, and every reader of JSON, hold exactly.
MAX_ROUND = 1_000_000
MAX_COUNT = 2**53
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Sha256Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
# PostgreSQL keeps no NUL, so none may reach a hub or a site.
PlainText = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
# Name of a model's result: at most two folders deep, no part begins with a dot. The SDK, which comes without this
# package, has the same in `flip.checks`; a test holds the two together.
RESULT_NAME_PATTERN = r"^(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}/){0,2}[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$"
MAX_RESULT_NAME_CHARS = 302
Sql = Annotated[str, StringConstraints(min_length=1, max_length=10_000, pattern=r"^[^\x00]*$")]


class Role(StrEnum):
    """What a user of the hub may do. A user may hold several roles."""

    ADMIN = "ADMIN"
    RESEARCHER = "RESEARCHER"
    VIEWER = "VIEWER"
    TRUST_OWNER = "TRUST_OWNER"


class ProjectStatus(StrEnum):
    """Lifecycle of a project; approval belongs to each trust, APPROVED means at least one gave it."""

    UNSTAGED = "UNSTAGED"
    STAGED = "STAGED"
    APPROVED = "APPROVED"


class ModelStatus(StrEnum):
    """Status of a model, in this order; the last three are other ways to end."""

    PENDING = "PENDING"
    INITIATED = "INITIATED"
    PREPARED = "PREPARED"
    TRAINING_STARTED = "TRAINING_STARTED"
    RESULTS_UPLOADED = "RESULTS_UPLOADED"
    ERROR = "ERROR"
    STOPPED = "STOPPED"
    RESULTS_UPLOAD_FAILED = "RESULTS_UPLOAD_FAILED"

    @property
    def terminal(self) -> bool:
        """Whether nothing follows this status."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {
        ModelStatus.RESULTS_UPLOADED,
        ModelStatus.ERROR,
        ModelStatus.STOPPED,
        ModelStatus.RESULTS_UPLOAD_FAILED,
    }
)


class JobType(StrEnum):
    """What a job does with the model."""

    STANDARD = "standard"
    EVALUATION = "evaluation"
    FED_OPT = "fed_opt"
    DIFFUSION_MODEL = "diffusion_model"


class FLBackend(StrEnum):
    """The framework a net runs on."""

    FLOWER = "flower"
    NVFLARE = "nvflare"


class MetricPoint(WireModel):
    """One value of one metric, sent by the FL server for one trust (`POST /internal/models/{id}/metrics`)."""

    trust: TrustName
    label: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_. @/-]{0,127}$")]
    value: FiniteFloat
    round: int = Field(ge=0, le=MAX_ROUND)


class SiteException(WireModel):
    """What may leave a site about an exception: a code and the SHA-256 of its text, never the text."""

    trust: TrustName | None = None
    code: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,127}$")]
    digest: Sha256Hex
    round: int | None = Field(default=None, ge=0, le=MAX_ROUND)
