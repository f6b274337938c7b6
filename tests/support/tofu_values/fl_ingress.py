"""Values of infra/tofu/modules/fl_ingress."""

from typing import Any

from tofu_values import NAMES

GOOD: dict[str, Any] = {
    "project": "flip",
    "environment": "stag",
    "vpc_id": "vpc-0a1b",
    "vpc_cidr": "10.20.0.0/16",
    "subnet_ids": {"eu-west-2a": "subnet-0a", "eu-west-2b": "subnet-0b"},
    "zone": "example.org",
    "zone_id": "Z0123456789ABC",
    "nets": {"net1": {"host": "net1.example.org"}},
    "logs_bucket": {"name": "flip-stag-logs-123456789012"},
}
BAD: list[tuple[str, Any]] = [
    *[(name, value) for name, value in NAMES if name in GOOD],
    ("vpc_id", "10.20.0.0/16"),
    ("vpc_cidr", "10.20.0.0"),
    ("subnet_ids", {"eu-west-2a": "subnet-0a"}),
    ("zone", "example.org."),
    ("zone_id", "example.org"),
    ("nets", {}),
    ("nets", {"Net 1": {"host": "net1.example.org"}}),
    ("nets", {"net1": {"host": "net1.example.com"}}),
    ("nets", {"net1": {"host": "fl.example.org"}, "net2": {"host": "fl.example.org", "port": 8443}}),
    ("nets", {"net1": {"host": "net1.example.org", "port": 0}}),
    ("allowed_cidrs", []),
    ("allowed_cidrs", ["192.0.2.1/24"]),
    ("allowed_cidrs", ["2001:db8::/32"]),
    ("allowed_cidrs", [f"192.0.2.{at}/32" for at in range(61)]),
    ("logs_bucket", {"name": "arn:aws:s3:::logs"}),
]
