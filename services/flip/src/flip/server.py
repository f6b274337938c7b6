"""What `FLIP()` does inside a ServerApp: tell the hub how the model is doing, and hand over results."""

from functools import cached_property
from pathlib import Path

from flip import checks
from flip.backend import Backend
from flip.constants.flip_constants import ModelStatus
from flip.environment import Server
from flip.http import ServiceClient

UPLOAD_TIMEOUT_SECONDS = 600


class ServerBackend(Backend):
    """Calls the hub's internal API, which the public edge does not pass on."""

    side = "in a ServerApp"

    def __init__(self, settings: Server) -> None:
        self._settings = settings

    @cached_property
    def _hub(self) -> ServiceClient:
        settings, timeout = self._settings, UPLOAD_TIMEOUT_SECONDS
        return ServiceClient(
            "hub", settings.url, settings.key_header, settings.key, ca_file=settings.ca_file, timeout=timeout
        )

    def update_status(self, model_id: str, status: ModelStatus) -> None:
        self._hub.call("PUT", _model(model_id, "status"), json={"status": status.value})

    def send_metric(self, model_id: str, trust: str, label: str, value: float, round_: int) -> None:
        point = {"trust": trust, "label": label, "value": value, "round": round_}
        self._hub.call("POST", _model(model_id, "metrics"), json={"points": [point]})

    def send_exception(self, model_id: str, trust: str | None, code: str, digest: str) -> None:
        self._hub.call("POST", _model(model_id, "exceptions"), json={"trust": trust, "code": code, "digest": digest})

    def upload_file(self, model_id: str, name: str, file: Path) -> None:
        headers = {"Content-Length": str(file.stat().st_size), "Content-Type": "application/octet-stream"}
        path = _model(model_id, f"results/{name}")
        self._hub.call("PUT", path, headers=headers, body=lambda: file.open("rb"))


def _model(model_id: str, what: str) -> str:
    return f"/models/{checks.uuid_text('model_id', model_id)}/{what}"
