"""Client of the hub's internal API: what the FL server reports about a running job."""

import os
import ssl
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from uuid import UUID

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from flip_common.logs import register_secrets
from flip_common.wire import MetricPoint, SiteException

PATIENCE_SECONDS = 120.0
DEFAULT_HEADER = "X-Internal-Service-Key"


class HubRefusedError(Exception):
    """The hub answered that it does not take this; sending it again would not help."""


class HubAwayError(Exception):
    """The hub could not be reached, or failed, for longer than we wait."""


class _TryAgainError(Exception):
    pass


class HubClient:
    """Reports metrics and exceptions of one net to the hub. Thread-safe; waits and repeats while the hub is away."""

    def __init__(
        self,
        base_url: str,
        key: str,
        header: str = DEFAULT_HEADER,
        *,
        ca_file: Path | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        self._client = httpx.Client(
            base_url=base_url.rstrip("/"), headers={header: key}, verify=context, trust_env=False, timeout=10.0
        )
        self._patience = patience_seconds

    @classmethod
    def from_environment(cls) -> "HubClient":
        """Reads FLIP_API_INTERNAL_URL, INTERNAL_SERVICE_KEY, INTERNAL_SERVICE_KEY_HEADER, FLIP_API_CA_FILE.

        Raises:
            KeyError: the URL or the key is missing.
        """
        environment = os.environ
        register_secrets([environment["INTERNAL_SERVICE_KEY"]])
        ca_file = environment.get("FLIP_API_CA_FILE")
        return cls(
            environment["FLIP_API_INTERNAL_URL"],
            environment["INTERNAL_SERVICE_KEY"],
            environment.get("INTERNAL_SERVICE_KEY_HEADER", DEFAULT_HEADER),
            ca_file=Path(ca_file) if ca_file else None,
        )

    def send_metrics(self, model_id: UUID, points: Sequence[MetricPoint]) -> None:
        """Sends metric points; sending the same again changes nothing.

        Raises:
            HubRefusedError: the hub takes no metrics for this model or trust.
            HubAwayError: the hub stayed away.
        """
        body = {"points": [point.model_dump(mode="json") for point in points]}
        self._post(f"/models/{model_id}/metrics", body)

    def send_exception(self, model_id: UUID, error: SiteException) -> None:
        """Sends what may be known of an exception at a site. Raises as `send_metrics`."""
        self._post(f"/models/{model_id}/exceptions", error.model_dump(mode="json"))

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _post(self, path: str, body: object) -> None:
        tries = Retrying(
            retry=retry_if_exception_type(_TryAgainError),
            stop=stop_after_delay(self._patience),
            wait=wait_exponential(multiplier=0.2, max=5.0),
            reraise=True,
        )
        try:
            tries(self._post_once, path, body)
        except _TryAgainError as error:
            raise HubAwayError(f"POST {path}: {error}; gave up after {self._patience:.0f} s") from None

    def _post_once(self, path: str, body: object) -> None:
        try:
            response = self._client.post(path, json=body)
        except httpx.TransportError as error:
            raise _TryAgainError(type(error).__name__) from None
        if response.is_server_error or response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            raise _TryAgainError(f"status {response.status_code}")
        if not response.is_success:
            raise HubRefusedError(f"POST {path}: status {response.status_code} {_problem_code(response)}".rstrip())


def _problem_code(response: httpx.Response) -> str:
    try:
        return str(response.json().get("code", ""))
    except (ValueError, AttributeError):
        return ""
