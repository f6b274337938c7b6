"""Values of infra/tofu/modules/ec2_host."""

from typing import Any

from tofu_values import NAMES, PLACE

WORLD = ["0.0.0.0/0"]

GOOD: dict[str, Any] = {name: PLACE[name] for name in ("project", "environment")} | {
    "name": "dashboard",
    "region": "eu-west-2",
    "vpc_id": "vpc-0123456789abcdef0",
    "subnet": {"id": "subnet-0123456789abcdef0", "zone": "eu-west-2a"},
    "instance_type": "g4dn.xlarge",
    "ami": "/aws/service/debian/release/12/latest/amd64",
    "user": "admin",
    "operator_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE ada@example.org"],
    "key_arn": "arn:aws:kms:eu-west-2:123456789012:key/1234-abcd",
    "data_gb": 50,
    "ingress": {"fl": {"port": 8002, "cidrs": ["192.0.2.0/24", "0.0.0.0/0"]}},
    "public": True,
    "policies": {"dns": "{}"},
    "alarm_topic_arn": "arn:aws:sns:eu-west-2:123456789012:flip-stag-alarms",
}
BAD: list[tuple[str, Any]] = [
    *[(name, value) for name, value in NAMES if name != "account_id"],
    ("name", "Dashboard"),
    ("region", "London"),
    ("vpc_id", "default"),
    ("subnet", {"id": "public", "zone": "eu-west-2a"}),
    ("subnet", {"id": "subnet-0123456789abcdef0", "zone": "eu-west-1a"}),
    ("instance_type", "g6"),
    ("instance_type", "g5g.xlarge"),
    ("instance_type", "c6gd.4xlarge"),
    ("instance_type", "p3.2xlarge"),
    ("instance_type", "t2.micro"),
    ("ami", "debian-12"),
    ("ami", "/aws/service/debian/release/12/latest/arm64"),
    ("ami", "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"),
    ("user", "root"),
    ("operator_keys", []),
    ("operator_keys", ["~/.ssh/id_ed25519.pub"]),
    ("operator_keys", ["-----BEGIN OPENSSH PRIVATE KEY-----"]),
    ("key_arn", "alias/flip-stag-data"),
    ("root_gb", 8),
    ("data_gb", 1),
    ("data_gb", 20000),
    ("ingress", {"fl": {"port": 0, "cidrs": WORLD}}),
    ("ingress", {"ssh": {"port": 22, "cidrs": ["192.0.2.0/24"]}}),
    ("ingress", {"fl": {"port": 8002, "cidrs": ["192.0.2.1/24"]}}),
    ("ingress", {"fl": {"port": 8002, "cidrs": ["::/0"]}}),
    ("egress_ports", [80]),
    ("egress_ports", [443, 0]),
    ("public", False),
    ("policies", {"sessions": "{}"}),
    ("alarm_topic_arn", "flip-stag-alarms"),
    ("permissions_boundary_arn", "arn:aws:iam::aws:policy/PowerUserAccess"),
]
