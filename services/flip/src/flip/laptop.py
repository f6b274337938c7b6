"""What `FLIP()` does on a laptop: a CSV and folders of images in, a record of every call out."""

import json
import logging
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from flip import checks
from flip.backend import Backend
from flip.constants.flip_constants import ModelStatus, ResourceType
from flip.environment import Laptop
from flip.errors import ConfigurationError, StudyNotAvailableError

log = logging.getLogger("flip")

RECORD_NAME = "calls.jsonl"
# Apps declare `flip-model-id = ""`, and on a laptop nobody sets it.
UNNAMED_MODEL = "laptop"


class LaptopBackend(Backend):
    """Both sides in one process. What the hub would be told is appended to `DEV_OUTPUT_DIR/calls.jsonl`."""

    side = "on a laptop"

    def __init__(self, settings: Laptop) -> None:
        self._settings = settings

    def get_dataframe(self, project_id: str, query: str) -> pd.DataFrame:
        source = self._settings.dataframe
        if source is None or not source.is_file():
            raise ConfigurationError(f"DEV_DATAFRAME={source}: set it to a CSV file with the cohort's rows")
        frame = pd.read_csv(source, dtype={"accession_id": "string"})
        log.info("cohort of %d rows read from %s; the query is not run on a laptop", len(frame), source)
        return frame

    def get_study(self, project_id: str, accession_id: str, resources: Sequence[ResourceType]) -> Path:
        root = self._settings.images_dir
        if root is None or not root.is_dir():
            raise ConfigurationError(f"DEV_IMAGES_DIR={root}: set it to a folder with a folder per accession")
        folder = root / accession_id
        if not folder.is_dir():
            raise StudyNotAvailableError(f"study {accession_id}: no folder of that name in DEV_IMAGES_DIR {root}")
        return folder

    def add_file(self, project_id: str, accession_id: str, name: str, file: Path) -> None:
        self._keep(Path("resources", accession_id), name, file)
        self._record("add_resource", accession_id=accession_id, name=name)

    def cleanup(self, path: Path) -> None:
        # The images are the author's own, not a cache that can be filled again.
        log.info("cleanup(%s): nothing is removed on a laptop", path)

    def update_status(self, model_id: str, status: ModelStatus) -> None:
        log.info("model %s is %s", model_id, status)
        self._record("update_status", model_id=model_id, status=status.value)

    def send_metric(self, model_id: str, trust: str, label: str, value: float, round_: int) -> None:
        log.info("round %d, %s: %s = %g", round_, trust, label, value)
        self._record("send_metrics", model_id=model_id, trust=trust, label=label, value=value, round=round_)

    def send_exception(self, model_id: str, trust: str | None, code: str, digest: str) -> None:
        log.info("model %s: %s at %s", model_id, code, trust or "the server")
        self._record("send_handled_exception", model_id=model_id, trust=trust, code=code, digest=digest)

    def upload_file(self, model_id: str, name: str, file: Path) -> None:
        kept = self._keep(Path("results", checks.file_name(model_id or UNNAMED_MODEL)), name, file)
        log.info("model %s: result kept as %s", model_id, kept)
        self._record("upload_results", model_id=model_id, name=name)

    def _keep(self, folder: Path, name: str, file: Path) -> Path:
        target = self._settings.output_dir / folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        return target

    def _record(self, call: str, **what: Any) -> None:
        self._settings.output_dir.mkdir(parents=True, exist_ok=True)
        entry = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "call": call, **what}
        with (self._settings.output_dir / RECORD_NAME).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
