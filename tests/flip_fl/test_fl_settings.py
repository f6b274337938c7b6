"""Settings, certificates and the command lines of the FL API and of a site."""

import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from cryptography import x509
from fl_site_parts import env_file, site_environment
from typer.testing import CliRunner

from flip_common.settings import SettingsError
from flip_fl import __main__ as api_command
from flip_fl.certs import make_net_certificates
from flip_fl.flower import site
from flip_fl.settings import FlApiSettings, SiteSettings


@pytest.fixture
def site_env(tmp_path: Path) -> dict[str, str]:
    return site_environment(tmp_path)


def test_certificates_serve_the_names_given(tmp_path: Path) -> None:
    files = make_net_certificates(tmp_path / "c", ["fl.example.org", "10.1.2.3"])
    certificate = x509.load_pem_x509_certificate(files.cert.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "fl.example.org"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "10.1.2.3"]
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    assert {path.name for path in files.ca.parent.iterdir()} == {"ca.crt", "server.crt", "server.key"}
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(files.ca.read_bytes()))
    ssl.create_default_context(cafile=str(files.ca))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SUPERNODE_NAME", "a b"),
        ("FL_SERVER_ADDRESS", "localhost"),
        ("FL_SERVER_CA_FILE", "/nowhere/ca.crt"),
        ("DATA_ACCESS_API_URL", "ftp://x"),
        ("FL_POLL_SECONDS", "60"),
        ("FL_TYPO", "1"),
    ],
)
def test_wrong_site_settings_are_named(tmp_path: Path, site_env: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        SiteSettings.load(env_file(tmp_path / "env", site_env | {name: value}))
    assert name in str(caught.value)


def test_wrong_api_settings_are_named(tmp_path: Path) -> None:
    files = make_net_certificates(tmp_path / "c")
    values = {
        "FL_API_KEY": "short",
        "FL_STATE_DIR": str(tmp_path),
        "FL_SERVER_PORT": "0",
        "FL_SERVER_CERT_FILE": str(files.cert),
        "FL_SERVER_KEY_FILE": str(files.key),
        "FLIP_API_INTERNAL_URL": "hub",
    }
    with pytest.raises(SettingsError) as caught:
        FlApiSettings.load(env_file(tmp_path / "env", values))
    for name in ("FL_API_KEY", "FL_SERVER_PORT", "FLIP_API_INTERNAL_URL", "INTERNAL_SERVICE_KEY"):
        assert name in str(caught.value)
    assert "short" not in str(caught.value)


def test_a_front_without_certificate_is_refused(tmp_path: Path) -> None:
    values = {
        "FL_API_KEY": "flip_0123456789012345678",
        "INTERNAL_SERVICE_KEY": "flip_0123456789012345678",
        "FL_STATE_DIR": str(tmp_path),
        "FL_SERVER_PORT": "9000",
        "FL_SERVER_CERT_FILE": str(tmp_path / "absent.crt"),
        "FL_SERVER_KEY_FILE": str(tmp_path / "absent.key"),
        "FLIP_API_INTERNAL_URL": "http://hub/api/internal",
    }
    with pytest.raises(SettingsError, match=r"FL_SERVER_CERT_FILE: .*absent\.crt is no file"):
        FlApiSettings.load(env_file(tmp_path / "env", values))


def test_commands_explain_themselves(tmp_path: Path, site_env: dict[str, str]) -> None:
    for module in (site, api_command):
        command = [sys.executable, "-m", module.__name__.removesuffix(".__main__"), "--help"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "Example: python -m flip_fl" in done.stdout
    broken = env_file(tmp_path / "env", site_env | {"SUPERNODE_NAME": "a b"})
    command = [sys.executable, "-m", "flip_fl.flower.site", "--env-file", str(broken)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "SUPERNODE_NAME" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_env_file_is_named() -> None:
    app = typer.Typer()
    app.command()(api_command.main)
    result = CliRunner().invoke(app, ["--env-file", "/nowhere/env"])
    assert result.exit_code == 2
    assert "/nowhere/env does not exist" in result.output
