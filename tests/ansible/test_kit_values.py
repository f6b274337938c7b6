"""A kit's env files, written by flipctl, are read back value by value."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from ansible_tree import ROOT, parsed, python

from flip_common.keys import PayloadKey, generate_api_key
from flip_fl.certs import make_net_certificates
from flipctl.kit.model import Contents, Flower, Header

values = python("flip_kit", "filter_plugins/flip_kit.py").values
differences = python("flip_kit", "module_utils/flip_kit_endpoints.py").differences
HUB, FL = "https://hub.example.org/api", "fl.example.org:9092"
ROLE = parsed(ROOT / "ansible" / "roles" / "flip_kit" / "vars" / "main.yml")


def _contents(folder: Path) -> Contents:
    now = datetime.now(UTC)
    ca = make_net_certificates(folder).ca.read_text(encoding="ascii")
    header = Header(
        trust_id=uuid4(),
        trust_name="Trust_1",
        key_id=uuid4(),
        serial=1,
        issued_at=now,
        expires_at=now + timedelta(days=1),
        hub_api_url=HUB,
        recipients=(),
    )
    return Contents.model_validate(
        {
            "header": header,
            "api_key_header": "X-Trust-Api-Key",
            "api_key": generate_api_key(),
            "aes_key_base64": PayloadKey.generate().to_base64(),
            "internal_service_key": generate_api_key(),
            "app_service_key": generate_api_key(),
            "fl": Flower(server_address=FL, ca_pem=ca),
        }
    )


def test_every_value_is_read_back(tmp_path: Path) -> None:
    contents = _contents(tmp_path)
    files = contents.files("SHA256:x")
    found = values(files[name].decode() for name in ROLE["_flip_kit_env_files"])
    assert found["CENTRAL_HUB_API_URL"] == contents.header.hub_api_url
    assert found["AES_KEY_BASE64"] == contents.aes_key_base64.get_secret_value(), "it ends in ="
    assert found["TRUST_APP_SERVICE_KEY"] == contents.app_service_key.get_secret_value()
    assert sorted(found) == sorted(ROLE["_flip_kit_placeholders"]), "a dry run knows every name"


def test_the_role_reads_every_file_of_a_kit(tmp_path: Path) -> None:
    read = {*ROLE["_flip_kit_env_files"], *ROLE["_flip_kit_certificates"], "kit.json", "hub-ca.pem"}
    assert read == {*_contents(tmp_path).files("SHA256:x"), "hub-ca.pem"}


def _differing(folder: Path, hub_url: str, fl_server: str) -> list[str]:
    for name, content in _contents(folder).files("SHA256:x").items():
        (folder / name).write_bytes(content)
    found: list[str] = differences(folder, {"hub_url": hub_url, "fl_server": fl_server})
    return found


@pytest.mark.parametrize("hub", [HUB, f"{HUB}/", "https://HUB.example.org:443/api", ""])
@pytest.mark.parametrize("fl", [FL, FL.upper(), ""])
def test_a_kit_of_the_inventorys_hub_is_taken_however_it_is_spelt(tmp_path: Path, hub: str, fl: str) -> None:
    assert _differing(tmp_path, hub, fl) == []


@pytest.mark.parametrize(
    ("hub", "fl", "variable", "theirs", "ours"),
    [
        ("https://hub.example.com/api", FL, "flip_preflight_hub_url", "https://hub.example.com/api", HUB),
        ("https://hub.example.org:8443/api", FL, "flip_preflight_hub_url", "https://hub.example.org:8443/api", HUB),
        ("https://hub.example.org/flip/api", FL, "flip_preflight_hub_url", "https://hub.example.org/flip/api", HUB),
        (HUB, "fl.example.org:443", "flip_preflight_fl_server", "fl.example.org:443", FL),
        (HUB, "hub.example.org:9092", "flip_preflight_fl_server", "hub.example.org:9092", FL),
    ],
)
def test_a_kit_of_another_hub_is_told_with_both_names(
    tmp_path: Path, hub: str, fl: str, variable: str, theirs: str, ours: str
) -> None:
    (told,) = _differing(tmp_path, hub, fl)
    assert f"{theirs} in the inventory ({variable})" in told
    assert f"{ours} in the kit" in told


def test_both_endpoints_are_told_at_once(tmp_path: Path) -> None:
    assert len(_differing(tmp_path, "https://other.example/api", "other.example:9092")) == 2
