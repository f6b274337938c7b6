"""The interface to wherever a trust's images come from."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from flip_common.wire import UpdateUserProfilePayload, UpdateUserProfileResult

if TYPE_CHECKING:
    from flip_trust.imaging.intake import Intake


class StoreError(Exception):
    """A study cannot be had. The text is for the operator and holds nothing of the patient's."""


class StudyMissing(StoreError):  # noqa: N818 - the name says what is so
    """The PACS answered, and knows no study with this accession number."""


class StoreUnavailable(StoreError):  # noqa: N818 - the name says what is so
    """The source did not answer, or broke off. Trying again may help."""


@dataclass(frozen=True)
class FoundStudy:
    """A study as the PACS describes it; `instances` is None when it does not say how many there are."""

    uid: str
    instances: int | None


class ImagingStore(ABC):
    """Brings studies from the hospital to this service. One process owns one store.

    An accession number is checked by the caller (`check_accession`). The caller never runs two calls for one
    accession number at the same time; calls for different ones run concurrently. No method may ever change or delete
    anything in the PACS.
    """

    async def start(self) -> None:  # noqa: B027 - a store without connections has nothing to do here
        """Opens what the store listens on. MUST raise `StoreError` with the remedy when it cannot."""

    async def stop(self) -> None:  # noqa: B027 - nothing to do is a fair answer
        """Closes what `start` opened. MUST be safe to call twice and without `start`."""

    @abstractmethod
    async def fetch(self, project_id: UUID, accession: str, intake: "Intake") -> None:
        """Writes every instance of every study with this accession number into `intake`, one `*.dcm` file each.

        An implementation
        - MUST be repeatable: a call after one that failed, or was cut off by a crash, brings the whole study;
        - MUST compare each study's accession number with the one asked for, and take none that differs;
        - MUST return only when as many instances arrived as the source says there are;
        - MUST write nowhere but through `intake`, whose folder exists, is empty and is the caller's to throw away;
        - MUST hold no more of an instance in memory than `intake.limits.instance`;
        - MUST leave the bytes of an instance as the source sent them;
        - MUST stop its work when it is cancelled.

        Raises:
            StudyMissing: the source knows no such study.
            StoreUnavailable: the source does not answer, or sent less than it said; worth trying again.
            StoreError: the study cannot be had; trying again at once would not help.
            TooLarge: a limit of `intake` is reached.
            OSError: the files cannot be written (a full disk).
        """

    async def release(self, project_id: UUID, accession: str) -> None:  # noqa: B027 - nothing to do is a fair answer
        """The files are safe with the caller, or no longer wanted: MUST remove landing copies of the study.

        MUST do nothing when there are none. A store that is itself the archive of the project (XNAT) keeps the study
        until `remove`.
        """

    async def remove(self, project_id: UUID, accession: str) -> None:
        """The project gives the study up: MUST remove every copy that this store made for the project."""
        await self.release(project_id, accession)

    async def remove_project(self, project_id: UUID) -> None:  # noqa: B027 - nothing to do is a fair answer
        """Every study of the project was removed: MUST remove what else the store keeps for the project."""

    async def attach(self, project_id: UUID, accession: str, name: str, file: Path) -> None:  # noqa: B027 - nothing to do is a fair answer
        """A derived file was stored beside the study: a store that people browse (XNAT) MUST show it there too."""

    async def update_user(self, user: UpdateUserProfilePayload) -> UpdateUserProfileResult:
        """Creates, changes or disables a user of the store. A store without users answers `applied=False`."""
        return UpdateUserProfileResult(applied=False, reason=f"{type(self).__name__} has no users")
