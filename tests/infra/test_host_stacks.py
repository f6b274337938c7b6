"""The stacks of single hosts, dashboard and trust_ec2, against AWS's stand-in, from apply to end."""

import json
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_tree import ROLES, options
from hub_verbs import client
from tofu_plans import applied

from flipctl.hub.tofu import program

pytestmark = pytest.mark.timeout(900)  # an apply waits for what AWS would be doing
INFRA = Path(__file__).resolve().parents[2] / "infra/tofu"
STACKS = ("dashboard", "trust_ec2")


class Host:
    """A stack in a folder with its state on disk, applied by the program itself: fewer starts of a provider."""

    def __init__(self, name: str, folder: Path, env: dict[str, str], subnet: str) -> None:
        self.name, self.env, self.folder = name, env, folder / "stacks" / name
        shutil.copytree(INFRA / "modules", folder / "modules")
        shutil.copytree(INFRA / "stacks" / name, self.folder)
        (self.folder / "disk_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
        text = (self.folder / "example.tfvars").read_text()
        assert "subnet-0123456789abcdef0" in text
        text = text.replace("subnet-0123456789abcdef0", subnet) + "\ndisposable = true\n"
        (self.folder / "values.auto.tfvars").write_text(text)
        self.run("init", "-no-color")
        self.run("apply", "-no-color", "-auto-approve")
        shown = json.loads(self.run("show", "-json"))
        self.state = applied(shown)
        self.outputs = {name: output["value"] for name, output in shown["values"]["outputs"].items()}

    def run(self, *arguments: str) -> str:
        """One command of the program, which works."""
        done = subprocess.run(
            [program(), *arguments], cwd=self.folder, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def of(self, kind: str) -> list[dict[str, Any]]:
        """All of a type; there are some."""
        found = [values for address, values in self.state.items() if f".{kind}." in f".{address}"]
        assert found, kind
        return found

    @property
    def variables(self) -> dict[str, Any]:
        """What the inventory says of its one host."""
        ((_, group),) = yaml.safe_load(self.outputs["inventory"]).items()
        ((_, variables),) = group["hosts"].items()
        return dict(variables)


@pytest.fixture(scope="module")
def hosts(tofu_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Host]:
    """Both stacks, applied side by side."""
    subnet = client("ec2", tofu_env).describe_subnets()["Subnets"][0]["SubnetId"]
    with ThreadPoolExecutor() as pool:
        made = {name: pool.submit(Host, name, tmp_path_factory.mktemp(name), tofu_env, subnet) for name in STACKS}
        return {name: host.result() for name, host in made.items()}


@pytest.fixture(params=STACKS)
def host(request: pytest.FixtureRequest, hosts: dict[str, Host]) -> Host:
    """One of them, then the other."""
    return hosts[request.param]


def test_a_second_plan_is_empty(host: Host) -> None:
    host.run("plan", "-no-color", "-detailed-exitcode")  # an exit status of its own, if anything differs


def test_no_port_of_ssh_is_open_and_the_world_reaches_what_is_for_it(hosts: dict[str, Host]) -> None:
    doors = {
        name: {(rule["from_port"], rule["cidr_ipv4"]) for rule in host.of("aws_vpc_security_group_ingress_rule")}
        for name, host in hosts.items()
    }
    assert doors == {
        "dashboard": {(443, "0.0.0.0/0"), (8002, "0.0.0.0/0"), (8003, "192.0.2.0/24")},
        "trust_ec2": {(11112, "10.1.20.4/32")},
    }
    assert not [values for values in hosts["trust_ec2"].state.values() if values["type"] == "aws_eip"]
    for host in hosts.values():
        assert {rule["from_port"] for rule in host.of("aws_vpc_security_group_egress_rule")} <= {80, 443}


def test_all_that_is_kept_is_encrypted_and_copied(host: Host) -> None:
    (volume,) = host.of("aws_ebs_volume")
    assert volume["encrypted"]
    assert volume["kms_key_id"]
    (selection,) = host.of("aws_backup_selection")
    assert selection["resources"] == [volume["arn"]]
    assert all(values["kms_key_arn"] for values in host.of("aws_backup_vault"))
    assert all(values["kms_master_key_id"] for values in host.of("aws_sns_topic"))


def test_the_inventory_is_what_the_playbooks_take(host: Host) -> None:
    (group,) = yaml.safe_load(host.outputs["inventory"])
    assert group == {"dashboard": "dashboard", "trust_ec2": "trust"}[host.name]
    variables = host.variables
    assert variables["ansible_host"] == host.outputs["instance_id"]
    assert "AWS-StartSSHSession" in variables["ansible_ssh_common_args"]
    known = {name for role in ROLES for name in options(role)}
    given = {name for name in variables if name.startswith("flip_")}
    if not any(role.name == "flip_dashboard" for role in ROLES):
        given = {name for name in given if not name.startswith("flip_dashboard_")}
    assert given <= known
    # What the host's firewall lets in is what the network does, and Session Manager's way out is open.
    inbound = {(entry["port"], entry["from"]) for entry in variables["flip_firewall_inbound"]}
    assert inbound == {
        (rule["from_port"], rule["cidr_ipv4"]) for rule in host.of("aws_vpc_security_group_ingress_rule")
    }
    outbound = {(entry["to"], entry["port"]) for entry in variables["flip_firewall_outbound"]}
    assert {("169.254.169.254", 80), ("ssmmessages.eu-west-2.amazonaws.com", 443)} <= outbound


def test_the_dashboard_proves_its_name_by_one_record_alone(hosts: dict[str, Host]) -> None:
    (policy,) = [
        values["policy"] for values in hosts["dashboard"].of("aws_iam_role_policy") if values["name"] == "certificate"
    ]
    writes = [entry for entry in json.loads(policy)["Statement"] if "ChangeResourceRecordSets" in str(entry["Action"])]
    (statement,) = writes
    assert statement["Resource"] == "arn:aws:route53:::hostedzone/Z0123456789EXAMPLEORG"
    only = statement["Condition"]["ForAllValues:StringEquals"]
    assert only["route53:ChangeResourceRecordSetsNormalizedRecordNames"] == "_acme-challenge.dashboard.example.org"
    assert only["route53:ChangeResourceRecordSetsRecordTypes"] == "TXT"
    assert statement["Condition"]["Null"] == {"route53:ChangeResourceRecordSetsNormalizedRecordNames": "false"}


def test_names_lead_to_the_dashboard_and_are_watched(hosts: dict[str, Host], tofu_env: dict[str, str]) -> None:
    dashboard = hosts["dashboard"]
    (address,) = dashboard.of("aws_eip")
    records = {values["name"]: values["records"] for values in dashboard.of("aws_route53_record")}
    assert records == {name: [address["public_ip"]] for name in ("dashboard.example.org", "fl.example.org")}
    checks = {(values["type"], values["fqdn"], values["port"]) for values in dashboard.of("aws_route53_health_check")}
    assert checks == {("HTTPS", "dashboard.example.org", 443), ("TCP", "fl.example.org", 8002)}
    alarms = client("cloudwatch", tofu_env, "us-east-1").describe_alarms()["MetricAlarms"]
    watched = {dimension["Value"] for alarm in alarms for dimension in alarm["Dimensions"]}
    assert {values["id"] for values in dashboard.of("aws_route53_health_check")} <= watched


def test_the_type_follows_from_the_wish(hosts: dict[str, Host]) -> None:
    assert hosts["trust_ec2"].outputs["instance_type"] == "g6.2xlarge"


BAD = [
    ("dashboard", "subnet_id", "public"),
    ("dashboard", "domain", "https://dashboard.example.org"),
    ("dashboard", "domain", "dashboard.elsewhere.org"),
    ("dashboard", "server_name", "FL.example.org"),
    ("dashboard", "server_name", "dashboard.example.org"),
    ("dashboard", "fl_port", 443),
    ("dashboard", "admin_port", 443),
    ("dashboard", "admin_port", 8002),
    ("dashboard", "allowed_cidrs", {"fl": []}),
    ("dashboard", "allowed_cidrs", {"admin": ["0.0.0.0/0"]}),
    ("dashboard", "admin_email", "ops"),
    ("dashboard", "acme_directory", "letsencrypt"),
    ("dashboard", "budget_usd", 0.5),
    ("trust_ec2", "subnet_id", "private"),
    ("trust_ec2", "hub_url", "flip.example.org/api"),
    ("trust_ec2", "fl_server", "fl.flip.example.org"),
    ("trust_ec2", "budget_usd", 0),
]


@pytest.fixture(scope="module")
def told() -> dict[str, list[str]]:
    """What was said of the bad values so far, by stack."""
    return {name: [] for name in STACKS}


@pytest.mark.parametrize(("stack", "variable", "value"), BAD)
def test_bad_values_are_refused_before_anything_is_asked_of_aws(
    stack: str, variable: str, value: Any, tofu_env: dict[str, str], tmp_path: Path, told: dict[str, list[str]]
) -> None:
    for name in ("variables.tf", "example.tfvars"):
        shutil.copyfile(INFRA / "stacks" / stack / name, tmp_path / name)
    (tmp_path / "bad.tfvars.json").write_text(json.dumps({variable: value}))
    command = [program(), "plan", "-no-color", "-var-file=example.tfvars", "-var-file=bad.tfvars.json"]
    done = subprocess.run(command, cwd=tmp_path, env=tofu_env, capture_output=True, text=True, check=False)
    told[stack].append(" ".join(re.sub(r"[╷│╵]", " ", done.stderr).split()))
    assert f"var.{variable}" in told[stack][-1]


@pytest.mark.parametrize("stack", STACKS)
def test_every_validation_is_tried(stack: str, told: dict[str, list[str]]) -> None:
    text = (INFRA / "stacks" / stack / "variables.tf").read_text()
    messages = [found.replace('\\"', '"') for found in re.findall(r'error_message = "((?:[^"\\]|\\.)*)"', text)]
    assert messages
    assert [message for message in messages if not any(message in said for said in told[stack])] == []


def test_destroy_leaves_nothing(hosts: dict[str, Host], tofu_env: dict[str, str]) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda host: host.run("destroy", "-no-color", "-auto-approve"), hosts.values()))
    ec2 = client("ec2", tofu_env)
    assert ec2.describe_volumes()["Volumes"] == []
    volumes = {values["id"] for host in hosts.values() for values in host.of("aws_ebs_volume")}
    snapshots = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert not [snapshot for snapshot in snapshots if snapshot["VolumeId"] in volumes]  # disposable: none is left
    states = {
        instance["State"]["Name"]
        for reservation in ec2.describe_instances()["Reservations"]
        for instance in reservation["Instances"]
    }
    assert states <= {"terminated"}
    assert ec2.describe_addresses()["Addresses"] == []
