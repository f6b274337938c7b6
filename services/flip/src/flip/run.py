"""One federated run of one model, seen from the ServerApp: it always ends in a terminal status."""

import hashlib
import logging
import re
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from flip.constants.flip_constants import ModelStatus
from flip.errors import FlipError

if TYPE_CHECKING:
    from flip.client import FLIP

log = logging.getLogger("flip")

_LAST_LINE = re.compile(r"(?:[\w]+\.)*([A-Za-z_]\w{0,127})(?::|$)")


class ModelRun:
    """Made by `FLIP.run_model`. Entering sends INITIATED; leaving ends the model, whatever happened inside.

    - The block ends: RESULTS_UPLOADED, unless a terminal status was sent before.
    - An exception: its class name and digest are sent, then ERROR; the exception goes on.
    - Ctrl-C or SystemExit: STOPPED.
    """

    def __init__(self, flip: "FLIP", model_id: str) -> None:
        self._flip, self.model_id = flip, model_id
        self.status = ModelStatus.PENDING

    def update_status(self, status: ModelStatus) -> None:
        """Tells the hub where the model stands."""
        self._flip.update_status(self.model_id, status)
        self.status = status

    def prepared(self) -> None:
        """The initial weights are there."""
        self.update_status(ModelStatus.PREPARED)

    def training_started(self) -> None:
        """The rounds begin."""
        self.update_status(ModelStatus.TRAINING_STARTED)

    def upload_results(self, path: str | Path) -> None:
        """Uploads a file or folder and ends the model as RESULTS_UPLOADED, or as RESULTS_UPLOAD_FAILED."""
        try:
            self._flip.upload_results(path, self.model_id)
        except FlipError:
            self.update_status(ModelStatus.RESULTS_UPLOAD_FAILED)
            raise
        self.update_status(ModelStatus.RESULTS_UPLOADED)

    def __enter__(self) -> Self:
        self.update_status(ModelStatus.INITIATED)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            if not self.status.terminal:
                self.update_status(ModelStatus.RESULTS_UPLOADED)
            return
        try:
            self._end(error)
        except FlipError as second:
            # The first failure is the one to see; that the hub does not know of it yet stands beside it.
            log.error("the hub could not be told that model %s failed: %s", self.model_id, second)
            error.add_note(f"FLIP: the hub could not be told: {second}")

    def _end(self, error: BaseException) -> None:
        if isinstance(error, Exception):
            text = "".join(traceback.format_exception(error))
            self._flip.report_exception(self.model_id, None, text, type(error).__name__)
        if not self.status.terminal:
            failed = isinstance(error, Exception)
            self.update_status(ModelStatus.ERROR if failed else ModelStatus.STOPPED)


def digest(text: str) -> str:
    """SHA-256 of an exception's text, hexadecimal: two sites can see that they failed alike without telling how."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def exception_code(formatted: str) -> str:
    """The class name in a formatted exception or traceback; `Exception` where there is none to be found."""
    for line in reversed(formatted.strip().splitlines()):
        if not line.startswith((" ", "\t")) and (found := _LAST_LINE.match(line)):
            name = found.group(1)
            if name.endswith(("Error", "Exception", "Warning", "Exit", "Interrupt", "Iteration")):
                return name
    return "Exception"
