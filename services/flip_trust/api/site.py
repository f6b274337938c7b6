"""The site's own services as trust-api calls them: data-access-api and imaging-api."""

import logging
import re
from collections.abc import Mapping
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from flip_common.logs import request_id
from flip_common.web import REQUEST_ID_HEADER
from flip_common.wire import TaskError
from flip_trust.api.settings import TrustApiSettings

HEALTH_SECONDS = 2.0
CONNECT_SECONDS = 5.0
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
# Codes whose details the framework writes: they may repeat a value, so they stay at the site.
_GENERIC = frozenset({"invalid_request", "internal_error", "not_found", "method_not_allowed"})

log = logging.getLogger(__name__)
M = TypeVar("M", bound=BaseModel)


class TaskFailure(Exception):  # noqa: N818 - it carries the error that goes to the hub
    """A task that cannot be done; `error` is what the hub is told."""

    def __init__(self, error: TaskError) -> None:
        super().__init__(error.code)
        self.error = error


def failure(code: str, detail: str, *, retryable: bool = False) -> TaskFailure:
    """A failure in FLIP's own words."""
    return TaskFailure(TaskError(code=code, detail=detail, retryable=retryable))


class SiteService:
    """One service of the site. Every failure is a `TaskFailure`."""

    def __init__(self, name: str, base_url: str, settings: TrustApiSettings) -> None:
        self.name = name
        key = settings.trust_internal_service_key.get_secret_value()
        self._http = httpx.AsyncClient(
            base_url=base_url + "/",
            headers={settings.trust_internal_service_key_header: key},
            trust_env=False,
            timeout=httpx.Timeout(settings.service_timeout_seconds, connect=CONNECT_SECONDS),
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def answers(self) -> bool:
        """Whether the service says that it is well."""
        try:
            response = await self._http.get("health", timeout=HEALTH_SECONDS)
        except httpx.HTTPError:
            return False
        return response.is_success

    async def call(self, method: str, path: str, answer: type[M], body: BaseModel | None = None) -> M:
        """Calls the service and reads its answer.

        Raises:
            TaskFailure: the service cannot be reached, refused, or answered something else.
        """
        response = await self._send(method, path, body)
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            places = ", ".join("/".join(map(str, item["loc"])) or "body" for item in error.errors()[:5])
            log.error("%s: answer to %s %s not understood at %s", self.name, method, path, places)
            raise failure(
                "service_answer_invalid",
                f"{self.name} gave an answer that this release does not understand; "
                "do all services of the trust run the same release?",
            ) from None

    async def command(self, method: str, path: str) -> None:
        """Calls the service where the answer has no content.

        Raises:
            TaskFailure: the service cannot be reached, or refused.
        """
        await self._send(method, path, None)

    async def _send(self, method: str, path: str, body: BaseModel | None) -> httpx.Response:
        headers: Mapping[str, str] = {REQUEST_ID_HEADER: request_id.get()}
        content = None
        if body is not None:
            content, headers = body.model_dump_json(), {**headers, "content-type": "application/json"}
        try:
            response = await self._http.request(method, path, content=content, headers=headers)
        except httpx.ConnectError:
            log.warning("%s does not answer", self.name)
            raise failure("service_unavailable", f"{self.name} does not answer", retryable=True) from None
        except httpx.TimeoutException:
            log.warning("%s: %s %s took too long", self.name, method, path)
            raise failure("service_timeout", f"{self.name} took longer than it may") from None
        except httpx.HTTPError as error:
            log.warning("%s: %s %s failed: %s", self.name, method, path, type(error).__name__)
            raise failure("service_unavailable", f"the connection to {self.name} broke", retryable=True) from None
        if not response.is_success:
            raise self._refusal(response)
        return response

    def _refusal(self, response: httpx.Response) -> TaskFailure:
        status = response.status_code
        code, detail = _problem(response)
        log.warning("%s refused: %s %s %s", self.name, status, code, detail)
        if status == 401:
            return failure(
                "service_key_refused",
                f"{self.name} refused the trust's internal key; give all services the same TRUST_INTERNAL_SERVICE_KEY",
            )
        retryable = status in (429, 500, 502, 503)
        if not _CODE.fullmatch(code) or code in _GENERIC:
            return failure(
                "service_failed",
                f"{self.name} answered with status {status}; the trust's log says why",
                retryable=retryable,
            )
        # FLIP wrote this problem document for its reader: it may go to the hub as it is.
        return failure(code, detail[:2000], retryable=retryable)


def _problem(response: httpx.Response) -> tuple[str, str]:
    try:
        document = response.json()
    except ValueError:
        return "", ""
    if not isinstance(document, dict):
        return "", ""
    return str(document.get("code", "")), str(document.get("detail", ""))
