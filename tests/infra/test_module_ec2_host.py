"""infra/tofu/modules/ec2_host: who reaches the host, what it may do, and what becomes of its data."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tofu_plans import resources

FILES = Path(__file__).resolve().parents[2] / "infra/tofu/modules/ec2_host/files"


@pytest.fixture
def planned(example_plan: Callable[[str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        name.removeprefix("module.ec2_host."): values for name, values in resources(example_plan("ec2_host")).items()
    }


def test_nothing_is_open_but_what_is_named(planned: dict[str, dict[str, Any]]) -> None:
    doors = [values for name, values in planned.items() if "ingress_rule" in name]
    assert [(door["from_port"], door["to_port"], door["cidr_ipv4"]) for door in doors] == [(443, 443, "0.0.0.0/0")]
    out = [values for name, values in planned.items() if "egress_rule" in name]
    assert [(rule["from_port"], rule["to_port"], rule["ip_protocol"]) for rule in out] == [(443, 443, "tcp")]
    assert "key_name" not in planned["aws_instance.host"]


def test_credentials_stay_on_the_host_and_open_sessions_alone(planned: dict[str, dict[str, Any]]) -> None:
    (metadata,) = planned["aws_instance.host"]["metadata_options"]
    assert (metadata["http_tokens"], metadata["http_put_response_hop_limit"]) == ("required", 1)
    policies = [values["policy"] for name, values in planned.items() if "aws_iam_role_policy." in name]
    (statement,) = json.loads(policies[0])["Statement"]
    assert len(policies) == 1
    assert not [action for action in statement["Action"] if "Get" in action or "*" in action]
    assert not [name for name in planned if "policy_attachment" in name]


def test_volumes_are_encrypted_and_data_outlive_the_instance(planned: dict[str, dict[str, Any]]) -> None:
    instance, data = planned["aws_instance.host"], planned["aws_ebs_volume.data"]
    (root,) = instance["root_block_device"]
    assert "ebs_block_device" not in instance or not instance["ebs_block_device"]  # those would go with the instance
    assert root["encrypted"]
    assert data["encrypted"]
    assert root["kms_key_id"] == data["kms_key_id"]
    assert data["final_snapshot"]
    assert instance["disable_api_termination"]
    assert planned["aws_volume_attachment.data"]["stop_instance_before_detaching"]


def test_somebody_hears_when_it_is_unwell(planned: dict[str, dict[str, Any]]) -> None:
    alarm = planned["aws_cloudwatch_metric_alarm.status"]
    assert alarm["treat_missing_data"] == "breaching"
    assert alarm["alarm_actions"] == ["arn:aws:sns:eu-west-2:123456789012:flip-stag-alarms"]
    assert planned["aws_instance.host"]["monitoring"]


class Volume:
    """The script of the data volume, on a file as its device, with a table of mounts of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.device, self.fstab = folder, folder / "device", folder / "fstab"
        self.fstab.write_text("LABEL=root / ext4 defaults 0 1\n")
        with self.device.open("wb") as device:
            device.truncate(16 << 20)
        text = (FILES / "flip-data-volume").read_text()
        self.script = folder / "script"
        self.script.write_text(text.replace("/etc/fstab", str(self.fstab)).replace("/opt/flip", str(folder / "data")))
        for name, body in {"mount": "echo mounted", "mountpoint": "exit 1", "systemctl": ":"}.items():
            program = folder / "bin" / name
            program.parent.mkdir(exist_ok=True)
            program.write_text(f"#!/bin/sh\n{body}\n")
            program.chmod(0o755)

    def run(self) -> subprocess.CompletedProcess[str]:
        """One start."""
        env = {"PATH": f"{self.folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        command = ["sh", str(self.script), str(self.device)]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_an_empty_volume_gets_a_file_system_once(tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    first = volume.run()
    assert first.returncode == 0, first.stderr
    made = volume.device.read_bytes()
    assert volume.run().returncode == 0  # as on another instance, whose first start finds data
    assert volume.device.read_bytes() == made
    assert volume.fstab.read_text().count("LABEL=flip-data ") == 1


def test_a_volume_with_other_data_is_left_alone(tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    subprocess.run(["/sbin/mkfs.ext4", "-q", "-L", "other", str(volume.device)], check=True)
    before = volume.device.read_bytes()
    done = volume.run()
    assert done.returncode == 1
    assert "holds something else" in done.stderr
    assert volume.device.read_bytes() == before
    assert "flip-data" not in volume.fstab.read_text()
