"""OpenTofu or Terraform, its provider, and AWS's stand-in for the tests of infra/tofu."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hub_verbs import HubVerbs

from flipctl.hub import HubError
from flipctl.hub.tofu import program

ROOT = Path(__file__).resolve().parents[2]
# Where plugins are looked for before the registry; the first place is the CLI's own for a user's mirror.
MIRRORS = ("~/.terraform.d/plugins", "~/.local/share/terraform/plugins", "/usr/share/terraform/plugins", "/opt/*")


def _mirror() -> Path | None:
    """A folder with the AWS provider in the layout of a mirror: FLIP_TOFU_PLUGINS, or one of the usual places."""
    named = os.environ.get("FLIP_TOFU_PLUGINS")
    places = [Path(named)] if named else []
    for place in () if named else MIRRORS:
        path = Path(place).expanduser()
        places += sorted(path.parent.glob(path.name))
    return next((place for place in places if [*place.glob("*/hashicorp/aws")]), None)


@pytest.fixture(scope="session")
def stand_in() -> Iterator[str]:
    """The address of AWS's stand-in; a process of its own, for its mends are for no other test."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"}
    command = [sys.executable, str(ROOT / "tests/support/aws_for_tofu.py"), str(port)]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, "the stand-in ended"
            try:
                httpx.get(f"{address}/moto-api/", trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
def tofu_env(stand_in: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which stacks run as they are against the stand-in; nothing leaves the machine but a registry's
    download where no mirror is found."""
    try:
        program()
    except HubError as error:
        pytest.fail(str(error), pytrace=False)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
    env = kept | {
        "AWS_ENDPOINT_URL": stand_in,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "not-to-be-printed",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "HTTP_PROXY": stand_in,  # bucket.127.0.0.1 is no name: the stand-in takes it as a proxy's request
        "NO_PROXY": "127.0.0.1,localhost",
    }
    if mirror := _mirror():
        rc = tmp_path_factory.mktemp("tofu") / "cli.tfrc"
        rc.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n')
        # A closed port: an endpoint of the real AWS that was forgotten is refused here.
        env |= {"TF_CLI_CONFIG_FILE": str(rc), "HTTPS_PROXY": "http://127.0.0.1:9"}
    return env


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
    for _ in range(3000):
        if state.exists() and "aws_s3_bucket_logging" in state.read_text():
            break
        assert first.poll() is None, first.communicate()
        time.sleep(0.1)
    os.killpg(first.pid, signal.SIGINT)  # as a terminal does on Ctrl-C: the program hears it, too
    first.communicate()
    return hub


@pytest.fixture(scope="session")
def made(hub: HubVerbs) -> Any:
    """What the second run of the bootstrap says."""
    return hub("bootstrap", "--yes")
