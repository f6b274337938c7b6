"""Client of the FL API, the one job API beside every FL server."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID

import httpx
from pydantic import TypeAdapter, ValidationError

from flip_common.wire import JobCreated, JobLogs, JobSpec, JobState, SiteKey, SiteState
from flip_hub.settings import FLNet, HubSettings

KEY_HEADER = "X-Fl-Api-Key"
_TIMEOUT = httpx.Timeout(10, read=30, write=60)
_UNAVAILABLE = frozenset({401, 403, 408, 429})
_DETAIL_CHARS = 500
T = TypeVar("T")


class FLUnavailable(Exception):  # noqa: N818 - a state of affairs, not a fault of the caller
    """The FL API cannot be used at the moment; the text says why. Trying again later is right."""


class FLUnknown(Exception):  # noqa: N818 - an answer, not a fault
    """The FL API knows no such job or site."""


class FLRefused(Exception):  # noqa: N818 - an answer, not a fault
    """The FL API refuses the request for good; the text says why."""


class FLClient:
    """One net's FL API. Every method raises `FLUnavailable`, `FLUnknown` or `FLRefused`, and nothing else."""

    def __init__(self, net: FLNet, http: httpx.AsyncClient) -> None:
        self.net, self._http = net, http

    @classmethod
    @asynccontextmanager
    async def opened(cls, net: FLNet, settings: HubSettings) -> AsyncIterator["FLClient"]:
        """A client that is closed at the end of the block."""
        key = settings.fl_api_key.get_secret_value() if settings.fl_api_key else ""
        async with httpx.AsyncClient(
            base_url=str(net.url).rstrip("/") + "/",
            headers={KEY_HEADER: key},
            timeout=_TIMEOUT,
            verify=ssl.create_default_context(),
            trust_env=False,
        ) as http:
            yield cls(net, http)

    async def create_job(self, spec: JobSpec, app: bytes) -> JobCreated:
        """Submits a job with its app's zip; the same `job_id` again gives the same job."""
        return await self._call(
            "POST",
            "jobs",
            JobCreated,
            data={"spec": spec.model_dump_json()},
            files={"app": ("app.zip", app, "application/zip")},
        )

    async def job(self, job_id: UUID) -> JobState:
        """Where the job stands."""
        return await self._call("GET", f"jobs/{job_id}", JobState)

    async def logs(self, job_id: UUID, offset: int) -> JobLogs:
        """Log lines from `offset` on."""
        return await self._call("GET", f"jobs/{job_id}/logs", JobLogs, params={"offset": offset})

    async def stop(self, job_id: UUID) -> JobState:
        """Stops the job; returns when no process of it is left."""
        return await self._call("DELETE", f"jobs/{job_id}", JobState)

    async def sites(self) -> list[SiteState]:
        """The sites the net knows."""
        return await self._call("GET", "sites", list[SiteState])

    async def put_site(self, trust: str, key: SiteKey) -> SiteState:
        """Lets a site with this key into the net."""
        return await self._call("PUT", f"sites/{trust}", SiteState, json=key.model_dump())

    async def delete_site(self, trust: str) -> None:
        """Puts a site out of the net."""
        await self._send("DELETE", f"sites/{trust}")

    async def _call(self, method: str, path: str, answer: type[T], **options: Any) -> T:
        response = await self._send(method, path, **options)
        try:
            return TypeAdapter(answer).validate_json(response.content)
        except ValidationError as error:
            raise FLUnavailable(
                f"FL API of net {self.net.name} gave an answer to {method} {path} that is no {answer!r} "
                f"({error.error_count()} problems); are hub and FL API of the same release?"
            ) from None

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = await self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise FLUnavailable(
                f"FL API of net {self.net.name} at {self.net.url} does not answer: {type(error).__name__}"
            ) from error
        if response.is_success:
            return response
        text = _problem(response)
        if response.status_code == 404:
            raise FLUnknown(text)
        if response.status_code in _UNAVAILABLE or response.status_code >= 500:
            raise FLUnavailable(f"FL API of net {self.net.name} answers {response.status_code}: {text}")
        raise FLRefused(text)


def _problem(response: httpx.Response) -> str:
    try:
        body = response.json()
    except ValueError:
        return f"status {response.status_code}"
    if not isinstance(body, dict):
        return f"status {response.status_code}"
    return f"{body.get('code', response.status_code)}: {body.get('detail', '')}"[:_DETAIL_CHARS]
