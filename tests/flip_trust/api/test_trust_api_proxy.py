"""trust-api behind an HTTP proxy: it goes through, or says why not, and the proxy's password stays its own."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from http_proxy import Proxy, http_proxy
from https_server import Quiet, https_server
from tls_issuer import issuer
from trust_api_standins import environment, until

from flip_common.settings import SettingsError
from flip_common.wire import SiteKey
from flip_trust.api.hub import HubClient, HubError
from flip_trust.api.settings import TrustApiSettings


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    with http_proxy(tmp_path / "proxy", sign_in="site:a-word-of-the-proxy") as running:
        yield running


async def test_the_hub_is_reached_through_the_proxy(hub: Any, spawn: Any, proxy: Proxy) -> None:
    process = spawn(HUB_PROXY=proxy.url, LOG_LEVEL="DEBUG")
    await until(lambda: hub.lease_requests, "it asks for work")
    process.send(signal.SIGTERM)
    assert await process.status() == 0
    await until(lambda: proxy.passed("POST 127.0.0.1"), "the proxy has seen it")
    assert "a-word-of-the-proxy" not in process.log


@pytest.mark.parametrize("url", ["http://proxy", "https://proxy:3128", "proxy:3128", "http://:3128", "http://p:x/"])
async def test_what_is_no_proxy_is_refused(hub: Any, site: Any, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(hub, site, HUB_PROXY=url).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=r"HUB_PROXY: .*such as http://proxy\.example\.org:3128"):
        TrustApiSettings.load()


class Busy(Quiet):
    """A hub that is there, and has no time."""

    def do_PUT(self) -> None:  # noqa: N802 - the name that the library calls
        body = json.dumps({"code": "busy", "detail": "later"}).encode()
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(503)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def secure_hub(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """URL and CA of a hub with TLS."""
    with https_server(tmp_path / "hub", Busy) as (address, ca):
        yield f"https://{address}/api", ca


async def _said(hub: Any, site: Any, monkeypatch: pytest.MonkeyPatch, **changed: str) -> str:
    for name, value in environment(hub, site, **changed).items():
        monkeypatch.setenv(name, value)
    client = HubClient(TrustApiSettings.load())
    try:
        with pytest.raises(HubError) as caught:
            await client.put_fl_key(SiteKey(public_key="k" * 40))
    finally:
        await client.close()
    return str(caught.value)


async def test_tls_goes_through(
    hub: Any, site: Any, secure_hub: tuple[str, Path], proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, ca = secure_hub
    said = await _said(hub, site, monkeypatch, CENTRAL_HUB_API_URL=url, HUB_CA_FILE=str(ca), HUB_PROXY=proxy.url)
    assert "503 busy: later" in said
    await until(lambda: proxy.passed("CONNECT localhost"), "the proxy has seen it")


async def test_a_proxy_that_wants_a_password_says_so(
    hub: Any, site: Any, secure_hub: tuple[str, Path], proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, ca = secure_hub
    other = proxy.url.replace("a-word-of", "another-word-of")
    said = await _said(hub, site, monkeypatch, CENTRAL_HUB_API_URL=url, HUB_CA_FILE=str(ca), HUB_PROXY=other)
    assert "hub not reachable through the proxy (ProxyError: 407 Proxy Authentication Required" in said
    assert "another-word" not in said


@pytest.mark.parametrize("trusted", [True, False], ids=["its authority trusted", "not trusted"])
async def test_a_proxy_that_looks_into_tls(
    hub: Any,
    site: Any,
    secure_hub: tuple[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    trusted: bool,
) -> None:
    """Its authority is named as the one for the hub; else nothing is sent."""
    url, ca = secure_hub
    proxys = issuer(tmp_path / "authority")("proxy").ca
    with http_proxy(tmp_path / "looking", looks_into_tls=proxys, trusts=ca) as proxy:
        said = await _said(
            hub,
            site,
            monkeypatch,
            CENTRAL_HUB_API_URL=url,
            HUB_CA_FILE=str(proxys if trusted else ca),
            HUB_PROXY=proxy.url,
        )
    assert ("503 busy: later" if trusted else "CERTIFICATE_VERIFY_FAILED") in said
