"""The OpenID Connect issuer of HUB_OIDC_ISSUER: its public keys, by its discovery document."""

import asyncio
import base64
import json
import logging
import ssl
import time
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from flip_common.web import Problem
from flip_hub.settings import HubSettings, is_loopback

KEYS_SECONDS = 3600.0
"""How long keys are used before they are asked for again: a key that the issuer withdraws counts so much longer."""
PAUSE_SECONDS = 30.0
"""Shortest time between two calls of the issuer, whatever callers send; a new key counts so much later at worst."""
RETRY_SECONDS = 5.0
"""The same after a call that failed."""
FETCH_SECONDS = 5.0
"""What both documents together may take."""
MAX_BYTES = 1 << 20
MIN_RSA_BITS = 2048
ALGORITHMS = ("RS256", "ES256")
Key = RSAKey | ECKey

log = logging.getLogger(__name__)


class IssuerUnavailable(Problem):
    """503: the issuer's keys cannot be had. Why stands in the log."""

    def __init__(self) -> None:
        super().__init__(
            503, "issuer_unavailable", "the identity provider does not answer the hub; try again in a minute"
        )


class _FaultError(Exception):
    """What is wrong with an answer of the issuer."""


@dataclass(frozen=True)
class Issuer:
    """An issuer's name, the client its tokens must be for, and its keys."""

    name: str
    client_id: str
    keys: "Keys"

    @classmethod
    def of(cls, settings: HubSettings) -> Self | None:
        """None where HUB_OIDC_ISSUER is not set."""
        if settings.hub_oidc_issuer is None or settings.hub_oidc_client_id is None:
            return None
        return cls(settings.hub_oidc_issuer, settings.hub_oidc_client_id, Keys(settings.hub_oidc_issuer))


class Keys:
    """Public keys by id and algorithm. One call of the issuer at a time; for a known key nobody waits."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._keys: dict[tuple[str, str], Key] = {}
        self._fetched = self._tried = float("-inf")
        self._failed = False
        self._fetching = asyncio.Lock()

    async def find(self, kid: str, algorithm: str) -> Key | None:
        """The key, or None if the issuer has none of this id for this algorithm.

        Raises:
            IssuerUnavailable: the keys are not known, or may be old, and the issuer does not answer.
        """
        if self._fresh and (kid, algorithm) in self._keys:
            return self._keys[kid, algorithm]
        async with self._fetching:
            if not (self._fresh and (kid, algorithm) in self._keys):  # else it was fetched for another caller meanwhile
                await self._fetch_unless_just_tried()
            return self._keys.get((kid, algorithm))

    @property
    def _fresh(self) -> bool:
        return time.monotonic() - self._fetched < KEYS_SECONDS

    async def _fetch_unless_just_tried(self) -> None:
        pause = RETRY_SECONDS if self._failed else PAUSE_SECONDS
        if time.monotonic() - self._tried >= pause:
            await self._fetch()
        if self._failed:
            raise IssuerUnavailable

    async def _fetch(self) -> None:
        self._tried, self._failed = time.monotonic(), True
        try:
            async with asyncio.timeout(FETCH_SECONDS), self._client() as http:
                found = await _discover(http, self._issuer)
        except (_FaultError, httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            why = str(error) if isinstance(error, _FaultError) else f"no answer ({type(error).__name__}: {error})"
            log.error("HUB_OIDC_ISSUER: no keys from %s: %s", self._issuer, why[:500])
            return
        finally:
            self._tried = time.monotonic()
        self._keys, self._fetched, self._failed = found, self._tried, False

    def _client(self) -> httpx.AsyncClient:
        # Through the environment's proxy, if there is one: only a loopback address is certainly on this side of it.
        beyond = urlsplit(self._issuer).scheme == "https"
        return httpx.AsyncClient(verify=ssl.create_default_context(), trust_env=beyond, follow_redirects=False)


async def _discover(http: httpx.AsyncClient, issuer: str) -> dict[tuple[str, str], Key]:
    document = await _get(http, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if document.get("issuer") != issuer:
        raise _FaultError(f"its discovery document is of {document.get('issuer')!r}")
    url = document.get("jwks_uri")
    parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
    beside = urlsplit(issuer).scheme == "http" and parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not (parts.scheme == "https" or beside):
        raise _FaultError(f"its keys' address is {url!r}, not https")
    keys = (await _get(http, str(url))).get("keys")
    if not isinstance(keys, list):
        raise _FaultError(f"{url} has no list of keys")
    found: dict[tuple[str, str], Key] = {}
    for entry in keys:
        usable = _usable(entry)
        if usable is not None:
            kid, algorithm, key = usable
            found[kid, algorithm] = key
    if not found:
        raise _FaultError(f"{url} has no key for {' or '.join(ALGORITHMS)}")
    return found


async def _get(http: httpx.AsyncClient, url: str) -> dict[str, Any]:
    content = b""
    async with http.stream("GET", url, headers={"Accept": "application/json"}) as answer:
        if answer.status_code != httpx.codes.OK:
            hint = "; redirects are not followed" if answer.is_redirect else ""
            raise _FaultError(f"{url} answers {answer.status_code}{hint}")
        async for chunk in answer.aiter_bytes():
            content += chunk
            if len(content) > MAX_BYTES:
                raise _FaultError(f"{url} answers with more than {MAX_BYTES} bytes")
    try:
        document = json.loads(content)
    except ValueError:
        raise _FaultError(f"{url} answers with no JSON") from None
    if not isinstance(document, dict):
        raise _FaultError(f"{url} answers with no JSON object")
    return document


def _usable(entry: Any) -> tuple[str, str, Key] | None:
    """Id, algorithm and key of an entry; None for what is there for other uses."""
    if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str) or entry.get("use", "sig") != "sig":
        return None
    try:
        if entry.get("kty") == "RSA" and entry.get("alg", "RS256") == "RS256":
            if len(base64.urlsafe_b64decode(entry["n"] + "==")) * 8 < MIN_RSA_BITS:
                return None
            return entry["kid"], "RS256", RSAKey.import_key({name: entry[name] for name in ("kty", "n", "e")})
        if entry.get("crv") == "P-256" and entry.get("alg", "ES256") == "ES256":
            return entry["kid"], "ES256", ECKey.import_key({name: entry[name] for name in ("kty", "crv", "x", "y")})
    except (JoseError, KeyError, ValueError, TypeError):
        log.warning("HUB_OIDC_ISSUER: key %r cannot be used", entry["kid"])
    return None
