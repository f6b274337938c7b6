"""`FLIP`: the one object an app needs, the same on a laptop and inside a federation."""

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from flip import checks, run, studies
from flip.backend import Backend
from flip.constants.flip_constants import ModelStatus, ResourceType
from flip.environment import Laptop, Server, detect
from flip.laptop import LaptopBackend
from flip.run import ModelRun
from flip.server import ServerBackend
from flip.studies import Study


class FLIP:
    """Reads a site's data and tells the hub about a model. Which side it is on is read at the first call.

    Making one never fails, so `def main(grid, context, flip: FLIP = FLIP())` imports anywhere; a call without a
    configured environment raises `ConfigurationError` and names what to set.

    Every call raises `FlipError` subclasses: `RefusedError` (4xx), `UnreachableError` (no answer after retries),
    `NotAvailableHereError` (wrong side), and TypeError or ValueError for arguments that cannot be right.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = environ
        self._found: Backend | None = None

    @property
    def _backend(self) -> Backend:
        if self._found is None:
            self._found = _backend_for(os.environ if self._environ is None else self._environ)
        return self._found

    # In a ClientApp

    def get_dataframe(self, project_id: str, query: str) -> pd.DataFrame:
        """The project's frozen cohort at this site, a row per row of the query, columns as it selects them."""
        checks.text("project_id", project_id)
        return self._backend.get_dataframe(project_id, checks.text("query", query))

    def get_by_accession_number(
        self,
        project_id: str,
        accession_id: str,
        resource_type: ResourceType | str | Iterable[ResourceType | str] = ResourceType.NIFTI,
    ) -> Path:
        """A folder with one study's files, downloaded once and kept for later rounds.

        NIFTI: `input_<series>.nii.gz` and, where segmented, `label_<series>.nii.gz` in the same grid;
        DICOM: `dicom/<n>.dcm`; SEGMENTATION: `seg/<n>.dcm`. Files of your own put beside them live and go with it.

        Raises:
            StudyNotAvailableError: this study cannot be had here; the text says why.
        """
        checks.text("project_id", project_id)
        wanted = checks.resources(resource_type)
        return self._backend.get_study(project_id, checks.accession(accession_id), wanted)

    def iter_studies(
        self,
        project_id: str,
        cohort: pd.DataFrame | Iterable[str],
        resource_type: ResourceType | str | Iterable[ResourceType | str] = ResourceType.NIFTI,
    ) -> Iterator[Study]:
        """Yields a `Study` per accession of the cohort, with `path` or with `reason`; one bad study ends nothing.

        `cohort` is a dataframe with a column `accession_id`, or accessions.
        """
        names, wanted = studies.accessions(cohort), checks.resources(resource_type)
        return studies.iterate(names, lambda name: self.get_by_accession_number(project_id, name, wanted))

    def add_resource(
        self,
        project_id: str,
        accession_id: str,
        scan_id: str = "",
        resource_id: str = "",
        files: Iterable[str | Path] = (),
    ) -> None:
        """Stores derived files beside a study at this site, each as `[<scan_id>_][<resource_id>_]<file name>`."""
        checks.text("project_id", project_id)
        checks.accession(accession_id)
        if isinstance(files, str | Path):
            files = [files]
        for file in _existing(files):
            name = "_".join(part for part in (scan_id, resource_id, file.name) if part)
            self._backend.add_file(project_id, accession_id, checks.file_name(name), file)

    def cleanup(self, path: str | Path) -> None:
        """Removes a folder of cached images. Only inside IMAGES_DIR; a path that is gone is fine."""
        self._backend.cleanup(Path(path))

    # In a ServerApp

    def update_status(self, model_id: str, new_model_status: ModelStatus | str) -> None:
        """Tells the hub where the model stands."""
        status = ModelStatus(new_model_status)
        self._backend.update_status(checks.text("model_id", model_id), status)

    def send_metrics(self, client_name: str, model_id: str, label: str, value: float, round: int = 0) -> None:  # noqa: A002 - the published name
        """Sends one value of a trust's metric. Sending it again replaces it."""
        if not math.isfinite(value):
            raise ValueError(f"metric {label} is {value}; send finite values")
        trust, name = checks.text("client_name", client_name), checks.text("label", label)
        self._backend.send_metric(checks.text("model_id", model_id), trust, name, float(value), int(round))

    def send_handled_exception(self, formatted_exception: str, client_name: str, model_id: str) -> None:
        """Tells the hub that a trust's part failed. Only the exception's class name and a SHA-256 are sent."""
        text = checks.text("formatted_exception", formatted_exception)
        trust = checks.text("client_name", client_name)
        self.report_exception(checks.text("model_id", model_id), trust, text, run.exception_code(text))

    def report_exception(self, model_id: str, trust: str | None, text: str, code: str) -> None:
        """Sends `code` and the SHA-256 of `text`; `trust` None means the server's own part."""
        self._backend.send_exception(model_id, trust, code, run.digest(text))

    def upload_results(self, path: str | Path, model_id: str) -> list[str]:
        """Uploads a file, or every file of a folder, and returns the names they have at the hub.

        A file in a subfolder is named by its path, `/` written as `__`. All names are checked before anything is sent.

        Raises:
            ValueError: nothing to upload, or a name that the hub does not take.
        """
        model, root = checks.text("model_id", model_id), Path(path)
        if root.is_dir():
            found = sorted(file for file in root.rglob("*") if file.is_file())
            named = {checks.result_name("__".join(file.relative_to(root).parts)): file for file in found}
            if len(named) < len(found):
                raise ValueError(f"two files in {root} have one name once '/' is written as '__'; rename one")
        else:
            named = {checks.result_name(file.name): file for file in _existing([root])}
        if not named:
            raise ValueError(f"{root} holds no file; there is nothing to upload")
        for name, file in named.items():
            self._backend.upload_file(model, name, file)
        return list(named)

    def upload_results_to_s3(self, results_folder: str | Path, model_id: str) -> list[str]:
        """The published name of `upload_results`; where the hub keeps results is its own affair."""
        return self.upload_results(results_folder, model_id)

    def run_model(self, model_id: str) -> ModelRun:
        """`with flip.run_model(model_id) as run:` sends INITIATED and always ends the model; see `ModelRun`."""
        return ModelRun(self, checks.text("model_id", model_id))


def _backend_for(environ: Mapping[str, str]) -> Backend:
    settings = detect(environ)
    if isinstance(settings, Laptop):
        return LaptopBackend(settings)
    if isinstance(settings, Server):
        return ServerBackend(settings)
    from flip.site import SiteBackend  # noqa: PLC0415 - needs POSIX file locks, which a laptop may not have

    return SiteBackend(settings)


def _existing(files: Iterable[str | Path]) -> list[Path]:
    paths = [Path(file) for file in files]
    for path in paths:
        if not path.is_file():
            raise ValueError(f"{path} is no file")
    return paths
