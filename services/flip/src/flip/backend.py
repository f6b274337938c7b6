"""What every side of the federation answers to; a call that belongs to another side is refused with the remedy."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pandas as pd

from flip.constants.flip_constants import ModelStatus, ResourceType
from flip.errors import NotAvailableHereError


class Backend:
    """One side. Arguments are checked by `FLIP` before they come here."""

    side = "here"

    def get_dataframe(self, project_id: str, query: str) -> pd.DataFrame:
        """The project's frozen cohort as the query selects it."""
        self._elsewhere("get_dataframe", "read data in the ClientApp")

    def get_study(self, project_id: str, accession_id: str, resources: Sequence[ResourceType]) -> Path:
        """A folder with the files of one study."""
        self._elsewhere("get_by_accession_number", "read data in the ClientApp")

    def add_file(self, project_id: str, accession_id: str, name: str, file: Path) -> None:
        """Stores a derived file beside the study."""
        self._elsewhere("add_resource", "write data in the ClientApp")

    def cleanup(self, path: Path) -> None:
        """Removes cached images."""
        self._elsewhere("cleanup", "clean up in the ClientApp")

    def update_status(self, model_id: str, status: ModelStatus) -> None:
        """Tells the hub where the model stands."""
        self._elsewhere("update_status", "call it in the ServerApp")

    def send_metric(self, model_id: str, trust: str, label: str, value: float, round_: int) -> None:
        """Sends one value of one metric to the hub."""
        self._elsewhere("send_metrics", "put the value into the MetricRecord of the reply, the platform forwards it")

    def send_exception(self, model_id: str, trust: str | None, code: str, digest: str) -> None:
        """Sends code and digest of an exception to the hub."""
        self._elsewhere("send_handled_exception", "let the exception rise, the platform reports code and digest")

    def upload_file(self, model_id: str, name: str, file: Path) -> None:
        """Stores one result file at the hub."""
        self._elsewhere("upload_results", "return weights in the reply and upload in the ServerApp")

    def _elsewhere(self, call: str, remedy: str) -> NoReturn:
        raise NotAvailableHereError(f"{call} does not work {self.side}: {remedy}")
