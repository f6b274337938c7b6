"""`flipctl hub bootstrap` against AWS's stand-in: from nothing, through locks and interruptions, to drift."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import pytest

from flipctl.hub.tofu import program

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "infra/tofu/stacks/bootstrap/example.tfvars"
BUCKET = "flip-stag-state-123456789012"
FLIPCTL = (sys.executable, "-c", "from flipctl.cli import main; main()")


class Hub:
    """The verbs in a folder, each a process as an engineer starts it."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder, self.env = folder, env
        self.stack = folder / "stag/tofu/stacks/bootstrap"

    def start(self, verb: str, *options: str, values: Path = EXAMPLE) -> subprocess.Popen[str]:
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

    def fails(self, verb: str, *options: str, values: Path = EXAMPLE) -> str:
        out, err = self.start(verb, "--json", *options, values=values).communicate()
        assert not out
        assert "error: " in err, err
        return " ".join(err.split())

    def __call__(self, verb: str, *options: str) -> Any:
        out, err = self.start(verb, "--json", *options).communicate()
        assert out, err
        assert "not-to-be-printed" not in out + err
        return json.loads(out)

    def tofu(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program(), *arguments], cwd=self.stack, env=self.env, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def hub(tofu_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Hub:
    """A bootstrap that Ctrl-C ended while buckets and key were being made."""
    hub = Hub(tmp_path_factory.mktemp("hub"), tofu_env)
    first = hub.start("bootstrap", "--yes")
    state = hub.stack / "local.tfstate"
    for _ in range(3000):
        if state.exists() and "aws_s3_bucket_logging" in state.read_text():
            break
        assert first.poll() is None, first.communicate()
        time.sleep(0.1)
    os.killpg(first.pid, signal.SIGINT)  # as a terminal does on Ctrl-C: the program hears it, too
    first.communicate()
    return hub


@pytest.fixture(scope="module")
def made(hub: Hub) -> Any:
    """What the second run says."""
    return hub("bootstrap", "--yes")


def _client(service: str, env: dict[str, str]) -> Any:
    return boto3.client(
        service,
        endpoint_url=env["AWS_ENDPOINT_URL"],
        region_name="eu-west-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def test_an_interrupted_run_is_gone_on_with(made: Any) -> None:
    assert made["state_moved"]
    assert 0 < len(made["changes"]) < 25
    assert made["outputs"]["backend"]["bucket"] == BUCKET


def test_a_second_run_changes_nothing(hub: Hub, made: Any) -> None:
    again = hub("bootstrap")
    assert (again["changes"], again["state_moved"]) == ([], False)


def test_buckets_are_closed_versioned_and_encrypted(hub: Hub, made: Any) -> None:
    s3 = _client("s3", hub.env)
    for bucket, algorithm in ((BUCKET, "aws:kms"), (BUCKET.replace("state", "state-logs"), "AES256")):
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
        assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == algorithm
        assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
        policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
        policy = [policy] if isinstance(policy, dict) else policy
        assert {"Bool": {"aws:SecureTransport": "false"}} in [statement.get("Condition") for statement in policy]
        assert all(s["Effect"] == "Deny" or s["Principal"] != {"AWS": "*"} for s in policy)
    kms = _client("kms", hub.env)
    assert kms.get_key_rotation_status(KeyId=kms.describe_key(KeyId="alias/flip-stag-state")["KeyMetadata"]["KeyId"])[
        "KeyRotationEnabled"
    ]


def test_ci_is_trusted_by_exact_subject(hub: Hub, made: Any) -> None:
    iam = _client("iam", hub.env)
    subjects = {"plan": "repo:example/flip:pull_request", "apply": "repo:example/flip:environment:stag"}
    for role, subject in subjects.items():
        found = iam.get_role(RoleName=f"flip-stag-ci-{role}")["Role"]
        issuer = "token.actions.githubusercontent.com"
        assert found["AssumeRolePolicyDocument"]["Statement"][0]["Condition"] == {
            "StringEquals": {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": subject}
        }
        assert found["PermissionsBoundary"]["PermissionsBoundaryArn"] == made["outputs"]["ci_boundary_arn"]


def test_the_state_is_in_the_bucket_and_nowhere_else(hub: Hub, made: Any) -> None:
    assert not [*hub.stack.glob("local.tfstate*")]
    state = json.loads(_client("s3", hub.env).get_object(Bucket=BUCKET, Key="bootstrap.tfstate")["Body"].read())
    assert len([entry for entry in state["resources"] if entry["mode"] == "managed"]) > 20


def test_another_machine_finds_the_state_and_drift_which_the_next_run_mends(
    hub: Hub, made: Any, tmp_path: Path
) -> None:
    _client("s3", hub.env).delete_public_access_block(Bucket=BUCKET)
    address = "module.state_backend.aws_s3_bucket_public_access_block.state"
    assert Hub(tmp_path, hub.env)("plan")["changes"] == [{"address": address, "action": "create"}]
    assert hub("bootstrap", "--yes")["counts"] == {"create": 1}


def test_two_at_once_and_a_dead_one_are_told_what_to_do(hub: Hub, made: Any) -> None:
    # `apply` waits for an answer and holds the lock, as somebody's terminal does.
    command = [program(), "apply", "-var=log_days=400"]
    env = hub.env | {"TF_INPUT": "1"}
    holder = subprocess.Popen(
        command, cwd=hub.stack, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert holder.stdout is not None
    while b"Do you want to perform" not in (line := holder.stdout.readline()):
        assert line, "it ended before it asked"
    assert "Another run holds the state" in hub.fails("plan")
    holder.kill()
    holder.communicate()
    told = hub.fails("plan")
    verb, lock = told.split()[-2:]
    assert verb == "force-unlock"
    assert hub.tofu(verb, "-force", lock).returncode == 0
    assert hub("plan")["changes"] == []


def test_destroy_is_refused(hub: Hub, made: Any) -> None:
    done = hub.tofu("destroy", "-auto-approve", "-no-color")
    assert done.returncode
    assert "prevent_destroy" in done.stderr
    assert _client("s3", hub.env).head_bucket(Bucket=BUCKET)


def test_without_a_yes_nothing_is_applied(hub: Hub, made: Any, tmp_path: Path) -> None:
    longer = tmp_path / "longer.tfvars"
    longer.write_text(EXAMPLE.read_text() + "log_days = 400\n")
    out, err = hub.start("bootstrap", values=longer).communicate("n\n")
    assert "stag: 1 to update" in out
    assert "module.state_backend.aws_s3_bucket_lifecycle_configuration.logs" in "".join(out.split())
    assert "Aborted" in err
    out, err = hub.start("plan").communicate()
    assert "nothing would change" in out, err


def test_a_state_left_on_disk_by_a_run_that_died_after_the_move_counts_no_more(hub: Hub, made: Any) -> None:
    left = hub.stack / "local.tfstate"
    older = json.loads(hub.tofu("state", "pull").stdout)
    older["resources"] = older["resources"][:3]
    left.write_text(json.dumps(older))
    assert hub("bootstrap")["changes"] == []
    assert not left.exists()


def test_a_bucket_without_a_state_is_not_taken_over(tofu_env: dict[str, str], tmp_path: Path) -> None:
    """Somebody began on another machine, and has the state there."""
    values = tmp_path / "values.tfvars"
    values.write_text(EXAMPLE.read_text() + 'project = "mine"\n')
    _client("s3", tofu_env).create_bucket(
        Bucket=BUCKET.replace("flip", "mine"), CreateBucketConfiguration={"LocationConstraint": "eu-west-2"}
    )
    assert "exists and holds no state" in Hub(tmp_path, tofu_env).fails("bootstrap", "--yes", values=values)


def test_bad_values_are_refused_before_anything_is_made(tofu_env: dict[str, str], tmp_path: Path) -> None:
    values = tmp_path / "values.tfvars"
    text = EXAMPLE.read_text().replace('"eu-west-2"', '"London"')
    values.write_text(f'{text}project = "FLIP Hub"\n')
    told = Hub(tmp_path, tofu_env).fails("bootstrap", "--yes", values=values)
    assert "write eu-west-2" in told
    assert "write flip" in told


@pytest.mark.parametrize(
    ("environment", "remedy"),
    [("Stag", "lower-case letters"), ("staging-of-london", "2 to 10"), ("nosuch", "example.tfvars")],
)
def test_an_environment_without_name_or_values_is_refused(environment: str, remedy: str, tmp_path: Path) -> None:
    command = [*FLIPCTL, "hub", "bootstrap", environment, "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode
    assert remedy in " ".join(done.stderr.split())
    assert not [*tmp_path.iterdir()]


def test_another_account_is_refused_before_anything_is_made(tofu_env: dict[str, str], tmp_path: Path) -> None:
    values = tmp_path / "values.tfvars"
    values.write_text(EXAMPLE.read_text().replace("123456789012", "210987654321"))
    told = Hub(tmp_path, tofu_env).fails("bootstrap", "--yes", values=values)
    assert "AWS account ID not allowed" in told
