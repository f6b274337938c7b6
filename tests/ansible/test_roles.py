"""Every role has the one skeleton, and what it says of itself agrees with itself."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_tree import ROLES, ROOT, options, parsed

PLAYBOOKS = {file.stem: parsed(file) for file in sorted((ROOT / "ansible").glob("*.yml"))}
SITES = [name for name in PLAYBOOKS if name.startswith("site_")]
INCLUDE = "ansible.builtin.include_role"

every_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def _tasks(role: Path) -> Iterator[dict[str, Any]]:
    """Every task and handler of a role, in blocks too."""
    waiting = [task for file in (*role.glob("tasks/*.yml"), *role.glob("handlers/*.yml")) for task in parsed(file)]
    while waiting:
        task = waiting.pop()
        yield task
        waiting += [inner for part in ("block", "rescue", "always") for inner in task.get(part, [])]


def test_there_are_roles() -> None:
    assert ROLES


@every_role
def test_a_role_has_the_skeleton(role: Path) -> None:
    assert role.name.startswith("flip_")
    for file in ("README.md", "tasks/main.yml", "defaults/main.yml", "meta/argument_specs.yml"):
        assert (role / file).is_file(), f"{role.name} has no {file}"


@every_role
def test_defaults_and_specification_agree(role: Path) -> None:
    defaults = parsed(role / "defaults" / "main.yml")
    assert {name: option["default"] for name, option in options(role).items()} == defaults


@every_role
def test_variables_carry_the_roles_name_a_type_and_a_description(role: Path) -> None:
    for name, option in options(role).items():
        assert name.startswith(f"{role.name}_")
        assert option["type"], name
        assert option["description"].endswith("."), name


@every_role
def test_the_readme_explains_every_variable(role: Path) -> None:
    text = (role / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(flip_\w+)` \| .+ \| .+ \|$", text, re.MULTILINE)
    assert sorted(rows) == sorted(options(role))


@every_role
def test_the_readmes_example_uses_the_role(role: Path) -> None:
    text = (role / "README.md").read_text(encoding="utf-8")
    example = yaml.safe_load(re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0])
    used = example[0]["roles"][0]
    assert used.pop("role") == role.name
    assert used.keys() <= options(role).keys()


@every_role
def test_what_is_notified_is_a_handler(role: Path) -> None:
    handlers = role / "handlers" / "main.yml"
    names = {handler["name"] for handler in parsed(handlers)} if handlers.exists() else set()
    assert {task["notify"] for task in _tasks(role) if "notify" in task} == names


@every_role
def test_nothing_waits_for_a_time(role: Path) -> None:
    for task in _tasks(role):
        assert not {"pause", "ansible.builtin.pause"} & task.keys(), task["name"]
        assert "sleep" not in str(task.get("ansible.builtin.command", "")), task["name"]


@every_role
def test_a_role_has_a_scenario_of_few_lines(role: Path) -> None:
    scenario = role / "molecule" / "default"
    assert (scenario / "converge.yml").is_file()
    assert list(scenario.glob("tests/test_*.py"))
    for file in role.glob("molecule/*/molecule.yml"):
        own = parsed(file)
        assert own.keys() <= {"platforms", "provisioner"}, "what scenarios share stands in ansible/molecule/base.yml"
        assert own.get("provisioner", {}).keys() <= {"inventory"}


def test_every_role_is_used_by_a_playbook_or_another_role() -> None:
    listed = {role["role"] for plays in PLAYBOOKS.values() for play in plays for role in play.get("roles", [])}
    included = {task[INCLUDE]["name"] for role in ROLES for task in _tasks(role) if INCLUDE in task}
    assert listed | included == {role.name for role in ROLES}


@pytest.mark.parametrize("name", SITES)
def test_a_site_playbook_looks_first_and_tags_each_role(name: str) -> None:
    used = {role["role"]: role["tags"] for play in PLAYBOOKS[name] for role in play["roles"]}
    assert next(iter(used)) == "flip_preflight", "it looks before anything is touched"
    for role, tags in used.items():
        assert role.removeprefix("flip_").replace("_", "-") in tags
