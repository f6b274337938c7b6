"""The example inventories work, and say what each value is for."""

from pathlib import Path
from typing import Any

import pytest
from ansible_tree import ROLES, ROOT, options, parsed, python

INVENTORIES = sorted((ROOT / "inventories").iterdir())
SPECS = [parsed(role / "meta" / "argument_specs.yml") for role in ROLES]
PLAYS = [play for file in sorted((ROOT / "ansible").glob("site_*.yml")) for play in parsed(file)]
SECRETS = sorted(
    (name, option["type"]) for role in ROLES for name, option in options(role).items() if option.get("no_log")
)
errors = python("flip_preflight", "filter_plugins/flip_variables.py").flip_variable_errors

every_inventory = pytest.mark.parametrize("inventory", INVENTORIES, ids=lambda path: path.name)


def _flip(inventory: Path, group: str = "trust") -> dict[str, Any]:
    """What the first host of the group is given."""
    host = next(iter(parsed(inventory / "hosts.yml")[group]["hosts"]))
    files = [inventory / f"{part}.yml" for part in ("group_vars/all", f"group_vars/{group}", f"host_vars/{host}")]
    content: dict[str, Any] = {}
    for file in filter(Path.exists, files):
        content |= parsed(file)
    return {name: value for name, value in content.items() if name.startswith("flip_")}


def _templates(value: object) -> bool:
    """Whether Ansible makes the value when it runs; the preflight looks at its type then."""
    return isinstance(value, str) and value.startswith("{{")


def test_the_examples_are_there() -> None:
    assert {"example.dgx", "example.hub", "example.tre", "local"} <= {path.name for path in INVENTORIES}


@every_inventory
def test_hosts_are_in_the_groups_the_playbooks_name(inventory: Path) -> None:
    groups = parsed(inventory / "hosts.yml")
    assert groups.keys() <= {play["hosts"] for play in PLAYS}
    assert all(group["hosts"] for group in groups.values())


@every_inventory
def test_variables_are_known_and_of_their_type(inventory: Path) -> None:
    for group in parsed(inventory / "hosts.yml"):
        given = {name: value for name, value in _flip(inventory, group).items() if not _templates(value)}
        assert errors(given, SPECS) == []


@every_inventory
def test_what_is_required_is_there(inventory: Path) -> None:
    for group in parsed(inventory / "hosts.yml"):
        (play,) = [play for play in PLAYS if play["hosts"] == group]
        by_the_playbook = set(play.get("vars", {})).union(*(role.get("vars", {}) for role in play["roles"]))
        used = {role["role"] for role in play["roles"] if "when" not in role}
        required = {
            name
            for role in ROLES
            if role.name in used
            for name, option in options(role).items()
            if f"Required for a {group}." in option["description"] or "Required." in option["description"]
        }
        assert required
        assert required - by_the_playbook <= _flip(inventory, group).keys()


@every_inventory
def test_every_group_of_values_has_a_comment(inventory: Path) -> None:
    for file in inventory.glob("*_vars/*.yml"):
        for paragraph in file.read_text(encoding="utf-8").split("\n\n"):
            assert paragraph.removeprefix("---\n").startswith("# "), f"{file}: {paragraph}"


def test_a_mistyped_name_is_refused_with_the_one_that_was_meant() -> None:
    assert errors({"flip_docker_log_max_sise": "1m"}, SPECS) == [
        "flip_docker_log_max_sise: no role has this variable; did you mean flip_docker_log_max_size?"
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flip_firewall_ssh_from", "10.0.0.0/8"),
        ("flip_docker_log_max_files", "5"),
        ("flip_docker_log_max_files", True),
        ("flip_preflight_gpu", "yes"),
        ("flip_preflight_gpu_driver", 535),
        ("flip_preflight_disk_gib", [1]),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, value: object) -> None:
    (error,) = errors({name: value}, SPECS)
    assert error.startswith(f"{name}: {value!r} is not of type ")


@pytest.mark.parametrize(("name", "kind"), SECRETS)
def test_a_secret_of_another_type_is_refused_and_not_shown(name: str, kind: str) -> None:
    value = 123456789012 if kind == "str" else "PASSWORD=123456789012"
    assert errors({name: value}, SPECS) == [f"{name}: its value (not shown: a secret) is not of type {kind}"]


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_what_belongs_into_a_vault_is_a_secret(role: Path) -> None:
    for name, option in options(role).items():
        # A path is none: the file behind it may be.
        if "vault" in option["description"] and option["type"] != "path":
            assert option.get("no_log"), f"{name}: say no_log: true in its specification"
