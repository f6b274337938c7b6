"""`flipctl hub bootstrap` against AWS's stand-in: from nothing, through locks and interruptions, to drift."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hub_verbs import EXAMPLES, FLIPCTL, HubVerbs, client

from flipctl.hub.tofu import program

pytestmark = pytest.mark.timeout(1800)  # the first test waits for an apply, beside whatever else the machine does
EXAMPLE = EXAMPLES / "bootstrap/example.tfvars"
BUCKET = "flip-stag-state-123456789012"


def test_an_interrupted_run_is_gone_on_with(made: Any) -> None:
    assert made["state_moved"]
    assert 0 < len(made["changes"]) < 25
    assert made["outputs"]["backend"]["bucket"] == BUCKET


def test_a_second_run_changes_nothing(hub: HubVerbs, made: Any) -> None:
    again = hub("bootstrap")
    assert (again["changes"], again["state_moved"]) == ([], False)


def test_buckets_are_closed_versioned_and_encrypted(hub: HubVerbs, made: Any) -> None:
    s3 = client("s3", hub.env)
    for bucket, algorithm in ((BUCKET, "aws:kms"), (BUCKET.replace("state", "state-logs"), "AES256")):
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
        assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == algorithm
        assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
        policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
        policy = [policy] if isinstance(policy, dict) else policy
        assert {"Bool": {"aws:SecureTransport": "false"}} in [statement.get("Condition") for statement in policy]
        assert all(s["Effect"] == "Deny" or s["Principal"] != {"AWS": "*"} for s in policy)
    kms = client("kms", hub.env)
    assert kms.get_key_rotation_status(KeyId=kms.describe_key(KeyId="alias/flip-stag-state")["KeyMetadata"]["KeyId"])[
        "KeyRotationEnabled"
    ]


def test_ci_is_trusted_by_exact_subject(hub: HubVerbs, made: Any) -> None:
    iam = client("iam", hub.env)
    subjects = {"plan": "repo:example/flip:pull_request", "apply": "repo:example/flip:environment:stag"}
    for role, subject in subjects.items():
        found = iam.get_role(RoleName=f"flip-stag-ci-{role}")["Role"]
        issuer = "token.actions.githubusercontent.com"
        assert found["AssumeRolePolicyDocument"]["Statement"][0]["Condition"] == {
            "StringEquals": {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": subject}
        }
        assert found["PermissionsBoundary"]["PermissionsBoundaryArn"] == made["outputs"]["ci_boundary_arn"]


def test_the_state_is_in_the_bucket_and_nowhere_else(hub: HubVerbs, made: Any) -> None:
    assert not [*hub.stack("bootstrap").glob("local.tfstate*")]
    state = json.loads(client("s3", hub.env).get_object(Bucket=BUCKET, Key="bootstrap.tfstate")["Body"].read())
    assert len([entry for entry in state["resources"] if entry["mode"] == "managed"]) > 20


def test_another_machine_finds_the_state_and_drift_which_the_next_run_mends(
    hub: HubVerbs, made: Any, tmp_path: Path
) -> None:
    client("s3", hub.env).delete_public_access_block(Bucket=BUCKET)
    address = "module.state_backend.aws_s3_bucket_public_access_block.state"
    assert HubVerbs(tmp_path, hub.env)("plan", "--stack", "bootstrap")["changes"] == [
        {"address": address, "action": "create"}
    ]
    assert hub("bootstrap", "--yes")["counts"] == {"create": 1}


def test_two_at_once_and_a_dead_one_are_told_what_to_do(hub: HubVerbs, made: Any) -> None:
    # `apply` waits for an answer and holds the lock, as somebody's terminal does.
    command = [program(), "apply", "-var=log_days=400"]
    env = hub.env | {"TF_INPUT": "1"}
    holder = subprocess.Popen(
        command,
        cwd=hub.stack("bootstrap"),
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert holder.stdout is not None
    while b"Do you want to perform" not in (line := holder.stdout.readline()):
        assert line, "it ended before it asked"
    assert "Another run holds the state" in hub.fails("plan", "--stack", "bootstrap")
    holder.kill()
    holder.communicate()
    told = hub.fails("plan", "--stack", "bootstrap")
    verb, lock = told.split()[-2:]
    assert verb == "force-unlock"
    assert hub.tofu("bootstrap", verb, "-force", lock).returncode == 0
    assert hub("plan", "--stack", "bootstrap")["changes"] == []


def test_destroy_is_refused(hub: HubVerbs, made: Any) -> None:
    done = hub.tofu("bootstrap", "destroy", "-auto-approve", "-no-color")
    assert done.returncode
    assert "prevent_destroy" in done.stderr
    assert client("s3", hub.env).head_bucket(Bucket=BUCKET)


def test_without_a_yes_nothing_is_applied(hub: HubVerbs, made: Any, tmp_path: Path) -> None:
    longer = tmp_path / "longer.tfvars"
    longer.write_text(EXAMPLE.read_text() + "log_days = 400\n")
    out, err = hub.start("bootstrap", values=longer).communicate("n\n")
    assert "stag: 1 to update" in out
    assert "module.state_backend.aws_s3_bucket_lifecycle_configuration.logs" in "".join(out.split())
    assert "Aborted" in err
    out, err = hub.start("plan", "--stack", "bootstrap").communicate()
    assert "nothing would change" in out, err


def test_a_state_left_on_disk_by_a_run_that_died_after_the_move_counts_no_more(hub: HubVerbs, made: Any) -> None:
    left = hub.stack("bootstrap") / "local.tfstate"
    older = json.loads(hub.tofu("bootstrap", "state", "pull").stdout)
    older["resources"] = older["resources"][:3]
    left.write_text(json.dumps(older))
    assert hub("bootstrap")["changes"] == []
    assert not left.exists()


def test_a_bucket_without_a_state_is_not_taken_over(tofu_env: dict[str, str], tmp_path: Path) -> None:
    """Somebody began on another machine, and has the state there."""
    values = tmp_path / "values.tfvars"
    values.write_text(EXAMPLE.read_text() + 'project = "mine"\n')
    client("s3", tofu_env).create_bucket(
        Bucket=BUCKET.replace("flip", "mine"), CreateBucketConfiguration={"LocationConstraint": "eu-west-2"}
    )
    assert "exists and holds no state" in HubVerbs(tmp_path, tofu_env).fails("bootstrap", "--yes", values=values)


def test_bad_values_are_refused_before_anything_is_made(tofu_env: dict[str, str], tmp_path: Path) -> None:
    values = tmp_path / "values.tfvars"
    text = EXAMPLE.read_text().replace('"eu-west-2"', '"London"')
    values.write_text(f'{text}project = "FLIP Hub"\n')
    told = HubVerbs(tmp_path, tofu_env).fails("bootstrap", "--yes", values=values)
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
    told = HubVerbs(tmp_path, tofu_env).fails("bootstrap", "--yes", values=values)
    assert "AWS account ID not allowed" in told
