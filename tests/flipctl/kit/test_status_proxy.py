"""`flipctl status` on a host behind an HTTP proxy: it asks as the services do, through the proxy."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_proxy import Proxy, http_proxy
from https_server import Quiet, https_server

from flipctl.doctor import Finding
from flipctl.status import host

WORD = "a-word-of-the-proxy"


class Healthy(Quiet):
    """A hub that is well."""

    def do_GET(self) -> None:  # noqa: N802 - the name that the library calls
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    with http_proxy(tmp_path / "proxy", sign_in=f"site:{WORD}") as running:
        yield running


@pytest.fixture
def hub(kit: Path, tmp_path: Path) -> Iterator[str]:
    """HOST:PORT of a hub and FL server whose CA only trust-api's folder and the kit's ca.pem name."""
    with https_server(tmp_path / "hub", Healthy) as (address, ca):
        about = json.loads((kit / "kit.json").read_text())
        about["header"]["hub_api_url"] = f"https://{address}/api"
        (kit / "kit.json").write_text(json.dumps(about))
        (kit / "fl-site.env").write_text(f"FL_SERVER_ADDRESS={address}\n")
        shutil.copy(ca, kit / "ca.pem")
        told(kit, "trust/trust-api", "").with_name("hub-ca.pem").write_bytes(ca.read_bytes())
        yield address


def told(kit: Path, service: str, line: str) -> Path:
    """A service's env file as its role writes it."""
    file = kit.parent / "config" / service / "service.env"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(line)
    return file


def ways(kit: Path) -> dict[str, Finding]:
    return {row.check: row for row in host.check_link(kit.parent, [])}


def test_hub_and_fl_server_are_asked_through_the_services_proxies(kit: Path, hub: str, proxy: Proxy) -> None:
    told(kit, "trust/trust-api", f"HUB_PROXY={proxy.url}\n")
    told(kit, "fl-client/egress", f"EGRESS_PROXY={proxy.url}\n")
    found = ways(kit)
    assert found["hub"].found.startswith(f"https://{hub}/api answers")
    assert found["FL server"].found.startswith("certificate good until")


def test_a_proxy_that_does_not_let_us_through_is_told_without_its_password(kit: Path, hub: str, proxy: Proxy) -> None:
    for service, name in (("trust/trust-api", "HUB_PROXY"), ("fl-client/egress", "EGRESS_PROXY")):
        told(kit, service, f"{name}={proxy.url.replace(WORD, 'a-wrong-word')}\n")
    found = ways(kit)
    for row in (found["hub"], found["FL server"]):
        assert (row.verdict, "407" in row.found) == ("fault", True), row
        assert "a-wrong-word" not in str(row)


def test_what_names_no_proxy_is_a_fault_and_not_shown(kit: Path, hub: str) -> None:
    file = told(kit, "fl-client/egress", f"EGRESS_PROXY=https://site:{WORD}@proxy\n")
    found = ways(kit)
    assert found["proxy"].found.startswith(f"EGRESS_PROXY in {file}: Value error, must be http://HOST:PORT")
    assert WORD not in str(found)
