"""Bodies of imaging-api. They never leave the trust: they name accessions and exact counts."""

from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from flip_common.wire import StudyState, WireModel

MAX_ACCESSIONS = 200_000
MAX_REASON_CHARS = 1000


class CreateImports(WireModel):
    """Body of `POST /imports`. An accession number that is refused becomes a FAILED study; the others go on."""

    project_id: UUID
    accessions: list[Annotated[str, StringConstraints(max_length=256)]] = Field(max_length=MAX_ACCESSIONS)


class StudyImport(WireModel):
    """One study of a project; `images` counts its DICOM instances, `reason` says what is wrong."""

    accession: str
    state: StudyState
    reason: str = Field(default="", max_length=MAX_REASON_CHARS)
    images: int = Field(default=0, ge=0)
    attempts: int = Field(default=0, ge=0)


class ProjectImports(WireModel):
    """All studies of a project: NONE without any, RUNNING while one is QUEUED or IMPORTING, then DONE."""

    project_id: UUID
    state: Literal["NONE", "RUNNING", "DONE"]
    studies: list[StudyImport]


class Resource(StrEnum):
    """What of a study is wanted."""

    NIFTI = "NIFTI"
    SEG = "SEG"
    DICOM = "DICOM"
    ALL = "ALL"


class StoredResource(WireModel):
    """Answer to `PUT /studies/{accession}/resources`."""

    name: str
    size: int
    sha256: str


class Health(WireModel):
    """Answer to `GET /health`."""

    status: Literal["ok"] = "ok"
