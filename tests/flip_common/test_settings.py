"""Settings: unknown or malformed values are refused by name, secrets are never shown."""

from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field, SecretStr

from flip_common.logs import redact
from flip_common.settings import ServiceSettings, SettingsError


class Example(ServiceSettings):
    reserved_prefixes: ClassVar[tuple[str, ...]] = ("EXAMPLE_",)

    example_count: int = Field(default=3, ge=1)
    example_secret: SecretStr
    trust_api_key: SecretStr = SecretStr("unset-in-this-test")
    example_keys: dict[str, SecretStr] = Field(default_factory=dict)
    poll_interval_seconds: float = 5


def test_values_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_SECRET", "s3cret-s3cret")
    monkeypatch.setenv("EXAMPLE_COUNT", "7")
    settings = Example.load()
    assert settings.example_count == 7
    assert settings.example_secret.get_secret_value() == "s3cret-s3cret"
    assert "s3cret-s3cret" not in redact("x s3cret-s3cret y")


def test_secrets_in_a_map_never_reach_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_SECRET", "s3cret-s3cret")
    monkeypatch.setenv("EXAMPLE_KEYS", '{"A": "mapped-s3cret-a", "B": "mapped-s3cret-b"}')
    Example.load()
    assert "mapped" not in redact("x mapped-s3cret-a mapped-s3cret-b y")


def test_every_problem_is_told_at_once_and_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_COUNT", "many")
    monkeypatch.setenv("EXAMPLE_CUONT", "1")
    with pytest.raises(SettingsError) as error:
        Example.load()
    text = str(error.value)
    assert "EXAMPLE_COUNT: " in text
    assert "EXAMPLE_CUONT: unknown setting; did you mean EXAMPLE_COUNT?" in text
    assert "EXAMPLE_SECRET: not set" in text


@pytest.mark.parametrize("name", ["EXAMPLE_OTHER", "POLL_INTERVAL_SECOND", "POLL_INTERVALL_SECONDS"])
def test_unknown_names_in_the_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("EXAMPLE_SECRET", "s3cret-s3cret")
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=name):
        Example.load()


def test_a_neighbours_setting_is_no_misspelling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_SECRET", "s3cret-s3cret")
    monkeypatch.setenv("TRUST_API_KEYS", "{}")
    assert Example.load().example_count == 3


def test_unknown_names_in_the_env_file(tmp_path: Path) -> None:
    env = tmp_path / "service.env"
    env.write_text("EXAMPLE_SECRET=s3cret-s3cret\nSOMETHING_ELSE=1\n")
    with pytest.raises(SettingsError, match="SOMETHING_ELSE"):
        Example.load(env)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("a${HOME}b-s3cret", "a${HOME}b-s3cret"),
        ("a$HOME-s3cret", "a$HOME-s3cret"),
        ('"quoted ${HOME:-x} s3cret"', "quoted ${HOME:-x} s3cret"),
        ("'single # ${HOME} s3cret'", "single # ${HOME} s3cret"),
        ("s3cret#with-a-sharp", "s3cret#with-a-sharp"),
        ("s3cret-before # a comment", "s3cret-before"),
    ],
)
def test_values_in_the_env_file_are_taken_as_they_stand(tmp_path: Path, line: str, value: str) -> None:
    env = tmp_path / "service.env"
    env.write_text(f"EXAMPLE_SECRET={line}\n")
    assert Example.load(env).example_secret.get_secret_value() == value


def test_the_environment_wins_over_the_env_file_and_empty_means_not_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = tmp_path / "service.env"
    env.write_text('EXAMPLE_SECRET=s3cret-s3cret\nEXAMPLE_COUNT=\nPOLL_INTERVAL_SECONDS=7\nEXAMPLE_KEYS={"A": "x"}\n')
    monkeypatch.setenv("POLL_INTERVAL_SECONDS", "9")
    settings = Example.load(env)
    assert (settings.example_count, settings.poll_interval_seconds) == (3, 9)
    assert settings.example_keys["A"].get_secret_value() == "x"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"EXAMPLE_SECRET=s3cret-s3cret\nEXAMPLE_COUNT\n", "'EXAMPLE_COUNT' has no value"),
        (b"EXAMPLE_COUNT=1\nEXAMPLE_SECRET='s3cret-s3cret\n", "line 2: cannot be read"),
        (b"EXAMPLE_SECRET=\xff\xfe\n", "not UTF-8"),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_without_its_value(tmp_path: Path, content: bytes, told: str) -> None:
    env = tmp_path / "service.env"
    env.write_bytes(content)
    with pytest.raises(SettingsError, match=told) as error:
        Example.load(env)
    assert "s3cret" not in str(error.value)


def test_malformed_json_is_refused_by_name_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_SECRET", "s3cret-s3cret")
    monkeypatch.setenv("EXAMPLE_KEYS", '{"A": "s3cret-a"')
    with pytest.raises(SettingsError, match=r"^EXAMPLE_KEYS: is no valid JSON") as error:
        Example.load()
    assert "s3cret" not in str(error.value)


def test_missing_env_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.env does not exist"):
        Example.load(tmp_path / "nowhere.env")


def test_values_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_SECRET", "s3cret-s3cret")
    monkeypatch.setenv("EXAMPLE_COUNT", "hunter2-hunter2")
    with pytest.raises(SettingsError) as error:
        Example.load()
    assert "hunter2" not in str(error.value)


def test_names_are_as_in_the_environment() -> None:
    assert Example.names() == [
        "EXAMPLE_COUNT",
        "EXAMPLE_KEYS",
        "EXAMPLE_SECRET",
        "POLL_INTERVAL_SECONDS",
        "TRUST_API_KEY",
    ]
