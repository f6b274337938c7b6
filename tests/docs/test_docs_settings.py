"""docs/settings.md names every setting of every service with its default, and none that does not exist."""

import ast
import re
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import typer.main

from flip_common.settings import ServiceSettings
from flip_fl.settings import EgressSettings, FlApiSettings, SiteSettings
from flip_hub.settings import HubSettings
from flip_trust.api.settings import TrustApiSettings
from flip_trust.data_access.settings import DataAccessSettings
from flip_trust.doors import DoorSettings
from flip_trust.imaging.settings import ImagingSettings
from flipctl.cli import app
from flipctl.kit.cli import PASSPHRASE_VARIABLE
from flipctl.sign_in import ID_TOKEN_VARIABLE, PASSWORD_VARIABLE, TOKEN_VARIABLE

KIT = {  # what trust-api gets from the kit
    "CENTRAL_HUB_API_URL",
    "TRUST_API_KEY_HEADER",
    "TRUST_API_KEY",
    "AES_KEY_BASE64",
    "EXPECTED_TRUST_ID",
    "TRUST_INTERNAL_SERVICE_KEY",
}
SECTIONS: dict[str, type[ServiceSettings]] = {
    "## Hub": HubSettings,
    "## FL API": FlApiSettings,
    "## trust-api": TrustApiSettings,
    "## data-access-api": DataAccessSettings,
    "## imaging-api": ImagingSettings,
    "## FL client": SiteSettings,
    "## Egress point": EgressSettings,
}
# Its default changes with each release, so the page says it in words.
IN_WORDS: dict[tuple[type[ServiceSettings], str], str] = {(TrustApiSettings, "RELEASE"): "the installed version"}


def _default(settings: type[ServiceSettings], name: str) -> str:
    field = settings.model_fields[name.lower()]
    if (settings, name) in IN_WORDS:
        return IN_WORDS[settings, name]
    if field.is_required():
        return ""
    value: Any = field.get_default(call_default_factory=True)
    if value is None:
        return "unset"
    return f"`{value.value if isinstance(value, Enum) else value}`"


def test_no_service_is_forgotten() -> None:
    assert set(SECTIONS.values()) == {
        settings
        for settings in (*ServiceSettings.__subclasses__(), *DoorSettings.__subclasses__())
        if settings.__module__.startswith("flip_") and settings is not DoorSettings
    }


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_setting_stands_with_its_default(settings_page: Any, heading: str) -> None:
    settings = SECTIONS[heading]
    documented = {row[0].strip("`"): (row[2], row[3]) for row in settings_page.rows(heading)}
    real = {
        name: (_default(settings, name), "yes" if settings.model_fields[name.lower()].is_required() else "no")
        for name in settings.names()
    }
    assert documented == real


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_meaning_is_told(settings_page: Any, heading: str) -> None:
    assert not [row[0] for row in settings_page.rows(heading) if len(row) != 4 or len(row[1]) < 15]


def test_the_class_and_module_of_each_section_are_right(settings_page: Any, root: Path) -> None:
    for heading, settings in SECTIONS.items():
        section = settings_page.section(heading)
        assert f"`{settings.__name__}`" in section
        path = f"services/{settings.__module__.replace('.', '/')}.py"
        assert f"`{path}`" in section
        assert (root / path).is_file()


def test_the_sdk_s_names_stand(settings_page: Any, root: Path) -> None:
    tree = ast.parse((root / "services/flip/src/flip/environment.py").read_text())
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    real = {word for word in words if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", word)}
    assert {row[0].strip("`") for row in settings_page.rows("## SDK")} == real


def test_the_names_flipctl_reads_stand(settings_page: Any) -> None:
    real = {TOKEN_VARIABLE, PASSWORD_VARIABLE, ID_TOKEN_VARIABLE, PASSPHRASE_VARIABLE}
    commands = [typer.main.get_command(app)]
    while commands:
        command = commands.pop()
        commands += getattr(command, "commands", {}).values()
        real |= {str(option.envvar) for option in command.params if option.envvar}
    assert {row[0].strip("`") for row in settings_page.rows("## flipctl")} == real


ENV_FILES: dict[str, type[ServiceSettings]] = {
    "hub.env": HubSettings,
    "fl-api.env": FlApiSettings,
    "data-access.env": DataAccessSettings,
    "imaging.env": ImagingSettings,
    "fl-client.env": SiteSettings,
    "trust-api.env": TrustApiSettings,
}


def _required(settings: type[ServiceSettings]) -> set[str]:
    return {name.upper() for name, field in settings.model_fields.items() if field.is_required()}


@pytest.mark.parametrize("name", ENV_FILES)
def test_example_env_files_are_complete(name: str, root: Path) -> None:
    pages = "\n".join((root / "docs" / page).read_text() for page in ("trust-operator.md", "hub-engineer.md"))
    found = re.findall(rf"^`{re.escape(name)}`[^\n]*(?:\n[^\n]+)?\n\n((?:    [A-Z_]+=.*\n)+)", pages, re.MULTILINE)
    assert len(found) == 1
    given = set(re.findall(r"^    ([A-Z0-9_]+)=", found[0], re.MULTILINE))
    settings = ENV_FILES[name]
    if settings is TrustApiSettings:
        given |= KIT
    assert given <= set(settings.names())
    assert _required(settings) <= given


def test_the_kit_is_what_the_page_says(root: Path) -> None:
    source = (root / "services/flipctl/kit/model.py").read_text()
    assert {name for name in KIT if f'"{name}":' in source} == KIT
    page = (root / "docs/trust-operator.md").read_text()
    assert {name for name in KIT if f"`{name}`" in page} == KIT


def test_names_used_in_other_pages_exist(every_page: Any, settings_page: Any) -> None:
    known = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", settings_page.text))
    known |= {"PIP_EXTRA_INDEX_URL", "KEEP", "DEMO_ARGS", "SUPERNODE_NAME", "DEV_OUTPUT_DIR"}
    known |= {"TRUST_API_KEYS", "TRUST_API_KEY_HASHES", "TRUST_AES_KEYS"}  # of `flipctl keys generate`
    env_lines = set(re.findall(r"^ *([A-Z][A-Z0-9]*_[A-Z0-9_]+)=", every_page.code, re.MULTILINE))
    assert env_lines <= known, f"{every_page.path.name}: no such settings: {sorted(env_lines - known)}"
