"""`flipctl hub` as an engineer starts it, against AWS's stand-in."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
from cryptography.hazmat.primitives.serialization import Encoding

from flip_fl.certs import Authority
from flipctl.hub.tofu import program

EXAMPLES = Path(__file__).resolve().parents[2] / "infra/tofu/stacks"
FLIPCTL = (sys.executable, "-c", "from flipctl.cli import main; main()")


class HubVerbs:
    """The verbs for the environment stag in a folder, each a process; `values` is the file for each stack."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder, self.env = folder, env
        self.values = {stack: EXAMPLES / stack / "example.tfvars" for stack in ("bootstrap", "hub")}

    def start(self, verb: str, *options: str, values: Path | None = None) -> subprocess.Popen[str]:
        """Starts a verb, in a process group of its own."""
        stack = "bootstrap" if "bootstrap" in (verb, *options) else "hub"
        values = values or self.values[stack]
        arguments = ["hub", verb, "stag", "--values", str(values), "--folder", str(self.folder), *options]
        return subprocess.Popen(
            [*FLIPCTL, *arguments],
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def interrupt(self, started: subprocess.Popen[str]) -> None:
        """Ctrl-C, and again: the first lets an apply go on to its end."""
        assert started.poll() is None, started.communicate()
        os.killpg(started.pid, signal.SIGINT)
        time.sleep(1)
        os.killpg(started.pid, signal.SIGINT)
        _, err = started.communicate()
        assert "this goes on to its end" in err

    def fails(self, verb: str, *options: str, values: Path | None = None) -> str:
        """What a verb says that fails and prints nothing else; lines are joined."""
        out, err = self.start(verb, "--json", *options, values=values).communicate()
        assert not out
        assert "error: " in err, err
        return " ".join(err.split())

    def __call__(self, verb: str, *options: str, values: Path | None = None) -> Any:
        """The document that a verb prints."""
        out, err = self.start(verb, "--json", *options, values=values).communicate()
        assert out, err
        assert "not-to-be-printed" not in out + err
        return json.loads(out)

    def stack(self, name: str) -> Path:
        """The working copy of a stack."""
        return self.folder / "stag/tofu/stacks" / name

    def tofu(self, stack: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The program itself, in the working copy of a stack."""
        return subprocess.run(
            [program(), *arguments], cwd=self.stack(stack), env=self.env, capture_output=True, text=True, check=False
        )


class Hub:
    """A hub on the stand-in: its verbs, its values as text, and what the apply said."""

    def __init__(self, verbs: HubVerbs, text: str) -> None:
        self.verbs, self.env, self.text = verbs, verbs.env, text
        self.applied: dict[str, Any] = {}

    def with_values(self, *changes: tuple[str, str]) -> None:
        """Writes the values with these texts replaced."""
        text = self.text
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        self.verbs.values["hub"].write_text(text)

    @property
    def outputs(self) -> dict[str, Any]:
        """Outputs of the stack."""
        outputs: dict[str, Any] = self.applied["outputs"]
        return outputs


def client(service: str, env: dict[str, str], region: str = "eu-west-2") -> Any:
    """A client of the stand-in."""
    return boto3.client(
        service,
        endpoint_url=env["AWS_ENDPOINT_URL"],
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def trial_values(folder: Path, env: dict[str, str]) -> Path:
    """The example's values for a hub that may be destroyed, and in the stand-in what they take for there: the zone.

    RDS's authority is replaced by one of our own: nothing here speaks TLS to a database.
    """
    zone = client("route53", env)
    if not zone.list_hosted_zones_by_name(DNSName="example.org")["HostedZones"]:
        zone.create_hosted_zone(Name="example.org", CallerReference="trial")
    authority = folder / "rds-ca.pem"
    authority.write_bytes(Authority.make(days=1).certificate.public_bytes(Encoding.PEM))
    text = (EXAMPLES / "hub/example.tfvars").read_text()
    assert '"eu-west-2-bundle.pem"' in text
    values = folder / "hub.tfvars"
    values.write_text(text.replace('"eu-west-2-bundle.pem"', json.dumps(str(authority))) + "\ndisposable = true\n")
    return values


# What the example's values become for a hub that is to stay up; docs/hub-aws-deploy.md says it in words.
PROD = (
    ('nat   = "one"', 'nat   = "per_zone"'),
    ("db.t4g.medium", "db.m7g.large"),
    ("multi_az       = false", "multi_az       = true"),
    ("hub = { min = 1, max = 2 }", ""),
)
