"""The words an app shares with the platform."""

from enum import StrEnum


class ModelStatus(StrEnum):
    """Status of a model, in this order; the last three are other ways to end."""

    PENDING = "PENDING"
    INITIATED = "INITIATED"
    PREPARED = "PREPARED"
    TRAINING_STARTED = "TRAINING_STARTED"
    RUNNING = "TRAINING_STARTED"  # the later published name of the same status
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


class ResourceType(StrEnum):
    """What can be had of an imaging study."""

    DICOM = "DICOM"
    NIFTI = "NIFTI"
    SEGMENTATION = "SEG"
    ALL = "ALL"
