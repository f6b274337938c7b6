"""Values of infra/tofu/modules/storage."""

from typing import Any

from tofu_values import NAMES, PLACE

GOOD: dict[str, Any] = PLACE | {
    "key_arn": "arn:aws:kms:eu-west-2:123456789012:key/1234-abcd",
    "vpc_id": "vpc-0a1b",
    "subnet_ids": {"eu-west-2a": "subnet-0a", "eu-west-2b": "subnet-0b"},
    "nets": ["net1"],
}
BAD: list[tuple[str, Any]] = [
    *NAMES,
    ("key_arn", "arn:aws:kms:eu-west-2:123456789012:alias/data"),
    ("vpc_id", "10.20.0.0/16"),
    ("subnet_ids", {"eu-west-2a": "subnet-0a"}),
    ("subnet_ids", {"eu-west-2a": "subnet-0a", "eu-west-2b": "10.20.1.0/24"}),
    ("nets", ["Net 1"]),
    ("nets", [f"net{at}" for at in range(101)]),
    ("old_version_days", 1),
    ("log_days", 7),
    ("log_days", 90.5),
]
