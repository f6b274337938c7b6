"""What was generated: the one document from which checks, the PACS loader and the OMOP loader work."""

from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

MANIFEST_NAME = "manifest.json"


class StudyKind(StrEnum):
    """What a study is in the demo."""

    BRAIN = "brain"
    """MR of a brain with its DICOM-SEG."""
    GENUINE = "genuine"
    """A real scanner's series from a package, other body part or unlabelled."""
    BROKEN = "broken"
    """In the PACS, but unusable: a slice is missing, or the images hold no pixels."""
    ABSENT = "absent"
    """Known to OMOP only; the PACS has never heard of it."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Study(_Model):
    """One study. `sha256` covers the files' bytes in name order; voxels are counted in the slices' grid."""

    accession: str = Field(max_length=16)
    kind: StudyKind
    modality: Literal["MR", "CT"]
    person_id: int
    patient_id: str
    visit_occurrence_id: int
    study_date: date
    study_uid: str
    series_uid: str
    folder: str = Field(description="relative to the manifest; holds 001.dcm ... unless ABSENT; a SEG comes last")
    images: int = Field(ge=0)
    sha256: str = ""
    pixel_sha256: str = ""
    label_voxels: dict[str, int] = Field(default_factory=dict)
    fault: str = ""


class TrustData(_Model):
    """Everything one trust has."""

    persons: int
    scanner: str
    studies: list[Study]

    def accessions(self, *kinds: StudyKind) -> list[str]:
        """Accessions of the studies of these kinds; of all when none is named."""
        return [study.accession for study in self.studies if not kinds or study.kind in kinds]

    @property
    def cohort(self) -> list[str]:
        """Accessions that the demo's query finds, the broken and the absent ones included."""
        return self.accessions(StudyKind.BRAIN, StudyKind.BROKEN, StudyKind.ABSENT)


class Manifest(_Model):
    """The whole data set. Equal seeds give equal manifests, but for the seconds."""

    version: Literal[1] = 1
    seed: int
    trusts: dict[str, TrustData]
    seconds: float = Field(ge=0, description="wall time of the generation")

    def save(self, folder: Path) -> Path:
        """Writes the manifest into the folder and returns its path."""
        path = folder / MANIFEST_NAME
        path.write_text(self.model_dump_json(indent=1) + "\n")
        return path

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads the manifest of a folder that `generate` filled.

        Raises:
            FileNotFoundError: the folder holds none.
            pydantic.ValidationError: it is not a manifest of this release.
        """
        return cls.model_validate_json((folder / MANIFEST_NAME).read_bytes())
