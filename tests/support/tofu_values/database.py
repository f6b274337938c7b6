"""Values of infra/tofu/modules/database."""

from typing import Any

from tofu_values import NAMES, PLACE

KEY = "arn:aws:kms:eu-west-2:123456789012:key/1234-abcd"
SUBNETS = {"eu-west-2a": "subnet-0a", "eu-west-2b": "subnet-0b"}

GOOD: dict[str, Any] = PLACE | {
    "region": "eu-west-2",
    "vpc_id": "vpc-0a",
    "subnet_ids": SUBNETS,
    "key_arn": KEY,
    "logs_key_arn": KEY,
}
BAD: list[tuple[str, Any]] = [
    *NAMES,
    ("project", "flip--hub"),
    ("region", "London"),
    ("vpc_id", "flip"),
    ("subnet_ids", {"eu-west-2a": "subnet-0a"}),
    ("subnet_ids", {"eu-west-2a": "10.0.0.0/24", "eu-west-2b": "10.0.1.0/24"}),
    ("key_arn", "alias/flip-stag-data"),
    ("logs_key_arn", "alias/flip-stag-logs"),
    ("log_days", 100),
    ("engine_version", "99.9"),
    ("engine_version", "17.5"),
    ("engine_version", "9"),
    ("instance_class", "t4g.medium"),
    ("instance_class", "db.t4g.16xlarge"),
    ("instance_class", "db.m4.large"),
    ("instance_class", "db.m7g.medium"),
    ("storage", {"gb": 5}),
    ("storage", {"gb": 65537, "max_gb": 65537}),
    ("storage", {"gb": 100, "max_gb": 105}),
    ("storage", {"max_gb": 65537}),
    ("backup_days", 0),
    ("backup_days", 36),
    ("permissions_boundary_arn", "arn:aws:iam::aws:policy/PowerUserAccess"),
]
