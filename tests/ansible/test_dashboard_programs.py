"""The dashboard host's programs: what certbot is asked, and that nothing but a served certificate ends well."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible_tree import ROOT, python

ROLE = "flip_dashboard"


@pytest.fixture
def certificate(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The program, as it lies on a host beside its module."""
    monkeypatch.syspath_prepend(str(ROOT / "ansible/roles" / ROLE / "files"))
    yield python(ROLE, "files/certificate.py")
    sys.modules.pop("probe", None)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """Settings over a host's folders; the authority has issued a certificate."""
    live = tmp_path / "acme/live/dashboard"
    live.mkdir(parents=True)
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-subj", "/CN=a.test", "-keyout", str(live / "privkey.pem"), "-out", str(live / "fullchain.pem")]
    subprocess.run([*request, *files], check=True, capture_output=True)
    return {
        "domain": "a.test", "port": 443, "email": "ops@a.test", "directory": "https://ca.test/dir", "ca": "",
        "challenge": "dns-01-route53", "challenges": "/challenges", "acme_folder": str(tmp_path / "acme"),
        "program": "/program", "certificate": str(tmp_path / "a.crt"), "key": str(tmp_path / "a.key"),
        "aws_region": "eu-west-2",
    }  # fmt: skip


def test_a_first_certificate_is_asked_for_by_the_challenge(certificate: ModuleType, settings: dict[str, Any]) -> None:
    command = certificate.certbot(settings, False)
    assert command[:2] == ["certbot", "certonly"]
    assert "--dns-route53" in command
    assert command[command.index("--server") + 1] == "https://ca.test/dir"
    other = certificate.certbot({**settings, "challenge": "http-01"}, False)
    assert other[-3:] == ["--webroot", "--webroot-path", "/challenges"]


@pytest.mark.parametrize("name", ["domain", "directory", "challenge", "email"])
def test_what_was_asked_for_is_renewed_and_what_is_new_obtained(
    certificate: ModuleType, settings: dict[str, Any], name: str
) -> None:
    asked = Path(settings["acme_folder"], certificate.ASKED)
    asked.write_text(json.dumps(certificate.asked(settings)), encoding="utf-8")
    assert certificate.certbot(settings, False)[1] == "renew"
    assert "--force-renewal" not in certificate.certbot(settings, False)
    assert certificate.certbot(settings, True)[-1] == "--force-renewal"
    assert certificate.certbot({**settings, name: "other"}, False)[1] == "certonly"


def test_a_private_authority_is_trusted_beside_the_systems(
    certificate: ModuleType, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, root = tmp_path / "bundle", tmp_path / "root.pem"
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    root.write_text("ROOT", encoding="utf-8")
    assert certificate.surroundings(settings, bundle)["AWS_DEFAULT_REGION"] == "eu-west-2"
    assert "REQUESTS_CA_BUNDLE" not in certificate.surroundings(settings, bundle)
    own = certificate.surroundings({**settings, "ca": str(root)}, bundle)
    assert own["REQUESTS_CA_BUNDLE"] == str(bundle)
    assert bundle.read_text(encoding="utf-8").endswith("ROOT")


class Front:
    """nginx and systemctl as the program calls them; serves what it was last reloaded with."""

    def __init__(self, settings: dict[str, Any], refuses: str = "", deaf: bool = False) -> None:
        self.file, self.refuses, self.deaf, self.shows = Path(settings["certificate"]), refuses, deaf, b"before"
        self.called: list[str] = []

    def run(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.called.append(command[0])
        if command[0] == "systemctl" and not self.deaf:
            self.shows = subprocess.run(
                ["openssl", "x509", "-in", str(self.file), "-outform", "DER"], check=True, capture_output=True
            ).stdout
        return subprocess.CompletedProcess(command, int(command[0] == self.refuses), "", "")


def _use(front: Front, certificate: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.run
    monkeypatch.setattr(
        certificate.subprocess, "run", lambda c, **more: real(c, **more) if c[0] == "openssl" else front.run(c, **more)
    )
    monkeypatch.setattr(certificate, "served", lambda _: front.shows)
    monkeypatch.setattr(certificate, "SERVED_SECONDS", 0.1)


def test_it_ends_well_when_the_new_one_is_shown_and_does_no_more_then(
    certificate: ModuleType, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    front = Front(settings)
    _use(front, certificate, monkeypatch)
    certificate.deploy(settings)
    assert front.called == ["nginx", "systemctl"]
    newest = Path(settings["acme_folder"], "live/dashboard/privkey.pem")
    assert Path(settings["key"]).read_bytes() == newest.read_bytes()
    certificate.deploy(settings)
    assert front.called == ["nginx", "systemctl"]


def test_a_server_that_goes_on_with_the_old_one_is_an_error(
    certificate: ModuleType, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(Front(settings, deaf=True), certificate, monkeypatch)
    with pytest.raises(certificate.CertificateError, match="does not reach the server: after a reload it shows"):
        certificate.deploy(settings)


def test_what_nginx_refuses_is_taken_back(
    certificate: ModuleType, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(settings["certificate"]).write_text("before", encoding="utf-8")
    _use(Front(settings, refuses="nginx"), certificate, monkeypatch)
    with pytest.raises(certificate.CertificateError, match="nginx ended with status 1"):
        certificate.deploy(settings)
    assert Path(settings["certificate"]).read_text(encoding="utf-8") == "before"


def test_nothing_obtained_yet_is_said(certificate: ModuleType, settings: dict[str, Any]) -> None:
    with pytest.raises(certificate.CertificateError, match="none was obtained yet"):
        certificate.deploy({**settings, "acme_folder": "/nowhere"})
