"""FLIP SDK for app authors: one API on a laptop and inside a federation."""

from flip.client import FLIP
from flip.errors import (
    BadAnswerError,
    ConfigurationError,
    FlipError,
    NotAvailableHereError,
    RefusedError,
    StorageError,
    StudyNotAvailableError,
    UnreachableError,
)
from flip.run import ModelRun
from flip.studies import Study

__all__ = [
    "FLIP",
    "BadAnswerError",
    "ConfigurationError",
    "FlipError",
    "ModelRun",
    "NotAvailableHereError",
    "RefusedError",
    "StorageError",
    "Study",
    "StudyNotAvailableError",
    "UnreachableError",
]
