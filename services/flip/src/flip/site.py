"""What `FLIP()` does inside a ClientApp at a trust: read the site's data, tell the outside nothing."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd

from flip import archive, cache, checks
from flip.backend import Backend
from flip.constants.flip_constants import ResourceType
from flip.environment import Site
from flip.errors import RefusedError, StorageError, StudyNotAvailableError
from flip.frame import to_frame
from flip.http import ServiceClient

IMAGING_TIMEOUT_SECONDS = 600


class SiteBackend(Backend):
    """Reads through data-access-api and imaging-api; images are cached under IMAGES_DIR."""

    side = "in a ClientApp at a site"

    def __init__(self, settings: Site) -> None:
        self._settings = settings

    @cached_property
    def _data(self) -> ServiceClient:
        settings = self._settings
        return ServiceClient("data-access-api", settings.data_access_url, settings.key_header, settings.key)

    @cached_property
    def _imaging(self) -> ServiceClient:
        settings, timeout = self._settings, IMAGING_TIMEOUT_SECONDS
        return ServiceClient("imaging-api", settings.imaging_url, settings.key_header, settings.key, timeout=timeout)

    def get_dataframe(self, project_id: str, query: str) -> pd.DataFrame:
        body = {"project_id": checks.uuid_text("project_id", project_id), "query": query}
        return to_frame(self._data.call("POST", "/cohort/dataframe", json=body).content)

    def get_study(self, project_id: str, accession_id: str, resources: Sequence[ResourceType]) -> Path:
        project = checks.uuid_text("project_id", project_id)
        folder = self._settings.images_dir / project / accession_id / "+".join(resources)

        def fill(staging: Path) -> None:
            for resource in resources:
                self._download(project, accession_id, resource, staging)

        return cache.fetch_once(folder, fill)

    def _download(self, project: str, accession_id: str, resource: ResourceType, staging: Path) -> None:
        params = {"project_id": project, "resource": resource.value}
        target = staging / ".study.zip"
        try:
            self._imaging.download(f"/studies/{accession_id}/files", target, params=params)
        except RefusedError as error:
            if error.code == "study_not_available":
                raise StudyNotAvailableError(f"study {accession_id}: {error.detail}") from error
            raise
        archive.unpack(target, staging)
        target.unlink()

    def add_file(self, project_id: str, accession_id: str, name: str, file: Path) -> None:
        params = {"project_id": checks.uuid_text("project_id", project_id), "name": name}
        headers = {"Content-Length": str(file.stat().st_size), "Content-Type": "application/octet-stream"}
        path = f"/studies/{accession_id}/resources"
        self._imaging.call("PUT", path, params=params, headers=headers, body=lambda: file.open("rb"))

    def cleanup(self, path: Path) -> None:
        root, target = self._settings.images_dir.resolve(), path.resolve()
        if root not in target.parents:
            raise StorageError(f"{path} is not inside IMAGES_DIR {root}; cleanup removes nothing else")
        cache.remove(target)
