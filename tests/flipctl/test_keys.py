"""`flipctl keys generate`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flip_common.keys import PayloadKey, api_key_matches
from flipctl import envfile
from flipctl.keys import app

runner = CliRunner()


@pytest.fixture
def env(tmp_path: Path) -> Path:
    return tmp_path / "hub.env"


def generate(env: Path, *arguments: str) -> str:
    done = runner.invoke(app, ["generate", "--env-file", str(env), *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_keys_and_hashes_belong_together(env: Path) -> None:
    generate(env, "--trust", "Trust_1", "--trust", "Trust_2")
    values = envfile.read(env)
    keys, hashes = json.loads(values["TRUST_API_KEYS"]), json.loads(values["TRUST_API_KEY_HASHES"])
    assert set(keys) == set(hashes) == set(json.loads(values["TRUST_AES_KEYS"])) == {"Trust_1", "Trust_2"}
    assert all(api_key_matches(keys[name], [hashes[name]]) for name in keys)
    assert keys["Trust_1"] != keys["Trust_2"]
    assert api_key_matches(values["INTERNAL_SERVICE_KEY"], [values["INTERNAL_SERVICE_KEY_HASH"]])
    for text in json.loads(values["TRUST_AES_KEYS"]).values():
        PayloadKey.from_base64(text)


def test_a_second_run_keeps_what_is_there_and_adds_what_is_new(env: Path) -> None:
    generate(env, "--trust", "Trust_1")
    before = envfile.read(env)
    report = json.loads(generate(env, "--trust", "Trust_1", "--trust", "Trust_2", "--json"))
    after = envfile.read(env)
    assert json.loads(after["TRUST_API_KEYS"])["Trust_1"] == json.loads(before["TRUST_API_KEYS"])["Trust_1"]
    assert after["INTERNAL_SERVICE_KEY"] == before["INTERNAL_SERVICE_KEY"]
    assert report["made"] == ["Trust_2"]
    assert report["kept"] == ["Trust_1", "INTERNAL_SERVICE_KEY"]


def test_rotate_replaces_the_named_trusts_only(env: Path) -> None:
    generate(env, "--trust", "Trust_1", "--trust", "Trust_2")
    before = json.loads(envfile.read(env)["TRUST_API_KEYS"])
    generate(env, "--trust", "Trust_1", "--rotate")
    after = json.loads(envfile.read(env)["TRUST_API_KEYS"])
    assert after["Trust_1"] != before["Trust_1"]
    assert after["Trust_2"] == before["Trust_2"]


def test_no_secret_is_printed(env: Path) -> None:
    output = generate(env, "--trust", "Trust_1") + generate(env, "--trust", "Trust_1", "--rotate", "--json")
    values = envfile.read(env)
    secrets = [values["INTERNAL_SERVICE_KEY"], *json.loads(values["TRUST_API_KEYS"]).values()]
    assert not any(secret in output for secret in secrets)


@pytest.mark.parametrize("name", ["a b", "../x", ""])
def test_odd_trust_names_are_refused_before_anything_is_written(env: Path, name: str) -> None:
    done = runner.invoke(app, ["generate", "--env-file", str(env), "--trust", name])
    assert done.exit_code == 1
    assert repr(name) in done.output
    assert not env.exists()


def test_a_damaged_file_is_left_alone(env: Path) -> None:
    env.write_text("TRUST_API_KEYS='not json'\n")
    done = runner.invoke(app, ["generate", "--env-file", str(env)])
    assert done.exit_code == 1
    assert env.read_text() == "TRUST_API_KEYS='not json'\n"
