"""Preflight knows a kit that cannot be the trust's before anything is changed."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from ansible_tree import python
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flipctl.kit import signature

checks = python("flip_preflight", "module_utils/flip_checks.py")
kit_file = python("flip_preflight", "filter_plugins/flip_kit_file.py")
HUB = "https://hub.example.org/api"


class Kit:
    """A kit file as flipctl writes it, but for what is sealed."""

    def __init__(self, **other: Any) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.by = signature.fingerprint(self.key.public_key().public_bytes_raw())
        now = datetime.now(UTC)
        self.header = {
            "format": 1,
            "trust_name": "Trust_1",
            "key_id": str(uuid4()),
            "serial": 3,
            "expires_at": (now + timedelta(days=7)).isoformat().replace("+00:00", "Z"),
            "hub_api_url": HUB,
        } | other
        self.text = self.signed(f"FLIP-KIT\n{json.dumps(self.header)}\nsealed\n")

    def signed(self, body: str) -> str:
        return body + signature.sign(self.key, body.encode()).decode()

    def read(self, text: str = "", trust: str = "Trust_1", hub: str = HUB) -> dict[str, Any]:
        said: dict[str, Any] = kit_file.flip_kit_header(text or self.text, trust, self.by, hub)
        return said


def test_a_kit_that_may_be_opened(tmp_path: Path) -> None:
    kit = Kit()
    assert kit.read()["problem"] == ""
    assert kit.read(hub="https://HUB.example.org:443/api/")["problem"] == "", "the same address, spelt otherwise"
    row = checks.kit("a.flipkit", kit.read(), tmp_path / "none")
    assert row["ok"]
    assert row["found"].startswith("Trust_1, serial 3, to be opened until 20")


def test_what_openssh_signs_is_read_the_same(tmp_path: Path) -> None:
    (tmp_path / "body").write_text(f"FLIP-KIT\n{json.dumps(Kit().header)}\nsealed\n")
    for command in (["-t", "ed25519", "-N", "", "-f", "key"], ["-Y", "sign", "-f", "key", "-n", "flip-kit", "body"]):
        subprocess.run(["ssh-keygen", "-q", *command], cwd=tmp_path, check=True)
    listed = subprocess.run(["ssh-keygen", "-lf", "key"], cwd=tmp_path, capture_output=True, text=True, check=True)
    text = (tmp_path / "body").read_text() + (tmp_path / "body.sig").read_text()
    assert kit_file.signer(text) == listed.stdout.split()[1]


@pytest.mark.parametrize("place", [3, 30, -200, -40])
def test_one_that_was_altered(place: int) -> None:
    kit = Kit()
    other = "B" if kit.text[place] != "B" else "C"
    text = kit.text[:place] + other + kit.text[place:][1:]
    assert kit.read(text)["problem"].endswith("fetch it again")


def test_one_that_is_cut_off_or_no_kit() -> None:
    kit = Kit()
    for text in (kit.text[:-60], kit.text[:80], "FLIP-KIT\n", "PK...", kit.signed("FLIP-KIT\n[]\nsealed\n")):
        assert kit.read(text)["problem"].endswith("fetch it again"), text


def test_one_of_another_key_trust_or_hub() -> None:
    kit, strange = Kit(), Kit()
    assert kit.read(strange.text)["problem"] == (
        f"signed by {strange.by}, and flip_kit_signed_by is {kit.by}: ask the hub which is right"
    )
    assert kit.read(trust="Trust_2")["problem"] == "made for Trust_1, and flip_kit_trust is Trust_2"
    assert "of the hub https://hub.example.org/api, and" in kit.read(hub="https://other.example.org/api")["problem"]
    row = checks.kit("a.flipkit", kit.read(trust=""))
    assert (row["ok"], row["found"]) == (False, "a.flipkit: made for Trust_1, and flip_kit_trust is empty")


def test_one_that_has_expired_will_do_where_it_was_opened(tmp_path: Path) -> None:
    kit = Kit(expires_at="2025-01-01T00:00:00Z")
    opened = tmp_path / "kit.json"
    row = checks.kit("a.flipkit", kit.read(), opened)
    assert (row["ok"], "flipctl trust reissue" in row["remedy"]) == (False, True)
    opened.write_text(json.dumps({"header": {"key_id": str(uuid4())}}))
    assert not checks.kit("a.flipkit", kit.read(), opened)["ok"]
    opened.write_text(json.dumps({"header": kit.header}))
    assert checks.kit("a.flipkit", kit.read(), opened)["ok"]
