"""The hub as the trust sees it: five calls, outbound only."""

import logging
import ssl
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flip_common.wire import (
    HeartbeatRequest,
    HeartbeatResponse,
    LeasedTask,
    LeaseRequest,
    RenewRequest,
    RenewResponse,
    SiteKey,
    TaskResultRequest,
    TaskType,
)
from flip_trust.api.settings import TrustApiSettings

CALL_SECONDS = 15.0
_TEXT_CHARS = 300

log = logging.getLogger(__name__)
M = TypeVar("M", bound=BaseModel)


class HubError(Exception):
    """A call the hub did not answer as hoped; `status` is None when there was no understandable answer."""

    def __init__(self, status: int | None, text: str) -> None:
        super().__init__(text)
        self.status = status

    @property
    def refused_key(self) -> bool:
        """The hub does not take the key, or not for this."""
        return self.status in (401, 403)

    @property
    def stale(self) -> bool:
        """The attempt is no longer ours."""
        return self.status in (404, 409, 410)

    @property
    def transient(self) -> bool:
        """The same call may succeed later."""
        return self.status is None or self.status in (408, 425, 429) or self.status >= 500


@dataclass(frozen=True)
class UnreadableTask:
    """A leased task this release cannot read; it can still be answered."""

    task_id: UUID
    attempt: int
    unknown_type: bool


class _LeaseAnswer(BaseModel):
    # Tasks are read one by one: one of a newer hub's types must not spoil the others.
    model_config = ConfigDict(extra="forbid")
    tasks: list[dict[str, Any]]


class _TaskHead(BaseModel):
    model_config = ConfigDict(extra="ignore")
    task_id: UUID
    attempt: int = Field(ge=1)
    type: str = ""


class HubClient:
    """Speaks design 3.1 with one hub. Every failure is a `HubError`; nothing is retried here."""

    def __init__(self, settings: TrustApiSettings) -> None:
        context = ssl.create_default_context(cafile=settings.hub_ca_file)
        self._proxied = settings.hub_proxy is not None
        self._http = httpx.AsyncClient(
            base_url=settings.central_hub_api_url + "/",
            headers={settings.trust_api_key_header: settings.trust_api_key.get_secret_value()},
            verify=context,
            proxy=settings.hub_proxy.get_secret_value() if settings.hub_proxy else None,
            trust_env=False,
            timeout=CALL_SECONDS,
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def heartbeat(self, beat: HeartbeatRequest) -> HeartbeatResponse:
        """Tells the hub how the trust is; returns who the hub takes the caller for."""
        return _read(HeartbeatResponse, await self._send("POST", "trust/heartbeat", beat))

    async def lease(self, request: LeaseRequest) -> list[LeasedTask | UnreadableTask]:
        """Waits for work, at most `request.wait_seconds`."""
        patience = httpx.Timeout(CALL_SECONDS, read=request.wait_seconds + CALL_SECONDS)
        answer = _read(_LeaseAnswer, await self._send("POST", "trust/tasks/lease", request, patience))
        return [task for task in map(_read_task, answer.tasks) if task is not None]

    async def renew(self, task_id: UUID, attempt: int) -> RenewResponse:
        """Keeps the lease of a task."""
        body = RenewRequest(attempt=attempt)
        return _read(RenewResponse, await self._send("POST", f"trust/tasks/{task_id}/renew", body))

    async def result(self, task_id: UUID, result: TaskResultRequest) -> None:
        """Hands a result in. Repeating it is harmless."""
        await self._send("POST", f"trust/tasks/{task_id}/result", result)

    async def put_fl_key(self, key: SiteKey) -> None:
        """Says by which public key the site's FL client is known."""
        await self._send("PUT", "trust/fl-key", key)

    async def _send(
        self, method: str, path: str, body: BaseModel, patience: httpx.Timeout | None = None
    ) -> httpx.Response:
        try:
            response = await self._http.request(
                method,
                path,
                content=body.model_dump_json(),
                headers={"content-type": "application/json"},
                timeout=patience or CALL_SECONDS,
            )
        except httpx.HTTPError as error:
            through = " through the proxy" if self._proxied else ""
            words = f"{type(error).__name__}: {error}".removesuffix(": ")[:_TEXT_CHARS]
            raise HubError(None, f"{method} {path}: hub not reachable{through} ({words})") from None
        if not response.is_success:
            raise HubError(response.status_code, f"{method} {path}: {response.status_code} {_problem(response)}")
        return response


def _problem(response: httpx.Response) -> str:
    try:
        document = response.json()
    except ValueError:
        return "without a problem document; is something else answering in the hub's place?"
    if not isinstance(document, dict):
        return ""
    return f"{document.get('code', '')}: {document.get('detail', '')}"[:_TEXT_CHARS]


def _read(model: type[M], response: httpx.Response) -> M:
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        places = ", ".join("/".join(map(str, item["loc"])) or "body" for item in error.errors()[:5])
        raise HubError(None, f"{response.request.url.path}: answer not understood at {places}") from None


def _read_task(raw: dict[str, Any]) -> LeasedTask | UnreadableTask | None:
    try:
        return LeasedTask.model_validate(raw)
    except ValidationError:
        pass  # answered below, by what can be read of it
    try:
        head = _TaskHead.model_validate(raw)
    except ValidationError:
        log.error("the hub leased something without a task id and attempt; it cannot be answered")
        return None
    return UnreadableTask(head.task_id, head.attempt, unknown_type=head.type not in set(TaskType))
