"""OpenTofu or Terraform, its provider, and AWS's stand-in for the tests of infra/tofu."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_for_hub import environment, stand_in
from hub_verbs import Hub, HubVerbs, client, trial_values
from tofu_plans import applied

from flipctl.hub import HubError
from flipctl.hub.tofu import program

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def tofu_env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which stacks run as they are against a stand-in of this run."""
    try:
        program()
    except HubError as error:
        pytest.fail(str(error), pytrace=False)
    with stand_in() as address:
        yield environment(address, tmp_path_factory.mktemp("tofu"))


@pytest.fixture(scope="session")
def example_plans(tofu_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The plan, as JSON, of the example in each module's README.

    All are planned as one configuration, since the start of a provider takes longer than a plan: the examples' provider
    blocks, which are alike, stand in it once.
    """
    tree = tmp_path_factory.mktemp("examples")
    shutil.copytree(ROOT / "infra/tofu/modules", tree / "modules")
    stack = tree / "stacks/examples"
    stack.mkdir(parents=True)
    names = sorted(path.name for path in (tree / "modules").iterdir())
    providers = {}
    for name in names:
        readme = (tree / "modules" / name / "README.md").read_text()
        (example,) = re.findall(r"^```hcl\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
        blocks = re.findall(r"^provider .*?^}\n", example, re.MULTILINE | re.DOTALL)
        providers |= dict.fromkeys(blocks, name)
        for block in blocks:
            example = example.replace(block, "").lstrip("\n")
        (stack / f"{name}.tf").write_text(example)
    assert len(providers) <= 2, f"examples differ in their providers: {providers}"
    (stack / "providers.tf").write_text("\n".join(providers))

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [program(), *arguments], cwd=stack, env=tofu_env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("fmt", "-check")
    run("init", "-no-color")
    run("plan", "-no-color", "-out=plan")
    whole = json.loads(run("show", "-json", "plan"))
    changes = whole.pop("resource_changes")
    return {
        name: whole
        | {"resource_changes": [entry for entry in changes if entry["address"].startswith(f"module.{name}.")]}
        for name in names
    }


@pytest.fixture(scope="session")
def example_plan(example_plans: dict[str, dict[str, Any]]) -> Callable[[str], dict[str, Any]]:
    """The plan of one module's example."""
    return example_plans.__getitem__


@pytest.fixture(scope="session")
def hub(tofu_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> HubVerbs:
    """A bootstrap that Ctrl-C ended while buckets and key were being made."""
    hub = HubVerbs(tmp_path_factory.mktemp("hub"), tofu_env)
    first = hub.start("bootstrap", "--yes")
    state = hub.stack("bootstrap") / "local.tfstate"
    for _ in range(6000):
        if state.exists() and "aws_s3_bucket_logging" in state.read_text():
            break
        assert first.poll() is None, first.communicate()
        time.sleep(0.1)
    hub.interrupt(first)
    return hub


@pytest.fixture(scope="session")
def made(hub: HubVerbs) -> Any:
    """What the second run of the bootstrap says."""
    return hub("bootstrap", "--yes")


@pytest.fixture(scope="session")
def stack(hub: HubVerbs, made: Any, tmp_path_factory: pytest.TempPathFactory) -> Hub:
    """Applied by two runs: Ctrl-C ended the first while the database was being made."""
    values = trial_values(tmp_path_factory.mktemp("values"), hub.env)
    hub.values["hub"] = values
    first = hub.start("apply", "--yes")
    for _ in range(2400):
        if client("rds", hub.env).describe_db_instances()["DBInstances"]:
            break
        assert first.poll() is None, first.communicate()
        time.sleep(0.25)
    time.sleep(20)  # what is made beside it has been, or waits for it
    hub.interrupt(first)
    found = Hub(hub, values.read_text())
    found.applied = hub("apply", "--yes")
    return found


@pytest.fixture
def unchanged(stack: Hub) -> Iterator[Hub]:
    """The hub; the values are as before afterwards."""
    yield stack
    stack.with_values()


@pytest.fixture(scope="session")
def shown(stack: Hub) -> dict[str, Any]:
    """What was made, as `show -json` says it, with all values known."""
    document: dict[str, Any] = json.loads(stack.verbs.tofu("hub", "show", "-json").stdout)
    return document


@pytest.fixture(scope="session")
def state(shown: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The same, by address."""
    return applied(shown)
