"""XNAT's REST interface as one signed-in client: a session that is renewed, errors that name what to correct."""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from flip_common import __version__
from flip_trust.imaging.store import StoreError, StoreUnavailable

log = logging.getLogger(__name__)

REFUSED_SECONDS = 60
"""XNAT locks an account after twenty wrong passwords: a refused one is not tried again for this long."""


@dataclass(frozen=True)
class XnatServer:
    """XNAT: its address and FLIP's account, the AE title of the PACS it asks, and the receiver that PACS sends to."""

    url: str
    username: str
    password: SecretStr
    pacs: str
    ae_title: str
    ae_port: int
    ca: Path | None = None


class XnatClient:
    """Calls XNAT with one session for all. It signs in at the first call, and again when the session has ended."""

    def __init__(self, server: XnatServer, *, timeout_seconds: float) -> None:
        self.server, self._timeout = server, timeout_seconds
        self._client: httpx.AsyncClient | None = None
        self._session: str | None = None
        self._signing_in = asyncio.Lock()
        self._refused_until = 0.0

    def start(self) -> None:
        """Makes the connection pool; nothing is sent yet."""
        ca = self.server.ca
        self._client = httpx.AsyncClient(
            base_url=self.server.url,
            # XNAT asks browsers for its anti-forgery token, by their name. Never look like one.
            headers={"User-Agent": f"flip-imaging-api/{__version__}"},
            timeout=self._timeout,
            verify=ssl.create_default_context(cafile=ca) if ca else ssl.create_default_context(),
            trust_env=False,
        )

    async def stop(self) -> None:
        """Ends the session at XNAT, which counts them, and closes the connections."""
        client, session = self._client, self._session
        self._client = self._session = None
        if client is None:
            return
        try:
            if session is not None:
                await client.delete("/data/JSESSION", headers=_cookie(session))
        except httpx.HTTPError as error:
            log.info("the session at XNAT is left to run out: %s", type(error).__name__)
        finally:
            await client.aclose()

    async def call(
        self, method: str, path: str, *, also: frozenset[int] = frozenset(), **options: Any
    ) -> httpx.Response:
        """The answer to one request. Statuses in `also` are answers, too; any other but 2xx is an error.

        Raises:
            StoreUnavailable: XNAT is not there, or breaks off, or has an error of its own.
            StoreError: it refuses the account, or its rights.
        """
        async with self.stream(method, path, also=also, **options) as response:
            await response.aread()
            return response

    async def get(self, path: str, *, also: frozenset[int] = frozenset(), **params: Any) -> Any:
        """The JSON at `path`; None for a status in `also`.

        Raises:
            StoreError: as `call`; also when the answer is no JSON.
        """
        response = await self.call("GET", path, also=also, params=params)
        return json_of(response) if response.status_code not in also else None

    async def rows(self, path: str, *, also: frozenset[int] = frozenset(), **params: Any) -> list[dict[str, Any]]:
        """The rows of one of XNAT's listings; none for a status in `also`.

        Raises:
            StoreError: as `get`; also when the answer is no listing.
        """
        answer = await self.get(path, also=also, format="json", **params)
        if answer is None:
            return []
        try:
            return list(answer["ResultSet"]["Result"])
        except (KeyError, TypeError):
            raise StoreError(f"XNAT answered GET {path} in a form not known") from None

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, also: frozenset[int] = frozenset(), **options: Any
    ) -> AsyncIterator[httpx.Response]:
        """As `call`, with a body that is still to be read."""
        client = self._client
        if client is None:
            raise StoreUnavailable("the XNAT store is not started")
        try:
            session = await self._sign_in(client, ended=None)
            response = await _send(client, session, method, path, options)
            if response.status_code == 401:  # the session ran out, or XNAT was started anew
                await response.aclose()
                session = await self._sign_in(client, ended=session)
                response = await _send(client, session, method, path, options)
            try:
                if not response.is_success and response.status_code not in also:
                    raise self._error(response)
                yield response
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise StoreUnavailable(f"XNAT at {self.server.url} does not answer ({type(error).__name__})") from None

    async def _sign_in(self, client: httpx.AsyncClient, *, ended: str | None) -> str:
        async with self._signing_in:
            if self._session is not None and self._session != ended:
                return self._session
            self._session = None
            refused = StoreError(
                f"XNAT refused to sign {self.server.username} in: check XNAT_USERNAME and XNAT_PASSWORD"
            )
            if time.monotonic() < self._refused_until:
                raise refused
            account = (self.server.username, self.server.password.get_secret_value())
            response = await client.post("/data/JSESSION", auth=account)
            if response.status_code in {401, 403}:
                self._refused_until = time.monotonic() + REFUSED_SECONDS
                raise refused
            if not response.is_success:
                raise self._error(response)
            self._session = response.text.strip()
            # The header is set by hand: the jar would send what any answer sets.
            client.cookies.clear()
            return self._session

    def _error(self, response: httpx.Response) -> StoreError:
        what = f"{response.status_code} to {response.request.method} {response.request.url.path}"
        if response.status_code in {401, 403}:
            return StoreError(f"XNAT answered {what}: give {self.server.username} the roles Administrator and Dqr")
        if response.is_server_error:
            return StoreUnavailable(f"XNAT answered {what}")
        return StoreError(f"XNAT answered {what}")


def json_of(response: httpx.Response) -> Any:
    """The JSON in an answer.

    Raises:
        StoreError: it holds none. XNAT sends a page for people where it is not set up yet.
    """
    try:
        return response.json()
    except ValueError:
        raise StoreError(
            f"XNAT answered {response.request.method} {response.request.url.path} with no JSON: is it set up?"
        ) from None


async def _send(
    client: httpx.AsyncClient, session: str, method: str, path: str, options: dict[str, Any]
) -> httpx.Response:
    given = {**options, "headers": {**options.get("headers", {}), **_cookie(session)}}
    if callable(body := given.get("content")):
        given["content"] = body()  # made anew for each attempt: a stream can be sent once
    request = client.build_request(method, path, **given)
    return await client.send(request, stream=True)


def _cookie(session: str) -> dict[str, str]:
    return {"Cookie": f"JSESSIONID={session}"}
