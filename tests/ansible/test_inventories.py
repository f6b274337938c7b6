"""The example inventories work, and say what each value is for."""

from pathlib import Path
from typing import Any

import pytest
from ansible_tree import ROLES, ROOT, options, parsed, python

INVENTORIES = sorted((ROOT / "inventories").iterdir())
SPECS = [parsed(role / "meta" / "argument_specs.yml") for role in ROLES]
errors = python("flip_preflight", "filter_plugins/flip_variables.py").flip_variable_errors

every_inventory = pytest.mark.parametrize("inventory", INVENTORIES, ids=lambda path: path.name)


def _flip(inventory: Path) -> dict[str, Any]:
    content = parsed(inventory / "group_vars" / "trust.yml")
    return {name: value for name, value in content.items() if name.startswith("flip_")}


def test_the_examples_are_there() -> None:
    assert {"example.dgx", "example.tre"} <= {path.name for path in INVENTORIES}


@every_inventory
def test_hosts_are_in_the_group_the_playbook_names(inventory: Path) -> None:
    hosts = parsed(inventory / "hosts.yml")
    play = parsed(ROOT / "ansible" / "site_local_trust.yml")[0]
    assert list(hosts) == [play["hosts"]]
    assert hosts[play["hosts"]]["hosts"]


@every_inventory
def test_variables_are_known_and_of_their_type(inventory: Path) -> None:
    assert errors(_flip(inventory), SPECS) == []


@every_inventory
def test_what_is_required_is_there(inventory: Path) -> None:
    derived = "flip_firewall_endpoints"  # by the playbook
    required = {
        name
        for role in ROLES
        for name, option in options(role).items()
        if "Required." in option["description"] and name != derived
    }
    assert required
    assert required <= _flip(inventory).keys()


@every_inventory
def test_every_group_of_values_has_a_comment(inventory: Path) -> None:
    paragraphs = (inventory / "group_vars" / "trust.yml").read_text(encoding="utf-8").split("\n\n")
    for paragraph in paragraphs:
        assert paragraph.removeprefix("---\n").startswith("# "), paragraph


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
