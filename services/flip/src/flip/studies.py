"""Going through a cohort's images without one bad study ending the round."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from flip.errors import ConfigurationError, FlipError, NotAvailableHereError

log = logging.getLogger("flip")

ACCESSION_COLUMN = "accession_id"


@dataclass(frozen=True)
class Study:
    """One accession: either `path`, a folder with its files, or `reason`, why there is none."""

    accession_id: str
    path: Path | None = None
    reason: str = ""

    def pairs(self) -> list[tuple[Path, Path]]:
        """Images that have a label beside them: `input_X.nii.gz` with `label_X.nii.gz`, sorted by name."""
        if self.path is None:
            return []
        inputs = sorted(self.path.glob("input_*.nii.gz"))
        found = [(image, image.with_name(image.name.replace("input_", "label_", 1))) for image in inputs]
        return [(image, label) for image, label in found if label.is_file()]


def accessions(cohort: pd.DataFrame | Iterable[str]) -> list[str]:
    """The accessions of a cohort, each once, in order, without missing ones.

    Raises:
        ValueError: a dataframe without the column `accession_id`.
    """
    if isinstance(cohort, pd.DataFrame):
        if ACCESSION_COLUMN not in cohort.columns:
            raise ValueError(f"the dataframe has no column {ACCESSION_COLUMN}; select it in the cohort query")
        cohort = cohort[ACCESSION_COLUMN].dropna().astype(str)
    return list(dict.fromkeys(cohort))


def iterate(names: list[str], get: Callable[[str], Path]) -> Iterator[Study]:
    """Yields a `Study` per name; what would fail for every study is raised."""
    for name in names:
        try:
            yield Study(name, path=get(name))
        except (ConfigurationError, NotAvailableHereError):
            raise
        except (FlipError, ValueError) as error:
            log.warning("study left out (%s); its reason is in Study.reason", type(error).__name__)
            yield Study(name, reason=str(error))
