"""An upgrade loses nothing: what the release before made is still there, or says where it went.

`releases/VERSION/hub.json` has each address that the release made, and of what holds data the attributes that AWS
cannot change in place. A release is recorded when it is made, and never again:

    FLIP_RECORD=1.2.3 .venv/bin/pytest tests/infra/test_hub_release.py
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hub_verbs import HubVerbs
from typer.testing import CliRunner

from flipctl.cli import app
from flipctl.hub.tofu import HOLDS_DATA

pytestmark = pytest.mark.timeout(1800)  # it may be the first that waits for an apply
RELEASES = Path(__file__).with_name("releases")
TOFU = Path(__file__).resolve().parents[2] / "infra/tofu"
# Another value of these, and what holds data is made anew.
FIXED = (
    "bucket",
    "db_name",
    "encrypted",
    "engine",
    "identifier",
    "kms_key_id",
    "name",
    "storage_encrypted",
    "username",
)
BLOCK = re.compile(r"((?:^ *#.*\n)*)^(moved|removed) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)


def _shape(state: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    def fixed(values: dict[str, Any]) -> dict[str, Any]:
        if values["type"] not in HOLDS_DATA:
            return {}
        kept = {name: values[name] for name in FIXED if values.get(name) not in (None, "")}
        # Keys have other ids in each account.
        return {name: "a key" if name == "kms_key_id" else value for name, value in kept.items()}

    return {address: fixed(values) for address, values in sorted(state.items())}


def _went() -> dict[str, str | None]:
    """New addresses by old ones, from `moved`; None from `removed`, which says why above it."""
    went: dict[str, str | None] = {}
    places = [(path, "") for path in (TOFU / "stacks/hub").glob("*.tf")]
    places += [(path, f"module.{path.parent.name}.") for path in (TOFU / "modules").glob("*/*.tf")]
    for path, module in places:
        for comment, kind, body in BLOCK.findall(path.read_text()):
            ends = dict(re.findall(r"^ *(from|to) *= *(\S+)", body, re.MULTILINE))
            assert kind == "moved" or comment, f"{path}: say above `removed` why {ends['from']} is no more"
            went[module + ends["from"]] = module + ends["to"] if kind == "moved" else None
    return went


def _now(address: str, went: dict[str, str | None]) -> str | None:
    for old, new in went.items():
        if address == old or address.startswith((f"{old}[", f"{old}.")):
            return None if new is None else _now(new + address.removeprefix(old), went)
    return address


def test_what_a_release_made_is_there_or_says_where_it_went(state: dict[str, dict[str, Any]]) -> None:
    shape, went = _shape(state), _went()
    if version := os.environ.get("FLIP_RECORD"):
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), "FLIP_RECORD is the release's version"
        record = RELEASES / version / "hub.json"
        record.parent.mkdir(parents=True)
        lines = (f"  {json.dumps(address)}: {json.dumps(fixed)}" for address, fixed in shape.items())
        record.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    records = sorted(RELEASES.glob("*/hub.json"))
    assert records
    for record in records:
        for address, fixed in json.loads(record.read_text()).items():
            now = _now(address, went)
            if now is None:
                continue
            assert now in shape, f"{record}: {address} would be destroyed; write a `moved` or a `removed` block"
            assert shape[now] == fixed, f"{record}: {address} would be made anew"


def test_an_address_that_moved_twice_is_found() -> None:
    went = {"module.a": "module.b", "module.b.aws_x.one": "module.b.aws_x.two", "aws_y.gone": None}
    assert _now('module.a.aws_x.one["k"]', went) == 'module.b.aws_x.two["k"]'
    assert _now("module.ab.aws_x.one", went) == "module.ab.aws_x.one"
    assert _now("aws_y.gone", went) is None


BEFORE = """
terraform {
  backend "s3" {}
}

variable "environment" {
  type = string
}

resource "terraform_data" "old" {
  for_each = toset(["a", "b"])
  input    = var.environment
}

output "url" {
  value = "https://flip.example.org"
}
"""
AFTER = BEFORE.replace('"old"', '"new"')
MOVED = "\nmoved {\n  from = terraform_data.old\n  to   = terraform_data.new\n}\n"


def test_a_moved_block_keeps_what_a_renaming_would_destroy(
    hub: HubVerbs, made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the verbs, over a state in the bucket: the provider is one that needs no AWS."""
    for name, value in hub.env.items():
        monkeypatch.setenv(name, value)
    sources = tmp_path / "sources"
    (sources / "modules").mkdir(parents=True)
    stack = sources / "stacks/hub"
    stack.mkdir(parents=True)
    (stack / "mv.tfvars").touch()
    monkeypatch.setattr("flipctl.hub.environment.SOURCES", sources)
    place = tmp_path / "work/mv"
    place.mkdir(parents=True)
    (place / "backend.tfbackend").write_bytes((hub.folder / "stag/backend.tfbackend").read_bytes())

    def run(verb: str, text: str, *options: str) -> dict[str, int]:
        (stack / "main.tf").write_text(text)
        done = CliRunner().invoke(app, ["hub", verb, "mv", "--folder", str(place.parent), "--json", *options])
        assert done.exit_code == 0, done.output
        counts: dict[str, int] = json.loads(done.stdout)["counts"]
        return counts

    assert run("apply", BEFORE, "--yes") == {"create": 2}
    assert run("plan", AFTER) == {"create": 2, "delete": 2}
    assert run("plan", AFTER + MOVED) == {}
    assert run("apply", AFTER + MOVED, "--yes") == {}
