"""Values of infra/tofu/modules/network."""

from typing import Any

from tofu_values import NAMES, PLACE

KEY = "arn:aws:kms:eu-west-2:123456789012:key/1234-abcd"

GOOD: dict[str, Any] = PLACE | {
    "region": "eu-west-2",
    "cidr": "10.64.0.0/16",
    "zones": ["eu-west-2a", "eu-west-2b"],
    "logs_key_arn": KEY,
}
BAD: list[tuple[str, Any]] = [
    *NAMES,
    ("region", "London"),
    ("cidr", "8.8.0.0/16"),
    ("cidr", "172.32.0.0/16"),
    ("cidr", "10.64.0.0"),
    ("cidr", "10.64.0.0/15"),
    ("cidr", "10.64.0.0/21"),
    ("cidr", "10.64.1.0/16"),
    ("zones", []),
    ("zones", ["eu-west-2a"]),
    ("zones", [f"eu-west-2{letter}" for letter in "abcdef"]),
    ("zones", ["eu-west-2a", "eu-west-2a"]),
    ("zones", ["eu-west-1a", "eu-west-2b"]),
    ("zones", ["us-west-2-lax-1a", "eu-west-2b"]),
    ("nat", "two"),
    ("logs_key_arn", "alias/flip-stag-logs"),
    ("flow_log_days", 100),
    ("flow_log_days", 30),
    ("endpoints", ["s3"]),
    ("endpoints", ["com.amazonaws.eu-west-2.kms"]),
    ("permissions_boundary_arn", "arn:aws:iam::aws:policy/PowerUserAccess"),
]
