"""Imaging: bringing a project's studies from the PACS into the trust's imaging store."""

from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import Field

from flip_common.wire.cohort import DisclosedCount
from flip_common.wire.model import PlainText, WireModel


class StudyState(StrEnum):
    """Where one study stands. IMPORTED only when its files are really there."""

    QUEUED = "QUEUED"
    IMPORTING = "IMPORTING"
    IMPORTED = "IMPORTED"
    MISSING = "MISSING"
    FAILED = "FAILED"


class CreateImagingPayload(WireModel):
    """Task `create_imaging`: import the frozen cohort's studies."""

    project_id: UUID


class ImagingStatusPayload(WireModel):
    """Task `get_imaging_status`."""

    project_id: UUID


class ReimportStudiesPayload(WireModel):
    """Task `reimport_studies`: try again what is MISSING or FAILED."""

    project_id: UUID


class DeleteImagingPayload(WireModel):
    """Task `delete_imaging`: remove the project's images from the site's store. The PACS is not touched."""

    project_id: UUID


class ImagingResult(WireModel):
    """Answer to the imaging tasks: disclosure-controlled counts of studies per state."""

    project_id: UUID
    state: Literal["NONE", "RUNNING", "DONE"]
    total: DisclosedCount
    studies: dict[StudyState, DisclosedCount] = Field(default_factory=dict)


class UpdateUserProfilePayload(WireModel):
    """Task `update_user_profile`: create, change or disable the user in the site's imaging store."""

    username: PlainText = Field(min_length=1, max_length=320)
    email: PlainText = Field(min_length=3, max_length=320)
    full_name: PlainText = Field(default="", max_length=200)
    enabled: bool


class UpdateUserProfileResult(WireModel):
    """Answer to `update_user_profile`; `reason` says why a store without users did nothing."""

    applied: bool
    reason: PlainText = Field(default="", max_length=500)
