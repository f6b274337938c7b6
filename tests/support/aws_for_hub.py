"""AWS's stand-in as a process, and the environment in which OpenTofu and flipctl take it for AWS."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
# Where plugins are looked for before the registry; the first place is the CLI's own for a user's mirror.
MIRRORS = ("~/.terraform.d/plugins", "~/.local/share/terraform/plugins", "/usr/share/terraform/plugins", "/opt/*")


@contextmanager
def stand_in() -> Iterator[str]:
    """The address of a stand-in that ends with the block; a process of its own, for its mends are for no other test."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true", "MOTO_ACM_VALIDATION_WAIT": "0"}
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


def environment(address: str, folder: Path) -> dict[str, str]:
    """The environment in which stacks run as they are against the stand-in; nothing leaves the machine but a registry's
    download where no mirror is found. A file is written into `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
    env = kept | {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "not-to-be-printed",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "HTTP_PROXY": address,  # bucket.127.0.0.1 is no name: the stand-in takes it as a proxy's request
        "NO_PROXY": "127.0.0.1,localhost",
        "TF_CLI_ARGS_apply": "-parallelism=30",  # most of an apply is the provider's own waiting
    }
    if mirror := _mirror():
        rc = folder / "cli.tfrc"
        rc.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n')
        # A closed port: an endpoint of the real AWS that was forgotten is refused here.
        env |= {"TF_CLI_CONFIG_FILE": str(rc), "HTTPS_PROXY": "http://127.0.0.1:9"}
    return env


def _mirror() -> Path | None:
    """A folder with the AWS provider in the layout of a mirror: FLIP_TOFU_PLUGINS, or one of the usual places."""
    named = os.environ.get("FLIP_TOFU_PLUGINS")
    places = [Path(named)] if named else []
    for place in () if named else MIRRORS:
        path = Path(place).expanduser()
        places += sorted(path.parent.glob(path.name))
    return next((place for place in places if [*place.glob("*/hashicorp/aws")]), None)
