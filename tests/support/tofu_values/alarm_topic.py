"""Values of infra/tofu/modules/alarm_topic."""

from typing import Any

from tofu_values import NAMES, PLACE

GOOD: dict[str, Any] = PLACE | {
    "region": "us-east-1",
    "key_arn": "arn:aws:kms:us-east-1:123456789012:key/1234-abcd",
    "emails": ["operators@example.org"],
}
BAD: list[tuple[str, Any]] = [
    *NAMES,
    ("region", "London"),
    ("key_arn", "alias/flip-stag-logs"),
    ("emails", []),
    ("emails", ["operators"]),
]
