"""OpenTofu or Terraform, its provider, and AWS's stand-in for the tests of infra/tofu."""

import functools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

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
def example_plan(tofu_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """The plan, as JSON, of the example in a module's README; made once."""

    @functools.cache
    def plan(module: str) -> dict[str, Any]:
        tree = tmp_path_factory.mktemp("example")
        shutil.copytree(ROOT / "infra/tofu/modules", tree / "modules")
        stack = tree / "stacks/example"
        stack.mkdir(parents=True)
        readme = (tree / "modules" / module / "README.md").read_text()
        (found,) = re.findall(r"^```hcl\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
        (stack / "main.tf").write_text(found)

        def run(*arguments: str) -> str:
            done = subprocess.run(
                [program(), *arguments], cwd=stack, env=tofu_env, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        run("fmt", "-check")
        run("init", "-no-color")
        run("plan", "-no-color", "-out=plan")
        result: dict[str, Any] = json.loads(run("show", "-json", "plan"))
        return result

    return plan
