"""Calls to FLIP's services: retried while it can help, and failing loudly when it cannot."""

import logging
import random
import ssl
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import httpx

from flip.errors import ConfigurationError, RefusedError, UnreachableError

log = logging.getLogger("flip")

DETAIL_CHARS = 500
CHUNK_BYTES = 1 << 18
CONNECT_SECONDS = 10

T = TypeVar("T")


@dataclass(frozen=True)
class Retry:
    """How often and with which pauses (seconds, doubled each time, jittered) a call is tried."""

    attempts: int = 6
    first_pause: float = 0.25
    longest_pause: float = 5.0

    def pause(self, attempt: int) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 1)."""
        full = min(self.longest_pause, self.first_pause * 2.0 ** (attempt - 1))
        return full * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


class ServiceClient:
    """Calls one service with its key. The key is sent in its header and written nowhere.

    `ca_file` (PEM) is the only authority trusted for an https service; None means the system's.

    Raises:
        ConfigurationError: the CA file cannot be used.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        key_header: str,
        key: str,
        *,
        ca_file: Path | None = None,
        retry: Retry | None = None,
        timeout: float = 60,
    ) -> None:
        self.name, self.retry = name, retry or Retry()
        # Plain http has nothing to verify; saying so spares reading the certificate store.
        verify = _trusting(name, ca_file) if urlsplit(base_url).scheme == "https" else False
        # A client a call: calls are few, and none leaves a connection behind in a process that ends or forks.
        self._client = partial(
            httpx.Client,
            base_url=base_url,
            headers={key_header: key},
            timeout=httpx.Timeout(timeout, connect=CONNECT_SECONDS),
            verify=verify,
            trust_env=False,
        )

    def call(
        self, method: str, path: str, *, body: Callable[[], BinaryIO] | None = None, **options: Any
    ) -> httpx.Response:
        """Sends a request and returns its 2xx answer.

        `body` opens the raw body anew for every attempt: a stream that was half sent cannot be sent again.

        Raises:
            RefusedError: the service answered with anything but 2xx or 5xx.
            UnreachableError: connection errors or 5xx on every attempt.
        """

        def once() -> httpx.Response:
            with self._client() as client, body() if body else nullcontext() as stream:
                response = client.request(method, path, content=stream, **options)
            self._check(method, path, response)
            return response

        return self._retried(f"{self.name}: {method} {path}", once)

    def download(self, path: str, target: Path, **options: Any) -> None:
        """Streams the answer to `GET path` into the file `target`, which every attempt writes anew.

        Raises:
            RefusedError, UnreachableError: as `call`.
            OSError: the file cannot be written.
        """

        def once() -> None:
            with (
                self._client() as client,
                client.stream("GET", path, **options) as response,
                target.open("wb") as file,
            ):
                if not response.is_success:
                    response.read()
                self._check("GET", path, response)
                for chunk in response.iter_bytes(CHUNK_BYTES):
                    file.write(chunk)

        self._retried(f"{self.name}: GET {path}", once)

    def _check(self, method: str, path: str, response: httpx.Response) -> None:
        if response.is_server_error:
            raise httpx.HTTPStatusError(f"answered {response.status_code}", request=response.request, response=response)
        if not response.is_success:
            code, detail = _problem(response)
            raise RefusedError(f"{self.name}: {method} {path}", response.status_code, code, detail)

    def _retried(self, call: str, once: Callable[[], T]) -> T:
        attempt = 1
        while True:
            try:
                return once()
            except httpx.HTTPError as error:
                # A transport error's text may hold an address but never the key, which is in a header.
                why = str(error) or type(error).__name__
                if attempt >= self.retry.attempts:
                    raise UnreachableError(
                        f"{call} failed {attempt} times, last: {why}; is the service up and its URL right?"
                    ) from error
            pause = self.retry.pause(attempt)
            log.warning("%s failed (%s), trying again in %.1f s", call, why, pause)
            time.sleep(pause)
            attempt += 1


def _trusting(name: str, ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(f"{name}: CA file {ca_file} cannot be used ({error}); it has to be PEM") from None


def _problem(response: httpx.Response) -> tuple[str, str]:
    """Code and detail of an RFC 9457 problem document, or the start of any other answer."""
    try:
        document = response.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        return "error", response.text[:DETAIL_CHARS]
    return str(document.get("code", "error")), str(document.get("detail", ""))[:DETAIL_CHARS]
